"""What providers told us: each delivery as it came, and what became of it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.errors import printable

MAX_ERROR = 500


class AbstractWebhookEvent(models.Model):
    """One delivery of a provider. A host subclasses it with a nullable key ``connection`` to its own model.

        received ──► processing ──► processed
           ▲             │
           └── sweep ──  failed     (again, until it works or the attempts are spent)

    Attributes:
        idempotency_key: ``<connection>:<the provider's id, or a digest of the body>``, of an inbound action's call
            ``<connection>/<action>:<id>``: a second copy meets it and is not processed. A rejected delivery has a key
            of its own, so that a forger cannot take a true one's.
        body: the raw bytes, of which the signature is proof; `payload` is what they say, made storable.
        next_attempt_at: when a worker may look at it, next or again; null: nothing is left to do. While a worker is
            at it, it is the time after which that worker counts as dead.
        unfinished: attempts in a row that nobody ended, the one under way among them: their workers died. Counted by
            the claim, taken back by whatever is written at the end. It stays on a row that was given up for it.
        announced_at: when all receivers of webhook_event_processed had heard of it.
    """

    class Status(models.TextChoices):
        RECEIVED = "received", gettext_lazy("⚠ Received")
        PROCESSING = "processing", gettext_lazy("⚠ Processing")
        PROCESSED = "processed", gettext_lazy("✓ Processed")
        FAILED = "failed", gettext_lazy("✗ Failed")
        DUPLICATE = "duplicate", gettext_lazy("– Duplicate")

    provider = models.CharField(max_length=50)
    event_type = models.CharField(max_length=100, blank=True)
    action = models.CharField(max_length=100, blank=True)  # the last part of the URL
    idempotency_key = models.CharField(max_length=255, unique=True)
    body = models.BinaryField(default=b"", editable=False)
    payload = models.JSONField(default=dict, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    signature_valid = models.BooleanField(default=False)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.RECEIVED)
    error = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    unfinished = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    duplicates = models.PositiveIntegerField(default=0)  # further copies that came
    received_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True)

    is_duplicate = False  # on what `receive` returns: this very delivery had come before

    class Meta:
        abstract = True
        ordering = ["-id"]
        verbose_name = "inbound webhook"

    def __str__(self) -> str:
        return f"{self.provider} {self.event_type or self.action} {self.pk}"

    def mark_processing(self) -> None:
        """A worker is at it."""
        self._mark(status=self.Status.PROCESSING)

    def mark_processed(self) -> None:
        """It has had its effect."""
        self._mark(status=self.Status.PROCESSED, processed_at=Now(), error="")
        self.refresh_from_db(fields=["processed_at"])

    def mark_failed(self, error: str = "") -> None:
        """It could not be processed; `error` says why, in our own words and cut to 500 characters."""
        self._mark(status=self.Status.FAILED, error=printable(error[:MAX_ERROR]))

    def mark_duplicate(self) -> None:
        """Somebody found out that it repeats another one; what is processed stays so."""
        self._mark(~Q(status=self.Status.PROCESSED), status=self.Status.DUPLICATE, next_attempt_at=None)

    def _mark(self, condition: Q | None = None, /, **values: Any) -> None:
        rows = type(self)._base_manager.filter(condition or Q(), pk=self.pk)
        if rows.update(**values):
            for name, value in values.items():
                setattr(self, name, value)


class WebhookEvent(AbstractWebhookEvent):
    """One delivery to one of our integrations."""

    connection = models.ForeignKey(
        TenantIntegration, on_delete=models.CASCADE, null=True, db_index=False, related_name="webhook_events"
    )

    class Meta(AbstractWebhookEvent.Meta):
        indexes = [
            models.Index(fields=["connection", "-id"], name="inbound_history"),
            models.Index(fields=["id"], condition=Q(signature_valid=False), name="inbound_rejected"),
        ]
