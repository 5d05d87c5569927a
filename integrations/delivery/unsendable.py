"""Rows that will not be sent, each with a reason that a person can read, and a note on its object."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from integrations.audit.notes import AuditNote, write_notes
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync

from .lanes import lock_lanes

BATCH = 500
Status = IntegrationSync.Status


def cancel_pending(integration: TenantIntegration, reason: str) -> int:
    """Cancel what is pending for `integration`, in batches; return how many rows."""
    cancelled = 0
    while ids := list(_pending(integration).order_by("id").values_list("id", flat=True)[:BATCH]):
        cancelled += end(ids, Status.CANCELLED, reason)
    return cancelled


def end(ids: list[int], status: str, reason: str) -> int:
    """End these pending rows as cancelled or failed and write a note for each; return how many.

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
        write_notes(
            AuditNote(
                row.event.content_type_id,
                row.event.object_id,
                f"✗ {row.event.event_type} was not sent to {row.integration.name}: {word}: {reason}.",
            )
            for row in rows
        )
    return len(rows)


def _pending(integration: TenantIntegration):  # type: ignore[no-untyped-def]
    return IntegrationSync.objects.filter(integration_id=integration.pk, status=Status.PENDING)
