"""Slack and Notion as n8n's own nodes ask them, on loopback: what was asked is kept, and answered as the providers do.

The nodes have fixed addresses (https://slack.com/api, https://api.notion.com), so n8n is given a proxy: every tunnel
ends here, in TLS that a throwaway authority vouches for. Nothing else is let through: n8n reaches nobody outside.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from integrations.tests.throwaway_ca import ThrowawayCA

SLACK, NOTION = "slack.com", "api.notion.com"


@dataclass(frozen=True)
class Asked:
    """One request of n8n to a provider."""

    host: str
    method: str
    path: str
    authorization: str
    body: dict[str, Any]


class Providers(ThreadingHTTPServer):
    """The proxy and what is behind it. ``env`` is what n8n must be started with."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        authority = ThrowawayCA(folder)
        self.contexts = {host: authority.server(host) for host in (SLACK, NOTION)}
        self.asked: list[Asked] = []
        self.failures: list[int] = []  # statuses that come before the next good answers
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.env = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.server_port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "NODE_EXTRA_CA_CERTS": str(authority.bundle),
        }

    @contextmanager
    def running(self) -> Iterator[Providers]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()

    def answer(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        """Keep what was asked; return status and body of the answer."""
        self.asked.append(asked)
        if self.failures:
            return self.failures.pop(0), {"ok": False, "error": "internal_error"}
        if (asked.host, asked.path) == (SLACK, "/api/chat.postMessage"):
            return 200, {"ok": True, "channel": "C0123456789", "ts": "1764500000.000100", "message": {}}
        if asked.host == NOTION and asked.path.startswith("/v1/databases/"):
            return 200, {"object": "database", "properties": {"Name": {"id": "title", "name": "Name", "type": "title"}}}
        if (asked.host, asked.path) == (NOTION, "/v1/pages"):
            title = {"id": "title", "type": "title", "title": [{"type": "text", "plain_text": "as it was sent"}]}
            parent = {"type": "database_id", **asked.body["parent"]}
            page = {"object": "page", "id": "2a1b", "url": "https://www.notion.so/2a1b", "parent": parent}
            return 200, {**page, "properties": {"Name": title}}
        return 404, {"ok": False, "error": "unknown_method"}

    def to(self, host: str, method: str = "POST") -> list[dict[str, Any]]:
        """Return the bodies that a provider got."""
        return [asked.body for asked in self.asked if (asked.host, asked.method) == (host, method)]


class _Proxy(BaseHTTPRequestHandler):
    server: Providers

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        context = self.server.contexts.get(host)
        if context is None:
            self.send_error(502, "nobody outside is reached")
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with suppress(OSError), context.wrap_socket(self.connection, server_side=True) as tunnel:
            type("_Inside", (_Inside,), {"host": host})(tunnel, self.client_address, self.server)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Inside(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    host = ""
    server: Providers

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(
            self.host, self.command, self.path, self.headers.get("Authorization", ""), json.loads(body) if body else {}
        )
        status, answer = self.server.answer(asked)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass
