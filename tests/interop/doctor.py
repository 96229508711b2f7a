"""`relais doctor` at oidc-provider: each thing that may be wrong has a sentence of its own, and nobody is rung."""

import contextlib
import http.client
import http.server
import json
import ssl
import threading
import time
import urllib.parse
from email.utils import formatdate

from oidc_provider import SECRET, client, registration
from world import expect

NAME = "doctor"
SCENARIOS = {}
SENTENCES = {}


def scenario(name):
    def enter(function):
        SCENARIOS[name] = function
        return function

    return enter


class WrongClock:
    """Stands in front of a provider, and says in each answer that it is another time."""

    def __init__(self, world, upstream, seconds):
        upstream = urllib.parse.urlsplit(upstream)
        to_upstream = ssl.create_default_context(cafile=world.pki.path("ca.pem"))

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPSConnection(upstream.hostname, upstream.port, context=to_upstream)
                # The Host stays what the caller has called, so that every address in the answer leads here.
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("date", "transfer-encoding", "content-length", "connection", "keep-alive"):
                        self.send_header(name, value)
                self.send_header("Date", formatdate(time.time() + seconds, usegmt=True))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = forward

            def log_message(self, *_):
                """Says nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.pki.path("server.pem"), world.pki.path("server.key"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Stage:
    def __init__(self, world):
        pki = world.pki
        pki.authority("other-ca")
        good = pki.issue("relais-tls", "/CN=relais-tls")
        named = pki.issue("named", "/CN=somebody")
        expired = pki.issue("expired", "/CN=relais-tls", days=-1)
        clients = [
            client("relais:basic", "client_secret_basic", client_secret=SECRET),
            client("relais-wrong", "client_secret_basic", client_secret="another secret, longer than it has to be"),
            client("relais-tls", "tls_client_auth", tls_client_auth_subject_dn="CN=relais-tls"),
            {
                **client("relais-no-ciba", "client_secret_basic", client_secret=SECRET),
                "grant_types": ["refresh_token"],
            },
        ]
        only_ping = {
            **clients[0],
            "backchannel_token_delivery_mode": "ping",
            "backchannel_client_notification_endpoint": "https://localhost/unused",
        }
        self.world = world
        self.op = world.oidc_provider(modes=["poll", "ping"], clients=clients)
        self.only_ping = world.oidc_provider(modes=["ping"], clients=[only_ping])
        self.late = WrongClock(world, self.op.issuer, 300)
        well_known = "/.well-known/openid-configuration"
        secret = {"auth": "client_secret_basic", "client_secret_file": world.secret("client-secret", SECRET)}
        basic = lambda provider, client_id="relais:basic": registration(client_id, **secret, provider=provider)
        tls = lambda provider, pair: registration(
            "relais-tls", "tls_client_auth", provider=provider, certificates=[pair]
        )
        issuer = {"issuer": self.op.issuer}
        self.relais = world.relais(
            {
                "op": issuer,
                "psc-like": {**issuer, "profile": "psc", "metadata_url": f"{self.op.issuer}{well_known}"},
                "untrusted": {**issuer, "ca": pki.path("other-ca.pem")},
                "late": {**issuer, "metadata_url": f"{self.late.url}{well_known}"},
                "renamed": {"issuer": f"{self.op.issuer}/realm", "metadata_url": f"{self.op.issuer}{well_known}"},
                "only-ping": {"issuer": self.only_ping.issuer},
            },
            {
                "well": basic("op"),
                "well-tls": tls("psc-like", good),
                "wrong-cn": tls("psc-like", named),
                "expired": tls("op", expired),
                "untrusted": basic("untrusted"),
                "late": basic("late"),
                "renamed": basic("renamed"),
                "no-poll": basic("only-ping"),
                "wrong-secret": basic("op", "relais-wrong"),
                "no-ciba": basic("op", "relais-no-ciba"),
            },
        )


@contextlib.contextmanager
def stage(world):
    stage = Stage(world)
    try:
        yield stage
    finally:
        stage.late.close()


def examine(stage, name, exit_code):
    """The checks of one registration by their name; the exit code is the expected one, in both forms."""
    code, out, err = stage.relais.doctor("--registration", name, "-o", "json")
    expect(code == exit_code, f"exit code {exit_code} expected, not {code}: {out}{err}")
    checks = {check["check"]: check for check in json.loads(out)["registrations"][0]["checks"]}
    code, text, _ = stage.relais.doctor("--registration", name, language="fr_FR.UTF-8")
    expect(code == exit_code, f"exit code {exit_code} expected, not {code}: {text}")
    for said in (out, text, err):
        expect(SECRET not in said and "rlt_" not in said, "no secret is shown")
    return checks, text


def fails(stage, name, check, code, english, french, status="failed", reaches=True):
    checks, text = examine(stage, name, 1)
    found = checks[check]
    expect((found["status"], found.get("code")) == (status, code), f"{check} is {code}: {found}")
    sentence = f"{found['what']} {found['fix']}"
    for part in english:
        expect(part in sentence, f"{part!r} is in {sentence!r}")
    for part in french:
        expect(part in text, f"{part!r} is in {text!r}")
    expect((checks["ciba"]["status"] != "not_reached") == reaches, f"as far as expected: {checks['ciba']}")
    SENTENCES[name] = (found["what"], found["fix"])
    return checks


@scenario("all is well")
def well(stage):
    for name in ("well", "well-tls"):
        checks, _ = examine(stage, name, 0)
        expect({check["status"] for check in checks.values()} == {"ok"}, f"everything is well: {checks}")
    expect(checks["common_name"]["detail"] == "relais-tls", f"the CN of the last one is compared: {checks}")


@scenario("a certificate with another CN")
def wrong_cn(stage):
    checks = fails(
        stage, "wrong-cn", "common_name", "common_name_differs",
        ['The CN of the client certificate is "somebody", the client_id is "relais-tls".', "name the right one in `certificates`, or correct `client_id`."],
        ["Le CN du certificat client est \"somebody\""],
        status="warning",
    )
    expect(checks["ciba"]["code"] == "credentials_refused", f"and the provider refuses it: {checks['ciba']}")


@scenario("an expired client certificate")
def expired(stage):
    fails(
        stage, "expired", "certificate", "certificate_expired",
        ["expired.pem expired at 20", "Have a new one made"],
        ["expired.pem a expiré le 20", "Faites-en établir un nouveau"],
        reaches=False,
    )


@scenario("an authority that is not trusted")
def untrusted(stage):
    fails(
        stage, "untrusted", "tls", "untrusted_ca",
        ["comes from no authority that is trusted here", "`ca` of the section [providers."],
        ["ne vient d’aucune autorité reconnue ici"],
        reaches=False,
    )


@scenario("a clock five minutes off")
def late(stage):
    checks = fails(
        stage, "late", "clock", "clocks_differ",
        ["s behind the provider's", "by NTP"],
        ["L’horloge de cette machine retarde de"],
    )
    expect(checks["ciba"]["status"] == "ok", f"all the rest is well: {checks}")
    seconds = int("".join(letter for letter in checks["clock"]["what"] if letter.isdigit()))
    expect(290 <= seconds <= 300, f"five minutes: {seconds}")


@scenario("another issuer")
def renamed(stage):
    fails(
        stage, "renamed", "issuer", "issuer_differs",
        [f'name the issuer "{stage.op.issuer}", the configuration names "{stage.op.issuer}/realm"', "byte for byte"],
        ["Les métadonnées nomment l’émetteur"],
        reaches=False,
    )


@scenario("a delivery mode that the provider lacks")
def no_poll(stage):
    fails(
        stage, "no-poll", "delivery", "delivery_not_offered",
        ["uses the delivery mode poll; the provider offers ping.", "Write in `delivery`"],
        ["utilise le mode de remise poll"],
        reaches=False,
    )


@scenario("a wrong secret")
def wrong_secret(stage):
    fails(
        stage, "wrong-secret", "ciba", "credentials_refused",
        ["refuses the client's credentials (answer invalid_client)"],
        ["refuse les justificatifs du client"],
    )


@scenario("a client that may not use CIBA")
def no_ciba(stage):
    fails(
        stage, "no-ciba", "ciba", "ciba_not_enabled",
        ["does not let this client use CIBA", "switch CIBA on"],
        ["ne laisse pas ce client utiliser CIBA"],
    )


@scenario("all of them at once: each sentence is its own, and nobody was rung")
def all_at_once(stage):
    code, out, err = stage.relais.doctor()
    expect(code == 1, f"exit code 1 expected, not {code}: {err}")
    expect(out.count("(op)") == 4 and out.count("\n\n") == 9, f"a block per registration: {out}")
    expect(len(SENTENCES) == 8, f"all have been heard: {sorted(SENTENCES)}")
    for part in (0, 1):
        expect(len({sentences[part] for sentences in SENTENCES.values()}) == 8, "no two are the same")
    for op in (stage.op, stage.only_ping):
        expect(op.rings() == 0 and op.ask("GET", "/requests") == [], "nobody was rung")
