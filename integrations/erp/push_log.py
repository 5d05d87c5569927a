"""``ERPPushLog``: the pushes as the guide's table ``erp_push_log`` has them (S2-32).

A proxy of `IntegrationSync`: the rows that the lanes send, under the guide's names. Each attempt is one entry of the
execution log (``push.logs``).

    SUCCESS   synced                    PENDING   pending, never tried
    FAILED    failed or cancelled       RETRYING  pending, tried
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Case, OuterRef, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from integrations.audit.models import ExecutionLog
from integrations.outbox.models import IntegrationSync

from .guide_names import renamed

ORDER_PUSH = "order_push"  # the event type
_NAMES = {
    "org_id": "event__tenant_id",
    "draft_order_id": "event__object_id",
    "connector_type": "integration__integration_type",
    "idempotency_key": "event__idempotency_key",
    "created_at": "event__occurred_at",
    "status": "push_status",
}


class ERPPushLogQuerySet(models.QuerySet[Any]):
    """Understands the guide's names: ``filter(org_id=7, status="SUCCESS")``."""

    def _filter_or_exclude(self, negate: bool, args: Any, kwargs: Any) -> Any:
        return super()._filter_or_exclude(negate, args, renamed(kwargs, _NAMES))  # type: ignore[misc]


class ERPPushLogManager(models.Manager.from_queryset(ERPPushLogQuerySet)):  # type: ignore[misc]
    def get_queryset(self) -> Any:
        ours = IntegrationSync.Status
        attempts = ExecutionLog.objects.filter(sync=OuterRef("pk"), action="deliver").order_by()
        total = attempts.values("sync").annotate(total=Sum("duration_ms")).values("total")
        last = attempts.order_by("-id").values("response_payload")[:1]
        pushes = super().get_queryset().filter(event__event_type=ORDER_PUSH).select_related("event", "integration")
        return pushes.alias(
            push_status=Case(
                When(status=ours.SYNCED, then=Value("SUCCESS")),
                When(status=ours.PENDING, attempts=0, then=Value("PENDING")),
                When(status=ours.PENDING, then=Value("RETRYING")),
                default=Value("FAILED"),
            )
        ).annotate(latency_ms=Coalesce(Subquery(total), 0), last_answer=Subquery(last))


class ERPPushLog(IntegrationSync):
    """One push of one order; to be read: lanes write it.

    Attributes:
        latency_ms: of all attempts together, waits not counted.
    """

    class Status(models.TextChoices):
        SUCCESS = "SUCCESS", "✓ Success"
        FAILED = "FAILED", "✗ Failed"
        PENDING = "PENDING", "⚠ Pending"
        RETRYING = "RETRYING", "⚠ Retrying"

    latency_ms: int
    last_answer: Any

    objects = ERPPushLogManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "ERP push"
        verbose_name_plural = "ERP push log"

    def __str__(self) -> str:
        return f"push {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("the push log is written by deliveries; use PushOrchestrator, or retry the sync")

    # The columns of the same name hold our own words and clock, so these two stand before them; hence no save().

    @property
    def status(self) -> str:
        ours = super().status
        if ours == IntegrationSync.Status.PENDING:
            return self.Status.RETRYING if self.attempts else self.Status.PENDING
        return self.Status.SUCCESS if ours == IntegrationSync.Status.SYNCED else self.Status.FAILED

    @status.setter
    def status(self, value: str) -> None:
        self.__dict__["status"] = value

    @property
    def created_at(self) -> datetime:
        """When the push was asked for, by the clock of what goes over the wire."""
        return self.event.occurred_at

    @created_at.setter
    def created_at(self, value: datetime) -> None:
        self.__dict__["created_at"] = value

    @property
    def org_id(self) -> int:
        return self.event.tenant_id

    @property
    def draft_order_id(self) -> str:
        return self.event.object_id

    @property
    def connector_type(self) -> str:
        return self.integration.integration_type

    @property
    def idempotency_key(self) -> str:
        return self.event.idempotency_key

    @property
    def request_json(self) -> Any:
        """What is sent, exactly; an order holds no credential."""
        return json.loads(self.event.body)

    @property
    def response_json(self) -> dict[str, Any]:
        """What the last attempt brought: HTTP status, answer (redacted), and the facts of a success."""
        answer = self.last_answer
        facts = answer if isinstance(answer, dict) else {"answer": answer}
        found = {"status": self.response_status, **facts}
        return {name: value for name, value in found.items() if value not in (None, "")}

    @property
    def error_message(self) -> str:
        if self.status in (self.Status.SUCCESS, self.Status.PENDING):
            return ""
        return self.last_error or self.reason

    @property
    def retry_count(self) -> int:
        return max(0, self.attempts - 1)
