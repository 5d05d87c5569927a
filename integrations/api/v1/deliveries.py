"""Deliveries: which ones, each with its attempts and exact requests, and what is done with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from integrations.api.caller import allowed_tenants, caller_of, one_row, tenant_shown
from integrations.audit.exchanges import exchanges_of, masked, secrets_of
from integrations.audit.models import ExecutionLog
from integrations.connections.models import TenantIntegration
from integrations.jobs import chosen
from integrations.outbox.filters import SyncFilter
from integrations.outbox.models import IntegrationSync
from integrations.outbox.search import scope_of, search
from integrations.tenancy.capabilities import Capability

from .document import INTEGRATION, WHEN, example
from .paging import Before, Limit, SearchedPage, next_url
from .problems import ROW_PROBLEMS, WRITE_PROBLEMS, Refused

router = Router(tags=["Deliveries"])
ATTEMPTS = 100  # of one delivery, the newest

_FILTERS = {
    "status": "one or several with commas: pending, retrying, synced, failed, cancelled, skipped",
    "response_status": "of the last answer: 404, a class such as 5xx, or none; several with commas",
    "error": "words of the last error, or of the reason for which it ended",
    "event_type": "one or several with commas",
    "object": "an id, a model with an id (tasks.workitem:42), or a webhook-id",
    "integration": "an integration's id",
    "tenant": "slug or id",
    "since": "recorded then or later: ISO 8601, or so long ago: 30m, 24h, 7d",
    "until": "recorded before that; the same",
}
# For the document: what is read is the query itself, which SyncFilter checks.
FILTER_PARAMETERS = {
    "parameters": [
        {"in": "query", "name": name, "required": False, "schema": {"type": "string"}, "description": words}
        for name, words in _FILTERS.items()
    ]
}


EVENT = {
    "id": 812,
    "webhook_id": "evt_1ce150b8a2f04f0d8a2e",
    "sequence": 812,
    "event_type": "workitem_created",
    "object": "tasks.workitem:42",
    "occurred_at": WHEN,
}
DELIVERY = {
    "id": 4711,
    "tenant": "acme-corp",
    "status": "pending",
    "attempts": 1,
    "response_status": 500,
    "last_error": "HTTP 500: Internal Server Error",
    "reason": "",
    "created_at": WHEN,
    "next_attempt_at": WHEN,
    "settled_at": None,
    "payload_version": 1,
    "event": EVENT,
    "integration": {"id": INTEGRATION, "name": "Our n8n", "connector_type": "webhook"},
}


class EventRef(Schema):
    """The event that is delivered."""

    model_config = example(EVENT)

    id: int
    webhook_id: str = Field(description="the same for every copy of it")
    sequence: int = Field(description="ascends for one object")
    event_type: str
    object: str = Field(description="tasks.workitem:42")
    occurred_at: datetime


class IntegrationRef(Schema):
    """The integration to which it is owed."""

    id: UUID
    name: str
    connector_type: str


class DeliveryOut(Schema):
    """One event that is owed to one integration."""

    model_config = example(DELIVERY)

    id: int
    tenant: str
    status: str
    attempts: int
    response_status: int | None
    last_error: str
    reason: str
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="null once it has ended")
    settled_at: datetime | None
    payload_version: int = Field(description="of the event's payload that it sends")
    event: EventRef
    integration: IntegrationRef


class DeliveryPage(SearchedPage):
    data: list[DeliveryOut]


class FileOut(Schema):
    """What was attached to a mail."""

    name: str
    content_type: str
    size: int = Field(description="bytes")


class ExchangeOut(Schema):
    """One request, mail or file as it went out, and its answer; secrets are masked."""

    protocol: str = Field(description="http, smtp, sftp or file; what is not http has no method and no status")
    envelope: list[tuple[str, str]] = Field(description="of a mail its sender and recipients, of a file its path")
    attachments: list[FileOut] = Field(description="of a mail")
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str | None
    status: int | None
    answer_headers: list[tuple[str, str]]
    answer: str
    error: str
    milliseconds: int | None


class AttemptOut(Schema):
    """One try, or what a person did with it."""

    number: int
    action: str
    at: datetime
    by: str
    response_status: int | None
    error: str
    milliseconds: int
    requests: list[ExchangeOut]


class DeliveryStory(DeliveryOut):
    """One delivery with everything that was tried."""

    model_config = example(
        {
            **DELIVERY,
            "log": [
                {
                    "number": 1,
                    "action": "deliver",
                    "at": WHEN,
                    "by": "",
                    "response_status": 500,
                    "error": "HTTP 500: Internal Server Error",
                    "milliseconds": 84,
                    "requests": [
                        {
                            "protocol": "http",
                            "envelope": [],
                            "attachments": [],
                            "method": "POST",
                            "url": "https://n8n.example.com/***",
                            "headers": [["content-type", "application/json"], ["webhook-signature", "***"]],
                            "body": '{"event_type": "workitem_created"}',
                            "status": 500,
                            "answer_headers": [["content-type", "text/plain"]],
                            "answer": "Internal Server Error",
                            "error": "",
                            "milliseconds": 83,
                        }
                    ],
                }
            ],
        }
    )

    log: list[AttemptOut] = Field(description="attempts and what people did, oldest first")


class DoneOut(Schema):
    """What was done: to how many, and in words."""

    model_config = example({"count": 1, "message": "1 delivery due now."})

    count: int
    message: str


@router.get(
    "",
    response={200: DeliveryPage, **ROW_PROBLEMS},
    summary="List deliveries",
    openapi_extra=FILTER_PARAMETERS,
)
def deliveries(request: HttpRequest, limit: Limit = 50, before: Before = None) -> Any:
    """List what the filters choose, newest first. No search reads the whole outbox: where a page is not full because
    only so many rows were looked at, `looked_at` says it, and `next` goes on from there."""
    which, errors = SyncFilter.from_query(request.GET)
    if errors:
        raise Refused(422, "wrong_filter", "Some filters are wrong.", errors)
    tenants = [tenant.pk for tenant in allowed_tenants(request, Capability.VIEW_DELIVERIES)]
    mine = TenantIntegration.objects.filter(tenant__in=tenants)
    visible = IntegrationSync.objects.filter(integration__tenant__in=tenants)
    visible = visible.select_related("event__content_type", "integration__tenant").defer("event__body", "older_body")
    found = search(which, visible, scope_of(which, mine, tenants), before=before, size=limit)
    return {
        "data": [shown(row) for row in found.rows],
        "next": next_url(request, found.older),
        "looked_at": found.looked_at,
    }


@router.get("/{int:pk}", response={200: DeliveryStory, **ROW_PROBLEMS}, summary="Read one delivery")
def delivery(request: HttpRequest, pk: int) -> Any:
    """Return one delivery with its attempts, each with the requests as they went out."""
    sync = _one(request, pk, Capability.VIEW_DELIVERIES)
    logs = list(ExecutionLog.objects.filter(sync=sync).order_by("-pk")[:ATTEMPTS])[::-1]
    exchanges, secrets = exchanges_of(logs, sync), secrets_of(sync.integration)
    return {
        **shown(sync),
        "log": [
            {
                "number": log.attempt,
                "action": log.action,
                "at": log.created_at,
                "by": log.actor,
                "response_status": log.response_status,
                "error": log.error,
                "milliseconds": log.duration_ms,
                "requests": [_exchange(masked(each, secrets)) for each in exchanges[log.pk]],
            }
            for log in logs
        ],
    }


def _act(name: str, capability: Capability, act: Any, words: str) -> None:
    @router.post(
        f"/{{int:pk}}/{name}",
        response={200: DoneOut, **WRITE_PROBLEMS},
        summary=f"{words} one delivery",
        operation_id=f"delivery_{name.replace('-', '_')}",
        description=f"{words} it: the same as on its page in the console.",
    )
    def view(request: HttpRequest, pk: int) -> Any:
        sync = _one(request, pk, capability)
        done = act(IntegrationSync.objects.filter(pk=sync.pk), actor=caller_of(request).name)
        if not done.count:
            raise Refused(409, "nothing_done", str(done))
        return {"count": done.count, "message": str(done)}


_act("retry", Capability.RETRY, chosen.retry, "Retry")
_act("replay", Capability.RETRY, chosen.replay, "Replay")
_act("send-anyway", Capability.RETRY, chosen.send_anyway, "Send anyway")
_act("cancel", Capability.CANCEL, chosen.cancel, "Cancel")


def _one(request: HttpRequest, pk: int, capability: Capability) -> IntegrationSync:
    rows = IntegrationSync.objects.select_related("event__content_type")
    sync: IntegrationSync = one_row(request, rows, pk, capability, of="integration")
    return sync


def shown(sync: IntegrationSync) -> dict[str, Any]:
    """Return `sync` as DeliveryOut; needs event, content type, integration and tenant joined."""
    integration, event = sync.integration, sync.event
    is_pending = sync.status == IntegrationSync.Status.PENDING
    return {
        "id": sync.pk,
        "tenant": tenant_shown(integration),
        "status": sync.status,
        "attempts": sync.attempts,
        "response_status": sync.response_status,
        "last_error": sync.last_error,
        "reason": sync.reason,
        "created_at": sync.created_at,
        "next_attempt_at": sync.next_attempt_at if is_pending else None,
        "settled_at": sync.settled_at,
        "payload_version": sync.version,
        "event": event_ref(event),
        "integration": {
            "id": integration.public_id,
            "name": integration.name,
            "connector_type": integration.integration_type,
        },
    }


def event_ref(event: Any) -> dict[str, Any]:
    """Return `event` as EventRef; needs its content type joined."""
    kind = event.content_type
    return {
        "id": event.pk,
        "webhook_id": event.idempotency_key,
        "sequence": event.pk,
        "event_type": event.event_type,
        "object": f"{kind.app_label}.{kind.model}:{event.object_id}",
        "occurred_at": event.occurred_at,
    }


def _exchange(each: Any) -> dict[str, Any]:
    return {
        "protocol": each.protocol,
        "envelope": each.envelope,
        "attachments": [{"name": f.name, "content_type": f.content_type, "size": f.size} for f in each.files],
        "method": each.method,
        "url": each.url,
        "headers": each.head,
        "body": each.body,
        "status": each.status,
        "answer_headers": each.answer_head,
        "answer": each.answer,
        "error": each.error,
        "milliseconds": each.ms,
    }
