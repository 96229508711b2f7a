"""What schemathesis cannot know of Relais: which credential a call wants, and that a login and its token belong together.

Each operation gets the credential that the document names for it. Calls below a login get a login that exists, its token
with it, in most cases; in the others the drawn identifier stays, which nobody may tell from a foreign one. Persons are
drawn, and the simulated provider approves by itself: there is always something to pick up and something to end. What
an event stream follows ends soon, because schemathesis reads an answer to its end.
"""

import base64
import collections
import itertools
import json
import os
import threading
import time
import urllib.error
import urllib.request
import uuid

import schemathesis

RELAIS, PHONE = os.environ["RELAIS_URL"], os.environ["RELAIS_PHONE"]
BASIC = "Basic " + base64.b64encode(b"demo:demo").decode()


def call(method, url, headers=None, body=None):
    """The answer's JSON; a refusal is an error."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=40) as answer:
        text = answer.read()
    return json.loads(text) if text else None


call("PUT", f"{PHONE}/_sim/settings", body={"interval": 1, "auto": {"decision": "approve", "after_ms": 0}})


def luhn_digit(digits):
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return str(-total % 10)


def end_later(url, token):
    """Ends a login or a session in a moment; no matter if somebody else was faster."""

    def end():
        try:
            call("DELETE", url, {"Authorization": f"Bearer {token}"})
        except urllib.error.HTTPError:
            pass

    timer = threading.Timer(0.2, end)
    timer.daemon = True
    timer.start()


class Supply:
    """Logins and a session for the calls that need one."""

    def __init__(self):
        self.lock = threading.Lock()
        self.persons, self.turns = itertools.count(1), itertools.count()
        self.handle = None
        self.earlier = collections.deque()

    def login(self):
        """Every other time one that has just been started, else one that is decided by now."""
        started = self.start()
        self.earlier.append((time.monotonic(), started))
        if next(self.turns) % 2 and time.monotonic() - self.earlier[0][0] > 3:
            return self.earlier.popleft()[1]
        return self.earlier.pop()[1]

    def start(self):
        body = f"10{next(self.persons):08}"
        hint = "8" + body + luhn_digit(body)
        login = call("POST", f"{RELAIS}/v1/logins", {"Authorization": BASIC}, {"login_hint": hint})
        return login["login_id"], login["login_token"]

    def over_soon(self):
        login_id, token = self.start()
        end_later(f"{RELAIS}/v1/logins/{login_id}", token)
        return login_id, token

    def session(self):
        """A handle that lives; another one once the last has been used up."""
        with self.lock:
            if self.handle is None or not self.alive(self.handle):
                self.handle = self.sign_in()
            return self.handle

    def session_over_soon(self):
        handle = self.sign_in()
        end_later(f"{RELAIS}/v1/session", handle)
        return handle

    def sign_in(self):
        login_id, token = self.start()
        headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=30"}
        return call("POST", f"{RELAIS}/v1/logins/{login_id}/session", headers)["session_handle"]

    @staticmethod
    def alive(handle):
        try:
            call("GET", f"{RELAIS}/v1/session", {"Authorization": f"Bearer {handle}"})
            return True
        except urllib.error.HTTPError:
            return False


SUPPLY = Supply()


@schemathesis.auth(cache_by_key=lambda case, context: str(uuid.uuid4()))
class Credentials:
    def get(self, case, context):
        path = context.operation.path
        stream = path.endswith("/events")
        if path.startswith("/v1/logins/"):
            return "login", SUPPLY.over_soon() if stream else SUPPLY.login()
        if path.startswith("/v1/session"):
            return "session", SUPPLY.session_over_soon() if stream else SUPPLY.session()
        return "application", None

    def set(self, case, data, context):
        kind, secret = data
        case.headers = case.headers or {}
        if kind == "login":
            login_id, token = secret
            case.headers["Authorization"] = f"Bearer {token}"
            if case.path_parameters and next(SUPPLY.turns) % 5:
                case.path_parameters["login_id"] = login_id
        elif kind == "session":
            case.headers["Authorization"] = f"Bearer {secret}"
        else:
            case.headers["Authorization"] = BASIC
