"""Forget what is settled and old, in batches small enough to disturb nobody.

A batch looks first and locks then: what somebody replays in between is pending when the lock is taken, and stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.db import transaction
from django.db.models import Exists, OuterRef

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.database.retention import is_old, old_pages
from integrations.tenancy.deletion import delete_page

from .models import IntegrationEvent, IntegrationSync


def purge() -> dict[str, int]:
    """Delete events older than RETENTION_DAYS to which nothing is owed any more, with their syncs.

    Returns:
        How many rows of each kind were deleted. A pending row keeps its event, however old.
    """
    counts: Counter[str] = Counter()
    for events in old_pages(IntegrationEvent.objects.all(), is_old("occurred_at")):
        for some in _of_few_syncs(events):
            counts += _purge_events(some)
    counts += _purge_orphans()
    return {"events": counts[IntegrationEvent._meta.label], "syncs": counts[IntegrationSync._meta.label]}


def _of_few_syncs(event_ids: list[int]) -> Iterator[list[int]]:
    """Cut a page of events where many integrations were told of each: a batch is counted in rows that are locked."""
    rows = IntegrationSync.objects.filter(event_id__in=event_ids).count()
    size = max(1, len(event_ids) * conf.RETENTION_BATCH // max(rows, conf.RETENTION_BATCH))
    for start in range(0, len(event_ids), size):
        yield event_ids[start : start + size]


def _purge_events(event_ids: list[int]) -> Counter[str]:
    """Delete those of these events to which nothing is owed."""
    with transaction.atomic():
        # Whoever retries or replays a row locks it too, in this order: either it is pending here, or it is gone there.
        rows = IntegrationSync.objects.select_for_update().filter(event_id__in=event_ids).order_by("id")
        owed = {pk for pk, status in rows.values_list("event_id", "status") if status == IntegrationSync.Status.PENDING}
        pending = IntegrationSync.objects.filter(event_id=OuterRef("pk"), status=IntegrationSync.Status.PENDING)
        done = IntegrationEvent.objects.filter(is_old("occurred_at")).exclude(Exists(pending))
        return delete_page(done, [pk for pk in event_ids if pk not in owed])


def _purge_orphans() -> Counter[str]:
    """Delete rows owed to an integration that is gone: of saves that committed while it was being deleted."""
    counts: Counter[str] = Counter()
    integration = TenantIntegration.unannounced.filter(pk=OuterRef("integration_id"))
    pending = IntegrationSync.objects.filter(status=IntegrationSync.Status.PENDING).order_by()
    orphans = pending.exclude(Exists(integration))
    while ids := list(orphans.values_list("id", flat=True)[: conf.RETENTION_BATCH]):
        found = delete_page(orphans, ids)
        if not found:
            break  # somebody else deletes them
        counts += found
    return counts
