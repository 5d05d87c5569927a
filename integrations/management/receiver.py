"""A small webhook receiver for a first look and for trying failures by hand: the server behind
``manage.py webhook_receiver``. What it gets is untrusted: escaped on the page, stripped for the terminal.

Not a model for a production receiver: it keeps the last few requests in memory and stores nothing.
"""

from __future__ import annotations

import hmac
import html
import json
import random
import socket
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from integrations.connectors.texts import NAMES
from integrations.transport.signing import SignatureInvalid, verify

MAX_BODY = 1 << 20
SHOWN = 100  # requests on the page
REMEMBERED = 10_000  # webhook-ids told apart from duplicates
FRAME = ("tenant", "changes")  # objects of every payload; what it is about stands beside them
DRIP_BYTES = 120
IDLE_SECONDS = 120.0  # a kept connection without a request


@dataclass(frozen=True)
class Behaviour:
    """What to check, and how to misbehave. Secrets are compared and never shown."""

    secrets: Sequence[str] = field(default=(), repr=False)
    api_key: str = field(default="", repr=False)
    fail_first: int = 0
    fail_rate: float = 0.0
    fail_every: int = 0
    status: int = 500
    retry_after: int | None = None
    delay: float = 0.0
    drip: bool = False

    def fails(self, number: int) -> bool:
        """Return whether the `number`-th request (from 1) is to fail on purpose."""
        return (
            number <= self.fail_first
            or bool(self.fail_every and number % self.fail_every == 0)
            or random.random() < self.fail_rate  # noqa: S311 (no secret depends on it)
        )


@dataclass(frozen=True)
class Received:
    """One request, as printed and as listed on the page."""

    number: int
    time: str
    method: str
    path: str
    event_type: str
    reference: str
    webhook_id: str
    sequence: str
    copy: int  # 1 for the first request with this webhook-id
    duplicate: bool  # an earlier copy was already accepted
    signature: str  # "verified", "unsigned", "unchecked", or why it is not valid
    status: int
    body: str

    @property
    def signature_ok(self) -> bool | None:
        return {"verified": True, "unsigned": None, "unchecked": None}.get(self.signature, False)


class Receiver(ThreadingHTTPServer):
    """Threads and kept connections; ``announce`` is called once for each webhook, in order."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self, address: tuple[str, int] | socket.socket, behaviour: Behaviour, announce: Callable[[Received], None]
    ) -> None:
        self.behaviour = behaviour
        self.announce = announce
        self.received: deque[Received] = deque(maxlen=SHOWN)
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._count = 0
        self._seen: OrderedDict[str, tuple[int, bool]] = OrderedDict()  # id: (copies, accepted)
        self._connections: set[socket.socket] = set()
        if isinstance(address, socket.socket):  # it listens already
            super().__init__(address.getsockname()[:2], Handler, bind_and_activate=False)
            self.socket.close()
            self.socket = address
            return
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        host = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def take(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Received:
        """Judge one request, remember and announce it."""
        payload = payload_of(body)
        named = _subject(payload)
        signature = self._signature(headers, body)
        webhook_id = headers.get("webhook-id") or ""
        with self._lock:
            self._count += 1
            copies, accepted = self._seen.pop(webhook_id, (0, False))
            status = self._status(self._count, headers, signature)
            if webhook_id:
                self._seen[webhook_id] = (copies + 1, accepted or status < 300)
                if len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
            received = Received(
                number=self._count,
                time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                method=plain(method, 10),
                path=plain(path, 200),
                event_type=plain(payload.get("event_type") or payload.get("type") or "?", 60),
                reference=plain(next((named[key] for key in NAMES if named.get(key)), ""), 60),
                webhook_id=plain(webhook_id, 80),
                sequence=plain(headers.get("webhook-sequence") or payload.get("sequence") or "", 20),
                copy=copies + 1,
                duplicate=accepted,
                signature=signature,
                status=status,
                body=body[:20_000].decode("utf-8", "replace"),
            )
            self.received.append(received)
            self.announce(received)
        return received

    def _signature(self, headers: Mapping[str, str], body: bytes) -> str:
        if not self.behaviour.secrets:
            return "unchecked" if headers.get("webhook-signature") else "unsigned"
        try:
            verify(headers, body, self.behaviour.secrets, now=time.time())
        except SignatureInvalid as error:
            return plain(error.reason, 40)
        return "verified"

    def _status(self, number: int, headers: Mapping[str, str], signature: str) -> int:
        if self.behaviour.fails(number):
            return self.behaviour.status
        key = headers.get("x-api-key") or ""
        if self.behaviour.api_key and not hmac.compare_digest(key.encode(), self.behaviour.api_key.encode()):
            return 403
        return 200 if not self.behaviour.secrets or signature == "verified" else 401

    def get_request(self) -> tuple[socket.socket, Any]:
        client, address = super().get_request()
        self._connections.add(client)
        return client, address

    def close_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().close_request(request)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's full name: it may wait for a dead name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a sender that hangs up is no news here
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop at once: no new connections, and the open ones are cut."""
        self.stopping.set()
        self.server_close()
        for client in list(self._connections):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with kept connections."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment for head and body
    timeout = IDLE_SECONDS
    server: Receiver

    def version_string(self) -> str:
        return "webhook-receiver"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the server announces each webhook on one line."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/":
            self._answer(200, page(list(self.server.received), live=query != "pause"), "text/html; charset=utf-8")
        elif path == "/received.json":
            rows = [asdict(received) for received in self.server.received]
            self._answer(200, json.dumps(rows).encode(), "application/json")
        else:
            self._answer(404, b"Nothing here. Webhooks are taken by POST on any path.\n")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            return self._refuse(411, b"A Content-Length is needed.\n")
        if len(length) > 9 or int(length) > MAX_BODY:
            return self._refuse(413, b"The body is too large.\n")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        behaviour = self.server.behaviour
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = self.server.take(self.command, self.path, headers, body)
        if behaviour.delay:
            self.server.stopping.wait(behaviour.delay)
        answer = json.dumps({"received": received.status < 300, "status": received.status}).encode()
        self._answer(received.status, answer, "application/json", drip=behaviour.drip)
        return None

    do_PUT = do_PATCH = do_POST

    def _refuse(self, status: int, text: bytes) -> None:
        self.close_connection = True
        self._answer(status, text)

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8", *, drip: bool = False) -> None:
        if drip:
            body = body.ljust(DRIP_BYTES)
        if status in (204, 304):
            body = b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if self.command == "GET":
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.send_header("X-Content-Type-Options", "nosniff")
        elif status >= 300 and self.server.behaviour.retry_after is not None:
            self.send_header("Retry-After", str(self.server.behaviour.retry_after))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if drip:
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.server.stopping.wait(1):
                    return
        else:
            self.wfile.write(body)
        self.wfile.flush()


def plain(value: object, length: int) -> str:
    """Return `value` without anything that a terminal would obey, and cut."""
    text = "".join(char if char.isprintable() else "·" for char in str(value)[: length + 1])
    return text if len(text) <= length else text[: length - 1] + "…"


def payload_of(body: bytes) -> dict[str, Any]:
    """Return the body as a dict; {} if it is no JSON object."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _subject(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a payload is about, {} if there is none."""
    found = (value for name, value in payload.items() if name not in FRAME and isinstance(value, dict))
    return next(found, {})


def marker(received: Received) -> str:
    """Return how this copy relates to earlier ones with the same webhook-id."""
    if received.copy == 1:
        return ""
    return f"duplicate ×{received.copy}" if received.duplicate else f"attempt {received.copy}"


def signature_text(received: Received) -> str:
    if received.signature_ok is None:
        return "unsigned" if received.signature == "unsigned" else "signed (no --secret to check with)"
    return "signature ✓" if received.signature_ok else f"signature ✗ {received.signature}"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
body { color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100% } th { text-align: left; color: #57606a; font-weight: 600 }
td, th { padding: .4rem .6rem; border-bottom: 1px solid #d8dee4; vertical-align: top }
code, pre { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere }
pre { white-space: pre-wrap; background: #f6f8fa; padding: .8rem; border-radius: 6px }
.ok { color: #116329 } .bad { color: #b3261e } .dim { color: #57606a }
"""


def page(rows: list[Received], *, live: bool) -> bytes:
    """Return the list of what came, newest first, as a page that runs no script."""
    e = html.escape
    lines = []
    for row in reversed(rows):
        kind = {True: "ok", False: "bad", None: "dim"}[row.signature_ok]
        note = f' <span class="dim">{e(marker(row))}</span>' if row.copy > 1 else ""
        lines.append(
            f"<tr><td class=dim>{e(row.time[11:23])}</td>"
            f'<td class="{"ok" if row.status < 300 else "bad"}">{row.status}</td>'
            f"<td>{e(row.event_type)}{note}<details><summary class=dim>{e(row.method)} <code>{e(row.path)}"
            f"</code></summary><pre>{e(_pretty(row.body))}</pre></details></td><td>{e(row.reference)}</td>"
            f"<td>{e(row.sequence)}</td><td><code>{e(row.webhook_id)}</code></td>"
            f'<td class="{kind}">{e(signature_text(row))}</td></tr>'
        )
    table = (
        "<table><thead><tr><th>Time (UTC)<th>Answer<th>Event<th>Object<th>Sequence<th>webhook-id<th>Signature"
        f"</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        if lines
        else "<p>Nothing yet. Send webhooks by POST to any path of this address.</p>"
    )
    refresh = '<meta http-equiv="refresh" content="3">' if live else ""
    switch = '<a href="/?pause">pause to read</a>' if live else '<a href="/">follow live</a>'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}<title>Webhook receiver</title>'
        f"<style>{STYLE}</style></head><body><h1>Webhook receiver</h1>"
        f'<p class="dim">The last {SHOWN} requests, newest first · {switch}</p>{table}</body></html>'
    ).encode("utf-8", "replace")


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
