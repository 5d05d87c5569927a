"""One object: its events, its deliveries with what kept others out, and its notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse

from integrations.audit.notes import WrittenNote, notes_on, tells_of
from integrations.audit.why_not import why_not
from integrations.console.access import Access
from integrations.console.changes import name_actors
from integrations.console.objects import name_objects
from integrations.console.page import page, show
from integrations.database.stretches import MAX_KEY
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.pages.display import Badge, sync_badge, sync_story
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless

EVENTS = 20  # of the newest
NOTES = 50

Status = IntegrationSync.Status


@page(Capability.VIEW_DELIVERIES)
def business_object(request: HttpRequest, access: Access, content_type: int, object_id: str) -> HttpResponse:
    """Show what happened to one object and what became of it."""
    rows = access.visible(IntegrationEvent.objects.select_related("tenant", "origin"))
    if content_type > MAX_KEY:
        raise Http404
    of_it = rows.filter(content_type=content_type, object_id=object_id)
    events = list(of_it.order_by("-pk")[: EVENTS + 1])
    if not events:
        raise Http404
    tenant = events[0].tenant
    events, has_more = [event for event in events[:EVENTS] if event.tenant_id == tenant.pk], len(events) > EVENTS
    name_objects(access, events)
    name_actors(events)
    syncs = IntegrationSync.objects.filter(event__in=[event.pk for event in events], integration__tenant=tenant.pk)
    owed: dict[int, list[IntegrationSync]] = {event.pk: [] for event in events}
    syncs = syncs.select_related("integration__lane", "event").order_by("-pk")
    for sync in syncs.defer("event__body", "payload", "older_body", "progress"):
        sync.badge, sync.waits = sync_badge(sync), sync_story(sync)  # type: ignore[attr-defined]
        owed[sync.event_id].append(sync)
    found = notes_on(content_type, tenant.pk, object_id, NOTES + 1)
    context = {
        "event": events[0],
        "tenant": tenant,
        "events": [(event, owed[event.pk]) for event in events],
        "has_more": has_more,
        "answer": _answer([sync for one in owed.values() for sync in one]),
        "others": why_not(events[0]),
        "receipts": [(_shown(note), _told_of(note, owed.values())) for note in found[:NOTES] if note.is_receipt],
        "notes": [_shown(note) for note in found[:NOTES] if not note.is_receipt],
        "has_more_notes": len(found) > NOTES,
        "content_type": content_type,
        "object_id": object_id,
        "may_retry": access.may(Capability.RETRY, tenant.pk),
    }
    return show(request, access, "object.html", context)


def _shown(note: WrittenNote) -> WrittenNote:
    """Return `note` for the page: what nobody of ours wrote must not rearrange it."""
    return note if note.author else replace(note, text=harmless(note.text))


def _told_of(note: WrittenNote, owed: Iterable[list[IntegrationSync]]) -> IntegrationSync | None:
    """Return the delivery that a receipt tells of."""
    return next((sync for syncs in owed for sync in syncs if tells_of(note, sync)), None)


def _answer(syncs: list[IntegrationSync]) -> list[Badge]:
    """Return the newest state at each integration, counted: the answer to "did it arrive?"."""
    newest: dict[int, IntegrationSync] = {}
    for sync in sorted(syncs, key=lambda each: each.event_id):
        if sync.status not in (Status.SKIPPED, Status.CANCELLED) or sync.integration_id not in newest:
            newest[sync.integration_id] = sync
    counts = Counter((sync_badge(sync).kind, str(sync.get_status_display())) for sync in newest.values())
    return [Badge(kind, f"{label} × {number}" if number > 1 else label) for (kind, label), number in counts.items()]
