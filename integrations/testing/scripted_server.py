"""A server that says exactly what it is told, on a loopback port, for tests of whatever talks HTTP.

Each accepted connection gets the next script (the last one repeats). A script is a list of steps:

    bytes                 are sent
    READ                  waits for one whole request (head and Content-Length body) and records it
    ANY                   waits for any bytes, e.g. a TLS hello
    Drip(data, gap)       sends `data` byte by byte, `gap` seconds apart, until the client is gone
    Endless(data)         sends `data` again and again, until the client is gone
    HANG                  keeps the connection open, silently, until the client is gone or the server stops
    RESET                 closes with a TCP reset
    CLOSE                 closes; also what happens at the end of a script

    with ScriptedServer([READ, ok(b"hello")]) as server:
        client.request("POST", server.url("/hook"), ...)
        assert server.requests[0].startswith(b"POST /hook")
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from typing import Any, Final

READ: Final = "read"
ANY: Final = "any"
HANG: Final = "hang"
RESET: Final = "reset"
CLOSE: Final = "close"


@dataclass(frozen=True)
class Drip:
    data: bytes
    gap: float = 0.02


@dataclass(frozen=True)
class Endless:
    data: bytes


def ok(body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a well-formed answer."""
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class ScriptedServer:
    """See the module. `connections` counts the accepted ones, `requests` holds what READ read."""

    def __init__(
        self, *scripts: list[Any], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.scripts = scripts
        self.tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, port), backlog=64)
        self.host, self.port = host, self._listener.getsockname()[1]

    def url(self, path: str = "/", *, scheme: str | None = None, host: str | None = None) -> str:
        return f"{scheme or ('https' if self.tls else 'http')}://{host or self.host}:{self.port}{path}"

    def __enter__(self) -> ScriptedServer:
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        with self._lock:
            sockets, threads = list(self._open), list(self._threads)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes recv() and send()
        for thread in threads:
            thread.join(5)

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                script = self.scripts[min(self.connections, len(self.scripts) - 1)]
                self.connections += 1
            self._start(self._serve, sock, script)

    def _serve(self, sock: socket.socket, script: list[Any]) -> None:
        with self._lock:
            self._open.append(sock)
        try:
            if self.tls:
                sock.settimeout(5)
                sock = self.tls.wrap_socket(sock, server_side=True)
                sock.settimeout(None)
                with self._lock:
                    self._open.append(sock)
            for step in script:
                if step == CLOSE or not self._step(sock, step):
                    break
        except OSError:  # the client is gone, or never finished the handshake
            pass
        finally:
            sock.close()

    def _step(self, sock: socket.socket, step: Any) -> bool:
        if isinstance(step, bytes):
            sock.sendall(step)
        elif step == READ:
            return self._read(sock)
        elif step == ANY:
            return bool(sock.recv(65536))
        elif step == HANG:
            while sock.recv(65536):
                pass
        elif step == RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif isinstance(step, Drip):
            for index in range(len(step.data)):
                sock.sendall(step.data[index : index + 1])
                if self.stopped.wait(step.gap):
                    return False
        elif isinstance(step, Endless):
            while not self.stopped.is_set():
                sock.sendall(step.data)
        else:
            raise TypeError(step)
        return True

    def _read(self, sock: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := sock.recv(65536)):
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            if not (more := sock.recv(65536)):
                return False
            body += more
        with self._lock:
            self.requests.append(head + b"\r\n\r\n" + body)
        return True
