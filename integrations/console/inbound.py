"""Inbound: what providers told us, whether it was theirs, what it did here; and process it again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.keyset import chosen, listing
from integrations.console.one_integration import may_act_on, require_use
from integrations.console.page import page, show
from integrations.inbound import by_hand
from integrations.inbound.actions import action_named
from integrations.inbound.models import WebhookEvent
from integrations.pages.display import inbound_badge, inbound_story, switched_off
from integrations.pages.received import shown_body, shown_headers, shown_json
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless

REJECTED = "rejected"
STATES = ("received", "processed", "failed", REJECTED, "duplicate")
LABELS = (
    gettext_noop("Received"),
    gettext_noop("Processed"),
    gettext_noop("Failed"),
    gettext_noop("Rejected"),
    gettext_noop("Duplicate"),
)
OFFERED = 500  # integrations in the filter
HEAVY = ("body", "payload", "headers")
PATH = "connection__tenant"

Status = WebhookEvent.Status


@page(Capability.VIEW_DELIVERIES)
def inbound(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what came, newest first."""
    state = chosen(request, "state", STATES)
    key = request.GET.get("key", "").strip()[:255]
    senders = _senders(access)
    sender = chosen(request, "integration", [str(each.public_id) for each in senders])
    rows = access.rows(WebhookEvent.objects.all(), PATH)
    if state == REJECTED:
        rows = rows.filter(signature_valid=False)
    elif state:
        states = [Status.RECEIVED, Status.PROCESSING] if state == "received" else [state]
        rows = rows.filter(signature_valid=True, status__in=states)
    if sender:
        rows = rows.filter(connection=next(each.pk for each in senders if str(each.public_id) == sender))
    if key:
        rows = by_hand.find(rows, key)
    found = listing(request, rows.select_related("connection__tenant").defer(*HEAVY))
    for event in found.rows:
        _tell(event)
    context = {
        "page": found,
        "states": [(name, _(name.capitalize())) for name in STATES],
        "state": state,
        "senders": senders,
        "sender": sender,
        "key": key,
        "is_filtered": bool(state or sender or key),
    }
    return show(request, access, "inbound.html", context)


@page(Capability.VIEW_DELIVERIES)
def inbound_event(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show one: what came, its signature, what it did here or why not, and what may be done about it."""
    event = _one(access, pk)
    _tell(event)
    secrets = by_hand.secrets_of(event)
    sender = event.connection
    may_act = sender is not None and access.may(Capability.PULL, sender.tenant_id) and may_act_on(access, sender)
    context = {
        "event": event,
        "payload": shown_json(event.payload, secrets),
        "headers": shown_headers(event.headers, secrets),
        "body": shown_body(event.body, secrets),
        "its_id": event.idempotency_key.partition(":")[2] or event.idempotency_key,
        "deed": _deed(event),
        "button": _button(event),
        "may_act": may_act,
        "off": switched_off(event) if event.next_attempt_at is not None else "",
    }
    return show(request, access, "inbound_event.html", context)


@page(Capability.VIEW_DELIVERIES, is_button=True)
def process_again(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Have a worker look at it once more: what failed or waits, or with ``replay`` what was processed."""
    event = _one(access, pk)
    tenant = event.connection.tenant_id if event.connection is not None else None
    access.require(Capability.PULL, tenant)
    if event.connection is not None:
        require_use(access, event.connection)
    act = by_hand.replay if event.status == Status.PROCESSED and "replay" in request.POST else by_hand.process_again
    done = act(WebhookEvent.objects.filter(pk=pk), lambda row: True)
    messages.add_message(request, messages.SUCCESS if done.count else messages.WARNING, str(done))
    return redirect("console:inbound-event", pk)


def _one(access: Access, pk: int) -> Any:
    rows: QuerySet[Any] = WebhookEvent.objects.select_related("connection__tenant")
    return access.one(rows, PATH, pk=pk)


def _senders(access: Access) -> list[TenantIntegration]:
    """Return the integrations that the filter offers: none where they would be those of all tenants."""
    if access.tenant is None:
        return []
    mine = TenantIntegration.objects.filter(tenant=access.tenant).only("public_id", "name", "tenant")
    return list(mine.order_by("name", "id")[:OFFERED])


def _tell(event: Any) -> None:
    event.badge, event.story = inbound_badge(event), inbound_story(event)
    event.what = harmless(event.event_type) or harmless(event.action) or "–"
    event.said, event.called = harmless(event.error), harmless(event.action)


def _deed(event: Any) -> str:
    """Say in a sentence what this webhook did, or was meant to do."""
    action = action_named(event.action)
    what = f"“{_(action.label)}”" if action is not None else ""
    if not event.signature_valid:
        return _("Nothing: it did not prove where it came from, so it was refused (401) and kept only to be seen.")
    if event.status == Status.DUPLICATE:
        return _("Nothing: it repeats one that came before.")
    if event.status == Status.PROCESSED:
        return (
            _("The action {what} was done.").format(what=what)
            if what
            else _("The application's own receivers were told of it.")
        )
    return (
        _("It asks for {what}.").format(what=what)
        if what
        else _("The application's own receivers are to be told of it.")
    )


def _button(event: Any) -> str:
    """Return what a person may have done with it: "again", "replay", "" for nothing."""
    if not event.signature_valid or event.status in (Status.DUPLICATE, Status.PROCESSING):
        return ""
    if event.status == Status.PROCESSED:
        return "replay"
    return "" if event.next_attempt_at is not None and switched_off(event) else "again"
