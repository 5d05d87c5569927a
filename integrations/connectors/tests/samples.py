"""What the tests of the API connectors share: the printed payload, requests as they are compared, answers as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.connectors.port import Envelope
from integrations.errors import IntegrationError
from integrations.tests.receiver import Answer, Request

# The payload of a work item with everything set.
PAYLOAD: dict[str, Any] = {
    "event_type": "workitem_created",
    "timestamp": "2025-11-05T20:30:00Z",
    "tenant": {"id": 1, "name": "Acme Corp"},
    "workitem": {
        "id": 123,
        "reference_id": "RMA-123",
        "description": "iPhone screen repair",
        "status": "New",
        "type": "Chargeable Repair",
        "priority": "Standard",
        "created_date": "2025-11-05T20:30:00Z",
        "due_date": "2025-11-08T20:30:00Z",
        "customer": {"id": 45, "name": "John Doe", "email": "john@example.com"},
        "owner": {"id": 10, "name": "Jane Smith"},
        "technician": {"id": 12, "name": "Bob Tech"},
        "customer_asset": {"id": 67, "name": "iPhone 13 Pro"},
        "estimated_price": "150.00",
        "final_price": None,
        "dropoff_point": {"id": 5, "name": "Main Store"},
        "intake_method": "walk_in",
        "comments": "Customer reported cracked screen",
    },
}
CHANGES = {"status": {"old": "New", "new": "In Progress"}}


def envelope(payload: dict[str, Any] | None = None, *, event_type: str = "", attempt: int = 1) -> Envelope:
    """An event with `payload` (the printed one), under the key ``evt_7``."""
    payload = PAYLOAD if payload is None else payload
    kind = event_type or payload.get("event_type", "workitem_created")
    return Envelope(kind, "evt_7", json.dumps(payload).encode(), sequence=7, attempt=attempt)


def answer(value: Any = None, status: int = 200, **headers: str) -> Answer:
    """JSON as a provider answers it; None: an empty body. ``retry_after="5"`` is the header Retry-After."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    if value is None:
        return Answer(status, b"", named)
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **named})


def wire(request: Request) -> tuple[str, str, Any]:
    """The request whole, for a comparison: method, path with query, JSON body (None: empty)."""
    return request.method, request.path, request.json if request.body else None


def failure(call: Any, *args: Any, **more: Any) -> IntegrationError:
    """Return the error that the call raises."""
    with pytest.raises(IntegrationError) as caught:
        call(*args, **more)
    return caught.value
