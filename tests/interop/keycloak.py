"""Relais signs people in through Keycloak, the engine below Pro Santé Connect: poll, refusal, doctor.

RELAIS_KEYCLOAK names the folder of an unpacked distribution (26.2 or newer; it needs Java). Keycloak rings nobody by
itself: it posts each request to an authentication channel, which is played here.
"""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import threading
import urllib.parse

from world import Skipped, call, expect, free_port, until

NAME = "keycloak"
SCENARIOS = {}
SECRET = "a-secret-that-only-these-tests-know"
REALM = "relais"
PEOPLE = ["poll", "denies"]


def scenario(name):
    def enter(function):
        SCENARIOS[name] = function
        return function

    return enter


class Channel:
    """Takes what Keycloak posts for the phones, and tells it what a person has decided."""

    def __init__(self):
        self.requests = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                requests.append({**request, "bearer": self.headers["Authorization"]})
                self.send_response(201)
                self.end_headers()

            def log_message(self, *_):
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ring(self, login_hint):
        mine = lambda: [request for request in self.requests if request["login_hint"] == login_hint]
        return until(mine, "the phone rings")[-1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Keycloak:
    def __init__(self, world, channel):
        home = os.environ.get("RELAIS_KEYCLOAK")
        if not home:
            raise Skipped("RELAIS_KEYCLOAK names no distribution")
        if shutil.which("java") is None:
            raise Skipped("there is no Java")
        self.pki, port = world.pki, free_port()
        self.url = f"https://localhost:{port}"
        self.issuer = f"{self.url}/realms/{REALM}"
        # It writes into its folder, which is somebody else's.
        copy = world.folder / "keycloak"
        shutil.copytree(pathlib.Path(home), copy)
        channel_uri = "--spi-ciba-auth-channel--ciba-http-auth-channel--http-authentication-channel-uri"
        environment = {**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": SECRET}
        world.start("keycloak", [
            str(copy / "bin" / "kc.sh"), "start-dev", "--http-enabled=false", f"--https-port={port}",
            f"--https-certificate-file={world.pki.path('server.pem')}",
            f"--https-certificate-key-file={world.pki.path('server.key')}",
            f"--hostname={self.url}", f"{channel_uri}={channel.url}",
        ], environment=environment)
        until(self._is_up, "Keycloak answers", patience=300)
        self._set_up()

    def _is_up(self):
        try:
            return self.call("GET", "/realms/master/.well-known/openid-configuration")[0] == 200
        except OSError:
            return False

    def call(self, method, path, body=None, headers=None):
        return call(self.url, method, path, body, headers, self.pki.path("ca.pem"))

    def _set_up(self):
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": SECRET}
        form_type = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urllib.parse.urlencode(form).encode()
        status, token = self.call("POST", "/realms/master/protocol/openid-connect/token", body, form_type)
        expect(status == 200, f"the administrator logs in: {status} {token}")
        client = {
            "clientId": "relais", "enabled": True, "protocol": "openid-connect", "publicClient": False,
            "clientAuthenticatorType": "client-secret", "secret": SECRET, "standardFlowEnabled": False,
            "attributes": {
                "oidc.ciba.grant.enabled": "true", "ciba.backchannel.token.delivery.mode": "poll",
            },
        }
        person = lambda name: {
            "username": name, "enabled": True, "emailVerified": True, "email": f"{name}@localhost.invalid",
            "firstName": "Camille", "lastName": "Test",
        }
        realm = {
            "realm": REALM, "enabled": True, "clients": [client], "users": [person(name) for name in PEOPLE],
            "attributes": {"cibaBackchannelTokenDeliveryMode": "poll", "cibaExpiresIn": "120", "cibaInterval": "2"},
        }
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        status, answer = self.call("POST", "/admin/realms", realm, headers)
        expect(status == 201, f"the realm is made: {status} {answer}")

    def decide(self, request, status):
        path = f"/realms/{REALM}/protocol/openid-connect/ext/ciba/auth/callback"
        code, answer = self.call("POST", path, {"status": status}, {"Authorization": request["bearer"]})
        expect(code == 200, f"the decision is taken: {code} {answer}")


class Stage:
    def __init__(self, world, channel):
        self.channel, self.op = channel, Keycloak(world, channel)
        self.relais = world.relais(
            {"keycloak": {"profile": "keycloak", "issuer": self.op.issuer}},
            {"poll": {
                "provider": "keycloak", "client_id": "relais", "auth": "client_secret_basic", "delivery": "poll",
                "client_secret_file": world.secret("client-secret", SECRET), "scope": "openid profile",
                "id_token_algs": ["RS256"],
            }},
        ).serve()


@contextlib.contextmanager
def stage(world):
    channel = Channel()
    try:
        yield Stage(world, channel)
    finally:
        channel.close()


@scenario("doctor: all is well, nobody is rung")
def doctor(stage):
    code, out, err = stage.relais.doctor()
    expect(code == 0, f"exit code 0 expected, not {code}: {out}{err}")
    expect(stage.channel.requests == [], "nobody was rung")


@scenario("poll, client_secret_basic")
def poll(stage):
    login = stage.relais.started("poll", registration="poll")
    asked = stage.channel.ring("poll")
    expect(asked["binding_message"] == login["binding_message"], "both screens show the same digits")
    stage.op.decide(asked, "SUCCEED")
    status, session = stage.relais.pick_up(login)
    expect(status == 201, f"the session is there: {status} {session}")
    expect(session["subject"]["complete"] and session["subject"]["family_name"] == "Test", f"{session['subject']}")


@scenario("the person says no")
def denied(stage):
    login = stage.relais.started("denies", registration="poll")
    stage.op.decide(stage.channel.ring("denies"), "UNAUTHORIZED")
    stage.relais.ends(login, "denied", "user_denied")


@scenario("an unknown person")
def unknown(stage):
    login = stage.relais.refused("nobody", registration="poll")
    stage.relais.ends(login, "failed", "user_unknown")
