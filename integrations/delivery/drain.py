"""Drain one integration's lane: take the lease, read, send and settle slice by slice, give it back, look again.

A push (send_now.py) holds a lane too, and sends one row with `send_slice`.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db import connections

from integrations import conf, retry_policy
from integrations.alone import MAX_DEATHS, alone
from integrations.connections.binding import bind, fingerprint
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.database.leases import LeaseLost
from integrations.errors import IntegrationNotConfigured, IntegrationTemporaryError
from integrations.retry_policy import RetryPolicy
from integrations.telemetry import tracing
from integrations.transport.http.guarded_client import client
from integrations.transport.redaction import mask_url

from . import choice, outcome, run_slot, statements
from .choice import DueRow, Found
from .lease import USING, Lease, release, take
from .models import Lane
from .outcome import Outcome
from .pacing import Pacer, interval_of
from .send import Slice
from .settle import Settlement, pause, settle, unless_resumed
from .unsendable import cancel_pending
from .verdicts import OTHERS, TRUST_SECONDS, CircuitBreaker, Verdict
from .wakeup import wake

logger = logging.getLogger("integrations.delivery")

NOT_CONFIGURED_SECONDS = 300.0  # how long a lane rests whose settings cannot be read
ALONE_SECONDS = 1.0  # how long a suspect row waits for its process to be free of other lanes; newcomers wait with it
NOT_ALONE_SECONDS = 10.0  # then it is put off for so long
_careful = threading.Lock()  # one lane of this process at a time: the others' rows would die with its own


@dataclass(slots=True)
class Drained:
    """What one look at a lane did."""

    sent: int = 0
    outcome: str = "empty"


def drain(integration_id: int, *, turn: int | None = None, is_slow_worker: bool = True) -> Drained:
    """Send what is due for one integration, for about DRAIN_SECONDS (SLICE_SECONDS on the slow queue).

    Args:
        turn: the turn of the lane that a hint asks for; None: whichever comes.
        is_slow_worker: False on the queue for fast lanes, which hands slow ones over.
    """
    lease = take(integration_id, turn)
    if lease is None:
        return Drained(outcome="busy or paused")
    drained = Drained()
    give_back_at = time.monotonic() + (conf.SLICE_SECONDS if is_slow_worker else conf.DRAIN_SECONDS)
    patience = conf.PACE_SECONDS if is_slow_worker else conf.SLOW_SECONDS / 2
    try:
        while (ended := send_slice(lease, stop_at=give_back_at, patience=patience)).state != "empty":
            drained.sent += len(ended.outcomes)
            drained.outcome = ended.state
            is_handed_over = ended.is_slow and not is_slow_worker
            if not ended.may_go_on or is_handed_over or time.monotonic() >= give_back_at:
                break
    except LeaseLost:
        lost = "lane %s: the lease was lost; its new holder sends these rows again"
        logger.warning(lost, integration_id, extra=lease.integration.log_ids())
        drained.outcome = "lease lost"
        return drained
    except BaseException:
        release(lease)  # without a look: what raises every time would wake itself for ever; the sweep brings it back
        raise
    give_back(lease)
    return drained


def give_back(lease: Lease) -> None:
    """Release the lane, and wake it if it has something to send.

    The look comes after the release, never before: a row committed in between would be seen by nobody. It asks for the
    same rows as a turn reads.
    """
    release(lease)
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.look(connections[USING].vendor), [lease.integration_id])
        found = cursor.fetchone()
    if found is not None and not wake(lease.integration_id, turn=found[0], is_slow=bool(found[1])):
        # A mark without a hint would keep everybody else silent until it is old.
        Lane.objects.filter(pk=lease.integration_id, turn=found[0]).update(hinted_at=None)


# -- one slice ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SliceResult:
    """What one slice came to.

    Attributes:
        state: ``sent``, ``empty``, ``inactive``, ``disabled``, ``paused``, ``not configured``, or why it
            halted (Slice.stopped).
        reason: the same in words, where a person has to do something about it.
        rest: seconds that the lane rests now.
        may_go_on: nothing says that the next slice should not be sent at once.
    """

    state: str
    reason: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    rest: float = 0.0
    is_slow: bool = False
    may_go_on: bool = False


def send_slice(
    lease: Lease, *, stop_at: float, patience: float, push: tuple[int, RetryPolicy] | None = None
) -> SliceResult:
    """Read rows of a lane that we hold, send them, and settle; give the lane back at once if nothing more was found.

    Args:
        stop_at: time.monotonic() after which no further request is started (but one, unless it is a push).
        patience: the longest wait, in seconds, for the rate limit's next turn.
        push: the row that somebody waits for, due or not, and its policy. Nothing else is sent then: its brisk policy
            would give other rows up for good. The lane stays ours.

    Raises:
        LeaseLost: the lane is no longer ours; what was sent is sent again by its new holder.
    """
    integration, careful = lease.integration, lease.state.careful_left
    if not integration.is_active:
        cancel_pending(integration, "the integration is switched off", stop_at=stop_at)
        return SliceResult("inactive", "the integration is switched off")
    if not integration.is_enabled:
        return SliceResult("disabled", integration.disabled_reason or "the integration is disabled")
    if lease.state.paused_by:
        return SliceResult("paused", f"paused by {lease.state.paused_by}")
    in_order = integration.ordering == TenantIntegration.Ordering.OBJECT
    if push is None:
        limit = 1 if careful else conf.SLICE_ROWS
        found = _read(statements.rows(connections[USING].vendor, limit, in_order), [lease.integration_id] * 6)
    else:
        one = _read(statements.one(connections[USING].vendor, in_order), [lease.integration_id, push[0]])
        found = [(kind, head, replace(row, is_due=True, deaths=0)) for kind, head, row in one]
    chains = choice.chains(found, in_order=in_order)
    suspect = None if chains and careful else choice.suspect(found, is_urgent_only=bool(chains))
    if not chains and suspect is None:
        if careful:  # whatever the dead holder had in hand has passed
            lease.renew({"careful_left": ("0", [])})
        return SliceResult("empty")
    bound = _bind(lease)
    if isinstance(bound, str):
        return SliceResult("not configured", bound)
    connector, settings = bound
    sending = _slice(lease, connector, settings, in_order, stop_at=stop_at, patience=patience)
    if push is not None:
        sending.policy, sending.ask_another, sending.may_begin_late = lambda: push[1], lambda *_: None, False
    with ExitStack() as apart:  # left when all is settled: until then another row's death would be this one's, too
        apart.enter_context(tracing.sliced(integration.integration_type, integration.pk, len(found)))
        try:
            if suspect is not None:
                _send_alone(lease, sending, suspect, apart)
            elif careful:
                _send_carefully(sending, chains[0][0], apart)
            else:
                sending.send(chains)
        finally:
            # Whatever happens: what was sent is settled, or all of it goes out again.
            tried, stopped = len(sending.outcomes), sending.stopped
            read = len({row.id for _, _, row in found})
            is_all = read < conf.SLICE_ROWS and tried >= read  # then there is most likely nothing more
            is_slow = _settle(
                lease,
                sending,
                settings,
                careful_left=max(0, careful - tried) if chains else 0,
                gives_back=push is None and not careful and not stopped and is_all,
            )
    verdict = sending.verdict
    return SliceResult(
        state=stopped or "sent",
        reason=verdict.wait_reason,
        outcomes=sending.outcomes,
        rest=max(verdict.wait or 0.0, verdict.breaker.pause or 0.0),
        is_slow=is_slow,
        may_go_on=not stopped and tried > 0 and lease.is_held and not (lease.state.rests or 0.0) > 0,
    )


def _read(sql: str, parameters: Sequence[Any]) -> list[Found]:
    with connections[USING].cursor() as cursor:
        cursor.execute(sql, parameters)
        return [(kind, head, DueRow(*values)) for kind, head, *values in cursor.fetchall()]


def _bind(lease: Lease) -> tuple[BaseConnector, str] | str:
    """Return the connector and the fingerprint of its settings, or why there is none.

    Then the lane rests, and no row loses an attempt.
    """
    try:
        stored = lease.integration.stored_binding()
        connector = bind(lease.integration, client(), stored=stored)
        connector.require_connection()
        return connector, fingerprint(lease.integration, stored)
    except IntegrationNotConfigured as error:
        reason = error.message
    except Exception as error:  # a constructor of anybody's
        logger.exception(
            "lane %s: its connector cannot be made", lease.integration_id, extra=lease.integration.log_ids()
        )
        reason = f"the connector {lease.integration.integration_type} cannot be made: {type(error).__name__}"
    logger.error("lane %s cannot be sent: %s", lease.integration_id, reason, extra=lease.integration.log_ids())
    said = {"attention": ("%s", [reason[:500]]), **pause(NOT_CONFIGURED_SECONDS, reason)}
    lease.renew(unless_resumed(lease, said))  # a person who has mended it meanwhile waits for no pause
    return reason


def _slice(
    lease: Lease, connector: BaseConnector, settings: str, in_order: bool, *, stop_at: float, patience: float
) -> Slice:
    """Return what sends a slice: the connector, and what the lane knows of its destination."""
    integration, state, manifest = lease.integration, lease.state, connector.manifest
    longest = connector.binding.timeout or conf.TIMEOUT_SECONDS
    held = conf.LEASE_SECONDS
    if longest > conf.TIMEOUT_SECONDS:
        # The lease must outlive the last request of the slice, however patient this integration is.
        held += longest
        lease.renew(seconds=held)
    was_taken = state.taken_with == settings
    verdict = Verdict(
        CircuitBreaker(state.consecutive_failures, state.times_opened),
        refusals=integration.refused_deliveries,
        refused_object=state.refused_object,
        is_trusted=was_taken and state.last_success_ago is not None and state.last_success_ago < TRUST_SECONDS,
        was_ever_taken=was_taken,
        rejections=state.rejections,
        rejected_as=state.rejected_as,
        rejected_object=state.rejected_object,
    )
    next_send_at = time.monotonic() + max(0.0, state.next_send_in or 0.0)
    return Slice(
        connector=connector,
        policy=lambda: retry_policy.webhook(integration.max_attempts, repeats_answers=manifest.repeats_answers),
        verdict=verdict,
        pacer=Pacer(interval_of(integration, manifest), next_send_at, time.monotonic),
        ask_another=partial(_random_row, lease, in_order, itertools.cycle(range(OTHERS))),
        width=integration.max_in_flight or conf.MAX_IN_FLIGHT,
        stop_at=stop_at,
        safe_until=lease.ends_at - min(longest, held / 2),
        patience=patience,
        tenant_id=integration.tenant_id,
    )


def _random_row(
    lease: Lease, in_order: bool, parts: Iterator[int], tried: set[int], objects: set[str]
) -> DueRow | None:
    """Return a due row chosen at random, one that never failed if there is one, of none of `objects` if possible.

    At random among all that wait, not among the first: a thousand bad payloads may stand in front. One in each fifth of
    the lane (`parts`; 0: the newest): five from anywhere all miss twenty good rows behind forty bad ones in one of ten
    doubts, and there are eight such doubts on the way.
    """
    vendor, integration_id, part = connections[USING].vendor, lease.integration_id, next(parts)
    objects = objects | {lease.state.refused_object}
    known: list[tuple[int, str]] = []
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.FRESH_RANGE, [integration_id] * 4)
        low, high = cursor.fetchone()
        if low is not None:
            in_part = high - int((high - low) * (part + random.random()) / OTHERS)  # noqa: S311 - a sample
            for start in (in_part, random.randint(low, high), low):  # noqa: S311
                # What was tried in this slice is not settled yet, and may stand in the way.
                parameters = [integration_id, integration_id, start, len(tried) + 3]
                cursor.execute(statements.fresh_from(vendor, in_order), parameters)
                known += cursor.fetchall()
        if not any(pk not in tried and key not in objects for pk, key in known):
            cursor.execute(statements.first_retries(vendor, conf.SLICE_ROWS, in_order), [integration_id] * 2)
            retries = cursor.fetchall()
            random.shuffle(retries)
            known += retries
    left = [pair for pair in dict.fromkeys(known) if pair[0] not in tried]
    left.sort(key=lambda pair: pair[1] in objects)  # stable: other objects first, fresh ones before retries
    for pk, _ in left[:3]:
        found = _read(statements.one(vendor, in_order), [integration_id, pk])
        if found and found[0][2].is_due and not found[0][2].deaths:
            return found[0][2]
    return None


def _settle(lease: Lease, sending: Slice, settings: str, *, careful_left: int, gives_back: bool) -> bool:
    """Settle what was sent; return whether the lane is slow."""
    mean = sending.mean_seconds
    if mean is None:
        mean = lease.state.mean_seconds or 0.0
    waiting = sending.verdict.waiting
    if waiting and sending.policy().repeats_auth:  # nobody waits for the rows: what was not their fault waits
        sending.outcomes = [outcome.waits(each) if each.row.id in waiting else each for each in sending.outcomes]
    is_slow = mean > conf.SLOW_SECONDS or sending.slept > conf.SLOW_SECONDS / 2 or sending.halted == "paced"
    settle(
        lease,
        Settlement(
            target=mask_url(sending.connector.base_url),
            settings=settings,
            outcomes=sending.outcomes,
            verdict=sending.verdict,
            mean_seconds=mean,
            is_slow=is_slow,
            next_send_in=sending.pacer.next_at - time.monotonic() if sending.pacer.interval else None,
            careful_left=careful_left,
            gives_back=gives_back,
        ),
    )
    return is_slow


# -- where a worker died ------------------------------------------------------------------------------------


def _mark(row: DueRow) -> DueRow | None:
    """Write the attempt down before it begins: if it kills the worker, the row says so."""
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.mark_attempt(connections[USING].vendor), [row.id, row.generation])
        found = cursor.fetchone()
    return replace(row, deaths=found[0]) if found else None


def _send_carefully(sending: Slice, row: DueRow, apart: ExitStack) -> None:
    """Send one row of a lane whose holder died, counted before it begins."""
    sending.mark = _mark
    if not _careful.acquire(timeout=ALONE_SECONDS):
        sending.halted = "not alone"
        sending.verdict.rest(NOT_ALONE_SECONDS, "another lane of its process is sent row by row too")
        return
    apart.callback(_careful.release)
    sending.send([[row]])


def _send_alone(lease: Lease, sending: Slice, row: DueRow, apart: ExitStack) -> None:
    """Send a row whose worker died before: with no other lane in this process, and not for ever."""
    ids = {**lease.integration.log_ids(), **outcome.log_ids(row, row.attempts)}
    if row.deaths >= MAX_DEATHS:
        problem = f"its worker died {row.deaths} times"
        logger.error("lane %s: row %s is given up: %s", lease.integration_id, row.id, problem, extra=ids)
        sending.outcomes.append(outcome.given_up(row, IntegrationTemporaryError(problem, code="worker_died")))
        return
    with run_slot.away():
        granted = apart.enter_context(alone(ALONE_SECONDS))
    if not granted and row.holds():  # after an hour it goes all the same
        sending.halted = "not alone"
        with connections[USING].cursor() as cursor:
            wait = [NOT_ALONE_SECONDS, row.id, row.generation]
            cursor.execute(statements.put_off(connections[USING].vendor), wait)
        return
    logger.warning("lane %s: row %s is sent alone: its worker died before", lease.integration_id, row.id, extra=ids)
    sending.mark = _mark
    sending.send([[row]])
