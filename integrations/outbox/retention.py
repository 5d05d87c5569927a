"""Forget what is settled and old, in batches small enough to disturb nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef

from integrations import conf, database_clock
from integrations.connections.models import TenantIntegration

from .models import IntegrationEvent, IntegrationSync


def purge() -> dict[str, int]:
    """Delete events older than RETENTION_DAYS to which nothing is owed any more, with their syncs and logs.

    Returns:
        How many rows of each kind were deleted. A pending row keeps its event, however old.
    """
    before = database_clock.now() - timedelta(days=conf.RETENTION_DAYS)
    counts = {"events": 0, "syncs": _purge_orphans()}
    last_id = 0
    while True:
        # In id order, which is time order: stop at the first young event instead of looking at all.
        batch = list(
            IntegrationEvent.objects.filter(id__gt=last_id)
            .order_by("id")
            .values_list("id", "occurred_at")[: conf.RETENTION_BATCH]
        )
        old = [pk for pk, occurred_at in batch if occurred_at < before]
        if not old:
            return counts
        last_id = old[-1]
        owed = IntegrationSync.objects.filter(event_id=OuterRef("pk"), status=IntegrationSync.Status.PENDING)
        done = list(IntegrationEvent.objects.filter(id__in=old).exclude(Exists(owed)).values_list("id", flat=True))
        _, deleted = IntegrationEvent.objects.filter(id__in=done).delete()
        counts["events"] += _count(deleted, "IntegrationEvent")
        counts["syncs"] += _count(deleted, "IntegrationSync")


def _purge_orphans() -> int:
    """Delete rows owed to an integration that is gone: of saves that committed while it was being deleted."""
    integration = TenantIntegration.unannounced.filter(pk=OuterRef("integration_id"))
    pending = IntegrationSync.objects.filter(status=IntegrationSync.Status.PENDING).order_by()
    count = 0
    while ids := list(pending.exclude(Exists(integration)).values_list("id", flat=True)[: conf.RETENTION_BATCH]):
        _, deleted = IntegrationSync.objects.filter(id__in=ids).delete()
        count += _count(deleted, "IntegrationSync")
    return count


def _count(deleted: dict[str, int], model: str) -> Any:
    return deleted.get(f"integrations.{model}", 0)
