"""What came in: webhooks of providers, and pulls by cursor."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from integrations.api.scope import allowed_tenants
from integrations.inbound.models import WebhookEvent
from integrations.pull.models import SyncState
from integrations.tenancy.capabilities import Capability

from .paging import Before, Limit, Page, page_of
from .problems import PROBLEMS

router = Router(tags=["Inbound and pulls"])


class InboundOut(Schema):
    """One webhook of a provider."""

    id: int
    integration: UUID
    integration_name: str
    action: str
    status: str
    error: str
    received_at: datetime
    processed_at: datetime | None


class InboundPage(Page):
    data: list[InboundOut]


class PullOut(Schema):
    """What is pulled from one integration, of one kind of thing, and how far it is."""

    id: int
    integration: UUID
    integration_name: str
    resource_type: str
    status: str
    cursor: str
    last_error: str
    last_sync_at: datetime | None
    next_sync_at: datetime | None = Field(description="null: only when somebody asks")


class PullPage(Page):
    data: list[PullOut]


@router.get("/inbound", response={200: InboundPage, **PROBLEMS}, summary="List webhooks of providers")
def inbound(request: HttpRequest, limit: Limit = 50, before: Before = None) -> Any:
    """List what providers sent, newest first."""
    tenants = allowed_tenants(request, Capability.VIEW_DELIVERIES)
    rows = WebhookEvent.objects.filter(connection__tenant__in=tenants).select_related("connection").defer("body")
    return page_of(request, rows, _inbound, limit=limit, before=before)


@router.get("/pulls", response={200: PullPage, **PROBLEMS}, summary="List pulls")
def pulls(request: HttpRequest, limit: Limit = 50, before: Before = None) -> Any:
    """List what is pulled, newest first."""
    tenants = allowed_tenants(request, Capability.VIEW_DELIVERIES)
    rows = SyncState.objects.filter(connection__tenant__in=tenants).select_related("connection")
    return page_of(request, rows, _pull, limit=limit, before=before)


def _inbound(event: WebhookEvent) -> dict[str, Any]:
    names = ("action", "status", "error", "received_at", "processed_at")
    return {"id": event.pk, **_of(event.connection), **{name: getattr(event, name) for name in names}}


def _pull(state: SyncState) -> dict[str, Any]:
    names = ("resource_type", "status", "cursor", "last_error", "last_sync_at", "next_sync_at")
    return {"id": state.pk, **_of(state.connection), **{name: getattr(state, name) for name in names}}


def _of(connection: Any) -> dict[str, Any]:
    return {"integration": connection.public_id, "integration_name": connection.name}
