"""One turn with a lane that we hold: read rows, send them, settle. A worker's slice and a push are both one of these.

In: the lease, what to read, a retry policy and how long it may take. Out: what came of it. Errors: LeaseLost.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db import connections

from integrations import conf
from integrations.alone import MAX_DEATHS, alone
from integrations.connections.binding import bind, fingerprint
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.errors import IntegrationNotConfigured, IntegrationTemporaryError
from integrations.retry_policy import RetryPolicy
from integrations.telemetry import tracing
from integrations.transport.process_client import client
from integrations.transport.redaction import mask_url

from . import choice, outcome, run_slot, statements
from .choice import DueRow, Found
from .lease import USING, Lease, extend
from .outcome import Outcome
from .pacing import Pacer, interval_of
from .send import Slice
from .settle import Settlement, pause, settle, unless_resumed
from .unsendable import cancel_pending
from .verdicts import OTHERS, TRUST_SECONDS, CircuitBreaker, Verdict

logger = logging.getLogger("integrations.delivery")

NOT_CONFIGURED_SECONDS = 300.0  # how long a lane rests whose settings cannot be read
ALONE_SECONDS = 1.0  # how long a suspect row waits for its process to be free of other lanes; newcomers wait with it
NOT_ALONE_SECONDS = 10.0  # then it is put off for so long
_careful = threading.Lock()  # one lane of this process at a time: the others' rows would die with its own

ReadRows = Callable[[Lease, bool], "list[Found]"]  # the lane, in order
PolicyFor = Callable[[TenantIntegration, Manifest], RetryPolicy]


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


def read_due(lease: Lease, in_order: bool) -> list[Found]:
    """Return the due rows of the lane: heads, and what rides behind them."""
    limit = 1 if lease.state.careful_left else conf.SLICE_ROWS
    sql = statements.rows(connections[USING].vendor, limit, in_order)
    return _found(sql, [lease.integration_id] * 3)


def read_one(sync_id: int) -> ReadRows:
    """Return what reads that row alone, due or not, if no earlier one of its object must go first."""

    def read(lease: Lease, in_order: bool) -> list[Found]:
        sql = statements.one(connections[USING].vendor, in_order)
        found = _found(sql, [lease.integration_id, sync_id])
        return [(kind, head, replace(row, is_due=True, deaths=0)) for kind, head, row in found]

    return read


def send_slice(
    lease: Lease,
    read_rows: ReadRows,
    policy_for: PolicyFor,
    *,
    stop_at: float,
    patience: float,
    gives_back: bool = False,
    somebody_waits: bool = False,
) -> SliceResult:
    """Send what `read_rows` finds, and settle it.

    Args:
        stop_at: time.monotonic() after which no further request is started (but one, unless somebody waits).
        patience: the longest wait, in seconds, for the rate limit's next turn.
        gives_back: give the lane back with the settlement if nothing more was found.
        somebody_waits: for what `read_rows` finds: other rows are not sent by its brisk policy, which would give them
            up for good.

    Raises:
        LeaseLost: the lane is no longer ours; what was sent is sent again by its new holder.
    """
    integration = lease.integration
    if not integration.is_active:
        cancel_pending(integration, "the integration is switched off", stop_at=stop_at)
        return SliceResult("inactive", "the integration is switched off")
    if not integration.is_enabled:
        return SliceResult("disabled", integration.disabled_reason or "the integration is disabled")
    if lease.state.paused_by:
        return SliceResult("paused", f"paused by {lease.state.paused_by}")
    in_order = integration.ordering == TenantIntegration.Ordering.OBJECT
    found = read_rows(lease, in_order)
    chains = choice.chains(found, in_order=in_order)
    careful = lease.state.careful_left
    suspect = None if chains and careful else choice.suspect(found, is_urgent_only=bool(chains))
    if not chains and suspect is None:
        if careful:  # whatever the dead holder had in hand has passed
            lease.renew({"careful_left": ("0", [])})
        return SliceResult("empty")
    bound = _bind(lease)
    if isinstance(bound, str):
        return SliceResult("not configured", bound)
    connector, settings = bound
    sending = _slice(lease, connector, settings, policy_for, in_order, stop_at=stop_at, patience=patience)
    if somebody_waits:
        sending.ask_another, sending.may_begin_late = lambda *_: None, False
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
            stopped = sending.stopped
            is_slow = _settle(
                lease,
                sending,
                settings,
                careful_left=max(0, careful - len(sending.outcomes)) if chains else 0,
                gives_back=gives_back and not careful and not stopped and _is_all(found, sending.outcomes),
            )
    verdict = sending.verdict
    return SliceResult(
        state=stopped or "sent",
        reason=verdict.wait_reason,
        outcomes=sending.outcomes,
        rest=max(verdict.wait or 0.0, verdict.breaker.pause or 0.0),
        is_slow=is_slow,
        may_go_on=not stopped and bool(sending.outcomes),
    )


def _found(sql: str, parameters: Sequence[Any]) -> list[Found]:
    with connections[USING].cursor() as cursor:
        cursor.execute(sql, parameters)
        return [(kind, head, _row(values)) for kind, head, *values in cursor.fetchall()]


def _row(values: Sequence[Any]) -> DueRow:
    row = DueRow(*values)
    return row if connections[USING].vendor == "postgresql" else replace(row, is_due=bool(row.is_due))


def _is_all(found: Iterable[Found], outcomes: Sequence[Outcome]) -> bool:
    """Tell whether everything that was read was tried: then there is most likely nothing more."""
    rows = {row.id for _, _, row in found}
    return len(rows) < conf.SLICE_ROWS and len(outcomes) >= len(rows)


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
    lease: Lease,
    connector: BaseConnector,
    settings: str,
    policy_for: PolicyFor,
    in_order: bool,
    *,
    stop_at: float,
    patience: float,
) -> Slice:
    integration, state = lease.integration, lease.state
    longest = connector.binding.timeout or conf.TIMEOUT_SECONDS
    held = conf.LEASE_SECONDS
    if longest > conf.TIMEOUT_SECONDS:
        # The lease must outlive the last request of the slice, however patient this integration is.
        held += longest
        extend(lease, held)
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

    parts = itertools.cycle(range(OTHERS))

    def ask_another(tried: set[int], objects: set[str]) -> DueRow | None:
        return _random_row(lease.integration_id, in_order, tried, objects | {state.refused_object}, next(parts))

    return Slice(
        connector=connector,
        policy=partial(policy_for, integration, connector.manifest),
        verdict=verdict,
        pacer=_pacer(integration, state.next_send_in, connector.manifest),
        ask_another=ask_another,
        width=integration.max_in_flight or conf.MAX_IN_FLIGHT,
        stop_at=stop_at,
        safe_until=lease.ends_at - min(longest, held / 2),
        patience=patience,
        tenant_id=integration.tenant_id,
    )


def _random_row(integration_id: int, in_order: bool, tried: set[int], objects: set[str], part: int) -> DueRow | None:
    """Return a due row chosen at random, one that never failed if there is one, of none of `objects` if possible.

    At random among all that wait, not among the first: a thousand bad payloads may stand in front. One in each fifth of
    the lane (`part`; 0: the newest): five from anywhere all miss twenty good rows behind forty bad ones in one of ten
    doubts, and there are eight such doubts on the way.
    """
    vendor = connections[USING].vendor
    known: list[tuple[int, str]] = []
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.FRESH_RANGE, [integration_id] * 2)
        low, high = cursor.fetchone()
        if low is not None:
            in_part = high - int((high - low) * (part + random.random()) / OTHERS)  # noqa: S311 - a sample
            for start in (in_part, random.randint(low, high), low):  # noqa: S311
                # What was tried in this slice is not settled yet, and may stand in the way.
                cursor.execute(statements.fresh_from(vendor, in_order), [integration_id, start, len(tried) + 3])
                known += cursor.fetchall()
        if not any(pk not in tried and key not in objects for pk, key in known):
            cursor.execute(statements.first_retries(vendor, conf.SLICE_ROWS, in_order), [integration_id])
            retries = cursor.fetchall()
            random.shuffle(retries)
            known += retries
    left = [pair for pair in dict.fromkeys(known) if pair[0] not in tried]
    left.sort(key=lambda pair: pair[1] in objects)  # stable: other objects first, fresh ones before retries
    for pk, _ in left[:3]:
        found = _found(statements.one(vendor, in_order), [integration_id, pk])
        if found and found[0][2].is_due and not found[0][2].deaths:
            return found[0][2]
    return None


# -- where a worker died ------------------------------------------------------------------------------------


def _mark(row: DueRow) -> DueRow | None:
    """Count an attempt before it begins: if it kills the worker, the row says so."""
    with connections[USING].cursor() as cursor:
        cursor.execute(statements.mark_attempt(connections[USING].vendor), [row.id, row.generation])
        found = cursor.fetchone()
    return replace(row, attempts=row.attempts + 1, deaths=found[0]) if found else None


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


def _pacer(integration: TenantIntegration, next_send_in: float | None, manifest: Manifest) -> Pacer:
    wait = max(0.0, next_send_in or 0.0)
    return Pacer(interval_of(integration, manifest), time.monotonic() + wait, time.monotonic)
