"""The outbox: what happened, and what we owe to whom."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from integrations.connections.models import TenantIntegration
from integrations.database.columns import PlainCharField
from integrations.telemetry.tracing import MAX_TRACEPARENT
from integrations.tenancy.key import TenantKey


def new_idempotency_key() -> str:
    """Return a key for one event; it is the ``webhook-id`` on the wire."""
    return f"evt_{uuid.uuid4().hex}"


MAX_OBJECT_ID = 255
MAX_ACTOR = 200


def object_id_of(pk: Any) -> str:
    """Return a primary key of any type as `IntegrationEvent.object_id` has it.

    The parts of a composite one as JSON; of one that is too long for the column, its beginning and a digest.
    """
    text = json.dumps([str(part) for part in pk], ensure_ascii=False) if isinstance(pk, list | tuple) else str(pk)
    if len(text) <= MAX_OBJECT_ID and "\0" not in text:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[: MAX_OBJECT_ID - len(digest) - 1]}…{digest}".replace("\0", "\ufffd")


class IntegrationEvent(models.Model):
    """Something that happened to one object. Immutable.

    `body` is the exact text that every subscriber gets, frozen at the save; TEXT and not JSONB, which would
    reorder it. The ascending `id` is the per-object sequence: a transaction inserts it while it holds the
    object's row lock, so a later event of that object has a larger one.

    No database constraint ties an event to its tenant: the check would run at the user's COMMIT and could
    fail it, and would take locks that an operator's delete waits for (docs/adr/0003).
    """

    tenant = TenantKey(db_constraint=False, db_index=False, related_name="+")
    event_type = models.CharField(max_length=100)
    content_type = models.ForeignKey(
        ContentType, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    object_id = models.CharField(max_length=MAX_OBJECT_ID)  # `object_id_of` its key
    body = models.TextField()
    payload_version = models.PositiveSmallIntegerField(default=1, db_default=1)  # of `body`
    occurred_at = models.DateTimeField()
    idempotency_key = PlainCharField(max_length=255, unique=True, default=new_idempotency_key)
    # Whose inbound action caused it (integrations/acting.py); that one is not told. It may be gone: clearing this
    # when an integration is deleted would read every event.
    origin = models.ForeignKey(
        TenantIntegration,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    # The name of who did it (integrations/acting.py); "": nobody knows.
    actor = models.CharField(max_length=MAX_ACTOR, blank=True, default="", db_default="")
    actor_key = models.CharField(max_length=64, blank=True, default="", db_default="")  # of their account, if any
    # The span in which it was recorded (integrations/telemetry/tracing.py); "": there was none.
    traceparent = models.CharField(max_length=MAX_TRACEPARENT, blank=True, default="", db_default="", editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["content_type", "object_id", "-id"], name="event_history_of_object")]

    def __str__(self) -> str:
        return f"{self.event_type} #{self.pk}"


NEWEST = ("integration_id", "-id")  # an order for `of_lane`


def of_lane(integration: Any) -> models.Q:
    """Return the condition of the syncs of one integration (its key, or an OuterRef), to be ordered by that first.

    A range, so that only an index that begins with the integration gives the order. With an equality the primary key
    does too, and PostgreSQL, which believes that a lane's rows lie evenly among all, may read a million others first.
    """
    return models.Q(integration_id__gte=integration, integration_id__lte=integration)


class IntegrationSync(models.Model):
    """One event owed to one integration (docs/state-machine.md).

    There is no state "sending": while a worker holds the integration's lane the row is simply still pending,
    so a killed worker leaves nothing to repair, and each row is written once, when settled.
    """

    class Status(models.TextChoices):
        PENDING = "pending", gettext_lazy("⚠ Pending")
        SYNCED = "synced", gettext_lazy("✓ Synced")
        FAILED = "failed", gettext_lazy("✗ Failed")
        CANCELLED = "cancelled", gettext_lazy("– Cancelled")
        SKIPPED = "skipped", gettext_lazy("– Skipped")  # its condition was not met; `reason` has the values

    event = models.ForeignKey(IntegrationEvent, on_delete=models.CASCADE, related_name="syncs", db_index=False)
    integration = models.ForeignKey(
        TenantIntegration, on_delete=models.CASCADE, related_name="syncs", db_constraint=False, db_index=False
    )
    object_key = models.CharField(max_length=300, editable=False)  # content type and object: the unit of order
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    # The database's clock decides what is due; a web host's clock may be ahead of it.
    next_attempt_at = models.DateTimeField(db_default=Now())
    first_failed_at = models.DateTimeField(null=True, blank=True)  # since when it holds its object back
    last_failed_at = models.DateTimeField(null=True, blank=True)
    # Counts what people do to the row: an attempt that began before a retry does not write its failure over it.
    generation = models.PositiveIntegerField(default=0, db_default=0)
    # Attempts in a row that began and whose end nobody wrote: their workers died (docs/adr/0022).
    deaths = models.PositiveSmallIntegerField(default=0, db_default=0)
    # What attempts that failed have done already, as JSON: the next one does the rest. "" after a success.
    progress = models.TextField(blank=True, default="", db_default="", editable=False)
    # The subscription's payload when the event was recorded (connections/payloads.py); "": the event's body as it is.
    payload = models.TextField(blank=True, default="", db_default="", editable=False)
    # What a subscription to an older version of the payload gets in the place of the event's body, and that version;
    # "" and None: the event's own.
    older_body = models.TextField(blank=True, default="", db_default="", editable=False)
    payload_version = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=1100, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    # The retries are counted from the last of these three that is set.
    not_before = models.DateTimeField(null=True, blank=True)  # its maker wanted it sent no earlier
    retried_at = models.DateTimeField(null=True, blank=True)  # a person retried or replayed it
    synced_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        unique_together = [("event", "integration")]
        indexes = [
            # Rows that never failed go oldest first; those that did, when their retry is due.
            models.Index(
                fields=["integration", "id"],
                condition=models.Q(status="pending", first_failed_at=None),
                name="sync_fresh",
            ),
            models.Index(
                fields=["integration", "next_attempt_at", "id"],
                condition=models.Q(status="pending", first_failed_at__isnull=False),
                name="sync_retry",
            ),
            models.Index(
                fields=["integration", "object_key", "id"],
                condition=models.Q(status="pending"),
                name="sync_order_of_object",
            ),
            models.Index(fields=["integration", "-id"], name="sync_history"),
            models.Index(fields=["-id"], condition=models.Q(status="failed"), name="sync_failed"),
        ]
        verbose_name = "integration sync"

    def __str__(self) -> str:
        return f"sync {self.pk}"

    @property
    def body(self) -> str:
        """The event's body in the version of this row; what `payload`, if there is one, is made of."""
        return self.older_body or self.event.body

    @property
    def version(self) -> int:
        """The version of the payload that it sends."""
        return self.payload_version or self.event.payload_version
