"""One integration's rows, sent on a clock that runs fast; pure.

The rules are those of delivery/: whose turn it is, when a failed row is tried again (`RetryPolicy`), the breaker with
its rests (`CircuitBreaker`), the third refusal. Left out is what takes other lanes, threads or a dead worker to show.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from integrations import conf, retry_policy
from integrations.connections.health import refused_reason
from integrations.counted import counted
from integrations.delivery.verdicts import (
    ASKED,
    BREAKER_OPEN,
    REFUSED_RESTS,
    TRUST_SECONDS,
    TRUSTED_REFUSALS,
    CircuitBreaker,
)
from integrations.errors import DESTINATION, SETUP, IntegrationError, IntegrationRateLimited

PICK_UP = (0.012, 0.09)  # seconds from commit to request
SWEEP = 15.0  # seconds: how late a retry is looked at

Exchanges = list[dict[str, Any]]
# Status, what is kept of the body, error, milliseconds, what went over the wire (if that is kept).
Answer = tuple[int | None, str, IntegrationError | None, int, Exchanges | None]


@dataclass(slots=True)
class Attempt:
    """One request and what came back."""

    number: int
    ended: float
    status: int | None
    excerpt: str
    error: IntegrationError | None
    ms: int
    exchanges: Exchanges | None


@dataclass(slots=True)
class Owed:
    """One row: an event owed to this integration; times in seconds.

    Attributes:
        subject: the object that the event is about: its rows go out in order.
        event: the place of the event in the caller's list.
    """

    made: float
    subject: str
    event: int
    status: str = "pending"
    attempts: int = 0
    due: float = 0.0
    first_failed: float | None = None
    last_failed: float | None = None
    settled: float | None = None
    last_error: str = ""
    response_status: int | None = None
    reason: str = ""
    log: list[Attempt] = field(default_factory=list)


@dataclass(slots=True)
class Lane:
    """The state of a lane after all that."""

    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    paused_until: float = 0.0
    pause_reason: str = ""
    opened: float | None = None
    refused: int = 0  # requests in a row
    refusals: int = 0  # of the lane
    last_refused: float | None = None
    disabled_at: float | None = None
    disabled_reason: str = ""
    last_success: float | None = None
    last_failure: float | None = None
    delivered: int = 0
    failed: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=20))


def send(
    rows: list[Owed],
    ask: Callable[[float, Owed], Answer],
    *,
    now: float,
    policy: retry_policy.RetryPolicy,
    chance: random.Random,
) -> Lane:
    """Send `rows` (oldest first) as far as `now`; each says afterwards what became of it.

    Args:
        ask: what the destination answers at a time.
    """
    lane = Lane()
    waiting: dict[str, list[tuple[int, Owed]]] = defaultdict(list)  # behind an earlier row of their object
    held: dict[str, Owed] = {}
    starts: dict[str, float] = defaultdict(float)
    free: dict[str, float] = defaultdict(float)  # an object's next row goes out no earlier: one is under way, or a rest
    # What is due at the same time goes out in the order in which it was recorded.
    agenda: list[tuple[float, int, Owed]] = []
    for place, row in enumerate(rows):
        row.due = row.made
        # In the order of an object's rows: those behind come after those before.
        starts[row.subject] = max(starts[row.subject], row.made + chance.uniform(*PICK_UP))
        heapq.heappush(agenda, (starts[row.subject], place, row))
    while agenda and lane.disabled_at is None:
        at, place, row = heapq.heappop(agenda)
        if at < free[row.subject]:
            heapq.heappush(agenda, (free[row.subject], place, row))
            continue
        blocker = held.get(row.subject)
        if blocker is not None and blocker is not row and _holds(blocker, at):
            waiting[row.subject].append((place, row))
            continue
        if at < lane.paused_until:  # for all rows of the object, so that none overtakes
            free[row.subject] = lane.paused_until + chance.uniform(0, 3)
            heapq.heappush(agenda, (free[row.subject], place, row))
            continue
        if at > now:
            break  # all others are later still
        if blocker is not row and waiting[row.subject]:  # the hour has passed: those before go first
            for other in (*waiting.pop(row.subject), (place, row)):
                heapq.heappush(agenda, (at, *other))
            continue
        ended = free[row.subject] = _try(lane, row, at, ask, policy)
        if row.status == "pending":
            held[row.subject] = row
            heapq.heappush(agenda, (row.due + chance.uniform(0, SWEEP), place, row))
        elif held.get(row.subject) is row:
            del held[row.subject]
        if row.status != "pending" or not _holds(row, ended):
            for other in waiting.pop(row.subject, ()):
                heapq.heappush(agenda, (ended, *other))
    return lane


def _holds(row: Owed, at: float) -> bool:
    return row.first_failed is None or row.first_failed + conf.HOLD_SECONDS > at


def _try(
    lane: Lane, row: Owed, at: float, ask: Callable[[float, Owed], Answer], policy: retry_policy.RetryPolicy
) -> float:
    status, excerpt, error, ms, exchanges = ask(at, row)
    ended = at + ms / 1000
    row.attempts += 1
    row.log.append(Attempt(row.attempts, ended, status, excerpt, error, ms, exchanges))
    row.response_status = status
    lane.seconds.append(ms / 1000)
    if error is None:
        row.status, row.settled, row.last_error, row.reason = "synced", ended, "", ""
        lane.breaker.succeeded()
        lane.refused = lane.refusals = 0
        lane.opened, lane.paused_until, lane.pause_reason = None, 0.0, ""
        lane.last_success, lane.delivered = ended, lane.delivered + 1
        return ended
    row.first_failed = row.first_failed or ended
    row.last_failed = lane.last_failure = ended
    row.last_error = f"{error.message} — {error.excerpt}" if error.excerpt else error.message
    delay = policy.delay(row.attempts, error, ended - row.made)
    if delay is None:
        row.status, row.settled, row.reason = "failed", ended, f"gave up: {row.last_error}"
        lane.failed += 1
    else:
        row.due = ended + delay
    _judge(lane, error, ended, delay)
    return ended


def _judge(lane: Lane, error: IntegrationError, at: float, delay: float | None) -> None:
    if error.fault == SETUP:
        lane.refused, lane.last_refused = lane.refused + 1, at
        is_trusted = lane.last_success is not None and at - lane.last_success < TRUST_SECONDS
        if is_trusted and lane.refused < TRUSTED_REFUSALS:
            return  # others are asked first
        lane.refusals += 1
        if lane.refusals >= conf.AUTH_FAILURES_TO_DISABLE:
            lane.disabled_at = at
            lane.disabled_reason = refused_reason(lane.refusals)
        else:
            rest = REFUSED_RESTS[lane.refusals - 1]
            lane.paused_until, lane.pause_reason = (
                at + rest,
                f"the destination refused our credentials ({lane.refusals} in a row)",
            )
    elif isinstance(error, IntegrationRateLimited):
        lane.paused_until = at + max(error.retry_after or 0.0, delay or 15.0)
        lane.pause_reason = f"{ASKED} to slow down"
    elif error.fault == DESTINATION and at > lane.paused_until:
        lane.breaker.failed()
        if lane.breaker.is_in_doubt:
            lane.breaker.pause = None
            lane.breaker.open()
            lane.opened = lane.opened or at
            lane.paused_until = at + (lane.breaker.pause or 0.0)
            lane.pause_reason = f"{BREAKER_OPEN}: {counted(lane.breaker.failures, 'failure')} in a row"
