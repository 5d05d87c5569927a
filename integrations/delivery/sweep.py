"""The periodic look at all lanes: rows never tried, rows of a dead worker, rows after a broker's flush.

The guarantee behind every promise of "at least once"; wake-ups only make it faster.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Now

from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync

from .lease import free, rested
from .models import Lane
from .wakeup import wake

logger = logging.getLogger("integrations.delivery")


def sweep() -> dict[str, int]:
    """Wake every free lane that has due rows; return how many were due and how many could be woken.

    One index probe per lane, whatever the number of rows.
    """
    make_missing_lanes()
    first_due = (
        IntegrationSync.objects.filter(integration_id=OuterRef("pk"), status=IntegrationSync.Status.PENDING)
        .order_by("next_attempt_at", "id")
        .values("next_attempt_at")[:1]
    )
    # An inactive integration's rows are due too: its lane cancels them, with a reason.
    sendable = Q(integration__is_enabled=True) | Q(integration__is_active=False)
    due = list(
        Lane.objects.filter(free(), rested(), sendable)
        .annotate(first_due=Subquery(first_due))
        .filter(first_due__lte=Now())
        .order_by("first_due")
        .values_list("pk", "is_slow")
    )
    woken = 0
    for integration_id, is_slow in due:
        if not wake(integration_id, is_slow=is_slow):
            break
        woken += 1
    if due:
        logger.info("sweep: %s lane(s) due, %s woken", len(due), woken)
    return {"due": len(due), "woken": woken}


def make_missing_lanes() -> None:
    """Give a lane to integrations that came without one (bulk_create, loaddata)."""
    missing = TenantIntegration.objects.filter(lane=None).values_list("pk", flat=True)
    with transaction.atomic():
        Lane.objects.bulk_create((Lane(integration_id=pk) for pk in missing[:1000]), ignore_conflicts=True)
