"""Relais signs people in through oidc-provider: every way to authenticate, every ending, keys that change."""

import contextlib

from world import expect, free_port, until

NAME = "oidc-provider"
SCENARIOS = {}
CIBA = "urn:openid:params:grant-type:ciba"
# Whatever RFC 6749 lets a secret be made of; each side has to encode and decode it.
SECRET = "s3cret: a space, a colon, 100 %25 & more+"


def scenario(name):
    def enter(function):
        SCENARIOS[name] = function
        return function

    return enter


def client(client_id, auth, **more):
    """A static client as the library wants it."""
    return {
        "client_id": client_id,
        "grant_types": [CIBA, "refresh_token"],
        "response_types": [],
        "redirect_uris": [],
        "scope": "openid profile offline_access",
        "token_endpoint_auth_method": auth,
        "backchannel_token_delivery_mode": "poll",
        **more,
    }


def registration(client_id, auth, **more):
    """What Relais is configured with for it."""
    return {
        "provider": "op",
        "client_id": client_id,
        "auth": auth,
        "delivery": "poll",
        "scope": "openid profile",
        "id_token_algs": ["RS256"],
        **more,
    }


class Stage:
    """One provider and one Relais, which the scenarios share."""

    def __init__(self, world):
        pki = world.pki
        secret = world.secret("client-secret", SECRET)
        bound = {"tls_client_certificate_bound_access_tokens": True}
        dn = "CN=relais-tls,O=Practice"
        pair = pki.issue("relais-tls", "/O=Practice/CN=relais-tls")
        by_itself = pki.self_signed("relais-self", "/CN=relais-self")
        key = world.signing_key("signing-key.pem")
        keys = {"jwks": {"keys": [pki.jwk(key)]}, "token_endpoint_auth_signing_alg": "ES256"}
        stranger = pki.issue("stranger", "/O=Practice/CN=somebody")
        to_providers = free_port()
        tell = f"https://localhost:{to_providers}/providers/basic/backchannel-logout"
        clients = [
            client("relais:basic", "client_secret_basic", client_secret=SECRET, backchannel_logout_uri=tell),
            client("relais-es256", "client_secret_basic", client_secret=SECRET, id_token_signed_response_alg="ES256"),
            client("relais-ps256", "client_secret_basic", client_secret=SECRET, id_token_signed_response_alg="PS256"),
            client("relais-wrong", "client_secret_basic", client_secret="another secret, longer than it has to be"),
            client("relais-refresh", "client_secret_basic", client_secret=SECRET),
            client("relais-post", "client_secret_post", client_secret=SECRET),
            client("relais-tls", "tls_client_auth", tls_client_auth_subject_dn=dn, **bound),
            client(
                "relais-self", "self_signed_tls_client_auth", **bound,
                jwks={"keys": [pki.jwk("relais-self.key", "relais-self.pem")]},
            ),
            client("relais-jwt", "private_key_jwt", **keys),
            client(
                "relais-ping", "client_secret_basic", client_secret=SECRET, backchannel_token_delivery_mode="ping",
                backchannel_client_notification_endpoint=f"https://localhost:{to_providers}/providers/ping/ciba",
            ),
            client("relais-signed", "private_key_jwt", **keys, backchannel_authentication_request_signing_alg="ES256"),
        ]
        short = {"relais-refresh": 3}
        self.op = world.oidc_provider(modes=["poll", "ping"], clients=clients, access_token_seconds=short)
        self.strict = world.oidc_provider(modes=["poll"], clients=clients, strict=True)
        basic = {"auth": "client_secret_basic", "client_secret_file": secret}
        signing = {"signing_key": key, "signing_alg": "ES256"}
        other_key = world.signing_key("other-key.pem")
        self.relais = world.relais(
            {"op": {"issuer": self.op.issuer}, "strict": {"issuer": self.strict.issuer}},
            {
                "basic": registration("relais:basic", **basic),
                "es256": registration("relais-es256", **basic, id_token_algs=["ES256"]),
                "ps256": registration("relais-ps256", **basic, id_token_algs=["PS256"]),
                "wrong": registration("relais-wrong", **basic),
                "refresh": registration("relais-refresh", **basic, scope="openid profile offline_access"),
                "post": registration("relais-post", "client_secret_post", client_secret_file=secret),
                "self": registration("relais-self", "self_signed_tls_client_auth", certificates=[by_itself]),
                "ping": registration("relais-ping", **basic, delivery="ping"),
                "jwt": registration("relais-jwt", "private_key_jwt", **signing),
                "signed": registration("relais-signed", "private_key_jwt", **signing, signed_requests=True),
                "forged": registration("relais-jwt", "private_key_jwt", **{**signing, "signing_key": other_key}),
                "tls": registration("relais-tls", "tls_client_auth", certificates=[pair]),
                "stranger": registration("relais-tls", "tls_client_auth", certificates=[stranger]),
                "no-certificate": registration("relais:basic", **basic, provider="strict"),
            },
            to_providers,
        ).serve()


@contextlib.contextmanager
def stage(world):
    yield Stage(world)


def sign_in(stage, hint, registration):
    """Signs a person in by one registration: the session object and its handle."""
    relais, op = stage.relais, stage.op
    login = relais.started(hint, registration=registration)
    asked = op.decide(hint, "approve")
    expect(asked["binding_message"] == login["binding_message"], "both screens show the same digits")
    status, session = relais.pick_up(login)
    expect(status == 201, f"the session is there: {status} {session}")
    subject = session["subject"]
    expect((subject["iss"], subject["sub"]) == (op.issuer, f"account:{hint}"), f"the person is the one asked for: {subject}")
    expect(subject["complete"] and subject["family_name"] == "Test", f"userinfo has been read: {subject}")
    status, told = relais.userinfo(session["session_handle"])
    expect(status == 200 and told["preferred_username"] == hint, f"userinfo is handed on: {status} {told}")
    expect(op.rings(hint) == 1, "the phone rang once")
    return session


@scenario("poll, client_secret_basic")
def poll_basic(stage):
    sign_in(stage, "basic", "basic")


@scenario("poll, tls_client_auth, tokens bound to the certificate")
def poll_tls(stage):
    sign_in(stage, "tls", "tls")


@scenario("poll, client_secret_post")
def poll_post(stage):
    sign_in(stage, "post", "post")


@scenario("poll, self_signed_tls_client_auth, tokens bound to the certificate")
def poll_self(stage):
    sign_in(stage, "self", "self")


@scenario("poll, private_key_jwt")
def poll_jwt(stage):
    sign_in(stage, "jwt", "jwt")


@scenario("poll, private_key_jwt, a signed request")
def poll_signed(stage):
    sign_in(stage, "signed", "signed")


@scenario("ping, client_secret_basic")
def ping(stage):
    sign_in(stage, "ping", "ping")
    heard = lambda: [line for line in stage.relais.log() if "/ciba" in line.get("route", "")]
    told = until(heard, "the provider tells by itself")
    expect([line["status"] for line in told] == [204], f"and is heard: {told}")


@scenario("ID token signed by ES256")
def es256(stage):
    sign_in(stage, "es256", "es256")


@scenario("ID token signed by PS256")
def ps256(stage):
    sign_in(stage, "ps256", "ps256")


@scenario("keys rotated between two logins, and while one waits")
def rotation(stage):
    op, relais = stage.op, stage.relais
    before = op.ask("GET", "/keys")
    sign_in(stage, "before-rotation", "basic")
    login = relais.started("during-rotation", registration="basic")
    op.ring("during-rotation")
    op.ask("POST", "/rotate")
    expect(not set(before) & set(op.ask("GET", "/keys")), "no old key is left")
    op.decide("during-rotation", "approve")
    status, session = relais.pick_up(login)
    expect(status == 201, f"a login that waits gets over it: {status} {session}")
    sign_in(stage, "after-rotation", "basic")


@scenario("a session refreshed with rotation, for userinfo that could not be read before")
def refresh(stage):
    relais, op, hint = stage.relais, stage.op, "stays-long"
    living = lambda: op.ask("GET", "/tokens").get(f"account:{hint}", 0)
    op.ask("POST", "/userinfo/off")
    login = relais.started(hint, registration="refresh")
    op.decide(hint, "approve")
    status, session = relais.pick_up(login)
    handle = session["session_handle"]
    expect((status, session["subject"]["complete"]) == (201, False), f"a session without userinfo: {status} {session}")
    until(lambda: living() == 1, "the access token has expired, the refresh token has not")
    op.ask("POST", "/userinfo/on")
    told = until(lambda: relais.userinfo(handle)[0] == 200 and relais.userinfo(handle)[1], "userinfo is read")
    expect(told["family_name"] == "Test", f"with a new access token: {told}")
    expect(op.ask("GET", "/refreshes") == {"relais-refresh": 1}, "one refresh, whatever was tried meanwhile")
    status, session = relais.session(handle)
    expect((status, session["upstream"], session["subject"]["complete"]) == (200, "live", True), f"it goes on: {session}")
    expect(relais.sign_out(handle)[0] == 204, "the session has ended")
    until(lambda: living() == 0, "the tokens of the refresh are revoked")


@scenario("tokens revoked at the end of a session, by every method")
def revocation(stage):
    for name in ("basic", "post", "tls", "self", "jwt"):
        hint = f"signs-out-{name}"
        living = lambda: stage.op.ask("GET", "/tokens").get(f"account:{hint}", 0)
        handle = sign_in(stage, hint, name)["session_handle"]
        expect(living() > 0, "there is a token")
        expect(stage.relais.sign_out(handle)[0] == 204, "the session has ended")
        until(lambda: living() == 0, f"{name}: its tokens are revoked")
        status, problem = stage.relais.session(handle)
        expect((status, problem["reason"]) == (401, "logout"), f"nothing opens it: {status} {problem}")


@scenario("back-channel logout")
def logout(stage):
    handle = sign_in(stage, "leaves", "basic")["session_handle"]
    other = sign_in(stage, "stays", "basic")["session_handle"]
    stage.op.ask("POST", "/left/relais%3Abasic/leaves")
    status, problem = stage.relais.session(handle)
    expect((status, problem["reason"]) == (401, "idp_logout"), f"the provider has ended it: {status} {problem}")
    expect(stage.relais.session(other)[0] == 200, "and nobody else's session")


@scenario("doctor: all is well by every method, and nobody is rung")
def doctor(stage):
    before = stage.op.rings()
    for name in ("basic", "post", "tls", "self", "jwt", "signed", "ping"):
        code, out, err = stage.relais.doctor("--registration", name)
        expect(code == 0, f"{name}: exit code 0 expected, not {code}: {out}{err}")
    for name in ("wrong", "stranger", "forged"):
        code, out, _ = stage.relais.doctor("--registration", name)
        expect(code == 1 and "refuses the client's credentials" in out, f"{name}: {code} {out}")
    expect(stage.op.rings() == before, "nobody was rung")


@scenario("the person says no")
def denied(stage):
    login = stage.relais.started("denies", registration="basic")
    stage.op.decide("denies", "deny")
    stage.relais.ends(login, "denied", "user_denied")
    expect(stage.relais.pick_up(login)[0] == 409, "there is nothing to pick up")
    sign_in_again = stage.relais.started("denies", registration="basic")
    stage.op.decide("denies", "approve")
    expect(stage.relais.pick_up(sign_in_again)[0] == 201, "the person is free at once")


@scenario("nobody answers")
def expired(stage):
    login = stage.relais.started("sleeps", registration="basic", requested_expiry=4)
    stage.op.ring("sleeps")
    stage.relais.ends(login, "expired", "expired")
    expect(stage.op.rings("sleeps") == 1, "the phone rang once")


@scenario("an unknown person")
def unknown(stage):
    login = stage.relais.refused("unknown-7", registration="basic")
    stage.relais.ends(login, "failed", "user_unknown")
    expect(stage.op.rings("unknown-7") == 0, "no phone rang")


@scenario("a login given up")
def cancelled(stage):
    relais = stage.relais
    login = relais.started("given-up", registration="basic")
    stage.op.ring("given-up")
    headers = {"Authorization": f"Bearer {login['login_token']}"}
    status, _ = relais.call("DELETE", f"/v1/logins/{login['login_id']}", None, headers)
    expect(status == 204, f"it can be given up: {status}")
    relais.ends(login, "cancelled", "cancelled")


@scenario("a wrong secret")
def wrong_secret(stage):
    login = stage.relais.refused("by-wrong-secret", registration="wrong")
    stage.relais.ends(login, "failed", "provider_rejected_client")
    expect(stage.op.rings("by-wrong-secret") == 0, "no phone rang")


@scenario("an assertion signed by another key")
def forged(stage):
    login = stage.relais.refused("by-another-key", registration="forged")
    stage.relais.ends(login, "failed", "provider_rejected_client")
    expect(stage.op.rings("by-another-key") == 0, "no phone rang")


@scenario("a certificate of somebody else")
def stranger(stage):
    login = stage.relais.refused("by-a-stranger", registration="stranger")
    stage.relais.ends(login, "failed", "provider_rejected_client")
    expect(stage.op.rings("by-a-stranger") == 0, "no phone rang")


@scenario("a handshake that the provider ends")
def refused_handshake(stage):
    status, problem = stage.relais.start("no-certificate", registration="no-certificate")
    expect((status, problem["code"]) == (503, "provider_unavailable"), f"no login exists: {status} {problem}")
    expect(stage.strict.rings() == 0, "no phone rang")
    causes = lambda: [line.get("cause") for line in stage.relais.log()]
    cause = lambda: "tls_client_certificate_required" in causes()
    until(cause, "the log names the cause")
