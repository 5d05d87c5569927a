"""A server that speaks HTTP/2 over TLS on a loopback port, and as little of it as tests need.

    with Http2Server(ca.server("127.0.0.1"), answer) as server: …

`answer` gets (h2 connection, stream id, request headers, body) and sends what it likes; the default answers 200 with
the body that came. `requests` holds (headers, body); `connections` counts the accepted ones.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

Answerer = Callable[[h2.connection.H2Connection, int, dict[str, str], bytes], None]


def echo(connection: h2.connection.H2Connection, stream: int, headers: dict[str, str], body: bytes) -> None:
    """Answer 200 with the body that came."""
    connection.send_headers(stream, [(":status", "200"), ("x-proto", "h2"), ("x-two", "1"), ("x-two", "2")])
    for start in range(0, len(body), connection.max_outbound_frame_size):
        connection.send_data(stream, body[start : start + connection.max_outbound_frame_size])
    connection.end_stream(stream)


class Http2Server:
    """See the module."""

    def __init__(self, tls: ssl.SSLContext, answer: Answerer = echo) -> None:
        tls.set_alpn_protocols(["h2"])
        self.tls, self.answer = tls, answer
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.host = "127.0.0.1"
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def url(self, path: str = "/") -> str:
        return f"https://{self.host}:{self.port}{path}"

    def __enter__(self) -> Http2Server:
        self._threads[0].start()
        return self

    def __exit__(self, *exc: object) -> None:
        for sock in (self._listener, *self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
                self.connections += 1
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                return
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        streams: dict[int, tuple[dict[str, str], bytearray]] = {}
        with suppress(OSError, h2.exceptions.ProtocolError):  # the client is gone, or we said goodbye
            sock.sendall(connection.data_to_send())
            while data := sock.recv(65536):
                for event in connection.receive_data(data):
                    self._handle(connection, event, streams)
                sock.sendall(connection.data_to_send())

    def _handle(self, connection: h2.connection.H2Connection, event: Any, streams: dict[int, Any]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            streams[event.stream_id] = (dict(event.headers), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            streams[event.stream_id][1].extend(event.data)
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            headers, body = streams.pop(event.stream_id)
            self.requests.append((headers, bytes(body)))
            self.answer(connection, event.stream_id, headers, bytes(body))
