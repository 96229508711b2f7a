#!/usr/bin/env python3
"""Signs one person in through Relais, as the software of a practice does. Python 3.9 or later, nothing else.

    RELAIS_URL=http://127.0.0.1:8080 RELAIS_APPLICATION=demo RELAIS_SECRET=demo python3 sign_in.py 899700000001

The class Relais is what you would copy: start, wait, pick_up, read_session, end_session, cancel. The rest is a
console program around it. The steps, the settings and the exit codes are in ../README.md.
"""

import base64
import http.client
import json
import os
import signal
import ssl
import sys
import time
import urllib.parse
import uuid

WAIT = 25  # Seconds that one call waits at the server: some proxies cut after 30.
ANSWER_TIMEOUT = 20  # Seconds for an answer, beyond that: a start alone may take 10.
PATIENCE = 30  # Seconds during which a call without an answer is repeated.
MARGIN = 10  # Seconds that a silent server is still asked after the login's own end.

SESSION, FAILED, USAGE, CANCELLED, ALREADY_PENDING = 0, 1, 2, 13, 15

# Exit codes by the words of Relais: a login's status or reason, a problem's code. A word added later is a failure.
EXIT_CODES = {
    "login_hint_malformed": USAGE,
    "denied": 10,
    "expired": 11,
    "user_unknown": 12,
    "cancelled": CANCELLED,
    "identity_mismatch": 14,
    "already_pending": ALREADY_PENDING,
    "rate_limited": ALREADY_PENDING,
    "provider_unavailable": 16,
    "outcome_unknown": 16,
    "provider_rejected_client": 17,
    "application_unauthenticated": 17,
    "application_disabled": 17,
}

# What your software does next. What the person reads is the user_message of Relais.
ENDINGS = {
    FAILED: "Failed: let the person try again, and have the support code ready for your help desk.",
    USAGE: "Refused: let the person correct the identifier. No phone has rung.",
    10: "Denied: never start again by yourself; whoever says no has a reason.",
    11: "Expired: offer to start again.",
    12: "Unknown person: let the identifier be corrected.",
    CANCELLED: "Cancelled: the phone is free for another login.",
    14: "Somebody else has confirmed: nobody is signed in.",
    ALREADY_PENDING: "Too early: another login is under way for this person, or there were too many.",
    16: "The provider is unavailable: nothing is wrong here, try again in a few minutes.",
    17: "The application is refused: check its name and secret, then ask whoever operates Relais.",
}


class CallError(Exception):
    """A call without a result: no answer came (status 0), or a refusal with its problem (RFC 9457)."""

    def __init__(self, why, status=0, problem=None, retry_after=0):
        super().__init__(why)
        self.status, self.problem, self.retry_after = status, problem or {}, retry_after
        self.code = self.problem.get("code")


class Relais:
    """The calls. Each may be repeated without harm, so each is, where an answer is lost."""

    def __init__(self, url, application, secret, ca_file, language):
        self.url = urllib.parse.urlsplit(url.rstrip("/"))
        # Name and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
        pair = urllib.parse.quote_plus(application) + ":" + urllib.parse.quote_plus(secret)
        self.basic = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        self.tls = ssl.create_default_context(cafile=ca_file) if self.url.scheme == "https" else None
        self.language = language

    def start(self, login_hint, key):
        """Rings the person's phone. With the same key, it is the same login however often it is asked for."""
        headers = {**self.basic, "Idempotency-Key": key}
        login = self._repeated(PATIENCE, "POST", "/v1/logins", headers, {"login_hint": login_hint})
        return login, login.pop("login_token")

    def wait(self, login, login_token, on_change):
        """Follows a login until somebody has decided."""
        while login["status"] in ("starting", "pending"):
            # Answered at once if the version is no longer this one: no change falls between two calls.
            headers = {"Prefer": f"wait={WAIT}", "If-None-Match": f'"{login["version"]}"', **bearer(login_token)}
            asked_at, known = time.monotonic(), login["version"]
            login = self._repeated(login["expires_in"] + MARGIN, "GET", login_path(login), headers, wait=WAIT)
            if login["version"] != known:
                on_change(login)
            elif time.monotonic() - asked_at < 1:
                time.sleep(1)  # A server that shuts down answers early: ask the next one, but not in a tight loop.
        return login

    def pick_up(self, login, login_token):
        """Turns an approved login into a session. A repetition brings another handle, of the same session."""
        session = self._repeated(PATIENCE, "POST", login_path(login) + "/session", bearer(login_token))
        return session, session.pop("session_handle")

    def read_session(self, handle):
        """Who it is and until when, or None once it has ended. Reading it is a use, which postpones the idle end."""
        try:
            return self._repeated(PATIENCE, "GET", "/v1/session", bearer(handle))
        except CallError as error:
            # Every call with a handle may be told this, and it always means: sign in again.
            if error.code not in ("session_ended", "handle_invalid"):
                raise
            say(f"{error.problem['user_message']} [{error}]")
            return None

    def end_session(self, handle):
        """Ends a session. One that has ended already is as good."""
        try:
            self._repeated(PATIENCE, "DELETE", "/v1/session", bearer(handle))
        except CallError as error:
            if error.code not in ("session_ended", "handle_invalid"):
                raise

    def cancel(self, login, login_token):
        """Gives a login up, or the session that it has led to meanwhile."""
        try:
            self._repeated(PATIENCE, "DELETE", login_path(login), bearer(login_token))
        except CallError as error:
            if error.code != "already_picked_up":
                raise
            self.end_session(self.pick_up(login, login_token)[1])

    def _repeated(self, patience, *call, **options):
        """Makes a call, and the very same call again while no answer comes."""
        give_up_at, pause = time.monotonic() + patience, 0.25
        while True:
            try:
                return self._call(*call, **options)
            except CallError as error:
                pause = max(pause, error.retry_after)
                # Any other refusal would be the same the next time.
                if error.status not in (0, 502, 503, 504) or time.monotonic() + pause > give_up_at:
                    raise
                say(f"No answer yet, trying again [{error}]")
            time.sleep(pause)
            pause = min(2 * pause, 2)

    def _call(self, method, path, headers, body=None, wait=0):
        """Makes a call once. No redirect is followed: a secret has one addressee."""
        headers = {"Accept-Language": self.language, **headers}
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        address = {"host": self.url.hostname, "port": self.url.port, "timeout": ANSWER_TIMEOUT + wait}
        if self.tls:
            connection = http.client.HTTPSConnection(**address, context=self.tls)
        else:
            connection = http.client.HTTPConnection(**address)
        try:
            connection.request(method, self.url.path + path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CallError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status == 204:
            return None
        try:
            members = json.loads(text)
        except ValueError:
            members = None
        if answer.status in (200, 201) and isinstance(members, dict):
            return members  # Members that you do not know may be added: leave them alone.
        problem = members if isinstance(members, dict) else {}
        why = f"{answer.status} {problem.get('code', 'without a problem of Relais')}"
        if "support_code" in problem:
            why += f", support code {problem['support_code']}"
        retry_after = answer.headers.get("Retry-After", "")
        raise CallError(why, answer.status, problem, int(retry_after) if retry_after.isdecimal() else 0)


def login_path(login):
    return "/v1/logins/" + login["login_id"]


def bearer(secret):
    return {"Authorization": "Bearer " + secret}


def sign_in(relais, login_hint, end_at_once):
    """From the start to the session's end. Gives the exit code."""
    key = str(uuid.uuid4())  # One key for one attempt to sign in: one login, one ring.
    login = handle = session = None
    try:
        login, login_token = relais.start(login_hint, key)
        show(login)
        login = relais.wait(login, login_token, show)
        if login["status"] != "approved":
            return ended(exit_code(login.get("reason"), login["status"]), login["support_code"])
        _, handle = relais.pick_up(login, login_token)
        session = relais.read_session(handle)
        if session is None:
            return ended(FAILED)
        show_person(session)
        print(json.dumps(session), flush=True)
        workday(end_at_once)
    except KeyboardInterrupt:
        if handle is None:
            # The start may have arrived even if its answer has not: the same key brings the same login.
            login, login_token = (login, login_token) if login else relais.start(login_hint, key)
            relais.cancel(login, login_token)
            return ended(CANCELLED)
    on_interruption(signal.SIG_DFL)
    relais.end_session(handle)
    if end_at_once and relais.read_session(handle) is None:
        say("The handle is worth nothing any more: for another session, sign in again.")
    return SESSION if session else ended(CANCELLED)


def show(login):
    """Shows the two digits, large, while there is something to compare, and the sentence of Relais."""
    if login["status"] in ("starting", "pending"):
        digits = "   ".join(login["binding_message"])
        say(f"\n    +{'-' * (len(digits) + 6)}+\n    |   {digits}   |\n    +{'-' * (len(digits) + 6)}+\n")
    say(login["user_message"])


def show_person(session):
    """Shows who has signed in and where they practise. The key of a person in your database is (iss, sub)."""
    subject = session["subject"]
    say(f"Signed in: {subject.get('name') or subject['sub']}, until {session['expires_at']} at the latest")
    for exercice in subject.get("exercices", []):
        profession, site = exercice["profession"], exercice.get("site") or {}
        say(f"  {profession.get('label') or profession['code']}, {site.get('name') or 'no place named'}")


def workday(end_at_once):
    """Here your software works, until somebody closes it."""
    if not end_at_once:
        say("Press Enter to end the session.")
        sys.stdin.readline()


def exit_code(*words):
    """The exit code of the first word that has one."""
    return next((EXIT_CODES[word] for word in words if word in EXIT_CODES), FAILED)


def ended(code, support_code=None):
    say(ENDINGS[code] + (f" [support code {support_code}]" if support_code else ""))
    return code


def refused(error):
    """Tells why a call brought nothing. Gives the exit code."""
    problem = error.problem
    say(f"{problem.get('user_message', 'Relais cannot be reached.')} [{error}]")
    code = exit_code(problem.get("reason"), problem.get("login_status"), error.code)
    if code == ALREADY_PENDING:
        say(f"Try again in {problem.get('expires_in', error.retry_after)} s.")
    return ended(code)


def say(text):
    print(text, file=sys.stderr, flush=True)


def on_interruption(action):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, action)


def cancel_first(_number, _frame):
    """Leaves whatever is under way, once: the next Ctrl-C is obeyed without more ado."""
    on_interruption(signal.SIG_DFL)
    raise KeyboardInterrupt


def main():
    hints = [argument for argument in sys.argv[1:] if argument != "--end"]
    url, application, secret = map(os.environ.get, ("RELAIS_URL", "RELAIS_APPLICATION", "RELAIS_SECRET"))
    if len(hints) != 1 or hints[0].startswith("-") or not (url and application and secret):
        say("usage: RELAIS_URL=… RELAIS_APPLICATION=… RELAIS_SECRET=… [RELAIS_CA=…] sign_in.py [--end] LOGIN_HINT")
        return USAGE
    server = urllib.parse.urlsplit(url)
    if server.scheme != "https" and not (server.scheme == "http" and server.hostname in ("127.0.0.1", "localhost")):
        say("RELAIS_URL: https://…, or http://… on this machine: it carries a secret")
        return USAGE
    language = os.environ.get("LANG", "").split(".")[0].replace("_", "-")
    language = "fr" if language in ("", "C", "POSIX") else language
    try:
        relais = Relais(url, application, secret, os.environ.get("RELAIS_CA") or None, language)
    except OSError as error:
        say(f"RELAIS_CA: {error}")
        return USAGE
    on_interruption(cancel_first)
    try:
        return sign_in(relais, hints[0], "--end" in sys.argv)
    except CallError as error:
        return refused(error)


if __name__ == "__main__":
    sys.exit(main())
