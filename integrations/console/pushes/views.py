"""Pushes: orders that were handed to an ERP while somebody waited, and what the ERP said."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse

from integrations.console.access import Access
from integrations.console.keyset import SIZE, chosen, listing
from integrations.console.page import page, show
from integrations.erp.connection import ERPConnection
from integrations.erp.push_log import ERPPushLog
from integrations.outbox.models import IntegrationEvent
from integrations.pages.display import Badge, Kind, sync_story
from integrations.tenancy.capabilities import Capability

PATH = "integration__tenant"
MOST_CONNECTIONS = 1000  # SQLite takes no more parameters in some of its versions
_KINDS: dict[str, Kind] = {"SUCCESS": "ok", "FAILED": "bad", "PENDING": "warn", "RETRYING": "warn"}


@page(Capability.VIEW_DELIVERIES)
def pushes(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the pushes, newest first."""
    state = chosen(request, "state", ERPPushLog.Status.values)
    term = request.GET.get("order", "").strip()[:255]
    # Ids as plain numbers: an index of each finds its rows, however many those of other integrations are.
    mine = access.rows(ERPConnection.objects.order_by(), "tenant").values_list("pk", flat=True)[:MOST_CONNECTIONS]
    rows = ERPPushLog.objects.select_related("integration__tenant", "integration__lane").filter(
        integration__in=list(mine)
    )
    rows = rows.defer("event__body", "older_body")
    if term:
        rows = rows.filter(event__in=_events_of(term))
    if state:
        rows = rows.filter(push_status=state)
    found = listing(request, rows, is_sparse=not term and len(mine) > 1)
    for each in found.rows:
        _tell(each)
    context = {
        "page": found,
        "states": ERPPushLog.Status.choices,
        "state": state,
        "order": term,
        "is_filtered": bool(state or term),
    }
    return show(request, access, "pushes.html", context)


def _events_of(term: str) -> list[int]:
    """Return the pushes of an order, or the one of an idempotency key: each is found by an index."""
    kinds = list(ContentType.objects.values_list("pk", flat=True))
    of_order = IntegrationEvent.objects.filter(content_type__in=kinds, object_id=term).order_by("-pk")
    of_key = IntegrationEvent.objects.filter(idempotency_key=term)
    return [*of_order.values_list("pk", flat=True)[:SIZE], *of_key.values_list("pk", flat=True)]


def _tell(found: Any) -> None:
    found.badge = Badge(_KINDS[found.status], str(ERPPushLog.Status(found.status).label), found.reason)
    found.waits = sync_story(found) if found.status in ("PENDING", "RETRYING") else ""


@page(Capability.VIEW_DELIVERIES)
def push(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show one: the order as it was handed over, and what the ERP answered to each attempt."""
    found: Any = access.one(ERPPushLog.objects.select_related("integration__tenant", "integration__lane"), PATH, pk=pk)
    _tell(found)
    context = {
        "push": found,
        "request_json": json.dumps(found.request_json.get("order", found.request_json), indent=2, ensure_ascii=False),
        "response_json": json.dumps(found.response_json, indent=2, ensure_ascii=False) if found.response_json else "",
        "attempts": list(found.logs.filter(action="deliver").order_by("id")[:100]),
    }
    return show(request, access, "push.html", context)
