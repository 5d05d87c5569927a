"""Pushes: orders handed to an ERP while somebody waits, and what the ERP said."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import ConfigDict, Field

from integrations.api import pushes as handing
from integrations.api.caller import allowed_tenants, caller_of, one, one_row, tenant_shown
from integrations.api.schemas import Moment, PushIn
from integrations.connections.models import TenantIntegration
from integrations.erp.connection import ERPConnection
from integrations.erp.push_log import ERPPushLog, pushes_through
from integrations.outbox.models import IntegrationEvent
from integrations.tenancy.capabilities import Capability

from .document import INTEGRATION, TAKES, WHEN, example
from .paging import Before, Limit, SearchedPage, page_of
from .problems import ROW_PROBLEMS, WRITE_PROBLEMS

router = Router(tags=["Pushes"])
_EXAMPLE = {
    "id": 901,
    "tenant": "acme-corp",
    "integration": INTEGRATION,
    "integration_name": "Our ERP",
    "status": "SUCCESS",
    "order_id": "3f0c7a52",
    "idempotency_key": "push_5b1c0d",
    "error": "",
    "retry_count": 0,
    "milliseconds": 130,
    "created_at": WHEN,
    "note": "",
}


class PushRequest(PushIn):
    """An order, and how often it may be tried. Without `wait` a worker sends it; so it is if too many wait."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"order": {"id": "3f0c7a52", "total": "12.50"}, "wait": True}]}
    )

    not_before: Moment | None = None


class PushOut(Schema):
    """One order that was handed to an ERP."""

    model_config = example(_EXAMPLE)

    id: int
    tenant: str
    integration: UUID
    integration_name: str
    status: str = Field(description="PENDING, RETRYING, SUCCESS, FAILED")
    order_id: str
    idempotency_key: str
    error: str
    retry_count: int
    milliseconds: int = Field(description="of all attempts together, waits not counted")
    created_at: datetime
    note: str = Field("", description="what is to be said of this request")


class PushPage(SearchedPage):
    data: list[PushOut]


class PushStory(PushOut):
    """One push with the order as it was handed over, and the answer."""

    model_config = example(
        {
            **_EXAMPLE,
            "order": {"id": "3f0c7a52", "total": "12.50"},
            "answer": {"status": 201, "order_number": "SO-4711"},
        }
    )

    order: Any
    answer: Any


@router.get("/pushes", response={200: PushPage, **ROW_PROBLEMS}, summary="List pushes")
def pushes(
    request: HttpRequest,
    status: Annotated[Literal["", "PENDING", "RETRYING", "SUCCESS", "FAILED"], Query()] = "",
    order: Annotated[str, Query(max_length=255, description="an order's id, or the idempotency key of a push")] = "",
    integration: UUID | None = None,
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List the pushes, newest first. Where a page is not full because only so many ids were looked at, `looked_at`
    says it, and `next` goes on from there."""
    if integration is not None:
        its = one(request, integration, Capability.VIEW_DELIVERIES)
        mine: QuerySet[Any] = TenantIntegration.objects.filter(pk=its.pk)
    else:
        mine = ERPConnection.objects.filter(tenant__in=allowed_tenants(request, Capability.VIEW_DELIVERIES))
    events = IntegrationEvent.objects.filter(tenant__in=caller_of(request).tenants())
    rows, is_sparse = pushes_through(mine, events, order)
    if status:
        rows, is_sparse = rows.filter(push_status=status), not order
    rows = _joined(rows).defer("event__body")
    return page_of(request, rows, _shown, limit=limit, before=before, is_sparse=is_sparse)


@router.get("/pushes/{int:pk}", response={200: PushStory, **ROW_PROBLEMS}, summary="Read one push", url_name="push")
def push(request: HttpRequest, pk: int) -> Any:
    """Return one push: the order as it was handed over, and what the ERP answered."""
    rows = ERPPushLog.objects.select_related("event")
    found = one_row(request, rows, pk, Capability.VIEW_DELIVERIES, of="integration")
    sent = found.request_json
    return {**_shown(found), "order": sent.get("order", sent), "answer": found.response_json}


@router.post(
    "/integrations/{uuid:public_id}/push",
    response={200: PushOut, 202: PushOut, **WRITE_PROBLEMS},
    summary="Push an order",
    openapi_extra=TAKES,
)
def push_order(request: HttpRequest, response: HttpResponse, public_id: UUID, data: PushRequest) -> Any:
    """Push an order to an ERP; 202 while it is not settled, and the header `Location` says where that is told. The same
    order and number are pushed once; one that failed and was changed since is pushed anew."""
    row, note, is_over = handing.hand_over(request, public_id, data)
    shown = {**_shown(_joined(ERPPushLog.objects.filter(pk=row.pk)).get()), "note": note}
    if is_over:
        return Status(200, shown)
    response["Location"] = reverse("integrations-api-v1:push", args=[row.pk])
    return Status(202, shown)


def _joined(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.select_related("event", "integration__tenant")


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row.pk,
        "tenant": tenant_shown(row.integration),
        "integration": row.integration.public_id,
        "integration_name": row.integration.name,
        "status": str(row.status),
        "order_id": row.draft_order_id,
        "error": row.error_message,
        "milliseconds": row.latency_ms,
        **{name: getattr(row, name) for name in ("idempotency_key", "retry_count", "created_at")},
    }
