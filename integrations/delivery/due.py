"""Which rows to send now: due ones, oldest first, never one before an earlier one of its object.

A row that waits for its retry holds back the later rows of its object (for at most HOLD_SECONDS); they are
put off until the blocker is due, so that they neither overtake it nor clog the front of the lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from integrations import conf
from integrations.outbox.models import IntegrationSync

from .lanes import lock_lanes

Status = IntegrationSync.Status
MAX_PASSES = 50  # each puts off what is held back among a slice of rows


@dataclass(frozen=True, slots=True)
class DueRow:
    """One pending row with what its attempt needs."""

    id: int
    object_key: str
    attempts: int  # before this one
    created_at: datetime
    first_failed_at: datetime | None
    event_id: int
    event_type: str
    content_type_id: int
    object_id: str
    idempotency_key: str
    body: str = field(repr=False)


_FIELDS = (
    "id",
    "object_key",
    "attempts",
    "created_at",
    "first_failed_at",
    "event_id",
    "event__event_type",
    "event__content_type_id",
    "event__object_id",
    "event__idempotency_key",
    "event__body",
)


def pending(integration_id: int) -> Any:
    """Return the queryset of an integration's pending rows."""
    return IntegrationSync.objects.filter(integration_id=integration_id, status=Status.PENDING)


def any_due(integration_id: int) -> bool:
    """Tell whether the lane has something to send now."""
    return pending(integration_id).filter(next_attempt_at__lte=Now()).order_by().exists()


def read_due(integration_id: int, limit: int, in_order: bool) -> list[DueRow]:
    """Return at most `limit` sendable rows; with `in_order`, those of one object ascend and none is missing.

    May return fewer rows than are due: others were put off.
    """
    due = pending(integration_id).filter(next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")
    if not in_order:
        return [DueRow(*values) for values in due.values_list(*_FIELDS)[:limit]]
    for _ in range(MAX_PASSES):
        earlier = pending(integration_id).filter(object_key=OuterRef("object_key"), id__lt=OuterRef("id"))
        found = list(due.annotate(is_second=Exists(earlier)).values_list(*_FIELDS, "is_second")[:limit])
        rows = sorted((DueRow(*values[:-1]) for values in found), key=lambda row: row.id)
        seconds = {values[0] for values in found if values[-1]}
        if not seconds:
            return rows
        sendable = _without_blocked(integration_id, rows, seconds)
        if sendable or not rows:
            return sendable
    return []  # so many objects are held back that others should have the worker meanwhile


def read_one(integration_id: int, sync_id: int, in_order: bool) -> list[DueRow]:
    """Return that pending row, due or not; [] if it is settled, or if an earlier one of its object must go first."""
    wanted = pending(integration_id).filter(pk=sync_id)
    if in_order:
        held_since = timezone.now() - timedelta(seconds=conf.HOLD_SECONDS)
        earlier = pending(integration_id).filter(object_key=OuterRef("object_key"), id__lt=OuterRef("id"))
        wanted = wanted.exclude(Exists(earlier.exclude(first_failed_at__lte=held_since)))
    return [DueRow(*values) for values in wanted.values_list(*_FIELDS)]


def _without_blocked(integration_id: int, rows: list[DueRow], seconds: set[int]) -> list[DueRow]:
    """Drop (and put off) the rows that have an earlier unsent one of their object outside `rows`."""
    keys = {row.object_key for row in rows if row.id in seconds}
    ours = {row.id for row in rows}
    blockers: dict[str, tuple[int, datetime]] = {}
    # Only what comes before: an object with a hundred thousand rows would be read whole for every slice.
    others = pending(integration_id).filter(object_key__in=keys, id__lt=max(seconds)).exclude(id__in=ours)
    for pk, key, next_attempt_at, first_failed_at in others.order_by("id").values_list(
        "id", "object_key", "next_attempt_at", "first_failed_at"
    ):
        if not hold_is_over(first_failed_at):
            until = next_attempt_at if first_failed_at is None else min(next_attempt_at, _hold_ends(first_failed_at))
            blockers.setdefault(key, (pk, until))
    sendable = []
    blocked_by: dict[str, tuple[int, datetime]] = {}
    for row in rows:
        blocker = blockers.get(row.object_key)
        if blocker is not None and blocker[0] < row.id:
            blocked_by[row.object_key] = blocker
        else:
            sendable.append(row)
    if blocked_by:
        with transaction.atomic():
            lock_lanes([integration_id])
            for key, (blocker_id, until) in blocked_by.items():
                put_off_behind(integration_id, key, blocker_id, until)
    return sendable


def put_off_behind(integration_id: int, object_key: str, row_id: int, until: Any) -> None:
    """Let the object's rows after `row_id` wait `until` that row is due; equal times sort by id."""
    later = pending(integration_id).filter(object_key=object_key, id__gt=row_id, next_attempt_at__lt=until)
    later.update(next_attempt_at=until)


def hold_is_over(first_failed_at: datetime | None) -> bool:
    """Tell whether a row that first failed then no longer holds back its object's later rows."""
    if first_failed_at is None:
        return False
    return timezone.now() >= _hold_ends(first_failed_at)


def _hold_ends(first_failed_at: datetime) -> datetime:
    return first_failed_at + timedelta(seconds=conf.HOLD_SECONDS)
