"""A receiver on loopback that records every request and answers as it is told.

    receiver.answer_with(Answer(503, headers={"Retry-After": "2"}), 200)     # then 200 for ever
    receiver.answer_with(lambda request: 410 if request.json["workitem"]["id"] == 7 else 200)
    requests = receiver.wait_for(2)

It speaks correct HTTP/1.1 with kept connections; bytes that no server should send are in scripted_server.py.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Literal

import pytest

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with an RST


@dataclass(frozen=True)
class Answer:
    """What to do with one request.

    Args:
        delay: seconds to wait before the answer.
        gate: wait until this event is set before the answer (``hold()`` makes one for the test to open).
        drip: seconds between single bytes of the body.
        then: ``close`` the connection after a whole answer; or instead of one: ``hang`` until the test ends,
            ``drop`` the connection, ``reset`` it with an RST, or ``cut`` it in the middle of the body.
    """

    status: int = 200
    body: bytes = b'{"ok": true}'
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    gate: threading.Event | None = None
    drip: float = 0.0
    then: Literal["", "close", "hang", "drop", "reset", "cut"] = ""


@dataclass
class Request:
    """One request as it arrived, kept before it is answered."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case; a repeated one is joined with ", "
    body: bytes
    time: float  # time.time()
    connection: int  # numbered from 1: equal numbers shared a connection
    status: int | None = None  # what it was answered with; None while it hangs or if it never was

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """The webhook-id."""
        return self.headers.get("webhook-id", "")


Reply = Answer | int
Responder = Callable[[Request], Reply]


class Receiver(ThreadingHTTPServer):
    """Use it as the fixture ``receiver``, or as a context manager."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._lock = threading.Condition()
        self._requests: list[Request] = []
        self._script: deque[Reply | Responder] = deque()
        self._default: Reply | Responder = 200
        self._sockets: dict[socket.socket, int] = {}
        self.resets: set[socket.socket] = set()
        self._numbers = itertools.count(1)
        self.stopping = threading.Event()
        super().__init__((host, 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    # -- for tests ------------------------------------------------------------------------------------

    @property
    def netloc(self) -> str:
        """``host:port``, as an allow-list wants it."""
        return f"{self.server_address[0]!s}:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.netloc}/hook"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order in which they arrived whole."""
        with self._lock:
            return list(self._requests)

    @property
    def ids(self) -> list[str]:
        """Their webhook-ids."""
        return [request.id for request in self.requests]

    @property
    def open_connections(self) -> int:
        return len(self._sockets)

    def answer_with(self, *replies: Reply | Responder, default: Reply | Responder | None = None) -> None:
        """Answer the next requests with `replies`, one each, and later ones with `default`.

        A reply is a status, an Answer, or a callable that gets the Request and returns one of those. A single
        callable without `default` answers everything; otherwise the default is 200.
        """
        with self._lock:
            if len(replies) == 1 and callable(replies[0]) and default is None:
                self._script, self._default = deque(), replies[0]
            else:
                self._script, self._default = deque(replies), 200 if default is None else default

    def hold(self, **answer: Any) -> threading.Event:
        """Keep all requests waiting; ``.set()`` the returned event to let them be answered."""
        gate = threading.Event()
        self.answer_with(default=Answer(gate=gate, **answer))
        return gate

    def wait_for(self, count: int, timeout: float = 20.0) -> list[Request]:
        """Return all requests as soon as there are `count` of them; fail the test after `timeout`."""
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._requests) >= count, timeout):
                pytest.fail(f"{len(self._requests)} of {count} requests within {timeout:g} s: {self._requests}")
            return list(self._requests)

    def clear(self) -> None:
        """Forget the recorded requests."""
        with self._lock:
            self._requests.clear()

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for client in list(self._sockets):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join(5)

    # -- for the handler ------------------------------------------------------------------------------

    def record(self, request: Request) -> Answer:
        """Keep `request` and return what the script says about it."""
        with self._lock:
            reply = self._script.popleft() if self._script else self._default
            self._requests.append(request)
            self._lock.notify_all()
        if callable(reply):
            reply = reply(request)
        return Answer(reply) if isinstance(reply, int) else reply

    def number_of(self, client: socket.socket) -> int:
        return self._sockets.get(client, 0)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's full name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        client, address = super().get_request()
        self._sockets[client] = next(self._numbers)
        return client, address

    def shutdown_request(self, request: Any) -> None:
        self._sockets.pop(request, None)
        if request in self.resets:
            self.resets.discard(request)
            request.close()  # without the FIN of a shutdown before it
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # killed senders hang up; anything else is a bug here
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Receiver

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are recorded."""

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # its sender died half-way: not a request
            self.close_connection = True
            return
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        number = self.server.number_of(self.connection)
        request = Request(self.command, self.path, headers, body, time.time(), number)
        answer = self.server.record(request)
        if answer.delay:
            self.server.stopping.wait(answer.delay)
        while answer.gate and not answer.gate.wait(0.02) and not self.server.stopping.is_set():
            pass
        if answer.then == "hang":
            self.server.stopping.wait()
        if answer.then in ("hang", "drop", "reset") or self.server.stopping.is_set():
            self.close_connection = True
            if answer.then == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.server.resets.add(self.connection)
            return
        self._send(request, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

    def _send(self, request: Request, answer: Answer) -> None:
        self.send_response_only(answer.status)
        bodiless = answer.status in (204, 304) or self.command == "HEAD"
        given = {name.lower() for name in answer.headers}
        if not bodiless and not given & {"content-length", "transfer-encoding"}:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.then:
            self.close_connection = True
            if answer.then == "close":
                self.send_header("Connection", "close")
        self.end_headers()
        body = b"" if bodiless else answer.body
        if answer.then == "cut":
            body = body[: len(body) // 2]
        request.status = answer.status
        if not answer.drip:
            self.wfile.write(body)
        for byte in body if answer.drip else b"":
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.stopping.wait(answer.drip):
                break
        self.wfile.flush()
