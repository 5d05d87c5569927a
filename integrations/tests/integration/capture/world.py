"""What became of the host's writes."""

from __future__ import annotations

import json
from typing import Any

from integrations.models import IntegrationEvent

KINDS = ("created", "status_changed", "updated", "deleted")
INVOICES = tuple(f"invoice_{kind}" for kind in KINDS)
STOCK = tuple(f"stock_{kind}" for kind in KINDS)


def heard() -> list[tuple[str, str, str]]:
    """Return every recorded event as (whose, type, object), oldest first, and forget it."""
    events = IntegrationEvent.objects.order_by("id")
    found = [(event.tenant.name.split()[0].lower(), event.event_type, event.object_id) for event in events]
    events.delete()
    return found


def bodies() -> list[dict[str, Any]]:
    """Return what is recorded, as receivers get it, oldest first."""
    return [json.loads(event.body) for event in IntegrationEvent.objects.order_by("id")]
