"""Pushes: orders that were handed to an ERP while somebody waited, and what the ERP said."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse

from integrations.console.access import Access
from integrations.console.keyset import chosen, listing
from integrations.console.page import page, show
from integrations.erp.connection import ERPConnection
from integrations.erp.push_log import ERPPushLog, pushes_through
from integrations.outbox.models import IntegrationEvent
from integrations.pages.display import Badge, Kind, sync_story
from integrations.tenancy.capabilities import Capability

PATH = "integration__tenant"
_KINDS: dict[str, Kind] = {"SUCCESS": "ok", "FAILED": "bad", "PENDING": "warn", "RETRYING": "warn"}


@page(Capability.VIEW_DELIVERIES)
def pushes(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the pushes, newest first."""
    state = chosen(request, "state", ERPPushLog.Status.values)
    term = request.GET.get("order", "").strip()[:255]
    mine, events = access.rows(ERPConnection.objects.all()), access.rows(IntegrationEvent.objects.all())
    rows, is_sparse = pushes_through(mine, events, term)
    if state:
        rows, is_sparse = rows.filter(push_status=state), not term
    rows = rows.select_related("integration__tenant", "integration__lane").defer("event__body", "older_body")
    found = listing(request, rows, is_sparse=is_sparse)
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
