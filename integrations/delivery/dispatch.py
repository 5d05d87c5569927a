"""Send one slice: objects in parallel, one object's rows in order, until something says stop.

No database here. One thread while the receiver is fast (threads cost more than they win then), up to the
integration's limit when it is slow.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.utils import timezone

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Envelope
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.retry_policy import RetryPolicy
from integrations.transport.deadline import within

from . import outcome, run_slot
from .circuit_breaker import CircuitBreaker
from .due import DueRow, hold_is_over
from .outcome import Outcome
from .pacing import Pacer
from .receipt_facts import redacted

logger = logging.getLogger("integrations.delivery")


@dataclass(slots=True)
class Slice:
    """The rows to send now and everything that decides how far we get.

    Attributes:
        stop_at: time.monotonic() after which no further request is started.
        patience: the longest wait, in seconds, for the rate limit's next turn.
        auth_failures: wrong-credential answers in a row so far.
        halted: why the rest of the slice is left alone; "" while it goes on.
        wait: seconds that the whole lane must rest after this slice, for `wait_reason`; None: it need not.
        slept: seconds spent waiting for the rate limit.
    """

    connector: BaseConnector
    policy: RetryPolicy
    breaker: CircuitBreaker
    pacer: Pacer
    width: int
    stop_at: float
    patience: float = 0.0
    auth_failures: int = 0
    halted: str = ""
    wait: float | None = None
    wait_reason: str = ""
    slept: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, rows: Iterable[DueRow], *, in_order: bool) -> list[Outcome]:
        """Send `rows` and return what became of those that were tried; the connector is disconnected afterwards."""
        try:
            self._send_all(rows, in_order)
        finally:
            self._disconnect()
        return self.outcomes

    def _disconnect(self) -> None:
        try:
            self.connector.disconnect()
        except Exception as error:  # what was sent is sent: it must be settled
            logger.warning("connector %s could not disconnect: %s", self.connector.name, type(error).__name__)

    def _send_all(self, rows: Iterable[DueRow], in_order: bool) -> None:
        chains: dict[str, list[DueRow]] = {}
        for row in rows:
            chains.setdefault(row.object_key if in_order else str(row.id), []).append(row)
        waiting = deque(chains.values())
        # One at a time while it is quick, or while it fails: doubt is no time for a crowd.
        while waiting and self._may_start():
            self._send_chain(waiting.popleft())
            width = min(self.width, len(waiting))
            if width > 1 and self._mean() > conf.PARALLEL_SECONDS and not (self.breaker.failures or self.auth_failures):
                self._send_together(waiting, width)
                break

    def _send_together(self, waiting: deque[list[DueRow]], width: int) -> None:
        lane = run_slot.current()

        def work() -> None:
            with run_slot.running(part_of=lane):
                while self._may_start():
                    try:
                        chain = waiting.popleft()
                    except IndexError:
                        return
                    self._send_chain(chain)

        with run_slot.away(), ThreadPoolExecutor(width, thread_name_prefix="lane") as pool:
            for future in [pool.submit(work) for _ in range(width)]:
                future.result()

    def _send_chain(self, chain: list[DueRow]) -> None:
        for row in chain:
            if not self._may_start():
                return
            if not self._wait_for_turn():
                return
            result = self._attempt(row)
            with self._lock:
                self._note(result)
            run_slot.checkpoint()
            if not result.is_final and not hold_is_over(row.first_failed_at):
                return

    def _wait_for_turn(self) -> bool:
        pause = self.pacer.wait(self.patience)
        if pause is None:
            self.halted = "paced"
            # Short enough for the slow queue to sit out: it is handed over. Longer: the sweep brings it back.
            if (wait := self.pacer.next_at - time.monotonic()) > conf.PACE_SECONDS:
                self._rest(wait, "its own rate limit")
            return False
        if pause:
            self.slept += pause
            with run_slot.away():
                time.sleep(pause)
        return True

    def _rest(self, seconds: float, reason: str) -> None:
        self.wait, self.wait_reason = max((self.wait or 0.0, self.wait_reason), (seconds, reason))

    def _attempt(self, row: DueRow) -> Outcome:
        envelope = Envelope(
            event_type=row.event_type,
            idempotency_key=row.idempotency_key,
            body=row.body.encode(),
            sequence=row.event_id,
            attempt=row.attempts + 1,
        )
        started = time.perf_counter()
        try:
            with within(self.connector.binding.timeout or conf.TIMEOUT_SECONDS), run_slot.away():
                self.connector.connect()
                receipt = self.connector.deliver(envelope)
        except IntegrationError as error:
            failure = error
        except Exception as error:  # whatever a library throws: the row is settled and tried again
            logger.warning("connector %s raised %s", self.connector.name, type(error).__name__)
            failure = IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
        else:
            return outcome.delivered(row, redacted(receipt, self.connector), _since(started))
        return outcome.failed(row, failure, _since(started), self.policy, timezone.now())

    def _note(self, result: Outcome) -> None:
        self.outcomes.append(result)
        error = result.error
        if error is None:
            self.breaker.succeeded()
            self.auth_failures = 0
        elif isinstance(error, IntegrationAuthError):
            self.auth_failures += 1
            if self.auth_failures >= conf.AUTH_FAILURES_TO_DISABLE:
                self.halted = "auth"
        elif isinstance(error, IntegrationGone):
            self.halted = "gone"
        elif isinstance(error, IntegrationRateLimited):
            self.halted = "rate limited"
            self._rest(_wish(error, result), "the destination asked us to slow down")
        elif isinstance(error, IntegrationTemporaryError):
            self.breaker.failed()
            if error.retry_after:
                self.halted = "asked to wait"
                self._rest(_wish(error, result), "the destination asked us to wait")
            elif self.breaker.pause is not None:
                self.halted = "breaker"

    def _may_start(self) -> bool:
        return not self.halted and time.monotonic() < self.stop_at

    def _mean(self) -> float:
        return mean_seconds(self.outcomes)


def _wish(error: IntegrationError, result: Outcome) -> float:
    """How long the lane rests: what was asked for, also when this very row is not tried again."""
    asked = min(error.retry_after or 0.0, conf.RETRY_AFTER_CAP_SECONDS)
    return max(asked, result.retry_in or 0.0) or conf.RETRY_BASE_SECONDS


def mean_seconds(outcomes: list[Outcome]) -> float:
    """Return the mean duration of `outcomes`, in seconds."""
    return sum(result.duration_ms for result in outcomes) / len(outcomes) / 1000 if outcomes else 0.0


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
