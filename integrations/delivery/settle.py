"""Write down what became of a slice: fence, rows, log, health and audit notes in one transaction."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from django.db import DataError, IntegrityError, connections, transaction
from django.db.models import F

from integrations import conf
from integrations.audit import notes
from integrations.audit.models import ExecutionLog
from integrations.audit.notes import AuditNote, write_notes
from integrations.connections import health
from integrations.connections.binding import fingerprint
from integrations.connections.event_types import is_on_request
from integrations.connections.models import TenantIntegration
from integrations.counted import counted
from integrations.database import sql
from integrations.errors import (
    DESTINATION,
    QUOTA,
    SETUP,
    IntegrationBlocked,
    IntegrationGone,
    IntegrationMoved,
    IntegrationRateLimited,
    printable,
)
from integrations.statistics import writing
from integrations.telemetry.counters import count_deliveries
from integrations.telemetry.logs import one_line
from integrations.tenancy.tenant import name_of, tenant_field, tenant_model

from . import statements
from .lease import USING, Lease, Values
from .models import CLOSED, Lane
from .outcome import FAILED, PENDING, SYNCED, Outcome, as_unexpected, figures_of, log_ids, without_texts
from .verdicts import ASKED, BREAKER_OPEN, Verdict

logger = logging.getLogger("integrations.delivery")

UNSTORABLE = (DataError, IntegrityError, TypeError, ValueError, OverflowError)
SAID = ("tenant_id", "integration_id", "connector", "event_id", "sync_id", "host", "status")  # in words, too
COUNTED_AS = {SYNCED: "delivered", FAILED: "given_up", PENDING: "failed"}
# PostgreSQL guesses the type of a parameter inside CASE from nothing.
CAST = {"paused_until": "timestamptz", "opened_at": "timestamptz"}
CAST |= dict.fromkeys(("consecutive_failures", "times_opened", "rejections"), "int")
SAME_SECONDS = 1.0  # between reading the lane and reading its rows


@dataclass(slots=True)
class Settlement:
    """Everything that one slice changes.

    Attributes:
        target: scheme and host, for the log.
        settings: the fingerprint (connections/binding.py) of those that it was sent with.
        next_send_in: seconds until the pacer allows the next request; None: no rate limit.
        careful_left: how many rows are still to be sent one at a time.
        gives_back: the lane is given back by the same statement: nothing more was found.
    """

    target: str
    settings: str
    outcomes: list[Outcome]
    verdict: Verdict
    mean_seconds: float
    is_slow: bool
    next_send_in: float | None = None
    careful_left: int = 0
    gives_back: bool = False


def settle(lease: Lease, settlement: Settlement) -> None:
    """Make `settlement` durable, and renew the lease or give it back.

    What cannot be stored as it is, is stored with our own short words; a row for which even that fails is tried again,
    and keeps nobody else from being settled.

    Raises:
        LeaseLost: the lane is no longer ours (or gone); nothing was written.
    """
    integration = lease.integration
    stored = _store(lease, settlement)
    attempts = [(COUNTED_AS[each.status], each.took_ms, each.age) for each in stored.outcomes]
    count_deliveries(integration.integration_type, attempts)
    for result in stored.outcomes:
        _log(integration, stored.target, result)


def _store(lease: Lease, settlement: Settlement) -> Settlement:
    """Commit `settlement`, or what of it can be stored; return what was."""
    try:
        return _commit(lease, settlement)
    except UNSTORABLE:
        ids = lease.integration.log_ids()
        logger.exception("lane %s: what came back cannot be stored as it is", lease.integration_id, extra=ids)
    plain = replace(settlement, outcomes=[without_texts(result) for result in settlement.outcomes])
    try:
        return _commit(lease, plain)
    except UNSTORABLE:
        logger.exception("lane %s: looking row by row what can be stored", lease.integration_id, extra=ids)
    # Then committed together: one by one, each row after the first would be judged by a lane that knows the verdict
    # already, or that a person has resumed.
    storable = [
        result if _can_be_stored(lease, replace(plain, outcomes=[result])) else as_unexpected(result)
        for result in plain.outcomes
    ]
    return _commit(lease, replace(plain, outcomes=storable))


def _can_be_stored(lease: Lease, settlement: Settlement) -> bool:
    try:
        _commit(lease, settlement, is_trial=True)
    except UNSTORABLE:
        return False
    return True


def _commit(lease: Lease, settlement: Settlement, *, is_trial: bool = False) -> Settlement:
    """Write lane, rows, log, notes and verdict in one transaction, of which nothing stays if it is a trial."""
    before, integration = copy(lease), lease.integration  # as they were when the slice was sent
    try:
        with transaction.atomic(using=USING):
            # First, so that the row lock fences everything below, and a deletion of the integration waits.
            lease.renew(_lane_values(lease, settlement), seconds=0 if settlement.gives_back else None)
            final = _write_rows(settlement)
            _write_log(integration, settlement)
            told = [r for r in settlement.outcomes if r.row.id in final and not is_on_request(r.row.event_type)]
            write_notes([_note(integration, result) for result in told])
            if is_trial:
                transaction.set_rollback(True, using=USING)
            else:
                _write_verdict(before.state.epoch, integration, settlement)
    except BaseException:
        lease.become(before)  # it is settled once more by what it was, and given back if that fails too
        raise
    if is_trial:
        lease.become(before)
    return settlement


# -- the lane --------------------------------------------------------------------------------------------------


def _lane_values(lease: Lease, settlement: Settlement) -> Values:
    vendor = connections[USING].vendor
    now = (sql.now(vendor), ())
    synced = sum(result.error is None for result in settlement.outcomes)
    given_up = sum(result.status == FAILED for result in settlement.outcomes)
    values: Values = {"mean_seconds": ("%s", [settlement.mean_seconds]), "is_slow": ("%s", [settlement.is_slow])}
    if lease.state.careful_left != settlement.careful_left:
        values["careful_left"] = ("%s", [settlement.careful_left])
    if synced:
        values["last_success_at"] = now
        values["delivered_count"] = ("delivered_count + %s", [synced])
        values["taken_with"] = ("%s", [settlement.settings])
    if synced < len(settlement.outcomes):
        values["last_failure_at"] = now
        values["failed_count"] = ("failed_count + %s", [given_up])
    if given_up:
        values["gave_up_at"] = now
    values |= _spell(lease, settlement, now)
    if settlement.next_send_in is not None:
        values["next_send_at"] = (
            statements.next_send(vendor),
            [float(settlement.next_send_in), lease.state.booked_until],
        )
    said = _verdict_values(lease, settlement, now)
    texts = {"attention": _attention(lease, settlement, synced), "trouble": _trouble(lease, settlement, synced)}
    for name, text in texts.items():
        if text is not None:
            said[name] = ("%s", [text[:500]])
    return values | unless_resumed(lease, said)


def _spell(lease: Lease, settlement: Settlement, now: tuple[str, Sequence[Any]]) -> Values:
    """Since when nothing is taken, how much failed since then, and the last error."""
    state, outcomes = lease.state, settlement.outcomes
    values: Values = {}
    last = next((result.error for result in reversed(outcomes) if result.error is not None), None)
    if last is not None:
        values["last_error"] = ("%s", [printable(last.message)[:500]])
    taken = [index for index, result in enumerate(outcomes) if result.error is None or result.error.progress]
    after = outcomes[taken[-1] + 1 :] if taken else outcomes
    since = None if taken else state.failing_ago
    counts = [result for result in after if result.error is not None and _began_within(result, since)]
    rows, attempts = (0, 0) if taken else (state.failing_rows, state.failing_attempts)
    for result in counts:
        if not isinstance(result.error, IntegrationRateLimited) and result.error.fault != QUOTA:  # type: ignore[union-attr]
            rows += not result.row.has_failed
            attempts += result.error.fault in (DESTINATION, SETUP)  # type: ignore[union-attr]
    if counts and since is None:
        values["failing_since"] = now
    elif taken and state.failing_ago is not None:
        values["failing_since"] = ("NULL", [])
    if (rows, attempts) != (state.failing_rows, state.failing_attempts):
        values["failing_rows"], values["failing_attempts"] = ("%s", [rows]), ("%s", [attempts])
    return values


def _began_within(result: Outcome, since: float | None) -> bool:
    """Tell whether the row failed first while nothing was taken: others were taken since then, it is its own trouble.

    Args:
        since: how many seconds ago that began; None: it begins with this row.
    """
    row = result.row
    if not row.has_failed or row.hold_left is None:
        return True
    return since is not None and conf.HOLD_SECONDS - row.hold_left <= since + SAME_SECONDS


def _verdict_values(lease: Lease, settlement: Settlement, now: tuple[str, Sequence[Any]]) -> Values:
    """What the slice says about the destination."""
    vendor = connections[USING].vendor
    verdict = settlement.verdict
    breaker = verdict.breaker
    seconds, reason = verdict.wait or 0.0, verdict.wait_reason
    if breaker.pause is not None and breaker.pause > seconds:
        seconds, reason = breaker.pause, f"{BREAKER_OPEN}: {counted(breaker.failures, 'failure')} in a row"
    state = lease.state
    values: Values = {
        "consecutive_failures": ("%s", [breaker.failures]),
        "times_opened": ("%s", [breaker.times_opened]),
        "breaker": ("%s", [Lane.Breaker.OPEN if breaker.is_probing else Lane.Breaker.CLOSED]),
        **pause(seconds, reason, was_taken=verdict.taken > 0),
        "refused_object": ("%s", [verdict.refused_object]),
    }
    if not verdict.taken:  # so what calls counted since the slice began stands
        more = max(0, breaker.failures - state.consecutive_failures)
        values["consecutive_failures"] = ("consecutive_failures + %s", [more])
        values["times_opened"] = (sql.greatest(vendor, "times_opened", "%s"), [breaker.times_opened])
        if not breaker.is_probing:
            is_open = [Lane.Breaker.OPEN, Lane.Breaker.CLOSED]
            values["breaker"] = ("CASE WHEN times_opened > 0 THEN %s ELSE %s END", is_open)
    if (verdict.rejections, verdict.rejected_as) != (state.rejections, state.rejected_as):
        values["rejections"] = ("%s", [min(verdict.rejections, 30_000)])
        values["rejected_as"] = ("%s", [verdict.rejected_as])
        values["rejected_object"] = ("%s", [verdict.rejected_object])
    if verdict.taken and not breaker.is_probing:
        values["opened_at"] = ("NULL", [])
    elif breaker.times_opened == 1 and breaker.pause is not None:
        values["opened_at"] = now
    return values


def pause(seconds: float, reason: str, *, was_taken: bool = False) -> Values:
    """Return what lets a held lane rest for `seconds`; 0: no longer, but for what a call has asked since it was taken.

    A lane that is taken rests for nothing: a pause that is on was set by a call since then. The longer one counts. What
    was taken ends a breaker's pause; what the destination asked for is never undercut.
    """
    vendor = connections[USING].vendor
    until = sql.shifted(vendor, "%s") if seconds else "NULL"
    parameters = [float(seconds)] if seconds else []
    is_on = f"paused_until > {sql.now(vendor)}"
    kept = f"{is_on} AND pause_reason LIKE '{ASKED}%%'" if was_taken else is_on
    kept = kept if until == "NULL" else f"{kept} AND paused_until > {until}"
    return {
        "paused_until": (f"CASE WHEN {kept} THEN paused_until ELSE {until} END", parameters * 2),
        # Calls obey what was asked for, and go by the reason: it stays, also where our own pause is longer.
        "pause_reason": (
            f"CASE WHEN {is_on} AND ({kept} OR pause_reason LIKE '{ASKED}%%') THEN pause_reason ELSE %s END",
            [*parameters, reason[:200] if seconds else ""],
        ),
    }


def unless_resumed(lease: Lease, values: Values) -> Values:
    """Return `values` so that they are written only if nobody has resumed the lane since it was taken or renewed."""
    epoch, is_cast = lease.state.epoch, connections[USING].vendor == "postgresql"
    casts = {name: f"::{CAST.get(name, 'varchar')}" if is_cast else "" for name in values}
    return {
        name: (f"CASE WHEN epoch = %s THEN {value}{casts[name]} ELSE {name} END", [epoch, *parameters])
        for name, (value, parameters) in values.items()
    }


def _attention(lease: Lease, settlement: Settlement, synced: int) -> str | None:
    """Return what a person must look at; "" if that is over, None if nothing is to be written."""
    for result in reversed(settlement.outcomes):
        if isinstance(result.error, IntegrationMoved | IntegrationBlocked | IntegrationGone):
            return result.error.message
    if settlement.verdict.refusals and settlement.verdict.why:
        return settlement.verdict.why
    return "" if synced and lease.state.attention else None


def _trouble(lease: Lease, settlement: Settlement, synced: int) -> str | None:
    """Return what fails beside what is taken; "" if that is over, None if nothing is to be written."""
    if synced == len(settlement.outcomes) and not lease.state.trouble:
        return None
    taken = lease.state.delivered_count + synced
    failing = _failing(lease, settlement)
    if not failing or not taken:
        return "" if lease.state.trouble else None
    count = sum(failing.values())
    total = "1000 or more events wait" if count >= 1000 else f"{counted(count, 'event')} wait{'s' * (count == 1)}"
    answers = ", ".join(f"{status or 'no answer'} for {number}" for status, number in list(failing.items())[:4])
    others = f"{counted(taken, 'other')} {'was' if taken == 1 else 'were'} taken"
    look = "look at this event" if count == 1 else "look at these events"
    return f"{total} for a retry ({answers}), while {others}: {look}."


def _failing(lease: Lease, settlement: Settlement) -> dict[int | None, int]:
    """Count what waits for a retry after this slice, by the last answer."""
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.FAILING, [lease.integration_id])
        counts: dict[int | None, int] = dict(cursor.fetchall())
    for result in settlement.outcomes:  # the rows of this slice are not written yet
        if result.error is not None and not result.row.has_failed and result.status == PENDING:
            counts[result.response_status] = counts.get(result.response_status, 0) + 1
        elif result.row.has_failed and result.status != PENDING:
            known = next((status for status, number in counts.items() if number > 0), None)
            counts[known] = counts.get(known, 0) - 1
    return {status: number for status, number in counts.items() if number > 0}


# -- rows, log, notes -----------------------------------------------------------------------------------------


def _write_rows(settlement: Settlement) -> set[int]:
    """Write the rows that are still pending; return the ids of those now final.

    A row that an operator cancelled while it was being sent stays cancelled; of one that was retried meanwhile only a
    success counts.
    """
    if not settlement.outcomes:
        return set()
    listed = [
        {
            "id": result.row.id,
            "generation": result.row.generation,
            "tried": 0 if result.was_counted else 1,
            "state": result.status,
            "retry_in": None if result.retry_in is None else round(result.retry_in, 3),
            "response_status": result.response_status,
            "error": printable(result.error_text)[:1100] if result.error is not None else "",
            "why": printable(result.reason)[:500] if result.reason else "",
            "progress": json.dumps(result.error.progress) if result.error and result.error.progress else None,
        }
        for result in settlement.outcomes
    ]
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.settle_rows(connections[USING].vendor), [json.dumps(listed)])
        written = dict(cursor.fetchall())
        for each in listed:
            # Retried or cancelled meanwhile: that stands, and whoever has got it gets no copy.
            if each["progress"] and each["id"] not in written:
                cursor.execute(statements.KEEP_PROGRESS, [each["progress"], each["id"]])
    return {pk for pk, status in written.items() if status != PENDING}


def _write_log(integration: TenantIntegration, settlement: Settlement) -> None:
    if not settlement.outcomes:
        return
    listed = [
        {
            "id": result.row.id,
            "attempt": result.attempt,
            "response_status": result.response_status,
            "answer": json.dumps(answer) if (answer := result.answer) else None,
            "duration_ms": result.duration_ms,
            "error": printable(result.error.message) if result.error is not None else "",
            "exchanges": result.exchanges or None,
        }
        for result in settlement.outcomes
    ]
    vendor, figures = connections[USING].vendor, figures_of(settlement.outcomes)
    sql = statements.log_attempts(vendor, ExecutionLog._meta.db_table)
    about: list[Any] = [integration.pk]
    if tenant_field("name") is None:  # then the database cannot look it up in a column
        tenant = tenant_model()._base_manager.using(USING).filter(pk=integration.tenant_id).first()
        about.insert(0, str(integration.tenant_id) if tenant is None else name_of(tenant))
    if vendor == "postgresql":
        about.append(writing.packed(figures))
    else:
        writing.add({integration.pk: figures}, using=USING)
    with connections[USING].cursor() as cursor:
        cursor.execute(sql, [*about, "deliver", "POST", settlement.target[:500], "system", json.dumps(listed)])


def _note(integration: TenantIntegration, result: Outcome) -> AuditNote:
    row, about = result.row, (integration.name, result.row.event_type)
    if result.error is None:
        text = notes.received(*about, status=result.response_status, attempt=result.attempt, remark=result.remark)
    else:
        text = notes.not_received(*about, attempts=result.attempt, why=result.error.message)
    return AuditNote(integration.tenant_id, row.content_type_id, row.object_id, text)


# -- the integration ------------------------------------------------------------------------------------------


def _write_verdict(epoch: int, integration: TenantIntegration, settlement: Settlement) -> None:
    """The count of refusals and our switch; the integration's row is written only if they change.

    An answer to settings that were replaced meanwhile, or to a lane that a person has resumed, switches nothing off and
    pauses nothing.
    """
    verdict = settlement.verdict
    gone = next((r.error for r in settlement.outcomes if isinstance(r.error, IntegrationGone)), None)
    before = integration.refused_deliveries
    has_changed = verdict.refusals != before or bool(verdict.taken and integration.refused_calls)
    if gone is None and not has_changed and not verdict.pauses:
        return
    row = TenantIntegration.unannounced.using(USING).select_for_update(of=("self",)).filter(pk=integration.pk).first()
    if row is None:
        return
    if (gone is not None or verdict.refusals or verdict.pauses) and not _still_stands(epoch, row, settlement.settings):
        return
    if has_changed:
        # What others counted meanwhile stays, unless a success ended it.
        added = F("auth_failure_count") + (verdict.refusals - before)
        health.write_refusals(row, verdict.refusals if verdict.taken else added, verdict.why)
    if gone is not None:
        health.disable(row, gone.message)


def _still_stands(epoch: int, row: TenantIntegration, settings: str) -> bool:
    """Tell whether settings and epoch are those of the slice; if the settings are new, end the pause for the old ones.

    Lane and integration are locked.
    """
    lane = Lane.objects.using(USING).filter(pk=row.pk)
    if lane.values_list("epoch", flat=True).first() != epoch:
        return False  # the lane's own columns say so themselves (`_verdict_values`)
    if fingerprint(row) == settings:
        return True
    lane.update(**CLOSED)
    return False


def _log(integration: TenantIntegration, target: str, result: Outcome) -> None:
    """Say in one line what became of a row, a success too."""
    level = logging.INFO if result.error is None else logging.ERROR if result.is_final else logging.WARNING
    if not logger.isEnabledFor(level):
        return
    host = target.partition("://")[2].partition("/")[0]
    more = {"host": host, "status": result.response_status, "duration_ms": result.duration_ms}
    extra = {**integration.log_ids(), **log_ids(result.row, result.attempt), **more}
    logger.log(
        level,
        "%s → %s: %s, attempt %s, %s ms%s (%s)",
        one_line(result.row.event_type),
        one_line(integration.name),
        "synced" if result.error is None else result.error.message,
        result.attempt,
        result.duration_ms,
        "" if result.retry_in is None else f". Retrying in {result.retry_in:.1f}s",
        ", ".join([f"{key.removesuffix('_id')} {extra[key]}" for key in SAID if extra[key] is not None]),
        extra=extra,
    )
