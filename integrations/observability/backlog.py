"""What waits to be delivered just now, asked of the outbox's partial indexes within bounds, whatever the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Least, Now

from integrations.delivery.models import Lane
from integrations.outbox.models import IntegrationSync

_PENDING = Q(status=IntegrationSync.Status.PENDING)
RESTS = Q(paused_until__gt=Now())


@dataclass(frozen=True, slots=True)
class OldestDue:
    """The delivery that has been due longest, in a lane that nothing holds back.

    Attributes:
        since: when it became due.
        integration: its integration's `public_id`.
    """

    since: datetime
    integration: Any
    name: str


def count_waiting(most: int, tenants: Sequence[Any] | None = None) -> int:
    """Return how many deliveries wait for their first try or a retry; `most`: so many or more.

    Args:
        tenants: the keys of those that are asked about; None: all.
    """
    rows = IntegrationSync.objects.filter(_PENDING)
    if tenants is not None:
        rows = rows.filter(integration__tenant__in=tenants)
    return rows.order_by()[:most].count()


def oldest_due(tenants: Sequence[Any] | None = None) -> OldestDue | None:
    """Return the delivery that has been due longest, None if none is due; for `tenants` see `count_waiting`."""
    lanes = lanes_with_oldest().exclude(RESTS).filter(oldest__lte=Now())
    if tenants is not None:
        lanes = lanes.filter(integration__tenant__in=tenants)
    found = lanes.order_by("oldest").values_list("oldest", "integration__public_id", "integration__name").first()
    return OldestDue(*found) if found else None


def oldest_by_rest() -> dict[str, datetime | None]:
    """Return when the oldest delivery becomes due in lanes that nothing holds back, and in those that rest."""
    found: dict[str, datetime | None] = lanes_with_oldest().aggregate(
        free=Min("oldest", filter=Q(paused_until=None) | Q(paused_until__lte=Now())),
        resting=Min("oldest", filter=RESTS),
    )
    return found


def lanes_with_oldest() -> QuerySet[Any]:
    """Return the lanes that may send, with `oldest`: when the first of their deliveries is due, None if none waits.

    Of each lane only the first rows are read.
    """
    rows = IntegrationSync.objects.filter(_PENDING, integration_id=OuterRef("pk"))
    fresh = rows.filter(first_failed_at=None).order_by("id").values("next_attempt_at")[:1]
    retry = rows.filter(first_failed_at__isnull=False).order_by("next_attempt_at", "id").values("next_attempt_at")[:1]
    oldest = Least(Coalesce(Subquery(fresh), Subquery(retry)), Coalesce(Subquery(retry), Subquery(fresh)))
    lanes = Lane.objects.filter(deleting_since=None, integration__is_active=True, integration__is_enabled=True)
    return lanes.annotate(oldest=oldest)
