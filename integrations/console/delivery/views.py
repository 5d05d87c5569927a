"""One delivery: the page, live while it is pending, and its buttons."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from integrations import conf
from integrations.audit.exchanges import exchanges_of, secrets_of
from integrations.audit.models import ExecutionLog
from integrations.audit.notes import notes_on
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.objects import name_objects
from integrations.console.one_integration import may_act_on, require_use
from integrations.console.page import is_part, page, show
from integrations.database import clock
from integrations.jobs import chosen
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.pages.display import sync_badge, sync_story
from integrations.tenancy.capabilities import Capability

from .exchange import payload_of, shown
from .story import ATTEMPT, Attempt, needs_settings, tell

LINES = 100  # of the log, the newest
TOLD = 15  # attempts with their requests, the newest
NOTES = 40  # notes on the object that are looked through
SIBLINGS = 20

Status = IntegrationSync.Status
# What a person may do: its name in the address, what it takes, what does it.
ACTS = {
    "retry": (Capability.RETRY, chosen.retry),
    "replay": (Capability.RETRY, chosen.replay),
    "send": (Capability.RETRY, chosen.send_anyway),
    "cancel": (Capability.CANCEL, chosen.cancel),
}


@page(Capability.VIEW_DELIVERIES)
def delivery(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show the story of one delivery; htmx gets it only if something has changed since."""
    sync = _one(access, pk)
    newest = ExecutionLog.objects.filter(sync=sync).order_by("-pk")
    if is_part(request) and _version(sync, newest.values_list("pk", flat=True).first()) == request.GET.get("seen"):
        return HttpResponse(status=204)
    logs = list(newest[: LINES + 1])
    template = "parts/delivery.html" if is_part(request) else "delivery.html"
    return show(request, access, template, _context(access, sync, logs))


def _one(access: Access, pk: int) -> IntegrationSync:
    rows = IntegrationSync.objects.select_related("event__origin", "integration__tenant", "integration__lane")
    found: IntegrationSync = access.one(rows, "integration__tenant", pk=pk)
    return found


def _version(sync: IntegrationSync, newest_log: int | None) -> str:
    """Return what differs as soon as the page would say something else."""
    lane = getattr(sync.integration, "lane", None)
    held = [sync.integration.is_active, sync.integration.is_enabled]
    held += [lane.paused_since, lane.paused_until] if lane is not None else []
    is_due = sync.next_attempt_at <= clock.now()
    parts = [newest_log or 0, sync.status, sync.attempts, sync.generation, is_due, *held]
    return "-".join(str(int(part) if isinstance(part, bool) else part or "").replace(" ", "T") for part in parts)


def _context(access: Access, sync: IntegrationSync, newest: list[ExecutionLog]) -> dict[str, Any]:
    event, integration = sync.event, sync.integration
    left_out = len(newest) > LINES
    logs = newest[:LINES][::-1]
    secrets = secrets_of(integration)
    attempts = _attempts(sync, logs, secrets)
    written = [
        note
        for note in notes_on(event.content_type_id, integration.tenant_id, event.object_id, NOTES)
        if not note.author
    ]
    holder = _holder(sync)
    name_objects(access, [event])
    is_usable = may_act_on(access, integration)
    may = {name: is_usable and access.may(needed, integration.tenant_id) for name, (needed, _) in ACTS.items()}
    return {
        "sync": sync,
        "event": event,
        "badge": sync_badge(sync),
        "waits": sync_story(sync),
        "moments": tell(
            sync,
            attempts,
            logs,
            holder=holder,
            written=written[::-1],
            payload=payload_of(sync, secrets),
            left_out=int(left_out),
        ),
        "version": _version(sync, newest[0].pk if newest else None),
        "is_live": sync.status == Status.PENDING or _is_fresh(sync),
        "acts": [name for name in _acts(sync) if may[name]],
        "needs_settings": needs_settings(integration, sync) and sync.status in (Status.PENDING, Status.FAILED),
        "others": _others(sync),
        **_neighbours(sync),
    }


def _acts(sync: IntegrationSync) -> list[str]:
    """Return what can be done with a delivery in its state."""
    if sync.status == Status.PENDING:
        return ["retry", "cancel"] if sync.attempts or sync.next_attempt_at > clock.now() else ["cancel"]
    return {Status.SYNCED: ["replay"], Status.SKIPPED: ["send"]}.get(Status(sync.status), ["retry"])


def _is_fresh(sync: IntegrationSync) -> bool:
    """Tell whether it ended so recently that its note, or a person's next step, may still come."""
    return sync.settled_at is not None and clock.now() - sync.settled_at < timedelta(seconds=30)


def _attempts(sync: IntegrationSync, logs: list[ExecutionLog], secrets: tuple[str, ...] | None) -> dict[int, Attempt]:
    tries = [log for log in logs if log.action == ATTEMPT]
    kept = exchanges_of(tries[-TOLD:], sync)
    last = tries[-1].pk if tries else None
    return {
        log.pk: Attempt(
            log,
            [shown(each, secrets) for each in kept.get(log.pk, ())],
            log.answer,
            is_open=log.pk == last and bool(log.error),
        )
        for log in tries
    }


def _holder(sync: IntegrationSync) -> IntegrationSync | None:
    """Return the earlier delivery of the same object that goes first, as delivery/statements.py has it."""
    if sync.status != Status.PENDING or sync.integration.ordering != TenantIntegration.Ordering.OBJECT:
        return None
    still = Q(first_failed_at=None) | Q(first_failed_at__gt=clock.now() - timedelta(seconds=conf.HOLD_SECONDS))
    earlier = IntegrationSync.objects.filter(
        still, integration=sync.integration_id, status="pending", object_key=sync.object_key, pk__lt=sync.pk
    )
    return earlier.order_by("pk").first()


def _others(sync: IntegrationSync) -> list[IntegrationSync]:
    """Return the deliveries of the same event to other integrations."""
    rows = IntegrationSync.objects.filter(event=sync.event_id, integration__tenant=sync.integration.tenant_id)
    found = list(rows.exclude(pk=sync.pk).select_related("integration").order_by("pk")[:SIBLINGS])
    for each in found:
        each.badge = sync_badge(each)  # type: ignore[attr-defined]
    return found


def _neighbours(sync: IntegrationSync) -> dict[str, Any]:
    """Return the deliveries of the same object to the same integration, before and after."""
    event = sync.event
    same: QuerySet[IntegrationEvent] = IntegrationEvent.objects.filter(
        content_type=event.content_type_id, object_id=event.object_id
    )
    rows = IntegrationSync.objects.filter(integration=sync.integration_id).select_related("event")
    rows = rows.defer("event__body", "older_body")
    # The nearest events by their index; a delivery to this integration may be missing at some.
    before = same.filter(pk__lt=event.pk).order_by("-pk").values("pk")[:SIBLINGS]
    after = same.filter(pk__gt=event.pk).order_by("pk").values("pk")[:SIBLINGS]
    return {
        "earlier": rows.filter(event__in=before).order_by("-event").first(),
        "later": rows.filter(event__in=after).order_by("event").first(),
    }


@page(Capability.VIEW_DELIVERIES, is_button=True)
def act_on_delivery(request: HttpRequest, access: Access, pk: int, act: str) -> HttpResponse:
    """One of the buttons of the page."""
    if act not in ACTS:
        raise Http404
    sync = _one(access, pk)
    needed, do = ACTS[act]
    access.require(needed, sync.integration.tenant_id)
    require_use(access, sync.integration)
    done = do(IntegrationSync.objects.filter(pk=sync.pk), actor=access.user.get_username())
    messages.add_message(request, messages.SUCCESS if done.count else messages.WARNING, str(done))
    return HttpResponseRedirect(reverse("console:delivery", args=[pk]))
