"""Jobs: the list, one job, and making one.

A job is shown before it is started: the form's address, with ``show``, is its preview; the button below that starts
exactly what was shown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.delivery.exchange import pretty
from integrations.console.keyset import listing
from integrations.console.objects import finder, name_objects
from integrations.console.one_integration import label_of, may_act_on, not_usable, type_refused
from integrations.console.page import is_part, page, show
from integrations.jobs import actions
from integrations.jobs.actions import CannotStart
from integrations.jobs.models import ACTIVE, OVER, Job
from integrations.jobs.replay import ReplayFilter
from integrations.jobs.snapshots import source_of
from integrations.pages.display import Badge, Kind, sync_badge
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import find_tenant, name_of

from .form import FORMS, BackfillForm, ReplayForm

SIZE = 25
ACTS = {"pause": actions.pause, "resume": actions.resume, "cancel": actions.cancel}


@page(Capability.VIEW_DELIVERIES)
def jobs(request: HttpRequest, access: Access) -> HttpResponse:
    """List the jobs, newest first; those that run are up to date."""
    rows = access.rows(Job.objects.select_related("tenant"))
    found = listing(request, rows, size=SIZE, is_sparse=False)
    shown = [describe(job, access) for job in found.rows]
    context = {
        "jobs": shown,
        "older": found.older,
        "newer": found.newer,
        "may_start": access.may_here(Capability.RETRY),
        "is_live": any(each["is_live"] for each in shown),
    }
    return show(request, access, "jobs_list.html" if is_part(request) else "jobs.html", context)


@page(Capability.VIEW_DELIVERIES)
def job(request: HttpRequest, access: Access, pk: int) -> HttpResponse:
    """Show one job, and let it be stopped or go on."""
    found = access.one(Job.objects.select_related("tenant"), pk=pk)
    context = {**describe(found, access), **_links(found)}
    return show(request, access, "job_state.html" if is_part(request) else "job.html", context)


@page(Capability.RETRY, is_button=True)
def act_on_job(request: HttpRequest, access: Access, pk: int, act: str) -> HttpResponse:
    """Pause, resume or cancel a job."""
    found = access.one(Job.objects.select_related("tenant"), pk=pk)
    access.require(TAKES[Job.Kind(found.kind)] if act == "resume" else Capability.RETRY, found.tenant_id)
    if act == "resume" and (refused := types_refused(found, access)):
        raise type_refused(", ".join(refused))
    try:
        is_done = ACTS[act](found, actor=access.user.get_username())
    except CannotStart as error:
        messages.warning(request, str(error))
        return HttpResponseRedirect(reverse("console:job", args=[pk]))
    if not is_done:
        found.refresh_from_db()
        words = _("Nothing was changed: this job is %(state)s.") % {"state": found.get_state_display().lower()}
        messages.warning(request, words)
    return HttpResponseRedirect(reverse("console:job", args=[pk]))


@page(Capability.RETRY)
def new_job(request: HttpRequest, access: Access) -> HttpResponse:
    """Fill in what a job is to do, see what that is, and start it."""
    if request.method == "POST":
        return _start(request, access)
    form_class = FORMS.get(request.GET.get("kind", "replay"), ReplayForm)
    is_shown = "show" in request.GET
    given = request.GET
    said = {"data": given} if is_shown else {"initial": _prefilled(given, form_class)}
    form = form_class(access, **said, find=finder(request, access))
    context: dict[str, Any] = {}
    if is_shown and form.is_valid():
        access.require(form.takes, form.tenant_id)
        context = _preview(form)
    return _show_form(request, access, form, context)


def _prefilled(given: Any, form_class: type) -> Any:
    """Return what the address of a list of deliveries says; whoever says nothing means what failed."""
    if form_class is ReplayForm and not any(name in given for name in ReplayFilter.model_fields):
        given = given.copy()
        given.setlist("status", ["failed"])
        given["since"] = "24h"
    if (tenant := find_tenant(given.get("tenant"))) is not None:
        given = given.copy()
        given["tenant"] = str(tenant.pk)  # it may have been named by its slug
    return given


def _start(request: HttpRequest, access: Access) -> HttpResponse:
    form = FORMS.get(request.POST.get("kind", ""), ReplayForm)(access, data=request.POST, find=finder(request, access))
    if not form.is_valid():
        return _show_form(request, access, form, {})
    access.require(form.takes, form.tenant_id)
    values: dict[str, Any] = {"actor": access.user.get_username(), "pace": form.cleaned_data["pace"]}
    try:
        if isinstance(form, BackfillForm):
            assert form.target is not None and form.which is not None  # noqa: S101 - it is valid
            started = actions.start_backfill(form.target, form.which, **values)
        else:
            started = actions.start_replay(form.tenant_id, form.which, **values)
    except CannotStart as error:
        form.add_error(None, str(error))
        return _show_form(request, access, form, {})
    return HttpResponseRedirect(reverse("console:job", args=[started.pk]))


def _show_form(request: HttpRequest, access: Access, form: Any, context: dict[str, Any]) -> HttpResponse:
    may_backfill = access.may_here(Capability.BACKFILL)
    if form.kind == "backfill" and not may_backfill and access.tenant is not None:
        access.require(Capability.BACKFILL, access.tenant.pk)
    status = 400 if form.is_bound and not form.is_valid() else 200
    context |= {"form": form, "may_backfill": may_backfill}
    return show(request, access, "job_new.html", context, status=status)


def _preview(form: Any) -> dict[str, Any]:
    if isinstance(form, BackfillForm):
        assert form.target is not None and form.which is not None  # noqa: S101 - it is valid
        found = actions.preview_backfill(form.target, form.which)
        sample = [{"shown": each, "payload": pretty(each.payload) or each.payload} for each in found.sample]
        words = form.which.in_words(form.target.name)
    else:
        found = actions.preview_replay(form.tenant_id, form.which)
        name_objects(form.access, [sync.event for sync in found.sample])
        sample = [{"sync": sync, "badge": sync_badge(sync)} for sync in found.sample]
        words = form.which.in_words(form.target.name if form.target is not None else None)
    to_do = found.count - found.left_alone
    return {
        "preview": found,
        "sample": sample,
        "in_words": words,
        "tenant_name": name_of(form.access.tenant_of(form.tenant_id)) if form.access.sees_several else "",
        "takes": duration(to_do / form.cleaned_data["pace"]),
        "kept": form.kept(),
    }


def _links(found: Job) -> dict[str, Any]:
    """Return what the page of a job links to: its integration, if that is still there, and its deliveries."""
    integration, query = None, ""
    if found.integration_id is not None:
        rows = TenantIntegration.objects.present().filter(tenant_id=found.tenant_id)
        integration = rows.filter(pk=found.integration_id).first()
    if found.kind == Job.Kind.REPLAY and "ids" not in found.filter:
        which = ReplayFilter.model_validate(found.filter).model_copy(update={"status": ()})
        query = urlencode(which.to_query(), doseq=True)
    elif found.kind == Job.Kind.BACKFILL and integration is not None:
        source = source_of(found.filter["model"])
        known = {"event_type": source.event_type} if source is not None else {}
        query = urlencode({"integration": integration.public_id, **known})
    ahead = None
    if found.state == Job.State.WAITING:
        others = Job.objects.filter(tenant_id=found.tenant_id).exclude(pk=found.pk)
        first = Q(state=Job.State.RUNNING) | Q(state=Job.State.WAITING, pk__lt=found.pk)
        ahead = others.filter(first).order_by("state", "pk").first()
    ahead_url = reverse("console:job", args=[ahead.pk]) if ahead is not None else ""
    return {"integration": integration, "query": query, "ahead": ahead, "ahead_url": ahead_url}


State = Job.State
_STATES: dict[str, tuple[Kind, str]] = {
    State.WAITING: ("off", "◷ "),
    State.RUNNING: ("ok", "▶ "),
    State.PAUSED: ("warn", "❚❚ "),
    State.DONE: ("ok", "✓ "),
    State.CANCELLED: ("off", "– "),
    State.FAILED: ("bad", "✗ "),
}
# A replay sends again what a destination was owed; a backfill hands it all that there is.
TAKES = {Job.Kind.REPLAY: Capability.RETRY, Job.Kind.BACKFILL: Capability.BACKFILL}


def describe(job: Job, access: Access) -> dict[str, Any]:
    """Return what templates say of `job`, with the buttons that this person may press."""
    kind, symbol = _STATES[job.state]
    fraction, left = job.fraction, job.seconds_left
    return {
        "job": job,
        "badge": Badge(kind, symbol + job.get_state_display(), job.last_error),
        "percent": None if fraction is None else int(fraction * 100),
        "left": "" if left is None else duration(left),
        "rate": f"{job.rate:.0f}" if job.rate >= 10 else f"{job.rate:.1f}",
        "buttons": _buttons(job, access),
        "takes": _takes(job),
        "story": [{**said, "moment": parse_datetime(said["at"])} for said in reversed(job.messages)],
        "is_active": job.state in ACTIVE,
        "is_live": job.state in ACTIVE or job.state == State.PAUSED,  # somebody may resume it meanwhile
    }


def _buttons(job: Job, access: Access) -> list[dict[str, str]]:
    found = []
    if job.state in ACTIVE and access.may(Capability.RETRY, job.tenant_id):
        found.append({"name": "pause", "label": _("Pause"), "icon": "pause", "kind": "", "confirms": ""})
    may_go_on = job.state in (State.PAUSED, State.FAILED) and access.may(TAKES[Job.Kind(job.kind)], job.tenant_id)
    if may_go_on and not types_refused(job, access):
        found.append({"name": "resume", "label": _("Resume"), "icon": "play", "kind": "primary", "confirms": ""})
    if job.state not in OVER and access.may(Capability.RETRY, job.tenant_id):
        words = _("It ends after the batch under way. What is done stays done: those deliveries are still sent.")
        found.append({"name": "cancel", "label": _("Cancel job"), "icon": "cross", "kind": "danger", "confirms": words})
    return found


def types_refused(job: Job, access: Access) -> list[str]:
    """Return the labels of the connector types over which `job` may send, and which are not this person's to use."""
    if access.has_role(job.tenant_id):
        return []
    rows = TenantIntegration.objects.select_related("tenant")
    integration = rows.filter(pk=job.integration_id).first() if job.integration_id is not None else None
    if integration is None:
        return not_usable(access, job.tenant)
    return [] if may_act_on(access, integration) else [label_of(integration.integration_type)]


def _takes(job: Job) -> Capability | None:
    """Return what somebody must be allowed to do for all the buttons of this job; None: there are none."""
    if job.state in (State.PAUSED, State.FAILED):
        return TAKES[Job.Kind(job.kind)]
    return None if job.state in OVER else Capability.RETRY


def duration(seconds: float) -> str:
    """Return "40 seconds", "3 minutes", "2 h 10 min"."""
    if seconds < 90:
        count = max(1, round(seconds))
        return ngettext("%(count)d second", "%(count)d seconds", count) % {"count": count}
    minutes = round(seconds / 60)
    if minutes < 90:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    return _("%(hours)d h %(minutes)02d min") % {"hours": minutes // 60, "minutes": minutes % 60}
