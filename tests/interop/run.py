#!/usr/bin/env python3
"""Runs Relais against foreign providers, each a real server in a process of its own. One line per scenario.

`scripts/interop` installs what is needed and sets RELAIS_BIN and RELAIS_TOOLS. Arguments are names of providers,
where not all are to run. A scenario that cannot run here says `skipped` and why; it never says `ok`.
"""

import os
import pathlib
import signal
import sys
import tempfile
import time
import traceback

import doctor
import glewlwyd
import keycloak
import oidc_provider
from world import Failed, Skipped, World

PARTS = [oidc_provider, doctor, glewlwyd, keycloak]


def report(part, name, verdict, began):
    print(f"{part.NAME}: {name}: {verdict}, {time.monotonic() - began:.1f} s", flush=True)


def run(part, binary, tools):
    """Plays one part in a world of its own: how many scenarios failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="relais-interop-") as folder:
        world = None
        began = time.monotonic()
        try:
            world = World(pathlib.Path(folder), binary, tools)
            with part.stage(world) as stage:
                for name, scenario in part.SCENARIOS.items():
                    began = time.monotonic()
                    try:
                        scenario(stage)
                        report(part, name, "ok", began)
                    except Skipped as reason:
                        report(part, name, f"skipped ({reason})", began)
                    except Exception as error:  # Whatever it is, the other scenarios are still played.
                        failed += 1
                        report(part, name, "FAILED", began)
                        explain(error)
        except Skipped as reason:
            report(part, "everything", f"skipped ({reason})", began)
        except Exception as error:
            failed += 1
            report(part, "the stage", "FAILED", began)
            explain(error)
        finally:
            if world is not None:
                world.close()
            if failed:
                show(pathlib.Path(folder))
    return failed


def explain(error):
    if isinstance(error, Failed):
        print(f"    {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)


def show(folder):
    """What the processes have said, for whoever has to find the cause."""
    for file in sorted(folder.glob("*.err")):
        text = file.read_text(errors="replace")
        if text:
            print(f"--- {file.name}\n{text[-6000:]}", file=sys.stderr)


def main():
    # Whoever ends the runner ends what it has started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    wanted = sys.argv[1:] or [part.NAME for part in PARTS]
    binary, tools = os.path.abspath(os.environ["RELAIS_BIN"]), os.path.abspath(os.environ["RELAIS_TOOLS"])
    failed = sum(run(part, binary, tools) for part in PARTS if part.NAME in wanted)
    if failed:
        sys.exit(f"{failed} FAILED")


if __name__ == "__main__":
    main()
