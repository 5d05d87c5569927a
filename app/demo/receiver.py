"""Every destination of the demo's tenants, on one port: each path answers as its place does (data/places.py)."""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.demo.data.places import all_places, answer_of, milliseconds

MAX_BODY = 1 << 20
PLACES = all_places()
chance = random.Random()  # noqa: S311


class Destination(BaseHTTPRequestHandler):
    """One request to one of them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the console tells."""

    def do_GET(self) -> None:
        """Answer as a shop without new orders does."""
        self._answer(200, "[]", {"X-WP-Total": "0", "X-WP-TotalPages": "0"})

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY))
        place = PLACES.get(self.path.partition("?")[0].strip("/"))
        if place is None:
            self._answer(404, '{"error":"nothing here"}')
            return
        status, text = answer_of(place, hours_ago=0, subject=_subject(body), chance=chance)
        # Nobody in a demo waits out a time limit for real.
        time.sleep(min(milliseconds(place, status, chance), 2000) / 1000)
        self._answer(status or 504, text, {"Retry-After": "20"} if status == 429 else {})

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if text.startswith(("{", "[")) else "text/plain")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def _subject(body: bytes) -> str:
    try:
        payload: Any = json.loads(body)
        return str(payload["workitem"]["id"])
    except (ValueError, KeyError, TypeError):
        return ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a sender that hangs up is no news here
            super().handle_error(request, client_address)


def serve(port: int) -> _Server:
    """Listen on loopback, in a thread of its own, and return the server."""
    server = _Server(("127.0.0.1", port), Destination)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), Destination, bind_and_activate=False) as listening:
        listening.socket.close()
        listening.socket = socket.socket(fileno=int(sys.argv[1]))  # what the demo listens on already
        listening.serve_forever()
