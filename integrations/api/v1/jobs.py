"""Replays and backfills: made, watched, paused, resumed, cancelled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field, ValidationError

from integrations.api.caller import allowed_tenants, caller_of, one, tenant_of, tenant_shown
from integrations.connections.models import TenantIntegration
from integrations.jobs import actions
from integrations.jobs.actions import CannotStart, TooManyJobs
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.models import MOST_PACE, USUAL_PACE, Job
from integrations.jobs.replay import ReplayFilter
from integrations.jobs.snapshots import Shown
from integrations.outbox.models import IntegrationSync
from integrations.tenancy.capabilities import Capability

from .document import MAKES, WHEN, example
from .paging import Before, Limit, Page, page_of
from .problems import PROBLEMS, ROW_PROBLEMS, WRITE_PROBLEMS, Refused, by_field

router = Router(tags=["Jobs"])


class JobIn(Schema):
    """A job to start: a replay of the deliveries that `filter` chooses, or a backfill of one integration.

    Whatever it does not know it refuses: a filter that was left out for a slip of the pen would replay everything.
    """

    model_config = example({"kind": "replay", "filter": {"status": "failed", "since": "24h"}}, strict=True)

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

    model_config = example(
        {
            "id": 3,
            "kind": "replay",
            "tenant": "acme-corp",
            "state": "running",
            "in_words": "failed deliveries of the last 24 hours",
            "made_by": "API key nightly",
            "total": 340,
            "done": 120,
            "skipped": 2,
            "failed": 0,
            "fraction": 0.36,
            "rate": 24.8,
            "pace": 25,
            "last_error": "",
            "created_at": WHEN,
            "started_at": WHEN,
            "ended_at": None,
        }
    )

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


class PreviewOut(Schema):
    """What a job would do.

    Attributes:
        sample: some deliveries of a replay, some objects of a backfill with what each would be sent, or why nothing is.
        looked_at: of a backfill, how many of the first objects were tried: the sum of the next three.
    """

    model_config = example(
        {
            "in_words": "failed deliveries of the last 24 hours",
            "count": 340,
            "left_alone": 2,
            "is_complete": True,
            "looked_at": 0,
            "sent": 0,
            "left_out": 0,
            "failing": 0,
            "sample": [
                {"delivery": 812, "event_type": "workitem_created", "integration": "Our n8n", "status": "failed"}
            ],
        }
    )

    in_words: str
    count: int = Field(description="rows that it would look at")
    left_alone: int = Field(description="of them, those that are known to be left alone")
    is_complete: bool = Field(description="false: there are more, which were not counted")
    looked_at: int = Field(0, description="of a backfill: how many of the first objects were tried")
    sent: int = Field(0, description="of those, how many would be sent")
    left_out: int = Field(0, description="of those, how many the condition leaves out")
    failing: int = Field(0, description="of those, of how many no payload can be made")
    sample: list[dict[str, Any]] = Field(
        description="a few of them; of a backfill `body` is what would be sent, or null and `why_not` says why"
    )


@router.get("", response={200: JobPage, **PROBLEMS}, summary="List jobs")
def jobs(request: HttpRequest, limit: Limit = 50, before: Before = None) -> Any:
    """List the jobs, newest first."""
    tenants = allowed_tenants(request, Capability.VIEW_DELIVERIES)
    rows = Job.objects.filter(tenant__in=tenants).select_related("tenant")
    return page_of(request, rows, shown, limit=limit, before=before)


@router.post("", response={201: JobOut, **WRITE_PROBLEMS}, summary="Start a job", openapi_extra=MAKES)
def start(request: HttpRequest, response: HttpResponse, data: JobIn) -> Any:
    """Start a replay or a backfill; a worker does it, at the pace."""
    with _asked(request, data) as wanted:
        name = caller_of(request).name
        if isinstance(wanted, Backfill):
            job = actions.start_backfill(wanted.integration, wanted.which, actor=name, pace=data.pace)
        else:
            job = actions.start_replay(wanted.tenant_id, wanted.which, actor=name, pace=data.pace)
    response["Location"] = reverse("integrations-api-v1:job", args=[job.pk])
    return Status(201, shown(job))


@router.post("/preview", response={200: PreviewOut, **WRITE_PROBLEMS}, summary="Preview a job")
def preview(request: HttpRequest, data: JobIn) -> Any:
    """Return what a job would do, with some of what it would send; nothing is started."""
    with _asked(request, data) as wanted:
        if isinstance(wanted, Backfill):
            found = actions.preview_backfill(wanted.integration, wanted.which)
            sample = [_shown_object(each) for each in found.sample]
            words = wanted.which.in_words(wanted.integration.name)
        else:
            found = actions.preview_replay(wanted.tenant_id, wanted.which)
            sample = [_sampled(each) for each in found.sample]
            words = wanted.which.in_words(wanted.name)
    same = ("count", "left_alone", "is_complete", "looked_at", "sent", "left_out", "failing")
    return {"in_words": words, "sample": sample, **{name: getattr(found, name) for name in same}}


@router.get("/{int:pk}", response={200: JobOut, **ROW_PROBLEMS}, summary="Read one job", url_name="job")
def job(request: HttpRequest, pk: int) -> Any:
    """Return one job and how far it is."""
    return shown(_one(request, pk, Capability.VIEW_DELIVERIES))


def _act(name: str, act: Any, capability: Capability | None, words: str, done: str) -> None:
    @router.post(
        f"/{{int:pk}}/{name}",
        response={200: JobOut, **WRITE_PROBLEMS},
        summary=f"{words} one job",
        operation_id=f"job_{name}",
        description=f"{words} it; what was done stays done.",
    )
    def view(request: HttpRequest, pk: int) -> Any:
        found = _one(request, pk, capability)
        try:
            is_done = act(found, actor=caller_of(request).name)
        except TooManyJobs as error:
            raise _full(error) from None
        found.refresh_from_db()
        if not is_done:
            raise Refused(409, "nothing_done", f"A job that is {found.get_state_display().lower()} cannot be {done}.")
        return shown(found)


# Pausing and cancelling need the right to retry; resuming needs the same rights as starting.
_act("pause", actions.pause, Capability.RETRY, "Pause", "paused")
_act("resume", actions.resume, None, "Resume", "resumed")
_act("cancel", actions.cancel, Capability.RETRY, "Cancel", "cancelled")


class Backfill(NamedTuple):
    """A backfill that the caller may start."""

    integration: TenantIntegration
    which: BackfillFilter


class Replay(NamedTuple):
    """A replay that the caller may start; `name` is that of the one integration that is meant, None for no such."""

    tenant_id: Any
    which: ReplayFilter
    name: str | None


@contextmanager
def _asked(request: HttpRequest, data: JobIn) -> Iterator[Backfill | Replay]:
    """Read what is asked for; errors in it, also within the block, are answered by field.

    Raises:
        Refused, Http404, PermissionDenied
    """
    if misplaced := sorted(data.model_fields_set & ONLY_OF[OTHER[data.kind]]):
        hint = "belongs into filter" if misplaced == ["integration"] else f"is of a {OTHER[data.kind]}"
        raise Refused(422, "wrong_job", f"A {data.kind} does not take this.", dict.fromkeys(misplaced, hint))
    try:
        yield _backfill(request, data) if data.kind == "backfill" else _replay(request, data)
    except ValidationError as error:
        errors = by_field([dict(each) for each in error.errors(include_input=False, include_context=False)])
        raise Refused(422, "wrong_job", "Some of the filter is wrong.", errors) from None
    except TooManyJobs as error:
        raise _full(error) from None
    except CannotStart as error:
        raise Refused(422, "wrong_job", str(error)) from None


def _full(error: TooManyJobs) -> Refused:
    return Refused(409, "too_many_jobs", str(error))


def _backfill(request: HttpRequest, data: JobIn) -> Backfill:
    if data.integration is None:
        raise Refused(422, "wrong_job", "A backfill needs an integration.", {"integration": "is missing"})
    integration = one(request, data.integration, Capability.BACKFILL)
    return Backfill(integration, BackfillFilter(model=data.model, condition=data.condition))


def _replay(request: HttpRequest, data: JobIn) -> Replay:
    tenant = tenant_of(request, data.tenant)
    caller_of(request).require(Capability.RETRY, tenant.pk)
    which = ReplayFilter(**data.filter)
    if which.integration is None:
        caller_of(request).require_use_of_all(tenant)
        return Replay(tenant.pk, which, None)
    theirs = TenantIntegration.objects.present().filter(public_id=which.integration, tenant=tenant.pk)
    integration = theirs.select_related("tenant").first()
    if integration is None:
        raise Http404
    caller_of(request).require_use(integration)
    return Replay(tenant.pk, which, integration.name)


def _shown_object(each: Shown) -> dict[str, Any]:
    return {
        "object": each.name,
        "is_wanted": not each.left_out,
        "why_not": each.left_out or each.problem,
        "body": json.loads(each.payload) if each.payload else None,
    }


def _sampled(sync: IntegrationSync) -> dict[str, Any]:
    return {
        "delivery": sync.pk,
        "event_type": sync.event.event_type,
        "integration": sync.integration.name,
        "status": sync.status,
    }


def _one(request: HttpRequest, pk: int, capability: Capability | None) -> Job:
    """Return one job with which the caller may do it; None: resume it, which needs the same rights as starting it."""
    caller = caller_of(request)
    found = Job.objects.filter(tenant__in=caller.tenants(), pk=pk).select_related("tenant").first()
    if found is None:
        raise Http404
    if capability is not None:
        caller.require(capability, found.tenant_id)
        return found
    caller.require(Capability.BACKFILL if found.kind == Job.Kind.BACKFILL else Capability.RETRY, found.tenant_id)
    integration = TenantIntegration.objects.filter(pk=found.integration_id or 0).select_related("tenant").first()
    if integration is not None:
        caller.require_use(integration)
    else:
        caller.require_use_of_all(found.tenant)
    return found


def shown(job: Job) -> dict[str, Any]:
    """Return `job` as JobOut."""
    same = ("kind", "state", "in_words", "made_by", "total", "done", "skipped", "failed", "fraction", "rate", "pace")
    times = ("created_at", "started_at", "ended_at", "last_error")
    return {
        "id": job.pk,
        "tenant": tenant_shown(job),
        **{name: getattr(job, name) for name in (*same, *times)},
    }
