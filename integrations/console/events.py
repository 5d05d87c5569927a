"""Events: what happened to which object, and to whom it was owed."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse

from integrations.audit.why_not import why_not
from integrations.connections import event_types
from integrations.console.access import Access
from integrations.console.changes import changes_of, name_actors
from integrations.console.keyset import chosen, listing
from integrations.console.objects import name_objects
from integrations.console.page import page, show
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.outbox.search import find_events
from integrations.pages.display import sync_badge, sync_story
from integrations.tenancy.capabilities import Capability

MOST_OWED = 100  # deliveries of one event on its page
OTHERS = 10  # events of the same object on it


@page(Capability.VIEW_DELIVERIES)
def events(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what happened, newest first."""
    kinds = event_types.recorded()
    kind = chosen(request, "type", [name for name, _ in kinds])
    obj, key = request.GET.get("object", "").strip()[:255], request.GET.get("key", "").strip()[:255]
    rows = access.rows(IntegrationEvent.objects.select_related("tenant", "origin")).defer("body")
    rows, is_sparse = find_events(rows, event_type=kind, object_id=obj, key=key)
    found = listing(request, rows, is_sparse=is_sparse)
    name_objects(access, found.rows)
    _count_owed(found.rows)
    filters = {"kinds": kinds, "kind": kind, "object": obj, "key": key, "is_filtered": bool(kind or obj or key)}
    return show(request, access, "events.html", {"page": found, **filters})


def _count_owed(rows: list[IntegrationEvent]) -> None:
    """Set ``event.owed``: the states of its deliveries, with how many are in each."""
    counts: dict[int, dict[str, int]] = {}
    syncs = IntegrationSync.objects.filter(event__in=[event.pk for event in rows]).order_by()
    for event_id, status in syncs.values_list("event", "status"):
        mine = counts.setdefault(event_id, {})
        mine[status] = mine.get(status, 0) + 1
    labels = dict(IntegrationSync.Status.choices)
    for event in rows:
        found = counts.get(event.pk, {})
        event.owed = [(status, labels[status], number) for status, number in found.items()]  # type: ignore[attr-defined]


@page(Capability.VIEW_DELIVERIES)
def event(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show one event: what was recorded, to whom it was owed and what came of it, and why nobody else got it."""
    rows = IntegrationEvent.objects.select_related("tenant", "origin")
    found: IntegrationEvent = access.one(rows, pk=pk)
    name_objects(access, [found])
    name_actors([found])
    owed = list(found.syncs.select_related("integration__lane").order_by("pk")[: MOST_OWED + 1])
    has_more = len(owed) > MOST_OWED
    for sync in owed:
        sync.badge, sync.waits = sync_badge(sync), sync_story(sync)  # type: ignore[attr-defined]
    same = IntegrationEvent.objects.filter(
        tenant=found.tenant_id, content_type=found.content_type_id, object_id=found.object_id
    ).defer("body")
    neighbours = [
        *reversed(same.filter(pk__gt=found.pk).order_by("pk")[: OTHERS // 2]),
        *same.filter(pk__lt=found.pk).order_by("-pk")[: OTHERS // 2],
    ]
    body = json.loads(found.body)
    context = {
        "event": found,
        "owed": owed[:MOST_OWED],
        "has_more": has_more,
        "changes": changes_of(found),
        "body": json.dumps(body, indent=2, ensure_ascii=False),
        "neighbours": neighbours,
        "left_out": why_not(found, have=None if has_more else [sync.integration_id for sync in owed]),
    }
    return show(request, access, "event.html", context)
