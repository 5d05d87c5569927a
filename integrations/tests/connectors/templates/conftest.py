"""A connector made of one of our templates, bound to the loopback receiver, which answers as its provider does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pytest

from integrations.connectors.config_check import checked
from integrations.connectors.kinds.rest import RestConnector
from integrations.connectors.port import Binding, Envelope
from integrations.connectors.registry import ConnectorRegistry
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.client import GuardedClient
from integrations.transport.policy import AddressPolicy

CANARY = "canary-7f3a91c4d2"
WORKITEM = {
    "id": 123,
    "reference_id": "RMA-123",
    "description": 'iPhone "screen"\nrepair – ${SECRET_KEY}',
    "status": "New",
    "priority": "Urgent",
    "due_date": "2025-11-08T20:30:00Z",
    "customer": {"id": 45, "name": "John Doe", "email": "john@example.com"},
}
PAYLOAD = {"event_type": "workitem_created", "timestamp": "2025-11-05T20:30:00Z", "workitem": WORKITEM}


def envelope(payload: Mapping[str, Any] = PAYLOAD) -> Envelope:
    return Envelope("workitem_created", "evt_1", json.dumps(payload).encode(), sequence=5, attempt=2)


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    """An answer with a JSON body, as providers write it."""
    data = b"" if body is None else json.dumps(body).encode()
    return Answer(status, data, {name.replace("_", "-"): value for name, value in headers.items()})


def ours(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request without those that every request has."""
    common = {"host", "accept-encoding", "content-length", "user-agent", "connection"}
    return {name: value for name, value in headers.items() if name not in common}


class Connect(Protocol):
    def __call__(self, key: str, **settings: Any) -> RestConnector: ...


@pytest.fixture
def connect(receiver: Receiver, settings: Any) -> Iterator[Connect]:
    """Return ``connect(key, **settings)``: checked as a form would, bound, and allowed to call the receiver."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    clients: list[GuardedClient] = []

    def make(key: str, **given: Any) -> RestConnector:
        kind = ConnectorRegistry.type_of(key)
        assert issubclass(kind, RestConnector)
        clients.append(GuardedClient(AddressPolicy.from_conf(), timeout=5))
        if kind.manifest.field("base_url"):
            given.setdefault("base_url", f"http://{receiver.netloc}")
        clean = checked(kind.manifest, given)
        return kind(Binding.from_settings(kind.manifest, clean, timeout=2), clients[-1])

    yield make
    for client in clients:
        client.close()
