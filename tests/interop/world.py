"""What the scenarios are played with: certificates, processes, Relais itself, and a provider that alters its clock.

Everything lives in one temporary folder, on ports that the system gives, and ends with the world.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 60  # Seconds after which a process or an event is given up.


class Failed(Exception):
    """An expectation that was not met."""


class Skipped(Exception):
    """What a scenario needs is not to be had here."""


def expect(met, what):
    if not met:
        raise Failed(what)


def until(condition, what, patience=PATIENCE):
    """Waits until `condition` gives something, and gives that."""
    give_up_at = time.monotonic() + patience
    while time.monotonic() < give_up_at:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise Failed(f"in vain: {what}")


def call(server, method, path, body=None, headers=None, roots=None):
    """Status and JSON of one call; `body` is JSON, or a form where it is bytes."""
    url = urllib.parse.urlsplit(server)
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=roots)
        connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body)
    kind = {} if body is None or isinstance(body, bytes) else {"Content-Type": "application/json"}
    try:
        connection.request(method, url.path + path, content, {**kind, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, json.loads(text) if is_json and text else text.decode()


def free_port():
    """A port that nobody listens on at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A process of ours, ended with the world; what it writes is kept in files."""

    def __init__(self, folder, name, command, cwd=None, environment=None):
        self.name = name
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or folder,
                env=environment,
                start_new_session=True,
            )

    def first_line(self):
        """Waits for the first line on stdout."""

        def line():
            text = self.out.read_text(errors="replace")
            if "\n" in text:
                return text.split("\n")[0]
            expect(self.process.poll() is None, f"{self.name} ended without a word: {self.words()}")
            return None

        return until(line, f"{self.name} says that it is ready")

    def words(self):
        return self.err.read_text(errors="replace")[-4000:]

    def stop(self):
        """Ends it with everything that it has started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Pki:
    """Certificates as `openssl` makes them: a foreign tool here too."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.authority("ca")
        self.issue("server", "/CN=localhost", more="subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth")

    def path(self, name):
        return str(self.folder / name)

    def text(self, name):
        return (self.folder / name).read_text()

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}")
        return done.stdout

    def _new_key(self, name, rsa=False):
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self._openssl("genpkey", "-algorithm", *kind, "-out", f"{name}.key")
        os.chmod(self.path(f"{name}.key"), 0o600)

    def rsa_pair(self, name):
        """NAME.key and its public half, NAME.pub."""
        self._new_key(name, rsa=True)
        self._openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")

    def authority(self, name):
        self._new_key(name)
        subject = f"/CN={name} of the tests"
        self._openssl(
            "req", "-x509", "-new", "-key", f"{name}.key", "-subj", subject, "-days", "30", "-out", f"{name}.pem"
        )

    def issue(self, name, subject, ca="ca", days=90, more="extendedKeyUsage=clientAuth"):
        """NAME.pem and NAME.key for `subject`. With days=-1 its time is over."""
        self._new_key(name)
        (self.folder / f"{name}.ext").write_text(more)
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )
        return {"cert": self.path(f"{name}.pem"), "key": self.path(f"{name}.key")}

    def self_signed(self, name, subject):
        """A certificate that vouches for itself."""
        self._new_key(name)
        self._openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", subject, "-days", "90", "-out", f"{name}.pem")
        return {"cert": self.path(f"{name}.pem"), "key": self.path(f"{name}.key")}

    def jwk(self, key, certificate=None):
        """The public half of a P-256 key as a JWK, with its certificate where it has one (RFC 8705 §2.2).

        Its name is its thumbprint (RFC 7638), as Relais names it too.
        """
        self._openssl("pkey", "-in", key, "-pubout", "-outform", "DER", "-out", "public.der")
        point = (self.folder / "public.der").read_bytes()[-64:]
        text = lambda number: base64.urlsafe_b64encode(number).rstrip(b"=").decode()
        jwk = {"crv": "P-256", "kty": "EC", "x": text(point[:32]), "y": text(point[32:])}
        thumbprint = hashlib.sha256(json.dumps(jwk, separators=(",", ":")).encode()).digest()
        jwk.update(use="sig", kid=text(thumbprint))
        if certificate is not None:
            der = ssl.PEM_cert_to_DER_cert(self.text(certificate))
            jwk["x5c"] = [base64.b64encode(der).decode()]
        return jwk


class World:
    """One temporary folder, and what has been started in it."""

    def __init__(self, folder, binary, tools):
        self.folder, self.binary, self.tools = folder, binary, tools
        self.pki = Pki(folder / "pki")
        self._opened = contextlib.ExitStack()
        self._names = 0

    def close(self):
        self._opened.close()

    def name(self, kind):
        self._names += 1
        return f"{kind}-{self._names}"

    def start(self, kind, command, **settings):
        process = Process(self.folder, self.name(kind), command, **settings)
        self._opened.callback(process.stop)
        return process

    def secret(self, name, text):
        file = self.folder / name
        file.write_text(text)
        os.chmod(file, 0o600)
        return str(file)

    def signing_key(self, name):
        """A key for ES256, as the verb makes it."""
        file = str(self.folder / name)
        code, _, words = self.run("keys", "generate", "--signing", "ES256", "--out", file)
        expect(code == 0, words)
        return file

    def run(self, *arguments, language="en_GB.UTF-8"):
        """A verb of Relais: exit code, stdout, stderr."""
        environment = {"PATH": os.environ["PATH"], "LANG": language}
        command = [self.binary, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def oidc_provider(self, **settings):
        return OidcProvider(self, settings)

    def relais(self, providers, registrations, to_providers=None):
        return Relais(self, providers, registrations, to_providers)


class OidcProvider:
    """oidc-provider in a process of its own."""

    def __init__(self, world, settings):
        pki = world.pki
        settings = {"cert": pki.path("server.pem"), "key": pki.path("server.key"), "ca": pki.path("ca.pem"), **settings}
        file = world.folder / f"{world.name('settings')}.json"
        file.write_text(json.dumps(settings))
        # Its notifications go to a server of ours.
        environment = {"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": pki.path("ca.pem")}
        self.process = world.start(
            "oidc-provider",
            ["node", str(HERE / "oidc-provider.mjs"), str(file)],
            cwd=world.tools,
            environment=environment,
        )
        ready = json.loads(self.process.first_line())
        self.issuer, self.control = ready["issuer"], ready["control"]

    def ask(self, method, path):
        status, answer = call(self.control, method, path)
        expect(status < 300, f"{method} {path}: {status} {answer}")
        return answer

    def rings(self, login_hint=None):
        """How often that phone rang, or all of them together."""
        rings = self.ask("GET", "/rings")
        return sum(rings.values()) if login_hint is None else rings.get(login_hint, 0)

    def ring(self, login_hint):
        """Waits until the phone of a person rings."""
        mine = lambda: [request for request in self.ask("GET", "/requests") if request["login_hint"] == login_hint]
        return until(mine, "the phone rings")[-1]

    def decide(self, login_hint, decision):
        request = self.ring(login_hint)
        self.ask("POST", f"/requests/{request['id']}/{decision}")
        return request


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


class Relais:
    """A production configuration, and the verbs on it. `to_providers`: the port that providers call, where they do."""

    SECRET = "a-secret-that-only-these-tests-know-0123456789"

    def __init__(self, world, providers, registrations, to_providers):
        self.world, self.to_providers = world, to_providers
        self.port, self.ops = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.roots = world.pki.path("ca.pem")
        self.file = world.folder / f"{world.name('relais')}.toml"
        self.file.write_text(self._text(providers, registrations))

    def _key(self, name):
        file = self.world.folder / name
        if not file.exists():
            code, _, words = self.world.run("keys", "generate", "--out", str(file))
            expect(code == 0, words)
        return str(file)

    def _text(self, providers, registrations):
        pki = self.world.pki
        pair = {"cert": pki.path("server.pem"), "key": pki.path("server.key")}
        lines = ['mode = "production"']

        def section(name, **keys):
            lines.append(f"[{name}]")
            lines.extend(f"{key} = {toml(value)}" for key, value in keys.items())

        section("store", url=f"sqlite://{self.file.stem}.db")
        section("keys", active="now", pseudonym="persons")
        section("keys.ring.now", file=self._key("key-now"))
        section("keys.ring.persons", file=self._key("key-persons"))
        section("listeners.clients", bind=f"127.0.0.1:{self.port}", public_url=self.url, tls=[pair])
        section("listeners.ops", bind=f"127.0.0.1:{self.ops}")
        if self.to_providers is not None:
            here = f"https://localhost:{self.to_providers}"
            section("listeners.providers", bind=f"127.0.0.1:{self.to_providers}", public_url=here, tls=[pair])
        for name, keys in providers.items():
            section(f"providers.{name}", **{"profile": "generic", "environment": "test", "ca": pki.path("ca.pem"), **keys})
        for name, keys in registrations.items():
            section(f"registrations.{name}", **keys)
        section(
            "applications.desk",
            kind="backend",
            tenant="practice",
            registrations=list(registrations),
            auth="client_secret_basic",
            secret_file=self.world.secret("desk", self.SECRET),
        )
        return "\n".join(lines) + "\n"

    def serve(self):
        """Serves, and waits until it is ready."""
        self.process = self.world.start("serve", [self.world.binary, "serve", "--config", str(self.file)])
        self.process.first_line()
        return self

    def doctor(self, *arguments, language="en_GB.UTF-8"):
        """Exit code, stdout, stderr of `relais doctor` on this configuration."""
        return self.world.run("doctor", "--config", str(self.file), *arguments, language=language)

    def call(self, method, path, body=None, headers=None):
        """Status and answer of a call of the client API."""
        return call(self.url, method, path, body, headers, self.roots)

    def start(self, login_hint, **body):
        basic = base64.b64encode(f"desk:{self.SECRET}".encode()).decode()
        return self.call("POST", "/v1/logins", {"login_hint": login_hint, **body}, {"Authorization": f"Basic {basic}"})

    def started(self, login_hint, **body):
        """A login that exists and waits for the person."""
        login = self.refused(login_hint, **body)
        expect(login["status"] == "pending", f"the provider has taken the request: {login['status']}, {login.get('reason')}")
        return login

    def refused(self, login_hint, **body):
        """A login that exists, and has ended already where the provider has refused it."""
        status, login = self.start(login_hint, **body)
        expect(status == 201, f"the login exists: {status} {login}")
        return login

    def pick_up(self, login):
        """Waits for the decision and picks the session up: status and answer."""
        path = f"/v1/logins/{login['login_id']}/session"
        headers = {"Authorization": f"Bearer {login['login_token']}", "Prefer": "wait=30"}
        return self.call("POST", path, {}, headers)

    def read(self, login):
        headers = {"Authorization": f"Bearer {login['login_token']}"}
        status, login = self.call("GET", f"/v1/logins/{login['login_id']}", None, headers)
        expect(status == 200, f"a login can be read: {status} {login}")
        return login

    def ends(self, login, status, reason):
        """Waits for the end of a login that brings no session."""
        ended = lambda: (now := self.read(login))["status"] not in ("starting", "pending") and now
        login = until(ended, "the login ends")
        found = (login["status"], login.get("reason"))
        expect(found == (status, reason), f"{status}, {reason} expected, not {found}")

    def session(self, handle):
        return self.call("GET", "/v1/session", None, {"Authorization": f"Bearer {handle}"})

    def userinfo(self, handle):
        return self.call("GET", "/v1/session/userinfo", None, {"Authorization": f"Bearer {handle}"})

    def sign_out(self, handle):
        return self.call("DELETE", "/v1/session", None, {"Authorization": f"Bearer {handle}"})

    def log(self):
        """The lines of the server's log."""
        return [json.loads(line) for line in self.process.err.read_text(errors="replace").splitlines()]
