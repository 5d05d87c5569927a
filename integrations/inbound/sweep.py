"""The periodic look at stored webhooks: those whose hint was lost, whose worker died, and those due again.

The guarantee behind "what we answered 200 to is processed"; hints only make it faster.
"""

from __future__ import annotations

import time
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from integrations.delivery.wakeup import QUEUE, send_hint

from .models import AbstractWebhookEvent, WebhookEvent
from .process import process
from .receive import webhook_event_model

TASK = "integrations.tasks.process_received_webhooks"
SWEEP_SECONDS = 10.0  # then the worker's slot is for others, and a new message goes on
BATCH = 100


def stored_models() -> list[type[AbstractWebhookEvent]]:
    """Return our own model and, if it is another, the one of WEBHOOK_EVENT_MODEL."""
    return list(dict.fromkeys((WebhookEvent, webhook_event_model())))


def process_due(seconds: float = SWEEP_SECONDS) -> dict[str, int]:
    """Process what is due, oldest first, for so long; return how many came to what."""
    counts: dict[str, int] = {}
    deadline = time.monotonic() + seconds
    for model in stored_models():
        seen: set[Any] = set()
        while batch := list(due(model).exclude(pk__in=seen).values_list("pk", flat=True)[:BATCH]):
            for pk in batch:
                seen.add(pk)
                outcome = process(model, pk)
                counts[outcome] = counts.get(outcome, 0) + 1
                if time.monotonic() > deadline:
                    send_hint(TASK, {}, QUEUE)
                    return counts
            seen = set() if len(seen) > BATCH else seen
    return counts


def due(model: type[AbstractWebhookEvent]) -> QuerySet[Any]:
    """Return the rows that a worker should look at now; those of a disabled connection wait."""
    is_on = Q(connection=None) | Q(connection__is_enabled=True)
    rows = model._base_manager.filter(is_on, signature_valid=True, next_attempt_at__lte=Now())
    return rows.order_by("next_attempt_at", "pk")
