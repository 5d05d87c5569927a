"""A worker's turn with a job: take its lease, do batch after batch at its pace, give it back.

Beat asks every few seconds which jobs have nobody (`request_jobs`): one that was just made, one whose worker died. Of
a tenant's jobs one runs at a time, the others wait; AT_ONCE run in all, and after TURN_SECONDS the one that waited
longest is next. The lease is by the database's clock, and every batch begins with it: a worker that was given up writes
nothing, and a person's Pause or Cancel waits for the batch under way and for no other.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from pydantic import ValidationError

from integrations.acting import TASK as TASK_SOURCE
from integrations.acting import acting_as
from integrations.alone import MAX_DEATHS
from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.database.leases import RELEASED, free, new_token, taken
from integrations.database.times import after
from integrations.delivery import run_slot
from integrations.delivery.hints import SLOW_QUEUE, send_hint, together
from integrations.delivery.sweep import SENDING_SECONDS
from integrations.outbox.models import IntegrationSync

from . import backfill, replay, snapshots
from .models import ACTIVE, Job, Step

logger = logging.getLogger("integrations.jobs")

TASK = "integrations.tasks.run_job"
AT_ONCE = 4  # jobs that run at the same time, of all tenants
TURN_SECONDS = 15.0
LEASE_SECONDS = 60.0
MOST_ROWS = 500  # of one batch; a batch is a second's work at most
MOST_WAITING = 500  # deliveries that may wait in the lane of a job's integration before it goes on
LOOK_AGAIN_SECONDS = 5.0
PAUSE_SECONDS = 0.2  # before an object is looked at again that somebody was changing
MOST_ERRORS = 5  # of batches in a row
COUNT_SECONDS = 10.0  # for counting beforehand what there is to do

State = Job.State
OBJECTS_FAULT = (DataError, IntegrityError)  # of the errors of a database, those that come again


@dataclass(slots=True)
class Turn:
    """What is remembered from one batch of a turn to the next; nothing is lost with it.

    Attributes:
        limit: rows of the next batch; few after one that failed, so that it is found which object is the cause.
        passes_over: the next object has killed its workers: it is left out.
    """

    job_id: int
    token: str = field(repr=False)
    limit: int = MOST_ROWS
    passes_over: bool = False


def request_jobs() -> dict[str, int]:
    """Ask workers for the jobs that nobody works on; return how many are due and how many were asked for."""
    others = Job.objects.filter(tenant_id=OuterRef("tenant_id"), state__in=ACTIVE)
    running = others.filter(state=State.RUNNING).exclude(pk=OuterRef("pk"))
    earlier = others.filter(state=State.WAITING, pk__lt=OuterRef("pk"))
    is_next = Q(state=State.RUNNING) | (Q(state=State.WAITING) & ~Exists(running) & ~Exists(earlier))
    due = Job.objects.filter(is_next, free(), state__in=ACTIVE, next_turn_at__lte=Now())
    at_work = Job.objects.filter(state=State.RUNNING, lease_expires_at__gt=Now()).count()
    ids = list(due.order_by("next_turn_at", "pk").values_list("pk", flat=True)[: max(0, AT_ONCE - at_work)])
    with together(SENDING_SECONDS):
        asked = sum(ask_for(pk) for pk in ids)
    return {"due": len(ids), "asked": asked}


def ask_for(job_id: int) -> bool:
    """Ask a worker for this job; return False if the broker is away: beat asks again."""
    return send_hint(TASK, {"job_id": job_id}, SLOW_QUEUE)


def run_job(job_id: int, *, seconds: float = TURN_SECONDS) -> str:
    """Work on a job for one turn; return what came of it, for the log."""
    turn = _take(job_id)
    if turn is None:
        return "not due"
    try:
        return _work(turn, time.monotonic() + seconds)
    finally:
        _give_back(turn)
        request_jobs()


def _work(turn: Turn, ends_at: float) -> str:
    try:
        _count_beforehand(turn)
    except Exception as error:  # a host's code; the first batch meets the same, and decides what follows
        logger.warning("job %s: its rows cannot be counted (%s)", turn.job_id, type(error).__name__, exc_info=True)
    while time.monotonic() < ends_at:
        began = time.monotonic()
        try:
            step, pace = _batch(turn)
        except Exception as error:
            if not _survives(turn, error):
                return "failed"
            continue
        if step is None:
            return "stopped"
        if step.is_over:
            return "done"
        rest = PAUSE_SECONDS if step.waits_for else (step.done + step.failed) / pace - (time.monotonic() - began)
        if rest > 0:
            with run_slot.away():  # others compute meanwhile, and have the database connection
                time.sleep(min(rest, 1.0))
    return "gives way"


# -- lease ---------------------------------------------------------------------------------------------------


def _take(job_id: int) -> Turn | None:
    """Take the job for LEASE_SECONDS; None: it is not due, or another one of its tenant is running."""
    with transaction.atomic():
        # All of the tenant's, in one order, so that two workers do not begin with two of them.
        tenant = Job.objects.filter(pk=job_id).values("tenant_id")
        rows = Job.objects.select_for_update().filter(tenant_id__in=tenant, state__in=ACTIVE).order_by("pk")
        active = {job.pk: job for job in rows}
        job = active.pop(job_id, None)
        if job is None or any(other.state == State.RUNNING for other in active.values()):
            return None
        mine = Job.objects.filter(free(), pk=job_id, next_turn_at__lte=Now())
        deaths = job.deaths + bool(job.lease_token)  # nobody gave it back: it ran out
        has_killed = deaths >= MAX_DEATHS
        if has_killed and job.kind != Job.Kind.BACKFILL:
            words = ngettext("Its worker died.", "Its workers died, {count} times in a row.", deaths)
            words = words.format(count=deaths)
            mine.update(state=State.FAILED, last_error=words, ended_at=Now(), **RELEASED)
            return None
        turn = Turn(job_id, new_token(), limit=1 if deaths else MOST_ROWS, passes_over=has_killed)
        is_taken = mine.update(
            state=State.RUNNING,
            **taken(turn.token, LEASE_SECONDS),
            started_at=Coalesce(F("started_at"), Now()),
            updated_at=Now(),
            deaths=deaths,
            waits_for="",
        )
        return turn if is_taken else None


def _mine(turn: Turn) -> QuerySet[Job]:
    return Job.objects.filter(pk=turn.job_id, lease_token=turn.token, state=State.RUNNING)


def _give_back(turn: Turn) -> None:
    """Give the lease back, if it is still ours; the next turn comes after those who have waited longer."""
    _mine(turn).filter(next_turn_at__lte=Now()).update(next_turn_at=Now(), **RELEASED)
    _mine(turn).update(**RELEASED)


# -- batches -------------------------------------------------------------------------------------------------


def _batch(turn: Turn) -> tuple[Step | None, int]:
    """Do one batch in one transaction; return what it did, None if the job is no longer ours, and the pace."""
    with transaction.atomic():
        job = _mine(turn).select_for_update().first()
        if job is None:
            return None, 1
        integration = None
        if job.integration_id is not None and (integration := _integration(job)) is None:
            return None, 1
        limit = min(turn.limit, max(1, job.pace))
        if integration is None or job.kind == Job.Kind.REPLAY:
            step = replay.step(job, limit)
        else:
            with acting_as(job.made_by, source=TASK_SOURCE, path=str(job)):  # whose doing the events are
                step = backfill.step(job, integration, limit, passes_over=turn.passes_over)
        _write(job, step)
    turn.limit, turn.passes_over = min(2 * turn.limit, MOST_ROWS), False
    return step, job.pace


def _integration(job: Job) -> TenantIntegration | None:
    """Return the integration of `job`; None, with the job put off or ended, if nothing is to be sent there now."""
    rows = TenantIntegration.objects.present().select_related("tenant")
    integration = rows.filter(pk=job.integration_id or 0).first()
    mine = Job.objects.filter(pk=job.pk)
    if integration is None or integration.tenant_id != job.tenant_id:
        _say(job, _("The integration was deleted."))
        mine.update(state=State.CANCELLED, ended_at=Now(), messages=job.messages, **RELEASED)
    elif not integration.is_active:
        words = _("{name} is switched off: switch it on, then resume.").format(name=integration.name)
        _say(job, words)
        mine.update(state=State.PAUSED, waits_for=words[:500], messages=job.messages, **RELEASED)
    elif (waiting := _waiting(integration.pk)) >= MOST_WAITING:
        why = "" if integration.is_enabled else _(" (it is disabled)")
        words = _("{waiting:,} deliveries wait for {name} already{why}; goes on once they are sent.").format(
            waiting=waiting, name=integration.name, why=why
        )
        mine.update(waits_for=words[:500], next_turn_at=after(LOOK_AGAIN_SECONDS), **RELEASED)
    else:
        return integration
    return None


def _waiting(integration_id: int) -> int:
    """Return how many deliveries wait in this lane, MOST_WAITING at most."""
    rows = IntegrationSync.objects.filter(integration_id=integration_id, status=IntegrationSync.Status.PENDING)
    return rows.order_by()[:MOST_WAITING].count()


def _count_beforehand(turn: Turn) -> None:
    """Write down how many rows there are to look at, unless that is known or would take too long."""
    job = _mine(turn).filter(total=None).first()
    if job is None or job.looked_at:
        return
    if job.kind == Job.Kind.BACKFILL:
        which = backfill.BackfillFilter.model_construct(**job.filter)
        source = snapshots.source_of(which.model)
        count = source.count(job.tenant_id, backfill.MOST_COUNTED) if source is not None else 0
        total = count if count < backfill.MOST_COUNTED else None
    else:
        total = replay.count(job, seconds=COUNT_SECONDS)
    _mine(turn).update(total=total)


def _write(job: Job, step: Step) -> None:
    """Write how far the job is, and hold it on; part of the transaction of what it did."""
    for text in step.messages:
        _say(job, text)
    job.done, job.skipped, job.failed = job.done + step.done, job.skipped + step.skipped, job.failed + step.failed
    seconds = max((clock.now() - job.updated_at).total_seconds(), 0.001)
    if step.rows:
        seconds = max(seconds, (step.done + step.failed) / job.pace)  # the pace makes it pause for that long afterwards
        job.rate = 0.8 * job.rate + 0.2 * step.rows / seconds if job.rate else step.rows / seconds
    if step.is_over:
        ends = {"state": State.DONE, "ended_at": Now(), "total": job.looked_at, **RELEASED}
    else:
        ends = {"lease_expires_at": after(LEASE_SECONDS)}
    Job.objects.filter(pk=job.pk).update(
        cursor=step.cursor,
        done=job.done,
        skipped=job.skipped,
        failed=job.failed,
        rate=job.rate,
        messages=job.messages,
        waits_for=step.waits_for[:500],
        deaths=0,
        errors=0,
        last_error="",
        updated_at=Now(),
        **ends,
    )


def _say(job: Job, text: str) -> None:
    """Tell people `text`, once."""
    if all(each["text"] != text for each in job.messages):
        job.say(text)


def _survives(turn: Turn, error: Exception) -> bool:
    """Decide what follows a batch that failed, with nothing done; return whether to go on with this turn."""
    logger.warning("job %s: a batch failed (%s)", turn.job_id, type(error).__name__, exc_info=True)
    job = _mine(turn).first()
    if job is None:
        return False
    if not isinstance(error, DatabaseError) or isinstance(error, OBJECTS_FAULT):
        if turn.limit > 1:
            turn.limit = 1
            return True
        if job.kind == Job.Kind.BACKFILL and not turn.passes_over and not isinstance(error, ValidationError):
            turn.passes_over = True
            return True
    errors, name = job.errors + 1, type(error).__name__
    if errors >= MOST_ERRORS:
        words = _("{count} batches failed in a row, the last with {name}; the log says more.")
        words = words.format(count=errors, name=name)
        _mine(turn).update(state=State.FAILED, last_error=words, ended_at=Now(), **RELEASED)
    else:
        words = _("A batch failed ({name}); it is tried again.").format(name=name)
        wait = after(LOOK_AGAIN_SECONDS * 2**job.errors)
        _mine(turn).update(errors=errors, last_error=words, next_turn_at=wait)
    return False
