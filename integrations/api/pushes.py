"""Orders pushed through the API, and the push log (integrations/erp).

Who waits for an ERP holds a thread of the web server, and an ERP that hangs must not take all of them: of one process,
PUSH_WAITING pushes wait, PUSH_WAIT_SECONDS at most. The others are recorded as well, and answered 202 at once.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Status

from integrations.audit.trail import record
from integrations.erp.push import PushOrchestrator
from integrations.erp.push_log import ERPPushLog
from integrations.errors import IntegrationNotConfigured
from integrations.tenancy.capabilities import Capability

from .caller import allowed_tenants, caller_of, one
from .schemas import MAX_OFFSET, Problem, PushIn, PushOut
from .waiting import place_to_push

router = Router()
_SAME = ("connector_type", "draft_order_id", "idempotency_key", "retry_count", "latency_ms", "created_at")
TOO_MANY = "Too many pushes are waited for already: a worker sends it."


@router.post("/connections/{uuid:connection_id}/push", response={200: PushOut, 202: PushOut, 422: Problem})
def push(request: HttpRequest, response: HttpResponse, connection_id: UUID, data: PushIn) -> Any:
    """Push an order; 202 while it is not settled, and `status_url` (also the header Location) says when it is.

    The same order and number are pushed once; one that failed and was changed since is pushed anew.
    """
    row, note, is_over = hand_over(request, connection_id, data)
    shown = _pushed(row)
    shown.note = note
    if is_over:
        return Status(200, shown)
    response["Location"] = shown.status_url
    return Status(202, shown)


def hand_over(request: HttpRequest, integration_id: UUID, data: PushIn) -> tuple[ERPPushLog, str, bool]:
    """Push the order of `data`; return its row of the push log, what is to be said of it, and whether it is settled."""
    integration = one(request, integration_id, Capability.PUSH, installed=True)
    is_wanted = data.wait and data.not_before is None
    with place_to_push() if is_wanted else nullcontext(False) as is_waited_for:
        result = PushOrchestrator().push_order(
            integration.tenant_id,
            data.order,
            data.max_retries,
            attempt=data.attempt,
            connection=integration,
            wait=is_waited_for,
            not_before=data.not_before,
        )
    if result.push_log is None:
        raise result.error or IntegrationNotConfigured(result.message)
    if not result.already_pushed:
        said = {"push": result.push_log.pk, "order": result.push_log.draft_order_id}
        record("order pushed", integration, actor=caller_of(request).name, details=said)
    if result.status in (ERPPushLog.Status.SUCCESS, ERPPushLog.Status.FAILED):
        return result.push_log, result.note, True
    left = is_wanted and not (is_waited_for or result.already_pushed)
    return result.push_log, f"{result.note} {TOO_MANY}".strip() if left else result.note, False


@router.get("/push-log/", response=list[PushOut])
def push_log(
    request: HttpRequest, limit: int = Query(100, ge=1, le=500), offset: int = Query(0, ge=0, le=MAX_OFFSET)
) -> Any:
    """List the pushes of your tenants, newest first."""
    return [_pushed(row) for row in _mine(request).order_by("-pk")[offset : offset + limit]]


@router.get("/push-log/{int:push_id}", response=PushOut, url_name="push-status")
def push_status(request: HttpRequest, push_id: int) -> Any:
    """Say what became of one push."""
    row = _mine(request).filter(pk=push_id).first() if push_id < 2**63 else None
    if row is None:
        raise Http404
    return _pushed(row)


def _mine(request: HttpRequest) -> QuerySet[Any]:
    tenants = allowed_tenants(request, Capability.VIEW_DELIVERIES)
    found: QuerySet[Any] = ERPPushLog.objects.filter(integration__tenant__in=tenants)
    return found


def _pushed(row: ERPPushLog) -> PushOut:
    return PushOut(
        id=str(row.id),
        error_message=row.error_message or None,
        **{name: getattr(row, name) for name in _SAME},
        status=str(row.status),
        status_url=reverse("integrations-api:push-status", args=[row.id]),
    )
