"""How a job looks: its state, how far it is, and how long it takes."""

from __future__ import annotations

from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.one_integration import label_of, may_act_on, not_usable
from integrations.jobs.models import ACTIVE, OVER, Job
from integrations.pages.display import Badge, Kind
from integrations.tenancy.capabilities import Capability

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
