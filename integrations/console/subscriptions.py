"""The tab *Events* of an integration: what it wants, under which condition, and what is sent then.

integrations/<id>/events/                 all event types, ticked or not
integrations/<id>/events/<type>/          one of them: condition and payload, with the fields there are
integrations/<id>/events/<type>/try/      the same tried on the last events, while somebody types (htmx)
"""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from integrations.catalogue.entries import changes_between
from integrations.connections.event_types import choices, nearest_version, newest_version, offered_to, versions
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.offered_fields import offered_fields
from integrations.console.access import Access
from integrations.console.one_integration import integration_of
from integrations.console.page import page, show
from integrations.console.workbench.actions import require
from integrations.console.workbench.bench import open_bench
from integrations.forms.choice import connector_of
from integrations.services.subscription_trial import EventsToTry, events_to_try, samples, try_subscription
from integrations.tenancy.capabilities import Capability

STALE = gettext_lazy(
    "Somebody else changed the events after you opened the page, so nothing was saved: this is how they are now."
)
LONGEST = 20_000  # characters that are read of one field; the checks say what is too long


@require_http_methods(["GET", "POST"])
@page(Capability.VIEW)
def subscriptions(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show what it wants; let a manager tick more or less. What stays keeps its condition and payload."""
    bench = open_bench(access, public_id, "events")
    integration, problem = bench.integration, ""
    if request.method == "POST":
        require(bench, Capability.SETTINGS)
        with transaction.atomic():
            lock_integration(integration)
            have = set(integration.subscriptions.values_list("event_type", flat=True))
            if request.POST.get("seen", "") == _digest(*sorted(have)):
                wanted = [name for name in request.POST.getlist("events") if name in _offered(integration, have)]
                integration.subscribe(*wanted)
                messages.success(request, _said(have, set(wanted)))
                return HttpResponseRedirect(_url(integration))
            problem = str(STALE)
    had = {each.event_type: each for each in integration.subscriptions.all()}
    offered = _offered(integration, had)
    rows = [
        {"type": name, "label": label, "has": had.get(name), "newest": newest_version(name)}
        for name, label in offered.items()
    ]
    context = {
        "bench": bench,
        "rows": rows,
        "seen": _digest(*sorted(had)),
        "problem": problem,
        "is_editable": bench.connector is not None and bench.may_change,
    }
    return show(request, access, "integration_events.html", context)


@require_http_methods(["GET", "POST"])
@page(Capability.VIEW)
def subscription(request: HttpRequest, access: Access, public_id: UUID, event_type: str) -> HttpResponse:
    """Show condition and payload of one event type, and what they would have done; save them for a manager."""
    bench = open_bench(access, public_id, "events")
    integration = bench.integration
    problems: dict[str, list[str]] = {}
    with transaction.atomic() if request.method == "POST" else nullcontext():
        if request.method == "POST":
            require(bench, Capability.SETTINGS)
            lock_integration(integration)
        stored = integration.subscriptions.filter(event_type=event_type).first()
        offered = _offered(integration, [event_type] if stored is not None else [])
        if event_type not in offered:
            raise Http404
        row = stored or EventSubscription(integration=integration, event_type=event_type)
        kept = row.payload_version or newest_version(event_type)
        seen = _digest(row.pk, row.condition, row.payload, kept)
        if request.method == "POST":
            theirs = _theirs(stored)
            row.condition, row.payload = _typed(request)
            row.payload_version = _version(request, kept)
            problems = row.problems() if request.POST.get("seen", "") == seen else {"stale": [theirs]}
            if not problems:
                row.save()
                messages.success(
                    request, _("{event}: saved. It holds for events from now on.").format(event=offered[event_type])
                )
                return HttpResponseRedirect(_url(integration))
    version = row.payload_version or kept
    events = _events(access, integration, event_type, version)
    context = {
        "bench": bench,
        "integration": integration,
        "event_type": event_type,
        "label": offered[event_type],
        "row": row,
        "seen": seen,
        "problems": problems,
        "fields": offered_fields(event_type, events.bodies, version=version),
        "trial": try_subscription(
            row.condition, row.payload, event_type, integration.tenant, version=version, on=events
        ),
        **_versions(event_type, version, kept),
        "is_editable": bench.connector is not None and bench.may_change,
        "is_new": row.pk is None,
    }
    return show(request, access, "integration_event.html", context)


@page(Capability.VIEW, is_button=True)
def subscription_trial(request: HttpRequest, access: Access, public_id: UUID, event_type: str) -> HttpResponse:
    """Answer what a condition and a payload would have done with the last events; nothing is saved or sent."""
    integration = integration_of(access, public_id)
    if event_type not in _offered(integration, integration.subscriptions.values_list("event_type", flat=True)):
        raise Http404
    condition, payload = _typed(request)
    stored = integration.subscriptions.filter(event_type=event_type).values_list("payload_version", flat=True).first()
    version = _version(request, stored or newest_version(event_type))
    events = _events(access, integration, event_type, version)
    trial = try_subscription(condition, payload, event_type, integration.tenant, version=version, on=events)
    shown = request.POST.get("shown", "")
    chosen = next((each for each in trial.events if str(each.event_id) == shown), None)
    context: dict[str, Any] = {"trial": trial, "chosen": chosen or trial.preview, "has_payload": bool(payload)}
    if len(versions(event_type)) > 1:  # the fields are those of the version that is chosen
        fields = offered_fields(event_type, events.bodies, version=version)
        context |= {"swaps_fields": True, "fields": fields}
    return show(request, access, "parts/subscription_trial.html", context)


def _typed(request: HttpRequest) -> tuple[str, str]:
    """Return condition and payload as they were posted: a condition is one line, a payload may be several."""
    condition = " ".join(request.POST.get("condition", "")[:LONGEST].split("\n"))
    payload = request.POST.get("payload", "")[:LONGEST].replace("\r\n", "\n")
    return condition.replace("\r", "").strip(), payload.strip()


def _version(request: HttpRequest, kept: int) -> int:
    """Return the payload's version that was posted; `kept` where the page offers no choice."""
    posted = request.POST.get("payload_version", "")
    return int(posted) if posted.isascii() and posted.isdecimal() and len(posted) <= 5 else kept


def _versions(event_type: str, version: int, kept: int) -> dict[str, Any]:
    """Return what the page says of the versions of the payload.

    Args:
        version: what is chosen. kept: what the subscription has.
    """
    known = versions(event_type)
    newer = [each for each in known if each > nearest_version(event_type, kept)]
    return {
        "versions": [{"number": each, "is_chosen": each == version} for each in reversed(known)],
        "has_versions": len(known) > 1 or kept not in known,
        "newest": known[-1],
        "kept": kept,
        "is_made": kept in known,
        "nearest": nearest_version(event_type, kept),
        "changes": [{"number": each, "words": changes_between(event_type, each - 1, each)} for each in newer],
    }


def _offered(integration: TenantIntegration, have: Any) -> dict[str, str]:
    """Return {event type: label}: what its type takes, and what it has already, so that it can be taken away."""
    connector = connector_of(integration.integration_type)
    found = dict(offered_to(connector.manifest)) if connector is not None else {}
    every = dict(choices())
    for name in have:
        found.setdefault(name, every.get(name, _("{name} (no longer emitted)").format(name=name)))
    return found


def _theirs(stored: EventSubscription | None) -> str:
    """Say what somebody else has saved meanwhile."""
    if stored is None:
        return _("After you opened the page somebody else stopped the subscription. Save again to start it anew.")
    theirs = _(
        "After you opened the page somebody else saved “{condition}” and “{payload}”. Save again to replace that."
    )
    condition, payload = stored.condition or _("always"), stored.payload or _("the event as it is")
    said = theirs.format(condition=condition, payload=payload)
    if len(versions(stored.event_type)) > 1:
        said += " " + _("It has version {number} of the payload.").format(number=stored.payload_version)
    return said


def _events(access: Access, integration: TenantIntegration, event_type: str, version: int) -> EventsToTry:
    """Return what to try it on; made-up events for whoever may not see what happened."""
    if not access.may(Capability.VIEW_DELIVERIES, integration.tenant_id):
        return samples(event_type, integration.tenant, version=version)
    return events_to_try(event_type, integration.tenant, integration_id=integration.pk, version=version)


def _digest(*parts: Any) -> str:
    """Return what tells two states apart: who saves over what they did not see is told."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def lock_integration(integration: TenantIntegration) -> None:
    """Let of two people who save at once the second see what the first has saved."""
    TenantIntegration.unannounced.select_for_update(no_key=True).filter(pk=integration.pk).first()


def _said(before: Any, after: set[str]) -> str:
    more, less = len(after - set(before)), len(set(before) - after)
    if not more and not less:
        return _("Nothing was changed.")
    words = _("Saved: {more} more event types, {less} fewer. It holds for events from now on.")
    return words.format(more=more, less=less)


def _url(integration: TenantIntegration) -> str:
    return reverse("console:integration-events", args=[integration.public_id])
