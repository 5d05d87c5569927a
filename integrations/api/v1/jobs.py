"""Replays and backfills: made, watched, paused, resumed, cancelled."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import Http404, HttpRequest
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import ConfigDict, Field, ValidationError

from integrations.api.caller import caller_of
from integrations.api.scope import allowed_tenants, one, tenant_of
from integrations.connections.models import TenantIntegration
from integrations.jobs import actions
from integrations.jobs.actions import CannotStart
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.models import MOST_PACE, USUAL_PACE, Job
from integrations.jobs.replay import ReplayFilter
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import slug_of

from .idempotency import once
from .paging import Before, Limit, Page, page_of
from .problems import PROBLEMS, ROW_PROBLEMS, WRITE_PROBLEMS, Refused, by_field

router = Router(tags=["Jobs"])


class JobIn(Schema):
    """A job to start: a replay of the deliveries that `filter` chooses, or a backfill of one integration.

    Whatever it does not know it refuses: a filter that was left out for a slip of the pen would replay everything.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["replay", "backfill"]
    tenant: str | int | None = Field(None, description="slug or id; needed only by callers with several tenants")
    integration: UUID | None = Field(None, description="of a backfill: who gets the snapshots")
    filter: dict[str, Any] = Field({}, description="of a replay: as for the list of deliveries")
    model: str = Field("", description="of a backfill: of which model, such as tasks.workitem")
    condition: str = Field("", description="of a backfill: JMESPath over the payload; none: all objects")
    pace: int = Field(USUAL_PACE, ge=1, le=MOST_PACE, description="rows per second, at most")


OTHER = {"replay": "backfill", "backfill": "replay"}
ONLY_OF = {"replay": {"filter"}, "backfill": {"integration", "model", "condition"}}


class JobOut(Schema):
    """A job and how far it is."""

    id: int
    kind: str
    tenant: str
    state: str
    in_words: str
    made_by: str
    total: int | None = Field(description="null: too many to count beforehand")
    done: int
    skipped: int
    failed: int
    fraction: float | None
    rate: float = Field(description="rows per second of the last batches")
    pace: int
    last_error: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class JobPage(Page):
    data: list[JobOut]


@router.get("", response={200: JobPage, **PROBLEMS}, summary="List jobs")
def jobs(request: HttpRequest, limit: Limit = 50, before: Before = None) -> Any:
    """List the jobs, newest first."""
    tenants = allowed_tenants(request, Capability.VIEW_DELIVERIES)
    rows = Job.objects.filter(tenant__in=tenants).select_related("tenant")
    return page_of(request, rows, shown, limit=limit, before=before)


@router.post("", response={201: JobOut, **WRITE_PROBLEMS}, summary="Start a job")
@once
def start(request: HttpRequest, data: JobIn) -> Any:
    """Start a replay or a backfill; a worker does it, at the pace."""
    caller = caller_of(request)
    if misplaced := sorted(data.model_fields_set & ONLY_OF[OTHER[data.kind]]):
        hint = "belongs into filter" if misplaced == ["integration"] else f"is of a {OTHER[data.kind]}"
        raise Refused(422, "wrong_job", f"A {data.kind} does not take this.", dict.fromkeys(misplaced, hint))
    try:
        if data.kind == "backfill":
            if data.integration is None:
                raise Refused(422, "wrong_job", "A backfill needs an integration.", {"integration": "is missing"})
            integration = one(request, data.integration, Capability.BACKFILL)
            what = BackfillFilter(model=data.model, condition=data.condition)
            job = actions.start_backfill(integration, what, actor=caller.name, pace=data.pace)
        else:
            tenant = tenant_of(request, data.tenant)
            caller.require(Capability.RETRY, tenant.pk)
            which = ReplayFilter(**data.filter)
            if which.integration is not None and not _is_theirs(which.integration, tenant.pk):
                raise Http404
            job = actions.start_replay(tenant.pk, which, actor=caller.name, pace=data.pace)
    except ValidationError as error:
        errors = by_field([dict(each) for each in error.errors(include_input=False, include_context=False)])
        raise Refused(422, "wrong_job", "Some of the filter is wrong.", errors) from None
    except CannotStart as error:
        raise Refused(422, "wrong_job", str(error)) from None
    return Status(201, shown(job))


@router.get("/{int:pk}", response={200: JobOut, **ROW_PROBLEMS}, summary="Read one job")
def job(request: HttpRequest, pk: int) -> Any:
    """Return one job and how far it is."""
    return shown(_one(request, pk, Capability.VIEW_DELIVERIES))


def _act(name: str, act: Any, capability: Capability | None, words: str, done: str) -> None:
    @router.post(
        f"/{{int:pk}}/{name}",
        response={200: JobOut, **WRITE_PROBLEMS},
        summary=f"{words} one job",
        operation_id=f"job_{name}",
    )
    @once
    def view(request: HttpRequest, pk: int) -> Any:
        found = _one(request, pk, capability)
        is_done = act(found, actor=caller_of(request).name)
        found.refresh_from_db()
        if not is_done:
            raise Refused(409, "nothing_done", f"A job that is {found.get_state_display().lower()} cannot be {done}.")
        return shown(found)

    view.__doc__ = f"{words} it; what was done stays done."


# Who may retry may stop any job; to let one go on takes what it takes to start it.
_act("pause", actions.pause, Capability.RETRY, "Pause", "paused")
_act("resume", actions.resume, None, "Resume", "resumed")
_act("cancel", actions.cancel, Capability.RETRY, "Cancel", "cancelled")


def _is_theirs(public_id: UUID, tenant_key: Any) -> bool:
    return TenantIntegration.objects.present().filter(public_id=public_id, tenant=tenant_key).exists()


def _one(request: HttpRequest, pk: int, capability: Capability | None) -> Job:
    caller = caller_of(request)
    found = Job.objects.filter(tenant__in=caller.tenants(), pk=pk).select_related("tenant").first()
    if found is None:
        raise Http404
    needed = Capability.BACKFILL if found.kind == Job.Kind.BACKFILL else Capability.RETRY
    caller.require(capability or needed, found.tenant_id)
    return found


def shown(job: Job) -> dict[str, Any]:
    """Return `job` as JobOut."""
    same = ("kind", "state", "in_words", "made_by", "total", "done", "skipped", "failed", "fraction", "rate", "pace")
    times = ("created_at", "started_at", "ended_at", "last_error")
    return {
        "id": job.pk,
        "tenant": slug_of(job.tenant) or str(job.tenant_id),
        **{name: getattr(job, name) for name in (*same, *times)},
    }
