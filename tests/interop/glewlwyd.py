"""Relais and Glewlwyd, an OpenID Provider in C: poll, ping and push, refusal, expiry, an unknown person.

Glewlwyd takes a `login_hint` that is JSON, and its ID tokens from CIBA say nothing of a person but an opaque `sub`,
whatever claims it is told to put there. So nobody can tell whether it was the person asked for who has approved, and
Relais gives no session: what is proven here goes as far as the identity check, which is the last of the token's. Of a
push that is all that is particular to it: whose token it is, and that the signature covers both tokens and the request.
"""

import contextlib
import gzip
import http.client
import http.cookies
import json
import pathlib
import shutil
import sqlite3
import ssl
import urllib.parse

from world import Failed, Skipped, call, expect, free_port, until

NAME = "glewlwyd"
SCENARIOS = {}
# Glewlwyd takes the parts of `Authorization: Basic` as they are, although RFC 6749 §2.3.1 has them form-encoded: only a
# secret that encoding does not change gets through.
SECRET = "a-secret-of-letters-that-need-no-encoding"
CIBA = "urn:openid:params:grant-type:ciba"
SCHEMA = pathlib.Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
MODULES = pathlib.Path("/usr/lib/glewlwyd")


def scenario(name):
    def enter(function):
        SCENARIOS[name] = function
        return function

    return enter


def hint_of(username):
    return json.dumps({"username": username}, separators=(",", ":"))


class Glewlwyd:
    """One server with a database of its own, set up over its administration API."""

    def __init__(self, world):
        binary = shutil.which("glewlwyd")
        if binary is None or not SCHEMA.exists():
            raise Skipped("the Debian package glewlwyd is not installed")
        self.world, self.pki = world, world.pki
        port = free_port()
        self.url = f"https://localhost:{port}"
        self.issuer = f"{self.url}/api/oidc"
        database = world.folder / "glewlwyd.db"
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.executescript(gzip.decompress(SCHEMA.read_bytes()).decode())
        file = world.folder / "glewlwyd.conf"
        file.write_text(self._configuration(port, database))
        world.start("glewlwyd", [binary, f"--config-file={file}"])
        self.admin = {}
        until(self._is_up, "Glewlwyd answers")
        self.admin = self.log_in("admin", "password")

    def _configuration(self, port, database):
        pki = self.pki
        return "\n".join([
            f"port={port}",
            f'external_url="{self.url}"',
            'login_url="login.html"',
            'api_prefix="api"',
            'log_mode="console"',
            'log_level="WARNING"',
            "cookie_secure=1",
            "session_expiration=86400",
            'session_key="GLEWLWYD2_SESSION_ID"',
            "login_api_enabled=true",
            'admin_scope="g_admin"',
            'profile_scope="g_profile"',
            *(f'{key}_module_path="{MODULES}/{folder}"' for key, folder in [
                ("user", "user"), ("client", "client"), ("user_auth_scheme", "scheme"), ("plugin", "plugin"),
            ]),
            "use_secure_connection=true",
            f'secure_connection_key_file="{pki.path("server.key")}"',
            f'secure_connection_pem_file="{pki.path("server.pem")}"',
            'hash_algorithm="SHA512"',
            f'database = {{ type = "sqlite3" path = "{database}" }};',
            "",
        ])

    def _is_up(self):
        try:
            return self.call("GET", "/.well-known/openid-configuration", {}) is not None
        except (OSError, Failed):
            return False

    def call(self, method, path, cookie, body=None):
        """Status and answer of one call below /api."""
        return call(self.url, method, f"/api{path}", body, cookie, self.pki.path("ca.pem"))

    def ask(self, method, path, body=None, cookie=None):
        status, answer = self.call(method, path, self.admin if cookie is None else cookie, body)
        expect(status in (200, 302), f"{method} {path}: {status} {answer}")
        return answer

    def log_in(self, username, password):
        """The cookie of somebody who has proven who he is."""
        url = urllib.parse.urlsplit(self.url)
        context = ssl.create_default_context(cafile=self.pki.path("ca.pem"))
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=30, context=context)
        body = json.dumps({"username": username, "password": password})
        connection.request("POST", "/api/auth/", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        expect(answer.status == 200, f"{username} logs in: {answer.status}")
        cookies = http.cookies.SimpleCookie(answer.headers["Set-Cookie"])
        connection.close()
        return {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())}

    def set_up(self):
        """The OpenID Connect plugin with CIBA. Keys are RSA."""
        pki = self.pki
        pki.rsa_pair("glewlwyd-signs")
        parameters = {
            "iss": self.issuer,
            "jwt-type": "rsa",
            "jwt-key-size": "256",
            "key": pki.text("glewlwyd-signs.key"),
            "cert": pki.text("glewlwyd-signs.pub"),
            "jwks-show": True,
            "access-token-duration": 120,
            "refresh-token-duration": 1800,
            "code-duration": 60,
            "refresh-token-rolling": False,
            "allow-non-oidc": True,
            "auth-type-code-enabled": True,
            "auth-type-token-enabled": False,
            "auth-type-implicit-enabled": False,
            "auth-type-password-enabled": False,
            "auth-type-client-enabled": False,
            "auth-type-refresh-enabled": True,
            "subject-type": "public",
            "name-claim": "on-demand",
            "email-claim": "no",
            "scope-claim": "no",
            # In the answer of userinfo only.
            "claims": [{
                "name": "preferred_username", "user-property": "ciba-hint", "type": "string", "mandatory": True,
                "on-demand": False, "scope": [],
            }],
            "oauth-ciba-allowed": True,
            "oauth-ciba-mode-poll-allowed": True,
            "oauth-ciba-mode-ping-allowed": True,
            "oauth-ciba-mode-push-allowed": True,
            # It knows no authority but the system's, and Relais's certificate is from ours.
            "oauth-ciba-allow-https-non-secure": True,
            "oauth-ciba-user-code-allowed": False,
            "oauth-ciba-default-expiry": 120,
            "oauth-ciba-maximum-expiry": 120,
            "oauth-ciba-email-allowed": False,
            "client-pubkey-parameter": "pubkey",
            "client-jwks-parameter": "jwks",
            "client-jwks_uri-parameter": "jwks_uri",
        }
        self.ask("POST", "/mod/plugin/", {
            "module": "oidc", "name": "oidc", "display_name": "OIDC", "parameters": parameters,
        })
        module = self.ask("GET", "/mod/user/database")
        module["parameters"]["data-format"]["ciba-hint"] = {
            "multiple": False, "read": True, "write": True, "profile-read": True, "profile-write": False,
        }
        self.ask("PUT", "/mod/user/database", module)
        self.ask("PUT", "/mod/user/database/reset")

    def client(self, client_id, **more):
        self.ask("POST", "/client/", {
            "client_id": client_id,
            "name": client_id,
            "password": SECRET,
            "client_secret": SECRET,
            "confidential": True,
            "enabled": True,
            "redirect_uri": ["https://localhost/unused"],
            "authorization_type": ["code", "refresh_token", CIBA],
            "token_endpoint_auth_method": ["client_secret_basic"],
            "scope": [],
            **more,
        })

    def person(self, username, *client_ids):
        """Somebody who lets these clients know who he is; his cookie is his phone."""
        password = f"{username}-password"
        self.ask("POST", "/user/", {
            "username": username, "name": "Camille Test", "password": password, "email": f"{username}@localhost",
            "enabled": True, "scope": ["openid", "g_profile"], "ciba-hint": hint_of(username),
        })
        cookie = self.log_in(username, password)
        for client_id in client_ids:
            self.ask("PUT", f"/auth/grant/{client_id}", {"scope": "openid"}, cookie)
        return cookie

    def requests(self, cookie):
        return self.ask("GET", "/oidc/ciba_user_list", None, cookie)

    def decide(self, cookie, decision):
        """Waits until there is a request, and decides it."""
        request = until(lambda: self.requests(cookie), "the phone rings")[-1]
        answer = "cancel" if decision == "deny" else "g_continue"
        self.ask("GET", f"/oidc/ciba_user_check?user_req_id={request['user_req_id']}&{answer}", None, cookie)
        return request


class Stage:
    def __init__(self, world):
        self.op = Glewlwyd(world)
        self.op.set_up()
        to_providers = free_port()
        secret = {"auth": "client_secret_basic", "client_secret_file": world.secret("client-secret", SECRET)}
        registrations = {}
        for mode in ("poll", "ping", "push"):
            address = f"https://localhost:{to_providers}/providers/{mode}/ciba"
            told = {} if mode == "poll" else {"backchannel_client_notification_endpoint": address}
            self.op.client(f"relais-{mode}", backchannel_token_delivery_mode=mode, **told)
            registrations[mode] = {
                "provider": "glewlwyd", "client_id": f"relais-{mode}", "delivery": mode, "scope": "openid",
                "id_token_algs": ["RS256"], **secret,
            }
        provider = {"issuer": self.op.issuer, "metadata_url": f"{self.op.issuer}/.well-known/openid-configuration"}
        self.relais = world.relais({"glewlwyd": provider}, registrations, to_providers).serve()


@contextlib.contextmanager
def stage(world):
    yield Stage(world)


@scenario("doctor: all is well, nobody is rung")
def doctor(stage):
    cookie = stage.op.person("never-rung", "relais-poll", "relais-ping", "relais-push")
    code, out, err = stage.relais.doctor()
    expect(code == 0, f"exit code 0 expected, not {code}: {out}{err}")
    expect(stage.op.requests(cookie) == [], "nobody was rung")


def refusals(stage):
    """The rules by which ID tokens have been refused so far."""
    return [line["rule"] for line in stage.relais.log() if line["message"] == "the ID token is refused"]


def notifications(stage, login):
    """What has been answered to the provider's own words about a login."""
    own = lambda line: line.get("route") == "/providers/{registration}/ciba" and line.get("login.id") == login["login_id"]
    return [line["status"] for line in stage.relais.log() if line["message"] == "request" and own(line)]


def names_nobody(stage, mode):
    """Plays a login whose ID token is valid and names nobody."""
    before = refusals(stage)
    cookie = stage.op.person(mode, f"relais-{mode}")
    login = stage.relais.started(hint_of(mode), registration=mode)
    asked = stage.op.decide(cookie, "approve")
    expect(asked["binding_message"] == login["binding_message"], "both screens show the same digits")
    stage.relais.ends(login, "failed", "identity_mismatch")
    rules = refusals(stage)[len(before):]
    expect(rules == ["identity"], f"signature, audience, times and the rest are well: {rules}")
    return login


@scenario("poll, client_secret_basic: its ID token is valid and names nobody, so there is no session")
def poll(stage):
    login = names_nobody(stage, "poll")
    expect(notifications(stage, login) == [], "it was asked")


@scenario("ping: it is heard and Relais asks; the ID token is valid and names nobody, so there is no session")
def ping(stage):
    login = names_nobody(stage, "ping")
    until(lambda: notifications(stage, login) == [204], "it was heard, once")
    announced = [line for line in stage.relais.log() if line["message"] == "the provider has announced an outcome"]
    expect([line["login.id"] for line in announced] == [login["login_id"]], f"of that login: {announced}")


@scenario("push: the ID token is valid, covers both tokens and the request, and names nobody, so there is no session")
def push(stage):
    login = names_nobody(stage, "push")
    until(lambda: notifications(stage, login) == [400], "what is not accepted is not confirmed")


@scenario("ping, the person says no: the provider tells nothing, Relais asks all the same")
def ping_denied(stage):
    cookie = stage.op.person("denies-ping", "relais-ping")
    login = stage.relais.started(hint_of("denies-ping"), registration="ping")
    stage.op.decide(cookie, "deny")
    stage.relais.ends(login, "denied", "user_denied")
    expect(notifications(stage, login) == [], "nothing was told")


@scenario("push, the person says no: the provider tells nothing (CIBA §12 would have it tell), so the login expires")
def push_denied(stage):
    cookie = stage.op.person("denies-push", "relais-push")
    login = stage.relais.started(hint_of("denies-push"), registration="push", requested_expiry=7)
    stage.op.decide(cookie, "deny")
    stage.relais.ends(login, "expired", "expired")
    expect(notifications(stage, login) == [], "nothing was told")


@scenario("the person says no")
def denied(stage):
    cookie = stage.op.person("denies", "relais-poll")
    login = stage.relais.started(hint_of("denies"), registration="poll")
    stage.op.decide(cookie, "deny")
    stage.relais.ends(login, "denied", "user_denied")


@scenario("nobody answers")
def expired(stage):
    cookie = stage.op.person("sleeps", "relais-poll")
    login = stage.relais.started(hint_of("sleeps"), registration="poll", requested_expiry=7)
    until(lambda: stage.op.requests(cookie), "the phone rings")
    stage.relais.ends(login, "expired", "expired")


@scenario("an unknown person")
def unknown(stage):
    login = stage.relais.refused(hint_of("nobody"), registration="poll")
    # It has no code of its own for that.
    stage.relais.ends(login, "failed", "provider_refused")
