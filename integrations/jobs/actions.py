"""Preview, start, pause, resume and cancel jobs. The caller checks permissions: a replay sends again what a destination
was owed, a backfill sends it what it never was."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from integrations import conf
from integrations.audit.trail import record
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.counted import counted
from integrations.database.leases import RELEASED
from integrations.tenancy.tenant import find_tenant, tenant_model

from . import backfill, replay
from .backfill import BackfillFilter
from .models import ACTIVE, MOST_PACE, OVER, USUAL_PACE, Job, Preview
from .replay import ReplayFilter
from .run import ask_for

PREVIEW_SECONDS = 0.15  # then what was begun is finished
PREVIEW_ROWS = 10_000

State = Job.State
logger = logging.getLogger("integrations.jobs")


class CannotStart(ValueError):
    """What is wrong with the job that somebody wants, for them to read."""


class TooManyJobs(CannotStart):
    """The tenant has as many jobs as it may; the message says what to do."""


def preview_replay(tenant_id: Any, which: ReplayFilter) -> Preview:
    """Look at what a replay would do; more than PREVIEW_ROWS, or PREVIEW_SECONDS of them, are not counted."""
    return replay.preview(tenant_id, which, seconds=PREVIEW_SECONDS, most=PREVIEW_ROWS)


def preview_backfill(integration: TenantIntegration, which: BackfillFilter) -> Preview:
    """Look at what a backfill would do; more than PREVIEW_ROWS are not counted.

    Raises:
        CannotStart: as `start_backfill`.
    """
    _check_backfill(integration, which)
    return backfill.preview(integration, which, seconds=PREVIEW_SECONDS, most=PREVIEW_ROWS)


def start_replay(tenant_id: Any, which: ReplayFilter, *, actor: str, pace: int = USUAL_PACE) -> Job:
    """Make a job that replays what `which` chooses of a tenant's deliveries, as they are now, and ask for a worker.

    Raises:
        CannotStart: the filter names what there is not.
        TooManyJobs
    """
    which = which.fixed()
    integration = None
    if which.integration is not None:
        integration = TenantIntegration.objects.present().filter(public_id=which.integration, tenant=tenant_id).first()
        if integration is None:
            raise CannotStart(_("There is no such integration."))
    walk = replay.begin(tenant_id, which)
    job = Job(kind=Job.Kind.REPLAY, first=walk.after, cursor=walk.after, last=walk.last, pace=pace)
    job.in_words = which.in_words(integration.name if integration is not None else None)[:500]
    return _start(job, which.to_json(), tenant_id, integration, actor)


def start_backfill(integration: TenantIntegration, which: BackfillFilter, *, actor: str, pace: int = USUAL_PACE) -> Job:
    """Make a job that sends `integration` a snapshot of each object that `which` chooses, and ask for a worker.

    Raises:
        CannotStart: the condition can never be met, the integration takes no events, or the rows cannot be read.
        TooManyJobs
    """
    _check_backfill(integration, which)
    job = Job(kind=Job.Kind.BACKFILL, last=which.source.last(integration.tenant_id), pace=pace)
    job.in_words = which.in_words(integration.name)
    return _start(job, which.model_dump(mode="json"), integration.tenant_id, integration, actor)


def _check_backfill(integration: TenantIntegration, which: BackfillFilter) -> None:
    if problem := which.problem():
        raise CannotStart(problem)
    manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    if "deliver" not in manifest.does:
        raise CannotStart(
            _("{name} takes no events: {label} is asked, or asks us.").format(
                name=integration.name, label=manifest.label
            )
        )
    try:
        with transaction.atomic():
            which.source.count(integration.tenant_id, 1)
    except DatabaseError as error:  # such as a table that is in the tenants' own schemas
        logger.exception("the rows of %s cannot be read for a backfill", which.source.label)
        raise CannotStart(
            _("The rows of {label} cannot be read here ({error}); the log says more.").format(
                label=which.source.label, error=type(error).__name__
            )
        ) from None


def _start(job: Job, which: dict[str, Any], tenant_id: Any, integration: TenantIntegration | None, actor: str) -> Job:
    if not 1 <= job.pace <= MOST_PACE:
        raise CannotStart(
            _("A pace of {pace} rows per second is not possible; 1 to {most_pace} are.").format(
                pace=job.pace, most_pace=MOST_PACE
            )
        )
    job.filter, job.tenant_id, job.made_by = which, tenant_id, actor[:150]
    if integration is not None:
        job.integration, job.integration_name = integration, integration.name
    with transaction.atomic():
        _take_place(tenant_id)
        job.save()
        _record("started", job, actor, what=job.in_words, filter=job.filter if len(str(job.filter)) < 1000 else "")
        transaction.on_commit(lambda: ask_for(job.pk), robust=True)
    return job


def _take_place(tenant_id: Any) -> None:
    """Refuse one job more than a tenant may have; in the transaction in which it becomes one that is not over.

    Raises:
        TooManyJobs
    """
    # One after the other, or two at once would both be the last one allowed.
    list(tenant_model()._base_manager.select_for_update(no_key=True).filter(pk=tenant_id).values_list("pk"))
    if Job.objects.filter(tenant=tenant_id).exclude(state__in=OVER).count() >= conf.JOBS_PER_TENANT:
        most = counted(conf.JOBS_PER_TENANT, "job")
        raise TooManyJobs(
            _("The tenant has {most} that are not over, as many as it may. Wait until one is, or cancel one.").format(
                most=most
            )
        )


def pause(job: Job, *, actor: str) -> bool:
    """Let the job rest after the batch under way; return False if it does not run any more."""
    return _change(job, ACTIVE, "paused", actor, state=State.PAUSED, **RELEASED)


def resume(job: Job, *, actor: str) -> bool:
    """Let a paused job, or one that failed, go on where it was; return False if it is neither.

    Raises:
        TooManyJobs: it failed, and so many others have begun since.
    """
    fresh = {"state": State.WAITING, "deaths": 0, "errors": 0, "last_error": "", "ended_at": None}
    if not _change(job, (State.PAUSED, State.FAILED), "resumed", actor, next_turn_at=Now(), **fresh, **RELEASED):
        return False
    ask_for(job.pk)
    return True


def cancel(job: Job, *, actor: str) -> bool:
    """End the job after the batch under way; what is done stays done. Return False if it had ended."""
    every = [state for state in State.values if state not in OVER]
    return _change(job, every, "cancelled", actor, state=State.CANCELLED, ended_at=Now(), **RELEASED)


def _change(job: Job, states: Any, verb: str, actor: str, **values: Any) -> bool:
    with transaction.atomic():
        row = Job.objects.select_for_update().filter(pk=job.pk, state__in=states).first()
        if row is None:
            return False
        if row.state in OVER:
            _take_place(row.tenant_id)
        row.say(f"{verb.capitalize()} by {actor}.")
        Job.objects.filter(pk=job.pk).update(messages=row.messages, waits_for="", **values)
        _record(verb, job, actor, done=row.done)
    job.refresh_from_db()
    return True


def _record(verb: str, job: Job, actor: str, **details: Any) -> None:
    tenant = find_tenant(job.tenant_id)
    record(verb, job, actor=actor, tenant=tenant, details=details)
