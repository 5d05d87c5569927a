"""The run-time state of one integration."""

from __future__ import annotations

from typing import Any

from django.db import models

from integrations.connections.models import TenantIntegration


class Lane(models.Model):
    """Lease, breaker, pace and running figures of one integration.

    Apart from `TenantIntegration`, because people save that one and workers save this one.
    """

    class Breaker(models.TextChoices):
        CLOSED = "closed", "Closed"
        OPEN = "open", "Open"

    integration = models.OneToOneField(
        TenantIntegration, on_delete=models.CASCADE, primary_key=True, related_name="lane"
    )
    lease_token = models.CharField(max_length=32, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # How often it was taken and given back. A hint names the turn that it asks for: for another one it says nothing.
    turn = models.PositiveBigIntegerField(default=0, db_default=0)
    hinted_at = models.DateTimeField(null=True, blank=True)  # a hint for this turn is under way since then
    epoch = models.PositiveIntegerField(default=0, db_default=0)  # counts what people do: resume, re-enable
    careful_left = models.PositiveIntegerField(default=0, db_default=0)  # rows to send one at a time: a holder died
    deleting_since = models.DateTimeField(null=True, blank=True)  # its integration is being deleted, in batches
    breaker = models.CharField(max_length=10, choices=Breaker.choices, default=Breaker.CLOSED)
    consecutive_failures = models.PositiveIntegerField(default=0)
    refused_object = models.CharField(max_length=300, blank=True, default="", db_default="")  # of the last refusal
    # Events that were rejected alike, with nothing taken between: how many, how, the last one's object.
    rejections = models.PositiveSmallIntegerField(default=0, db_default=0)
    rejected_as = models.CharField(max_length=100, blank=True, default="", db_default="")
    rejected_object = models.CharField(max_length=300, blank=True, default="", db_default="")
    times_opened = models.PositiveIntegerField(default=0)  # in a row; the pause doubles with each
    opened_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)
    next_send_at = models.DateTimeField(null=True, blank=True)  # pacing: the earliest start of the next request
    next_check_at = models.DateTimeField(null=True, blank=True, db_index=True)  # the next periodic health check
    is_slow = models.BooleanField(default=False)  # woken on the queue "slow", away from everybody else
    mean_seconds = models.FloatField(null=True, blank=True)  # of the last slice's requests
    attention = models.CharField(max_length=500, blank=True)  # something only a person can mend
    trouble = models.CharField(max_length=500, blank=True, default="", db_default="")  # what fails beside what is taken
    # A person's pause: rows wait, whatever the breaker says, until a person resumes.
    paused_since = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    # Since when nothing was taken; until then how many rows failed, and how many attempts that speak against the
    # destination or the set-up. What failed before the last success says nothing and is not counted (health/rule.py).
    failing_since = models.DateTimeField(null=True, blank=True)
    failing_rows = models.PositiveIntegerField(default=0, db_default=0)
    failing_attempts = models.PositiveIntegerField(default=0, db_default=0)
    gave_up_at = models.DateTimeField(null=True, blank=True)  # an event ended as failed
    last_error = models.CharField(max_length=500, blank=True, default="", db_default="")  # stays after a success
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    taken_with = models.CharField(max_length=16, blank=True, default="", db_default="")  # the settings of that success
    delivered_count = models.PositiveBigIntegerField(default=0)
    failed_count = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = "lane"

    def __str__(self) -> str:
        return f"lane {self.pk}"


# The columns of a lane that rests for nothing and holds nothing against its destination.
CLOSED: dict[str, Any] = {
    "breaker": Lane.Breaker.CLOSED,
    "consecutive_failures": 0,
    "times_opened": 0,
    "opened_at": None,
    "paused_until": None,
    "pause_reason": "",
    "refused_object": "",
    "rejections": 0,
    "rejected_as": "",
    "rejected_object": "",
}
