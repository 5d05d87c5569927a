"""Event types with their schemas, and events with whom they were owed to."""

from __future__ import annotations

import json
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.caller import allowed_tenants, one_row, tenant_shown
from integrations.audit.why_not import why_not
from integrations.catalogue.entries import entries, entry
from integrations.outbox.models import IntegrationEvent
from integrations.outbox.search import find_events
from integrations.tenancy.capabilities import Capability

from .deliveries import DELIVERY, EVENT, DeliveryOut, EventRef, event_ref, shown
from .document import example
from .paging import Before, Limit, Page, SearchedPage, page_of
from .problems import PROBLEMS, ROW_PROBLEMS

router = Router(tags=["Events"])
OWED = 200  # deliveries that one event shows


class OlderVersionOut(Schema):
    """An older version of a payload, which subscriptions that have it still get."""

    version: int
    payload_schema: dict[str, Any] = Field(description="JSON Schema of the body")
    example: dict[str, Any] | None
    changes: list[str] = Field(description="what the next newer version changed, a sentence for each place")


class EventTypeOut(Schema):
    """One event type of the catalogue."""

    model_config = example(
        {
            "name": "workitem_created",
            "title": "Work item created",
            "when": "A work item was created.",
            "payload_schema": {"type": "object"},
            "example": {"event_type": "workitem_created"},
            "is_on_request": False,
            "version": 1,
            "older": [],
        }
    )

    name: str
    title: str
    when: str
    payload_schema: dict[str, Any] = Field(description="JSON Schema of the body")
    example: dict[str, Any] | None
    is_on_request: bool = Field(description="nobody subscribes to it; a backfill sends it")
    version: int = Field(description="of the payload that schema and example are of: the newest")
    older: list[OlderVersionOut] = Field(description="the older versions that are still made, the newest first")


class EventTypePage(Page):
    data: list[EventTypeOut]


class EventPage(SearchedPage):
    data: list[EventRef]


class NotOwed(Schema):
    """An integration that got nothing of an event, and why."""

    integration: str
    why: str


class EventOut(EventRef):
    """One event with its payload, to whom it is owed, and why others got nothing."""

    model_config = example(
        {
            **EVENT,
            "tenant": "acme-corp",
            "payload": {"event_type": "workitem_created", "workitem": {"id": 42}},
            "payload_version": 1,
            "deliveries": [DELIVERY],
            "not_owed": [{"integration": "Slack", "why": "It does not want this event type."}],
        }
    )

    tenant: str
    payload: Any = Field(description="the body that is sent, unless a subscription makes its own of it")
    payload_version: int = Field(description="of that payload; a subscription may have an older one")
    deliveries: list[DeliveryOut]
    not_owed: list[NotOwed]


@router.get("/event-types", response={200: EventTypePage, **PROBLEMS}, summary="List event types")
def event_types(request: HttpRequest) -> Any:
    """List what can happen, with the JSON Schema of each payload; all of it on one page."""
    allowed_tenants(request, Capability.VIEW)
    return {"data": [_type(each) for each in entries()], "next": None}


@router.get("/event-types/{name}", response={200: EventTypeOut, **ROW_PROBLEMS}, summary="Read one event type")
def event_type(request: HttpRequest, name: str) -> Any:
    """Return one event type."""
    allowed_tenants(request, Capability.VIEW)
    found = entry(name)
    if found is None:
        raise Http404
    return _type(found)


@router.get("/events", response={200: EventPage, **PROBLEMS}, summary="List events")
def events(
    request: HttpRequest,
    event_type: Annotated[str, Query(max_length=100)] = "",
    object: Annotated[str, Query(max_length=255, description="the id of what it happened to")] = "",
    webhook_id: Annotated[str, Query(max_length=255, description="as the header webhook-id had it")] = "",
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List what happened, newest first. Where a page is not full because only so many ids were looked at, `looked_at`
    says it, and `next` goes on from there."""
    tenants = [tenant.pk for tenant in allowed_tenants(request, Capability.VIEW_DELIVERIES)]
    rows = IntegrationEvent.objects.filter(tenant__in=tenants).select_related("content_type").defer("body")
    rows, is_sparse = find_events(rows, event_type=event_type, object_id=object, key=webhook_id)
    return page_of(request, rows, event_ref, limit=limit, before=before, is_sparse=is_sparse)


@router.get("/events/{int:pk}", response={200: EventOut, **ROW_PROBLEMS}, summary="Read one event")
def event(request: HttpRequest, pk: int) -> Any:
    """Return one event: its payload, to whom it is owed and what became of it, and why others got nothing."""
    rows = IntegrationEvent.objects.select_related("content_type")
    found = one_row(request, rows, pk, Capability.VIEW_DELIVERIES)
    syncs = found.syncs.select_related("event__content_type", "integration__tenant").defer("event__body", "older_body")
    return {
        **event_ref(found),
        "tenant": tenant_shown(found),
        "payload": json.loads(found.body),
        "payload_version": found.payload_version,
        "deliveries": [shown(each) for each in syncs.order_by("pk")[:OWED]],
        "not_owed": [{"integration": each.integration.name, "why": each.sentence} for each in why_not(found)],
    }


def _type(each: Any) -> dict[str, Any]:
    found = each.as_json()
    found["payload_schema"] = found.pop("schema")
    found["older"] = [{**older, "payload_schema": older["schema"]} for older in found["older"]]
    return found
