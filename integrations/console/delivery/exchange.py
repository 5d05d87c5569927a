"""One request and its answer, as the page shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from integrations.audit.exchanges import Exchange, masked, masked_text
from integrations.connections.payloads import PayloadFailed, bytes_of
from integrations.outbox.models import IntegrationSync

from .curl import as_curl

FORMATTED = 65_536  # characters of JSON that are indented; a longer one is shown as it went out


@dataclass(frozen=True, slots=True)
class Shown:
    """One exchange for the page.

    Attributes:
        request: the exact text of the request: its first line, a mail's or file's envelope, and its head.
        body: as it went out, secrets masked. `pretty`: the same, indented, "" if it is no JSON.
        answer_head: the exact text of the answer's head.
    """

    exchange: Exchange
    request: str
    body: str
    pretty: str
    answer_head: str
    curl: str

    @property
    def is_ok(self) -> bool:
        """Tell whether it was taken; of a request its status says so."""
        if not self.exchange.is_http:
            return not self.exchange.error
        return self.exchange.status is not None and 200 <= self.exchange.status < 300


def shown(exchange: Exchange, secrets: tuple[str, ...] | None) -> Shown:
    """Return `exchange` for the page.

    Args:
        secrets: of the integration as it is now; None: they cannot be read.
    """
    exchange = masked(exchange, secrets)
    body = exchange.body
    first = f"{exchange.method} {exchange.url}".strip()
    first = "\n".join([first, *(f"{name}: {value}" for name, value in exchange.envelope)])
    head = "\n".join(f"{name}: {value}".rstrip() for name, value in exchange.head)
    status = f"HTTP {exchange.status}" if exchange.status is not None else ""
    answer_head = "\n".join(filter(None, (status, *(f"{name}: {value}" for name, value in exchange.answer_head))))
    return Shown(
        exchange=exchange,
        request=f"{first}\n{head}" if head else first,
        body=body or "",
        pretty=pretty(body or ""),
        answer_head=answer_head,
        curl=as_curl(exchange) if exchange.head and exchange.is_http else "",
    )


def payload_of(sync: IntegrationSync, secrets: tuple[str, ...] | None) -> str:
    """Return what `sync` sends, indented if possible, masked as `shown` does it."""
    try:
        body = bytes_of(sync.payload, sync.body).decode() if sync.payload else sync.body
    except PayloadFailed as failure:
        return failure.message
    body = masked_text(body, secrets)
    return pretty(body) or body


def pretty(text: str) -> str:
    """Return JSON indented for reading; "" if it is none, or too long."""
    if not text or len(text) > FORMATTED:
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else ""
