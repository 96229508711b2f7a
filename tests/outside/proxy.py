"""A proxy between a client and Relais that loses what a bad network loses, and remembers what passed.

It speaks HTTP/1.1 with the client and calls Relais anew for each request. What it does to a call is said before by
`mishap`; whatever nobody has said anything about passes untouched. It can be switched off and on like a server.
"""

import http.client
import json
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass

CALLS = [
    ("start", "POST", r"/v1/logins"),
    ("wait", "GET", r"/v1/logins/[^/]+"),
    ("pick_up", "POST", r"/v1/logins/[^/]+/session"),
    ("cancel", "DELETE", r"/v1/logins/[^/]+"),
    ("read_session", "GET", r"/v1/session"),
    ("end_session", "DELETE", r"/v1/session"),
]

BUSY = {"status": 503, "code": "overloaded", "title": "busy", "user_message": "Try again shortly.", "support_code": "-"}


@dataclass
class Exchange:
    """One request that arrived, and what Relais has answered to it."""

    call: str
    headers: dict
    body: bytes
    status: int = 0
    answer: object = None
    ended_at: float = 0.0


class Proxy:
    """Mishaps, in the order in which they were ordered for a call:

    - `cut`: Relais gets the request; the connection ends before its answer.
    - `torn`: the same in the middle of the answer.
    - `silent`: the same, and the connection stays open.
    - `busy`: Relais does not get the request; the answer is 503 with Retry-After.
    - a function: changes the answer's members.
    """

    def __init__(self, server, certificates=None):
        self.server = urllib.parse.urlsplit(server)
        self.exchanges = []
        self.mishaps = {}
        self.connections = set()
        self.lock = threading.Lock()
        self.tls = None
        if certificates:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self.listener = self._bound(0)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{self.port}"
        self.switch_on()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.switch_off()
        self.listener.close()

    def mishap(self, call, *mishaps):
        self.mishaps.setdefault(call, []).extend(mishaps)

    def of(self, call):
        """What has passed, of one call."""
        with self.lock:
            return [exchange for exchange in self.exchanges if exchange.call == call]

    def arrived(self, call, count=1):
        return lambda: len(self.of(call)) >= count

    def switch_on(self):
        self.listener.listen(16)
        threading.Thread(target=self._accept, args=[self.listener], daemon=True).start()

    def switch_off(self):
        """Nobody is there any more, and the port stays ours."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = self._bound(self.port)
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            reset(connection)

    @staticmethod
    def _bound(port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return listener

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with self.lock:
                self.connections.add(connection)
            with connection, connection.makefile("rb") as reader:
                while self._request(connection, reader):
                    pass
        except (OSError, http.client.HTTPException, ValueError):
            pass  # The client has gone, or does not trust us: what it says about that is what is tested.
        finally:
            with self.lock:
                self.connections.discard(connection)
            connection.close()

    def _request(self, connection, reader):
        """One request and its answer; whether the connection goes on."""
        line = reader.readline().split()
        if len(line) != 3:
            return False
        method, path = line[0].decode(), line[1].decode()
        headers = http.client.parse_headers(reader)
        body = reader.read(int(headers.get("Content-Length", 0)))
        call = next((name for name, verb, route in CALLS if verb == method and re.fullmatch(route, path)), "other")
        exchange = Exchange(call, {name.lower(): value for name, value in headers.items()}, body)
        with self.lock:
            self.exchanges.append(exchange)
            mishap = self.mishaps[call].pop(0) if self.mishaps.get(call) else None
        if mishap == "busy":
            exchange.status, more, text = 503, {"Retry-After": "1"}, json.dumps(BUSY).encode()
        else:
            exchange.status, more, text = self._forward(method, path, headers, body)
        exchange.answer = json.loads(text) if text else None
        exchange.ended_at = time.monotonic()
        if callable(mishap) and isinstance(exchange.answer, dict):
            text = json.dumps(mishap(exchange.answer)).encode()
        head = f"HTTP/1.1 {exchange.status} X\r\nContent-Length: {len(text)}\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in more.items()) + "\r\n"
        if exchange.status == 204:
            head = "HTTP/1.1 204 X\r\n\r\n"
        if mishap == "cut":
            reset(connection)
            return False
        if mishap == "torn":
            connection.sendall(head.encode() + text[: len(text) // 2])
            return False
        if mishap == "silent":
            reader.read(1)  # Until the client gives up.
            return False
        connection.sendall(head.encode() + text)
        return True

    def _forward(self, method, path, headers, body):
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection", "upgrade")}
        relais = http.client.HTTPConnection(self.server.hostname, self.server.port, timeout=60)
        try:
            relais.request(method, path, body, kept)
            answer = relais.getresponse()
            text = answer.read()
        finally:
            relais.close()
        retry_after = answer.headers.get("Retry-After")
        return answer.status, {"Retry-After": retry_after} if retry_after else {}, text


def reset(connection):
    """Ends a connection as a crash does."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    except OSError:
        pass  # It has ended already.
