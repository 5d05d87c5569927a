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
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.outbox.search import find_events

ORDER_PUSH = "order_push"  # the event type
MOST_CONNECTIONS = 1000  # SQLite takes no more parameters in some of its versions
MOST_PUSHES = 200  # of one order


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


def pushes_through(
    connections: models.QuerySet[Any], events: models.QuerySet[IntegrationEvent], order: str = ""
) -> tuple[models.QuerySet[Any], bool]:
    """Return the pushes through these integrations; and True if the search for them must be bounded.

    Args:
        connections: MOST_CONNECTIONS of them are looked at.
        events: those of the same tenants.
        order: only those of the order with this id, MOST_PUSHES at most, or the one with this idempotency key.
    """
    # Ids as plain numbers: an index of each finds its rows, however many those of other integrations are.
    mine = list(connections.order_by().values_list("pk", flat=True)[:MOST_CONNECTIONS])
    rows = ERPPushLog.objects.filter(integration__in=mine)
    if not order:
        return rows, len(mine) > 1
    of_order, _ = find_events(events.order_by("-pk"), event_type=ORDER_PUSH, object_id=order)
    of_key, _ = find_events(events, event_type=ORDER_PUSH, key=order)
    found = [*of_order.values_list("pk", flat=True)[:MOST_PUSHES], *of_key.values_list("pk", flat=True)]
    return rows.filter(event__in=found), False
