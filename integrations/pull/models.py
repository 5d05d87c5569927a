"""How far we have read at each provider."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from integrations.alone import MAX_DEATHS
from integrations.connections.models import TenantIntegration
from integrations.errors import printable

from .handlers import has_taker

MAX_CURSOR = 500
MAX_ERROR = 500


def why_not_kept(cursor: str) -> str:
    """Say why `cursor` cannot be stored whole, "" if it can: one that is cut points somewhere else."""
    if len(cursor) > MAX_CURSOR:
        return f"has {len(cursor)} characters; at most {MAX_CURSOR} are kept"
    if "\0" in cursor or any("\ud800" <= char <= "\udfff" for char in cursor):
        return "contains a NUL or half a surrogate pair, which cannot be stored"
    return ""


class AbstractSyncState(models.Model):
    """How far one kind of thing (orders, products) has been pulled from one provider.

    A host subclasses it with a key ``connection`` to its own model. The cursor is saved together with what the page
    had in it, so a crash repeats a page and never skips one.

    Attributes:
        cursor: the provider's own; "" is the beginning.
        lease_token, lease_expires_at: who is reading now (pull/lease.py).
        unfinished: readings in a row that nobody ended, the one under way among them: their workers died. Counted by
            the claim, taken back by whatever ends a reading. With too many of them the state is given up.
        pages_in_run: pages since the last end of the list, against providers that never come to one.
    """

    class Status(models.TextChoices):
        IDLE = "idle", gettext_lazy("Idle")
        RUNNING = "running", gettext_lazy("⚠ Running")
        COMPLETED = "completed", gettext_lazy("✓ Completed")
        FAILED = "failed", gettext_lazy("✗ Failed")

    resource_type = models.CharField(max_length=50)
    cursor = models.CharField(max_length=MAX_CURSOR, blank=True, default="")
    last_sync_at = models.DateTimeField(null=True, blank=True)
    next_sync_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.IDLE)
    error_count = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    lease_token = models.CharField(max_length=32, blank=True, default="", editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    unfinished = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    pages_in_run = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        abstract = True
        ordering = ["resource_type", "id"]
        verbose_name = "pull"

    def __str__(self) -> str:
        return self.resource_type

    @property
    def is_given_up(self) -> bool:
        """Whether its workers died too often: nobody reads on until a person says so."""
        return self.unfinished >= MAX_DEATHS and not self.lease_token

    @property
    def has_taker(self) -> bool:
        """Whether anybody takes what is pulled; if not, no task and no schedule pulls it."""
        return has_taker(self.connection, self.resource_type)  # type: ignore[attr-defined]  # the host's field

    def mark_running(self) -> None:
        """Somebody reads."""
        self._mark(status=self.Status.RUNNING)

    def mark_completed(self, cursor: str | None = None, *, next_sync_at: datetime | None = None) -> None:
        """What was asked for came; `cursor` is where to go on, None: where it was.

        Raises:
            ValueError: the cursor cannot be stored whole; nothing was written.
        """
        # Asked here: SQLite would keep any length, and only PostgreSQL would refuse it.
        if problem := why_not_kept(cursor or ""):
            raise ValueError(f"cursor: {problem}")
        values: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        self._mark(
            status=self.Status.COMPLETED,
            error_count=0,
            last_error="",
            unfinished=0,
            last_sync_at=Now(),
            next_sync_at=next_sync_at,
            **values,
        )

    def mark_failed(self, error: str = "", *, next_sync_at: datetime | None = None) -> None:
        """It went wrong; `error` says how, in our own words. The cursor stays."""
        self._mark(
            status=self.Status.FAILED,
            error_count=F("error_count") + 1,
            last_error=printable(error[:MAX_ERROR]),
            next_sync_at=next_sync_at,
        )

    def _mark(self, **values: Any) -> None:
        type(self)._base_manager.filter(pk=self.pk).update(**values)
        self.refresh_from_db(fields=list(values))


class SyncState(AbstractSyncState):
    """How far one of our integrations has been read; pulled by itself every `interval_minutes`."""

    connection = models.ForeignKey(
        TenantIntegration, on_delete=models.CASCADE, db_index=False, related_name="sync_states"
    )
    interval_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60 * 24 * 31)],
        help_text="How often it is pulled; empty: only when somebody asks.",
    )

    class Meta(AbstractSyncState.Meta):
        constraints = [models.UniqueConstraint(fields=["connection", "resource_type"], name="one_pull_per_resource")]
        indexes = [
            models.Index(fields=["next_sync_at"], condition=models.Q(interval_minutes__isnull=False), name="pull_due")
        ]
