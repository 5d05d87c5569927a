"""Orders pushed through the API, and the push log (S2-56; integrations/erp)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from ninja import Query, Router, Status

from integrations.erp.push import PushOrchestrator
from integrations.erp.push_log import ERPPushLog
from integrations.errors import IntegrationNotConfigured
from tenants.scope import tenants_of

from .schemas import MAX_OFFSET, Problem, PushIn, PushOut
from .scope import one, require, require_kind

router = Router()
_SAME = ("connector_type", "draft_order_id", "idempotency_key", "retry_count", "latency_ms", "created_at")


@router.post("/connections/{uuid:connection_id}/push", response={200: PushOut, 202: PushOut, 422: Problem})
def push(request: HttpRequest, connection_id: UUID, data: PushIn) -> Any:
    """Push an order; 202 while it is not settled. The same order and number are pushed once."""
    require(request, "change")
    integration = one(request, connection_id)
    require_kind(request, integration.integration_type)
    result = PushOrchestrator().push_order(
        integration.tenant_id,
        data.order,
        data.max_retries,
        attempt=data.attempt,
        connection=integration,
        wait=data.wait,
        not_before=data.not_before,
    )
    if result.push_log is None:
        raise result.error or IntegrationNotConfigured(result.message)
    is_settled = result.status in (ERPPushLog.Status.SUCCESS, ERPPushLog.Status.FAILED)
    return Status(200 if is_settled else 202, _pushed(result.push_log))


@router.get("/push-log/", response=list[PushOut])
def push_log(
    request: HttpRequest, limit: int = Query(100, ge=1, le=500), offset: int = Query(0, ge=0, le=MAX_OFFSET)
) -> Any:
    """List the pushes of your tenants, newest first."""
    if not request.user.has_perm("integrations.view_integrationsync"):
        raise PermissionDenied
    rows = ERPPushLog.objects.filter(integration__tenant__in=tenants_of(request.user)).order_by("-pk")
    return [_pushed(row) for row in rows[offset : offset + limit]]


def _pushed(row: ERPPushLog) -> PushOut:
    return PushOut(
        id=str(row.id),
        error_message=row.error_message or None,
        **{name: getattr(row, name) for name in _SAME},
        status=str(row.status),
    )
