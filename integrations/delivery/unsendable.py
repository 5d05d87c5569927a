"""Rows that will not be sent, each with a reason that a person can read, and a note on its object."""

from __future__ import annotations

import time
from collections import Counter
from math import inf

from django.db import transaction
from django.db.models.functions import Now

from integrations.audit import notes
from integrations.audit.notes import AuditNote, write_notes
from integrations.connections.event_types import is_on_request
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync, of_lane
from integrations.statistics.figures import Figures
from integrations.statistics.writing import add

from .lanes import lock_lanes

BATCH = 500
Status = IntegrationSync.Status


def cancel_pending(integration: TenantIntegration, reason: str, *, stop_at: float = inf) -> int:
    """Cancel what is pending for `integration` while it is switched off, in batches; return how many rows.

    Each batch reads the switch again, locked: what is recorded after somebody switched it on is not cancelled.

    Args:
        stop_at: time.monotonic() after which no further batch is begun; the lane has the others at its next turn.
    """
    cancelled = 0
    while not cancelled or time.monotonic() < stop_at:
        with transaction.atomic():
            if not _is_off(integration.pk):
                return cancelled
            pending = IntegrationSync.objects.filter(of_lane(integration.pk), status=Status.PENDING)
            in_order = pending.order_by("integration_id", "object_key", "id")
            ids = list(in_order.values_list("id", flat=True)[:BATCH])
            if not ids:
                return cancelled
            cancelled += end(ids, Status.CANCELLED, reason)
    return cancelled


def _is_off(integration_id: int) -> bool:
    """Lock lane and integration, and tell whether its rows are to be cancelled; those of one that is being deleted
    are deleted."""
    lock_lanes([integration_id])
    rows = TenantIntegration.unannounced.select_for_update(of=("self",), no_key=True).filter(pk=integration_id)
    found = rows.values_list("is_active", "lane__deleting_since").first()
    return found is not None and found == (False, None)


def end(ids: list[int], status: str, reason: str) -> int:
    """End these pending rows (BATCH at most) as cancelled or failed and write a note for each; return how many.

    Rows that are no longer pending are left as they are.
    """
    word = "cancelled" if status == Status.CANCELLED else "failed"
    with transaction.atomic():
        lock_lanes(IntegrationSync.objects.filter(id__in=ids).order_by().values_list("integration_id", flat=True))
        locked = IntegrationSync.objects.select_for_update(of=("self",)).filter(id__in=ids, status=Status.PENDING)
        rows = list(locked.select_related("event", "integration").order_by("id"))
        IntegrationSync.objects.filter(id__in=[row.id for row in rows]).update(
            status=status, reason=reason[:500], settled_at=Now()
        )
        counts, is_cancelled = Counter(row.integration_id for row in rows), status == Status.CANCELLED
        add({pk: Figures(cancelled=n) if is_cancelled else Figures(given_up=n) for pk, n in counts.items()})
        write_notes(
            AuditNote(
                row.integration.tenant_id,
                row.event.content_type_id,
                row.event.object_id,
                notes.not_sent(row.integration.name, row.event.event_type, ended_as=word, why=reason),
            )
            for row in rows
            if not is_on_request(row.event.event_type)
        )
    return len(rows)
