"""What the tests of connectors without code share: the event, answers as JSON, settings that work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from integrations.connectors.port import Envelope
from integrations.tests.receiver import Answer

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


# Settings with which each of our templates works; secrets are the canary.
DATABASE = "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809"
SAMPLES: dict[str, dict[str, Any]] = {
    "notion": {"token": CANARY, "database_id": DATABASE, "status_property": "Status", "due_property": "Due"},
    "weaviate": {"url": "{address}", "api_key": CANARY},
    "openai": {"api_key": CANARY, "model": "gpt-5-mini"},
    "gemini": {"api_key": CANARY, "model": "gemini-2.5-flash"},
    "discord": {"url": f"{{address}}/api/webhooks/1234/{CANARY}"},
    "teams": {"url": f"{{address}}/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig={CANARY}"},
}


def sample(key: str, netloc: str) -> dict[str, Any]:
    """The settings of `key` for a receiver at `netloc`."""
    return {
        name: value.replace("{address}", f"http://{netloc}") if isinstance(value, str) else value
        for name, value in SAMPLES[key].items()
    }
