#!/usr/bin/env python3
"""Runs the sample clients of examples/clients against a demo, each through every ending and every loss.

`scripts/outside clients` starts the demo and sets RELAIS_URL, RELAIS_OPS, RELAIS_PHONE and RELAIS_BIN; the client in
Rust is $RELAIS_BIN's neighbour examples/sign_in. One line per language and scenario. C# and Delphi are not run.
Arguments are names of languages, where not all of them are to run.
"""

import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

from proxy import Proxy

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "clients"
AT_ONCE = 8  # Clients that run at the same time: they wait more than they work.
PATIENCE = 60  # Seconds after which a client or an event is given up.


class Failed(Exception):
    """An expectation that was not met."""


def expect(met, what):
    if not met:
        raise Failed(what)


def until(condition, what):
    """Waits until `condition` gives something, and gives that."""
    give_up_at = time.monotonic() + PATIENCE
    while time.monotonic() < give_up_at:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise Failed(f"in vain: {what}")


def http_json(server, method, path, body=None, headers=None):
    """Status and JSON of one call."""
    url = urllib.parse.urlsplit(server)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, json.loads(text) if is_json else text.decode()


class Demo:
    """Relais and the simulated provider, as the tests see them."""

    def __init__(self, environment):
        self.url, self.ops, self.phone = (environment[f"RELAIS_{name}"] for name in ("URL", "OPS", "PHONE"))
        self.people = self.sim("GET", "people")

    def sim(self, method, path, body=None):
        status, answer = http_json(self.phone, method, f"/_sim/{path}", body)
        expect(status < 300, f"{method} /_sim/{path}: {status} {answer}")
        return answer

    def ring(self, login_hint):
        """Waits until the phone of a person rings."""
        ringing = lambda: [r for r in self.sim("GET", "requests") if (r["login_hint"], r["status"]) == (login_hint, "pending")]
        return until(ringing, "the phone rings")[0]

    def decide(self, login_hint, decision, body=None):
        request = self.ring(login_hint)
        self.sim("POST", f"requests/{request['auth_req_id']}/{decision}", body)
        return request

    def rings(self, login_hint):
        return self.sim("GET", "stats")["rings"].get(login_hint, 0)

    def start(self, login_hint):
        """Starts a login, as another client of the same application does."""
        headers = {"Authorization": "Basic ZGVtbzpkZW1v", "Content-Type": "application/json"}
        return http_json(self.url, "POST", "/v1/logins", {"login_hint": login_hint}, headers)

    def cancel(self, login):
        bearer = {"Authorization": f"Bearer {login['login_token']}"}
        status, _ = http_json(self.url, "DELETE", f"/v1/logins/{login['login_id']}", None, bearer)
        expect(status == 204, f"our own login can be cancelled: {status}")

    def session(self, handle):
        """Status and code of a handle, without using it."""
        status, answer = http_json(self.url, "GET", "/v1/session?touch=false", None, {"Authorization": f"Bearer {handle}"})
        return status, answer.get("code", answer.get("session_id"))

    def sessions(self):
        """How many sessions have ended by logout, and how many are active."""
        _, metrics = http_json(self.ops, "GET", "/metrics")
        numbers = dict(re.findall(r"^(relais_sessions_\S+) (\d+)", metrics, re.MULTILINE))
        ended = numbers.get('relais_sessions_ended_total{reason="logout"}', 0)
        return int(ended), int(numbers.get("relais_sessions_active", 0))


class Client:
    """One run of a sample client."""

    def __init__(self, command, url, *arguments, lang="en_GB.UTF-8", stdin=subprocess.DEVNULL, **settings):
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
        environment.update({"RELAIS_URL": url, "RELAIS_APPLICATION": "demo", "RELAIS_SECRET": "demo", "LANG": lang})
        environment.update(settings)
        self.output = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        stdout, stderr = self.output
        try:
            self.process = subprocess.Popen(
                [*command, *arguments], stdin=stdin, stdout=stdout, stderr=stderr, env=environment
            )
        except OSError as error:
            raise Failed(f"cannot be run: {error}") from error

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if isinstance(error, Failed):
            error.args = (f"{error}\n{self.stdout}{self.stderr}",)
        if self.process.stdin:
            self.process.stdin.close()

    stdout = property(lambda self: self._read(0))
    stderr = property(lambda self: self._read(1))

    def _read(self, which):
        size = os.fstat(self.output[which].fileno()).st_size
        return os.pread(self.output[which].fileno(), size, 0).decode("utf-8", "replace")

    def ends(self, code, *said):
        """Waits for the end; gives the session on stdout, where there is to be one."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed("does not end") from None
        expect(ended == code, f"exit code {code} expected, not {ended}")
        for text in said:
            expect(text in self.stderr, f"stderr says: {text}")
        for secret in ("rlt_", "rsh_", "Basic "):
            expect(secret not in self.stdout + self.stderr, f"no secret is shown ({secret})")
        lines = self.stdout.splitlines()
        expect(len(lines) == (1 if code == 0 else 0), "one line on stdout, and only with a session")
        return json.loads(lines[0]) if lines else None


# The scenarios. Each gets the demo, the command and a login_hint of its own. A name is what its output line says.

SCENARIOS = {}


def scenario(name, sessions=0):
    def enter(function):
        SCENARIOS[name] = (function, sessions)
        return function

    return enter


@scenario("session", sessions=1)
def session(demo, command, hint):
    with Proxy(demo.url) as proxy, Client(command, proxy.url, hint, lang="fr_FR.UTF-8", stdin=subprocess.PIPE) as client:
        asked = demo.decide(hint, "approve")
        until(lambda: client.stdout.endswith("\n"), "a session on stdout")
        handle = proxy.of("pick_up")[0].answer["session_handle"]
        shown = json.loads(client.stdout)
        expect(demo.session(handle) == (200, shown["session_id"]), "the session lives while the software works")
        client.process.stdin.write(b"\n")
        client.process.stdin.flush()
        digits = "   ".join(asked["binding_message"])
        client.ends(0, f"|   {digits}   |", "Ouvrez l", "Signed in: ", "Press Enter")
        expect(shown["subject"]["national_id"] == hint, "the person is the one who was asked for")
        expect(demo.session(handle) == (401, "session_ended"), "a line ends the session")
        expect(demo.rings(hint) == 1, "the phone has rung once")


@scenario("named person", sessions=1)
def named_person(demo, command, hint):
    person = random.choice([person for person in demo.people if person.get("profession")])
    hint = person["login_hint"]
    with NAMED, Client(command, demo.url, hint, "--end") as client:
        demo.decide(hint, "approve")
        name = f"{person['given_name']} {person['family_name']}".strip()
        expect(client.ends(0)["subject"]["name"] == name, f"it is {name}")


@scenario("denied")
def denied(demo, command, hint):
    with Client(command, demo.url, hint) as client:
        demo.decide(hint, "deny")
        client.ends(10, "The sign-in request was refused.", "Denied:")


@scenario("expired")
def expired(demo, command, hint):
    with Client(command, demo.url, hint) as client:
        demo.ring(hint)
        RUNG.release()
        client.ends(11, "not confirmed in time", "Expired:")


@scenario("unknown person")
def unknown_person(demo, command, hint):
    with Client(command, demo.url, f"unknown{hint}") as client:
        client.ends(12, "does not know this identifier", "Unknown person:")


@scenario("SIGTERM cancels")
def sigterm_cancels(demo, command, hint):
    with Client(command, demo.url, hint) as client:
        demo.ring(hint)
        until(lambda: "|   " in client.stderr, "the digits are shown")
        client.process.send_signal(signal.SIGTERM)
        client.ends(13, "Cancelled:")
    status, login = demo.start(hint)
    expect(status == 201, f"the person is free at once: {status} {login}")
    demo.cancel(login)


@scenario("SIGTERM during the start")
def sigterm_during_the_start(demo, command, hint):
    with Proxy(demo.url) as proxy:
        proxy.mishap("start", "silent")
        with Client(command, proxy.url, hint) as client:
            demo.ring(hint)
            client.process.send_signal(signal.SIGTERM)
            client.ends(13, "Cancelled:")
        keys = {exchange.headers["idempotency-key"] for exchange in proxy.of("start")}
        expect(len(proxy.of("start")) == 2 and len(keys) == 1, "the login is found by the key of the lost start")
    expect(demo.rings(hint) == 1, "the phone has rung once")
    status, login = demo.start(hint)
    expect(status == 201, f"the person is free at once: {status} {login}")
    demo.cancel(login)


@scenario("identity mismatch")
def identity_mismatch(demo, command, hint):
    with Client(command, demo.url, hint) as client:
        demo.decide(hint, "approve", {"as": "899700000001"})
        client.ends(14, "someone other than the person", "Somebody else has confirmed:")


@scenario("already pending")
def already_pending(demo, command, hint):
    _, login = demo.start(hint)
    with Client(command, demo.url, hint) as client:
        client.ends(15, "already under way for this person", "Too early:")
        seconds = re.search(r"^Try again in (\d+) s\.$", client.stderr, re.MULTILINE)
        expect(seconds and login["expires_in"] - PATIENCE < int(seconds[1]) <= login["expires_in"], "it says when")
    expect(demo.rings(hint) == 1, "the phone has not rung again")
    demo.cancel(login)


@scenario("provider unavailable")
def provider_unavailable(demo, command, hint):
    with Client(command, demo.url, hint) as client:
        client.ends(16, "The authentication service is unavailable", "The provider is unavailable:")


@scenario("wrong secret")
def wrong_secret(demo, command, hint):
    secret = "a:b %+/"
    with Proxy(demo.url) as proxy, Client(command, proxy.url, hint, RELAIS_SECRET=secret) as client:
        client.ends(17, "could not prove its identity", "The application is refused:")
        scheme, _, pair = proxy.of("start")[0].headers["authorization"].partition(" ")
        name, _, sent = base64.b64decode(pair).decode().partition(":")
        decoded = (scheme, name, urllib.parse.unquote_plus(sent))
        expect(decoded == ("Basic", "demo", secret), f"name and secret are form-encoded first: {sent}")
    expect(demo.rings(hint) == 0, "no phone has rung")


@scenario("misuse")
def misuse(demo, command, hint):
    mistyped = hint[:-1] + str((int(hint[-1]) + 1) % 10)
    for url, arguments, said, settings in [
        (demo.url, [], "usage: ", {}),
        (demo.url, [mistyped], "The identifier you typed is not valid", {}),
        ("http://192.0.2.1:8080", [hint], "it carries a secret", {}),
        ("https://127.0.0.1:1", [hint], "RELAIS_CA", {"RELAIS_CA": str(SCRATCH / "no such file")}),
    ]:
        with Client(command, url, *arguments, **settings) as client:
            client.ends(2, said)
    expect(demo.rings(hint) + demo.rings(mistyped) == 0, "no phone has rung")


@scenario("lost answers", sessions=1)
def lost_answers(demo, command, hint):
    with Proxy(demo.url) as proxy:
        proxy.mishap("start", "cut")
        proxy.mishap("wait", "cut")
        proxy.mishap("pick_up", "cut", "torn")
        with Client(command, proxy.url, hint) as client:
            until(proxy.arrived("wait"), "it waits")
            demo.decide(hint, "approve")
            shown = client.ends(0, "No answer yet, trying again")
        starts, waits, pick_ups = (proxy.of(call) for call in ("start", "wait", "pick_up"))
        expect(len(starts) == 2 and len(waits) >= 2 and len(pick_ups) == 3, "each lost call was repeated")
        expect(same_request(starts), "the start was repeated as it was, with its key")
        for wait in waits:
            expect(wait.headers.get("prefer") == "wait=25", "it waits at the server")
            expect(re.fullmatch(r'"\d+"', wait.headers.get("if-none-match", "")), "with the version that it knows")
        seen = {pick_up.answer["session_id"] for pick_up in pick_ups}
        expect(seen == {shown["session_id"]}, f"one session: {seen}")
    expect(demo.rings(hint) == 1, "the phone has rung once")


@scenario("silent server", sessions=1)
def silent_server(demo, command, hint):
    with Proxy(demo.url) as proxy:
        proxy.mishap("start", "silent")
        began = time.monotonic()
        with Client(command, proxy.url, hint) as client:
            until(proxy.arrived("wait"), "it starts again")
            expect(10 < time.monotonic() - began < 40, "it gives a start the time that it may take, and not much more")
            demo.decide(hint, "approve")
            client.ends(0, "No answer yet, trying again")
        expect(same_request(proxy.of("start")), "the start was repeated as it was, with its key")
    expect(demo.rings(hint) == 1, "the phone has rung once")


@scenario("busy server", sessions=1)
def busy_server(demo, command, hint):
    with Proxy(demo.url) as proxy:
        proxy.mishap("start", "busy", "busy")
        with Client(command, proxy.url, hint) as client:
            demo.decide(hint, "approve")
            client.ends(0, "503 overloaded")
        starts = proxy.of("start")
        expect(len(starts) == 3 and same_request(starts), "the start was repeated as it was, with its key")
        expect(starts[2].ended_at - starts[0].ended_at >= 2, "not before the time that Retry-After says")


@scenario("server away while waiting", sessions=1)
def server_away(demo, command, hint):
    with Proxy(demo.url) as proxy, Client(command, proxy.url, hint) as client:
        until(proxy.arrived("wait"), "it waits")
        proxy.switch_off()
        demo.decide(hint, "approve")
        time.sleep(4)
        expect(client.process.poll() is None, "it does not give up")
        proxy.switch_on()
        client.ends(0, "No answer yet, trying again")
        expect(demo.rings(hint) == 1, "the phone has rung once")


@scenario("grown answers", sessions=1)
def grown_answers(demo, command, hint):
    member = {"list": [1, -2.5e3, None, True, 'é\n"\\/\U0001f600'], "empty": [{}, []]}

    def grown(answer):
        return {**answer, "added": member, "hint": "added_since", "environment": "added_since"}

    with Proxy(demo.url) as proxy:
        for call in ("start", "wait", "pick_up", "read_session"):
            proxy.mishap(call, *[grown] * 9)
        with Client(command, proxy.url, hint) as client:
            demo.decide(hint, "approve")
            shown = client.ends(0, "Signed in: ")
            expect(shown["added"] == member, "the session is shown as it came")


@scenario("unknown status")
def unknown_status(demo, command, hint):
    with Proxy(demo.url) as proxy:
        proxy.mishap("wait", lambda answer: {**answer, "status": "added_since", "reason": "added_since"})
        with Client(command, proxy.url, hint) as client:
            demo.decide(hint, "deny")
            client.ends(1, "The sign-in request was refused.", "Failed:")


@scenario("session end, over TLS", sessions=1)
def session_end(demo, command, hint):
    roots = str(CERTIFICATES / "ca.pem")
    with Proxy(demo.url, CERTIFICATES) as proxy:
        with Client(command, proxy.url, hint, "--end", RELAIS_CA=roots, NODE_EXTRA_CA_CERTS=roots) as client:
            demo.decide(hint, "approve")
            client.ends(0, "This session was closed at your request. [401 session_ended", "sign in again")
        handle = proxy.of("pick_up")[0].answer["session_handle"]
        expect(len(proxy.of("end_session")) == 1, "the session was ended once")
        expect(demo.session(handle) == (401, "session_ended"), "the handle is dead")


@scenario("server that nobody vouches for")
def untrusted_server(demo, command, hint):
    with Proxy(demo.url, CERTIFICATES) as proxy, Client(command, proxy.url, hint) as client:
        until(lambda: "No answer yet" in client.stderr, "it does not go on")
        expect(not proxy.exchanges, "nothing is said to a server without a trusted certificate")


def same_request(exchanges):
    """Whether a call was repeated with the same body and the same key."""
    return len({(e.body, e.headers.get("idempotency-key")) for e in exchanges}) == 1 and exchanges[0].body != b""


NAMED = threading.Lock()  # Persons with names are few: one sign-in at a time.
RUNG = threading.Semaphore(0)  # Released by each client that has got a login of a short life.
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="relais-clients-"))
CERTIFICATES = SCRATCH / "pki"


def login_hints():
    """Identifiers of people whom the simulator draws: 810, eight digits, and one that satisfies Luhn over the last 11."""
    for number in range(random.randrange(10**6) * 100, 10**8):
        digits = f"10{number:08}"
        total = sum(int(d) if place % 2 else sum(divmod(2 * int(d), 10)) for place, d in enumerate(reversed(digits)))
        yield f"8{digits}{-total % 10}"


def commands(binary):
    """How each client is run. Java compiles a source at every start, so only one run is of the source."""
    source, classes = CLIENTS / "java" / "SignIn.java", SCRATCH / "java"
    try:
        subprocess.run(["javac", "-d", classes, source], check=False)
    except OSError as error:
        print(error, file=sys.stderr)
    return {
        "rust": [pathlib.Path(os.path.abspath(binary)).parent / "examples" / "sign_in"],
        "javascript": ["node", CLIENTS / "javascript" / "sign_in.mjs"],
        "python": ["python3", CLIENTS / "python" / "sign_in.py"],
        "java": ["java", "-XX:TieredStopAtLevel=1", "-cp", classes, "SignIn"],
        "java source": ["java", source],
    }


class Runs:
    """Every language through every scenario, in threads, and what came of it."""

    def __init__(self, demo, languages):
        self.demo, self.languages, self.hints = demo, languages, login_hints()
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self.passed = self.failed = self.sessions = 0
        self.lock = threading.Lock()

    def begin(self, *names):
        """Begins scenarios, the first of each language before the second of any."""
        chosen = [(language, name) for name in names for language in self.languages]
        chosen = [(language, name) for language, name in chosen if language != "java source" or name == "session"]
        self.sessions += sum(SCENARIOS[name][1] for _, name in chosen)
        return [self.pool.submit(self._run, language, name, next(self.hints)) for language, name in chosen]

    def _run(self, language, name, hint):
        began = time.monotonic()
        try:
            SCENARIOS[name][0](self.demo, self.languages[language], hint)
            self.report(language, name, time.monotonic() - began)
        except Failed as failed:
            self.report(language, name, time.monotonic() - began, str(failed))
        except Exception:  # A defect of this runner, or an answer that nobody expected: a failure like any other.
            self.report(language, name, time.monotonic() - began, traceback.format_exc())

    def report(self, language, name, seconds, why=None):
        with self.lock:
            self.passed, self.failed = (self.passed + (why is None), self.failed + (why is not None))
            print(f"{'FAILED' if why else 'ok    '}  {language:<12} {name:<32} {seconds:5.1f} s", flush=True)
            if why:
                print("    " + why.rstrip().replace("\n", "\n    "), flush=True)


def main():
    demo = Demo(os.environ)
    binary = os.environ["RELAIS_BIN"]
    subprocess.run([binary, "pki", "dev", "--out", CERTIFICATES], check=True, stderr=subprocess.DEVNULL)
    languages = commands(binary)
    runs = Runs(demo, {language: languages[language] for language in sys.argv[1:] or languages})
    settings = demo.sim("PUT", "settings", {})
    ended_before, active_before = demo.sessions()
    try:
        # A second between two polls, so that nobody waits five for each decision.
        demo.sim("PUT", "settings", {"interval": 1})
        # These two say something to every login that starts: nothing else runs meanwhile.
        fault = {"endpoint": "backchannel", "count": len(runs.languages), "status": 503, "body": {"error": "server_error"}}
        demo.sim("POST", "faults", fault)
        concurrent.futures.wait(runs.begin("provider unavailable"))
        demo.sim("DELETE", "faults")
        demo.sim("PUT", "settings", {"expires_in": 6})
        begun = runs.begin("expired")
        for _ in begun:
            RUNG.acquire(timeout=PATIENCE)
        demo.sim("PUT", "settings", {"expires_in": settings["expires_in"]})
        longest_first = ["silent server", "server away while waiting"]
        others = [name for name in SCENARIOS if name not in ("provider unavailable", "expired", *longest_first)]
        concurrent.futures.wait(begun + runs.begin(*longest_first, *others))
    finally:
        demo.sim("DELETE", "faults")
        demo.sim("PUT", "settings", settings)
        shutil.rmtree(SCRATCH)
    # Every session that was begun has been ended by its client, and a lost answer has made no second one.
    # Those that live are counted every few seconds: the last ones may just have ended.
    until = time.monotonic() + PATIENCE
    while True:
        ended, active = demo.sessions()
        ended, active = ended - ended_before, active - active_before
        if active == 0 or time.monotonic() > until:
            break
        time.sleep(0.5)
    counted = f"{runs.sessions} sessions expected, all of them ended: {ended} have ended, {active} have not"
    runs.report("all", "sessions counted", 0, None if (ended, active) == (runs.sessions, 0) else counted)
    print(f"{runs.passed} passed, {runs.failed} failed")
    return 1 if runs.failed else 0


if __name__ == "__main__":
    sys.exit(main())
