"""Replay: deliveries that ended are made due again; same webhook-id, same body.

Rows are walked in the order of their ids, WINDOW at a time, however few of them the filter chooses: no statement reads
more. What is still pending is left alone, and so is what came after the job was started.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any

from django.db.models import Case, Count, Max, Q, QuerySet, When
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic import Field

from integrations.connections.models import TenantIntegration
from integrations.database.first_key import first_key
from integrations.delivery.operator_actions import make_due
from integrations.outbox.filters import MOST_VALUES, FindObjects, SyncFilter
from integrations.outbox.models import IntegrationSync

from .models import Job, Preview, Step

WINDOW = 2000  # rows that one statement reads
COUNTED = 20_000  # the same where they are only counted
PREVIEWED = (20_000, 40_000, 80_000)  # the same while somebody waits for a preview, one after the other
MOST_IDS = 10_000  # that one job names
SLACK = timedelta(hours=1)  # between the order of ids and that of times: how long a transaction may be open

Status = IntegrationSync.Status
Key = Annotated[int, Field(ge=0, lt=2**63)]
MeantIds = Annotated[tuple[str, ...], Field(max_length=1000)]


class ReplayFilter(SyncFilter):
    """A filter that may also name its rows, and keeps what it meant when the job was started.

    Attributes:
        ids: only these, None: no matter which.
        objects: which objects the words of `object` meant: content type, ids.
    """

    ids: Annotated[tuple[Key, ...], Field(max_length=MOST_IDS)] | None = None
    objects: Annotated[tuple[tuple[Key, MeantIds], ...], Field(max_length=MOST_VALUES)] = ()

    def q(self, find: FindObjects | None = None) -> Q:
        """Return the condition on `IntegrationSync`; words mean what they meant, if nobody says what they mean now."""
        meant = [(content_type, list(object_ids)) for content_type, object_ids in self.objects]
        return super().q(find or (lambda _: meant))

    def in_words(self, integration_name: str | None = None) -> str:
        if self.ids is None:
            return super().in_words(integration_name)
        which = SyncFilter(**self.model_dump(exclude={"ids", "objects"}))
        rest = "" if which.is_empty else _(", of them {words}").format(words=which.in_words(integration_name))
        words = ngettext("{count:,} chosen delivery{rest}", "{count:,} chosen deliveries{rest}", len(self.ids))
        return words.format(count=len(self.ids), rest=rest)


@dataclass
class Walk:
    """A way through the deliveries of one tenant, in the order of their ids.

    Attributes:
        tenant_id: whose they are.
        which: those that are wanted.
        after: the id after which it goes on.
        last: the id that it ends with.
    """

    tenant_id: Any
    which: ReplayFilter
    after: int
    last: int
    condition: Q = field(init=False)
    integration_id: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.condition = self.which.q()
        if self.which.integration is not None:
            found = TenantIntegration.unannounced.filter(public_id=self.which.integration)
            self.integration_id = found.values_list("pk", flat=True).first()

    def indexed(self) -> QuerySet[IntegrationSync]:
        """Return the rows by the one index that walks them in the order of ids."""
        rows = IntegrationSync.objects.order_by("id")
        if self.which.ids is not None:
            return rows.filter(pk__in=self.which.ids)
        if self.integration_id is not None:
            return rows.filter(integration_id=self.integration_id)
        return rows.filter(status=Status.FAILED) if self.which.status == (Status.FAILED,) else rows

    def window(self, size: int = WINDOW) -> int | None:
        """Return the last id of the next `size` rows; None if there are none."""
        some = self.indexed().filter(pk__gt=self.after, pk__lte=self.last).values("pk")[:size]
        found: int | None = some.aggregate(last=Max("pk"))["last"]
        return found

    def tally(self, size: int) -> tuple[int | None, int, int]:
        """Return the last id of the next `size` rows, how many of them are wanted, and how many of those wait."""
        is_wanted = self.condition & Q(integration__tenant_id=self.tenant_id)
        rows = self.indexed().filter(pk__gt=self.after, pk__lte=self.last)
        some = rows.annotate(
            is_wanted=Case(When(is_wanted, then=1)),
            is_pending=Case(When(is_wanted & Q(status=Status.PENDING), then=1)),
        ).values("pk", "is_wanted", "is_pending")[:size]
        found = some.aggregate(last=Max("pk"), wanted=Count("is_wanted"), pending=Count("is_pending"))
        return found["last"], found["wanted"], found["pending"]

    def wanted(self, end: int) -> QuerySet[IntegrationSync]:
        """Return the wanted rows up to the id `end`."""
        rows = self.indexed().filter(pk__gt=self.after, pk__lte=end)
        return rows.filter(self.condition, integration__tenant_id=self.tenant_id)


def walk_of(job: Job) -> Walk:
    """Return the way that is left to `job`."""
    return Walk(job.tenant_id, ReplayFilter.model_validate(job.filter), job.cursor or 0, job.last or 0)


def begin(tenant_id: Any, which: ReplayFilter) -> Walk:
    """Return the whole way, up to what is there now."""
    if which.ids is not None:
        return Walk(tenant_id, which, min(which.ids, default=1) - 1, max(which.ids, default=0))
    since, until = which.moments()
    # Ids tell about when it was, too, so that what is out of the range need not be looked through.
    after = first_key(IntegrationSync, since - SLACK) - 1 if since is not None else 0
    if until is not None:
        last = first_key(IntegrationSync, until + SLACK) - 1
    else:
        last = IntegrationSync.objects.aggregate(Max("pk"))["pk__max"] or 0
    return Walk(tenant_id, which, after, last)


def preview(tenant_id: Any, which: ReplayFilter, *, seconds: float, most: int, sample: int = 5) -> Preview:
    """Look at what a replay would do, for so many seconds and rows at most: as far as PREVIEWED goes."""
    walk, found = begin(tenant_id, which), Preview()
    stop_at = time.monotonic() + seconds
    for size in PREVIEWED:
        end, count, pending = walk.tally(size)
        if end is None:
            return found
        if count and not found.sample:
            found.sample = list(walk.wanted(end).select_related("event", "integration")[:sample])
        found.count += count
        found.left_alone += pending
        walk.after = end
        if found.count > most or time.monotonic() > stop_at:
            break
    found.is_complete = walk.window(1) is None
    return found


def count(job: Job, *, seconds: float) -> int | None:
    """Return how many rows there are to look at; None if so many seconds do not suffice."""
    walk, found, stop_at = walk_of(job), 0, time.monotonic() + seconds
    while (end := walk.window(COUNTED)) is not None:
        if time.monotonic() > stop_at:
            return None
        found += walk.wanted(end).order_by().count()
        walk.after = end
    return found


def step(job: Job, limit: int) -> Step:
    """Make the next `limit` rows due again, inside the caller's transaction."""
    walk = walk_of(job)
    end = walk.window()
    if end is None:
        return Step(job.cursor, is_over=True)
    rows = list(walk.wanted(end).values_list("integration_id", "pk", "status", "integration__is_active")[:limit])
    due = [(integration_id, pk) for integration_id, pk, status, is_active in rows if is_active and _ended(walk, status)]
    done = len(make_due(sorted(due), ~Q(status=Status.PENDING), reason=f"replayed by {job.made_by} (job {job.pk})"))
    cursor = rows[-1][1] if len(rows) == limit else end
    found = Step(cursor, done=done, skipped=len(rows) - done)
    found.messages = list(_why_skipped(walk, rows))
    return found


def _ended(walk: Walk, status: str) -> bool:
    """Tell whether a row in this state is replayed: what was owed, or what the filter names though it never was."""
    return status != Status.PENDING and (status != Status.SKIPPED or Status.SKIPPED in walk.which.status)


def _why_skipped(walk: Walk, rows: list[Any]) -> Iterator[str]:
    if any(row[2] == Status.PENDING for row in rows):
        yield _("Deliveries that are still pending are left alone; they are tried by themselves.")
    if any(row[2] == Status.SKIPPED and not _ended(walk, row[2]) for row in rows):
        yield _("What a subscription's condition kept out is left alone, unless the filter names it (skipped).")
    if not all(row[3] for row in rows):
        yield _("Deliveries of integrations that are switched off are left alone; nothing is sent there.")
