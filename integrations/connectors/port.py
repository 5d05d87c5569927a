"""The port: what a connector gets and what it gives.

A connector is code for one kind of system. It gets an `Envelope` and sends it through the client it was
given; it returns a `Receipt` or raises one error of integrations/errors.py. It knows no ORM, no Celery and no
retry loop: when to try again is the lane's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from integrations.transport.response import Response


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event on its way to one integration, the same bytes and key at every attempt.

    Attributes:
        idempotency_key: the ``webhook-id`` on the wire; a receiver drops what it has seen.
        body: the payload, UTF-8 JSON.
        sequence: ascends per object; 0 for a test event.
        attempt: 1 for the first try.
    """

    event_type: str
    idempotency_key: str
    body: bytes
    sequence: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Binding:
    """What one tenant configured, decrypted for the length of a slice; never logged or stored.

    Attributes:
        signing_secrets: ``whsec_…``/``whsk_…`` keys that sign now, newest first; empty: unsigned.
        timeout: total deadline of one request, seconds; None: the setting.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    signing_secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver has it. `status` is the HTTP status; `excerpt` the redacted start of its answer."""

    status: int | None = None
    excerpt: str = ""


class Client(Protocol):
    """The guarded HTTP client (transport/client.py)."""

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float | None = None
    ) -> Response: ...


class Connector:
    """Base of all connectors; bound to one integration's `Binding` for the length of a slice."""

    key: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, binding: Binding, client: Client) -> None:
        self.binding = binding
        self.client = client

    def deliver(self, envelope: Envelope) -> Receipt:
        """Send `envelope`; return a receipt or raise an IntegrationError. Called from several threads."""
        raise NotImplementedError
