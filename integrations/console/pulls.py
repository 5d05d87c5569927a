"""Pulls: what is fetched from providers, how far, when next, what went wrong; pull now, start over."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from integrations.console.access import Access
from integrations.console.keyset import chosen, listing
from integrations.console.objects import page_of
from integrations.console.one_integration import may_act_on, require_use
from integrations.console.page import page, show
from integrations.pages.display import every, next_pull, pull_badge
from integrations.pull import by_hand
from integrations.pull.by_hand import is_leased
from integrations.pull.handlers import handler_for
from integrations.pull.models import SyncState
from integrations.pull.run import may_pull
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless
from integrations.tenancy.roles import Role

PATH = "connection__tenant"
CURSOR_SHOWN = 16


@page(Capability.VIEW_DELIVERIES)
def pulls(request: HttpRequest, access: Access) -> HttpResponse:
    """Show what is fetched, from where and how often."""
    state = chosen(request, "state", SyncState.Status.values)
    rows = access.rows(SyncState.objects.select_related("connection__tenant"), PATH)
    found = listing(request, rows.filter(status=state) if state else rows)
    for each in found.rows:
        _tell(each)
    context = {"page": found, "states": SyncState.Status.choices, "state": state, "is_filtered": bool(state)}
    return show(request, access, "pulls.html", context)


@page(Capability.VIEW_DELIVERIES)
def pull(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show one: who takes what is fetched, how far it is, what went wrong and what comes next."""
    state: Any = access.one(SyncState.objects.select_related("connection__tenant"), PATH, pk=pk)
    _tell(state)
    is_usable = may_act_on(access, state.connection)
    handler = handler_for(state.connection, state.resource_type)
    context = {
        "state": state,
        "handler": f"{handler.__module__}.{getattr(handler, '__qualname__', '')}" if handler else "",
        "cursor": harmless(state.cursor[:CURSOR_SHOWN]),
        "cursor_rest": max(0, len(state.cursor) - CURSOR_SHOWN),
        "is_reading": is_leased(state),
        "may_act": is_usable and access.may(Capability.PULL, state.connection.tenant_id),
        "may_start_over": is_usable and access.may(Role.MANAGER, state.connection.tenant_id),
        "why_not": _why_not(state),
        "edit_url": page_of(access, state),
    }
    return show(request, access, "pull.html", context)


@page(Capability.VIEW_DELIVERIES, is_button=True)
def pull_act(request: HttpRequest, access: Access, pk: int, act: str) -> HttpResponse:
    """Ask a worker to go on from the cursor (``now``), or to forget it and read everything again (``again``)."""
    state: Any = access.one(SyncState.objects.select_related("connection__tenant"), PATH, pk=pk)
    access.require(Capability.PULL if act == "now" else Role.MANAGER, state.connection.tenant_id)
    require_use(access, state.connection)
    ask = by_hand.pull_now if act == "now" else by_hand.start_over
    for is_good, words in ask(SyncState.objects.filter(pk=pk), lambda row: True).messages():
        messages.add_message(request, messages.SUCCESS if is_good else messages.WARNING, words)
    return redirect("console:pull", pk)


def _tell(state: Any) -> None:
    state.badge, state.every, state.resource = (
        pull_badge(state),
        every(state.interval_minutes),
        harmless(state.resource_type),
    )
    state.next = next_pull(state) if state.has_taker else _("never")
    state.said = harmless(state.last_error) if state.error_count else ""


def _why_not(state: Any) -> str:
    """Say what keeps it from being pulled, in words for who cannot read a log; "" if nothing does."""
    connection = state.connection
    if not connection.is_active:
        return _("{name} is switched off. Activate it, and what came meanwhile is fetched.").format(
            name=connection.name
        )
    if not connection.is_enabled:
        why = connection.disabled_reason or _("its provider refuses us.")
        return _("{name} is disabled: {why}").format(name=connection.name, why=why)
    if not may_pull(connection):
        return _("{name} has not passed a test yet, or its last one failed. Check the connection there.").format(
            name=connection.name
        )
    if not state.has_taker:
        return _(
            "Nothing in this product takes the {resource_type} of {name} yet, so they are not fetched: "
            "nothing is lost, they wait at the provider. Ask the people who run the product."
        ).format(resource_type=harmless(state.resource_type), name=connection.name)
    if state.is_given_up:
        return _("It was given up, because its worker died each time. “Pull now” tries once more, alone.")
    return ""
