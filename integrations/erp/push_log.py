"""`ERPPushLog`: the pushes of orders, under the names of the table ``erp_push_log`` (compat/erp.py).

A proxy of `IntegrationSync`: the rows that the lanes send. Each attempt is one entry of the execution log
(``push.logs``).
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from integrations.audit.models import ExecutionLog
from integrations.compat.erp import PUSH_ALIASES, PushNames, PushStatus, RenamedPushColumns
from integrations.outbox.models import IntegrationSync

ORDER_PUSH = "order_push"  # the event type


class ERPPushLogQuerySet(RenamedPushColumns, models.QuerySet[Any]):
    """Finds pushes."""


class ERPPushLogManager(models.Manager.from_queryset(ERPPushLogQuerySet)):  # type: ignore[misc]
    def get_queryset(self) -> Any:
        attempts = ExecutionLog.objects.filter(sync=OuterRef("pk"), action="deliver").order_by()
        total = attempts.values("sync").annotate(total=Sum("duration_ms")).values("total")
        last = attempts.order_by("-id").values("response_payload")[:1]
        pushes = super().get_queryset().filter(event__event_type=ORDER_PUSH).select_related("event", "integration")
        return pushes.alias(**PUSH_ALIASES).annotate(
            latency_ms=Coalesce(Subquery(total), 0), last_answer=Subquery(last)
        )


class ERPPushLog(PushNames, IntegrationSync):
    """One push of one order; to be read: lanes write it.

    Attributes:
        latency_ms: of all attempts together, waits not counted.
    """

    Status = PushStatus  # type: ignore[assignment]

    latency_ms: int
    last_answer: Any

    objects = ERPPushLogManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "ERP push"
        verbose_name_plural = "ERP pushes"

    def __str__(self) -> str:
        return f"push {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("the push log is written by deliveries; use PushOrchestrator, or retry the sync")
