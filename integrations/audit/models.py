"""What was tried, and what came back."""

from __future__ import annotations

import json

from django.db import models

from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync


class AbstractExecutionLog(models.Model):
    """One call through a connector; redacted and capped before it is stored (S0-29).

    A host subclasses it with a foreign key to its own connection (docs/your-own-models.md).
    """

    action = models.CharField(max_length=100)  # "deliver", "test", "GET https://…"
    method = models.CharField(max_length=10, blank=True)
    url = models.CharField(max_length=500, blank=True)  # scheme and host; the rest may be a secret
    request_payload = models.JSONField(null=True, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_payload = models.JSONField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["-id"]
        verbose_name = "execution log entry"
        verbose_name_plural = "execution log"

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"

    @property
    def answer(self) -> str:
        """What came back, for reading."""
        found = self.response_payload
        return found if isinstance(found, str) else json.dumps(found, indent=2, ensure_ascii=False) if found else ""


class ExecutionLog(AbstractExecutionLog):
    """An attempt at a sync, a test, an operator's action, a call that somebody waited for.

    No database constraints: a log line must
    not hold up, or be held up by, the deletion of what it tells about (docs/adr/0003).
    """

    integration = models.ForeignKey(
        TenantIntegration, on_delete=models.CASCADE, related_name="logs", db_constraint=False
    )
    sync = models.ForeignKey(
        IntegrationSync, on_delete=models.CASCADE, related_name="logs", null=True, blank=True, db_constraint=False
    )
    actor = models.CharField(max_length=150, default="system")
    attempt = models.PositiveIntegerField(default=0)

    class Meta(AbstractExecutionLog.Meta):
        indexes = [models.Index(fields=["id"], condition=models.Q(sync=None), name="log_without_sync")]
