"""Inbound webhooks: what providers sent, whether it was theirs, what it did here; process it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.caller import one_row, rows_of
from integrations.inbound import by_hand
from integrations.inbound.models import WebhookEvent
from integrations.pages.received import masked_body, masked_headers, masked_value
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless

from .deliveries import DoneOut
from .document import INTEGRATION, WHEN, example
from .paging import Before, Limit, SearchedPage, page_of
from .problems import ROW_PROBLEMS, WRITE_PROBLEMS, Refused

router = Router(tags=["Inbound"])
_EXAMPLE = {
    "id": 31,
    "integration": INTEGRATION,
    "integration_name": "Our n8n",
    "action": "workitem-note",
    "event_type": "",
    "status": "processed",
    "is_signature_valid": True,
    "error": "",
    "received_at": WHEN,
    "processed_at": WHEN,
}


class InboundOut(Schema):
    """One webhook of a provider."""

    model_config = example(_EXAMPLE)

    id: int
    integration: UUID
    integration_name: str
    action: str
    event_type: str = Field(description="as the provider calls it")
    status: str = Field(description="received, processing, processed, failed, duplicate")
    is_signature_valid: bool = Field(description="false: it was refused (401), and is kept only to be seen")
    error: str
    received_at: datetime
    processed_at: datetime | None


class InboundPage(SearchedPage):
    data: list[InboundOut]


class InboundStory(InboundOut):
    """One webhook of a provider as it came; secrets are masked."""

    model_config = example(
        {
            **_EXAMPLE,
            "attempts": 1,
            "headers": {"content-type": "application/json"},
            "payload": {"workitem": {"id": 123}, "text": "Customer informed"},
            "body": '{"workitem": {"id": 123}, "text": "Customer informed"}',
        }
    )

    attempts: int
    headers: dict[str, str]
    payload: Any = Field(description="the JSON that was read of it, null if none was")
    body: str = Field(description="the bytes as text, cut where they are many")


@router.get("", response={200: InboundPage, **ROW_PROBLEMS}, summary="List webhooks of providers")
def inbound(
    request: HttpRequest,
    status: Annotated[
        Literal["", "received", "processing", "processed", "failed", "duplicate", "rejected"],
        Query(description="rejected: those whose signature was wrong"),
    ] = "",
    integration: UUID | None = None,
    key: Annotated[str, Query(max_length=255, description="the provider's id of it")] = "",
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List what providers sent, newest first. Where a page is not full because only so many ids were looked at,
    `looked_at` says it, and `next` goes on from there."""
    rows = rows_of(request, WebhookEvent, integration, Capability.VIEW_DELIVERIES)
    if status:
        is_rejected = status == "rejected"
        rows = rows.filter(signature_valid=not is_rejected)
        rows = rows if is_rejected else rows.filter(status=status)
    rows = by_hand.find(rows, key).select_related("connection").defer("body", "payload", "headers")
    is_sparse = bool(status or key or integration is None)  # an index has those of one integration in this order
    return page_of(request, rows, _shown, limit=limit, before=before, is_sparse=is_sparse)


@router.get("/{int:pk}", response={200: InboundStory, **ROW_PROBLEMS}, summary="Read one webhook of a provider")
def inbound_webhook(request: HttpRequest, pk: int) -> Any:
    """Return one, as it came: headers, payload and body, secrets masked."""
    event = one_row(request, WebhookEvent.objects.all(), pk, Capability.VIEW_DELIVERIES, of="connection")
    secrets = by_hand.secrets_of(event)
    return {
        **_shown(event),
        "attempts": event.attempts,
        "headers": masked_headers(event.headers, secrets),
        "payload": masked_value(event.payload, secrets),
        "body": masked_body(event.body, secrets),
    }


def _act(name: str, act: Any, summary: str, words: str) -> None:
    @router.post(
        f"/{{int:pk}}/{name}",
        response={200: DoneOut, **WRITE_PROBLEMS},
        summary=summary,
        operation_id=f"inbound_{name.replace('-', '_')}",
        description=words,
    )
    def view(request: HttpRequest, pk: int) -> Any:
        event = one_row(request, WebhookEvent.objects.all(), pk, Capability.PULL, of="connection")
        done = act(WebhookEvent.objects.filter(pk=event.pk), lambda row: True)
        if not done.count:
            raise Refused(409, "nothing_done", str(done))
        return {"count": done.count, "message": str(done)}


_act(
    "process-again",
    by_hand.process_again,
    "Process one webhook again",
    "Have a worker look once more at one that failed or waits.",
)
_act(
    "replay",
    by_hand.replay,
    "Process one webhook once more",
    "Have a worker do once more what one brought about that was processed: it happens again.",
)


def _shown(event: Any) -> dict[str, Any]:
    return {
        "id": event.pk,
        "integration": event.connection.public_id,
        "integration_name": event.connection.name,
        "is_signature_valid": event.signature_valid,
        "error": harmless(event.error),
        "event_type": harmless(event.event_type),
        **{name: getattr(event, name) for name in ("action", "status", "received_at", "processed_at")},
    }
