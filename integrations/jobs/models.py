"""A job: what is to be done with many rows, how far it is, what people were told; what one batch did, and a preview."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.errors import printable
from integrations.tenancy.key import TenantKey

MOST_PACE = 1000  # rows per second
USUAL_PACE = 50


class Job(models.Model):
    """A replay or a backfill of one tenant.

    Its integration may be gone: clearing the column when one is deleted would have a deletion wait for a batch.
    """

    class Kind(models.TextChoices):
        REPLAY = "replay", gettext_lazy("Replay")
        BACKFILL = "backfill", gettext_lazy("Backfill")

    class State(models.TextChoices):
        WAITING = "waiting", gettext_lazy("Waiting")
        RUNNING = "running", gettext_lazy("Running")
        PAUSED = "paused", gettext_lazy("Paused")
        DONE = "done", gettext_lazy("Done")
        CANCELLED = "cancelled", gettext_lazy("Cancelled")
        FAILED = "failed", gettext_lazy("Failed")

    tenant = TenantKey(db_constraint=False, db_index=False, related_name="+")
    integration = models.ForeignKey(
        TenantIntegration,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    integration_name = models.CharField(max_length=200, blank=True, default="")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    filter = models.JSONField(default=dict)  # of a replay `ReplayFilter`, of a backfill `BackfillFilter`
    in_words = models.CharField(max_length=500)  # what it does, as it was said when it was started
    made_by = models.CharField(max_length=150)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    pace = models.PositiveSmallIntegerField(
        default=USUAL_PACE, validators=[MinValueValidator(1), MaxValueValidator(MOST_PACE)]
    )  # rows per second, at most

    total = models.PositiveBigIntegerField(null=True, blank=True)  # None: too many to count beforehand
    done = models.PositiveBigIntegerField(default=0)
    skipped = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    # Keys of rows: where it began, the last one that it is to look at, and the last one that is done with.
    first = models.JSONField(null=True, blank=True)
    last = models.JSONField(null=True, blank=True)
    cursor = models.JSONField(null=True, blank=True)
    rate = models.FloatField(default=0.0)  # rows per second of the last batches

    lease_token = models.CharField(max_length=32, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    next_turn_at = models.DateTimeField(db_default=Now())
    deaths = models.PositiveSmallIntegerField(default=0)  # of its workers, since a batch succeeded
    errors = models.PositiveSmallIntegerField(default=0)  # of batches, since one succeeded
    last_error = models.CharField(max_length=500, blank=True, default="")
    waits_for = models.CharField(max_length=500, blank=True, default="")  # why nothing is done just now
    messages = models.JSONField(default=list)  # what people are told: {"at", "text"}, the last MOST_MESSAGES

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["tenant", "-id"], name="job_of_tenant"),
            models.Index(
                fields=["next_turn_at"], condition=models.Q(state__in=["waiting", "running"]), name="job_to_do"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"

    def say(self, text: str) -> None:
        """Add `text` to what people are told (not saved)."""
        said = {"at": clock.now().isoformat(timespec="seconds"), "text": printable(text)[:500]}
        self.messages = [*self.messages, said][-MOST_MESSAGES:]

    @property
    def looked_at(self) -> int:
        """How many rows it is done with, one way or the other."""
        return self.done + self.skipped + self.failed

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def fraction(self) -> float | None:
        """How far it is, from 0 to 1; None if nobody can tell."""
        if self.state == Job.State.DONE:
            return 1.0
        if self.total is not None:
            return min(1.0, self.looked_at / self.total) if self.total else 0.0
        numbers = (self.first, self.last, self.cursor)
        if not all(isinstance(number, int) for number in numbers):
            return 0.0 if self.cursor is None else None
        first, last, cursor = numbers
        return min(1.0, max(0.0, (cursor - first) / (last - first))) if last > first else 0.0  # type: ignore[operator]

    @property
    def seconds_left(self) -> float | None:
        """How long it takes at the rate of its last batches; None if nobody can tell."""
        if self.state != Job.State.RUNNING or self.total is None or self.rate <= 0:
            return None
        return max(0, self.total - self.looked_at) / self.rate


ACTIVE = (Job.State.WAITING, Job.State.RUNNING)
OVER = (Job.State.DONE, Job.State.CANCELLED, Job.State.FAILED)
MOST_MESSAGES = 30


@dataclass(slots=True)
class Step:
    """What one batch did.

    Attributes:
        cursor: the key of the last row that is done with.
        done: rows that were replayed, or snapshots that were recorded.
        skipped: rows that were left alone.
        failed: rows for which it went wrong.
        messages: what people are told, each text once per job.
        is_over: there was nothing left.
        waits_for: why nothing was done: it is tried again in a moment.
    """

    cursor: Any
    done: int = 0
    skipped: int = 0
    failed: int = 0
    messages: list[str] = field(default_factory=list)
    is_over: bool = False
    waits_for: str = ""

    @property
    def rows(self) -> int:
        return self.done + self.skipped + self.failed


@dataclass(slots=True)
class Preview:
    """What a job would do.

    Attributes:
        count: rows that it would look at.
        left_alone: of them, those that are known to be left alone.
        is_complete: all were counted; else there are at least so many.
        sample: some of them.
        looked_at: of a backfill, how many of the first objects were tried, with what would become of them ...
        left_out: ... those that the condition leaves out,
        failing: and those of which no payload can be made.
        has_own_payload: the integration wants a payload of its own in the place of the event's body.
    """

    count: int = 0
    left_alone: int = 0
    is_complete: bool = True
    sample: list[Any] = field(default_factory=list)
    looked_at: int = 0
    left_out: int = 0
    failing: int = 0
    has_own_payload: bool = False

    @property
    def sent(self) -> int:
        """How many of those that were tried would be sent."""
        return self.looked_at - self.left_out - self.failing
