"""Send one slice: objects in parallel, one object's rows in order, until something says stop.

One request at a time while the receiver is fast (threads cost more than they win then) or in doubt, up to the
integration's limit when it is slow. The database is not touched, but for the few rows that are asked because others
failed, and for the mark before an attempt where a worker died.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from integrations import conf
from integrations.connections import event_types
from integrations.connections.payloads import bytes_of
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Envelope, Receipt
from integrations.database.clock import elapsed
from integrations.errors import IntegrationError, IntegrationPermanentError, IntegrationTemporaryError
from integrations.retry_policy import RetryPolicy
from integrations.telemetry import tracing
from integrations.telemetry.logs import IdLogger, sending
from integrations.tenancy.tenant import tenant_key
from integrations.transport import recording
from integrations.transport.deadline import within
from integrations.transport.redaction import mask_url

from . import outcome, run_slot
from .choice import DueRow
from .outcome import PENDING, Outcome, log_ids
from .pacing import Pacer
from .verdicts import OWN_LIMIT, Verdict

logger = logging.getLogger("integrations.delivery")

AskAnother = Callable[[set[int], set[str]], "DueRow | None"]  # rows tried, objects tried → a row to ask


@dataclass(slots=True)
class Slice:
    """The rows to send now and everything that decides how far we get.

    Attributes:
        policy: says when a row that failed is tried again; asked where something fails.
        ask_another: finds one more row, of another object, when others must be asked.
        stop_at: time.monotonic() after which no further request is started; the first one is all the same.
        may_begin_late: False where somebody waits until `stop_at`: then not even the first.
        safe_until: the same on the clock of clock.elapsed: a request that starts later may outlive our lease.
        patience: the longest wait, in seconds, for the rate limit's next turn.
        mark: writes an attempt down before it begins, and returns the row as it is then; None: not needed.
        tenant_id: whose lane it is; events of others are not sent. None: not known.
        slept: seconds spent waiting for the rate limit.
        read_at: when the rows were read, on the clock of clock.elapsed.
    """

    connector: BaseConnector
    policy: Callable[[], RetryPolicy]
    verdict: Verdict
    pacer: Pacer
    ask_another: AskAnother
    width: int
    stop_at: float
    safe_until: float
    patience: float = 0.0
    may_begin_late: bool = True
    mark: Callable[[DueRow], DueRow | None] | None = None
    tenant_id: Any = None
    slept: float = 0.0
    read_at: float = field(default_factory=elapsed)
    halted: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    _spent_ms: int = 0
    _tried: set[int] = field(default_factory=set)
    _holding: set[int] = field(default_factory=set)  # of those tried: its object's later rows wait for it
    _objects: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _scribe: recording.Scribe = field(init=False)
    _trace: Any = None  # the context of the slice, for the threads that send; None: nobody collects spans

    def __post_init__(self) -> None:
        connector = self.connector
        self._scribe = recording.Scribe(
            lambda: connector.secrets,
            secret_path=connector.manifest.secret_path,
            address=mask_url(connector.base_url),
        )

    def send(self, chains: Iterable[list[DueRow]]) -> None:
        """Send `chains` as far as it goes; `outcomes` says what became of what was tried, also if this raises."""
        waiting, self._trace = deque(chains), tracing.current()
        try:
            while self._may_start():
                if self.verdict.doubt:
                    self._ask_others(waiting)
                elif not waiting:
                    break
                elif self._is_worth_threads(len(waiting)):
                    self._send_together(waiting)
                else:
                    self._send_chain(waiting.popleft())
            if self.verdict.doubt and self.verdict.has_asked and not self.stopped:
                # Time is up. Where each request takes a whole turn, a doubt that waits for more answers never ends.
                self.verdict.conclude()
        finally:
            self._disconnect()

    @property
    def stopped(self) -> str:
        """Why the rest of the slice was left alone; "" if it was not."""
        return self.verdict.halted or self.halted

    @property
    def mean_seconds(self) -> float | None:
        """The mean duration of the requests; None if there was none."""
        return self._spent_ms / len(self.outcomes) / 1000 if self.outcomes else None

    def _ask_others(self, waiting: Iterable[list[DueRow]]) -> None:
        """Ask others, from all over the lane, until one is taken or none is left: is it the rows or the destination?"""
        while self.verdict.may_ask_another and self._may_start():
            row = self.ask_another(self._tried, self._objects)
            if row is None:  # nobody but those of this slice, such as one that somebody waits for before it is due
                row = next((chain[0] for chain in waiting if chain[0].id not in self._tried), None)
            if row is None:
                break
            if not self._send_row(row):
                return
        if self.verdict.doubt and self._may_start():
            self.verdict.conclude()

    def _is_worth_threads(self, chains: int) -> bool:
        if min(self.width, chains) < 2 or self.mark is not None or not self.verdict.is_calm:
            return False
        return (self.mean_seconds or 0.0) > conf.PARALLEL_SECONDS

    def _send_together(self, waiting: deque[list[DueRow]]) -> None:
        width, lane = min(self.width, len(waiting)), run_slot.current()

        def work() -> None:
            try:
                with run_slot.running(part_of=lane):
                    while self._may_start() and self.verdict.is_calm:
                        try:
                            chain = waiting.popleft()
                        except IndexError:
                            return
                        self._send_chain(chain)
            finally:  # a connector may read the database; what its thread takes with it, a pool never gets back
                connections.close_all()

        with run_slot.away(), ThreadPoolExecutor(width, thread_name_prefix="lane") as pool:
            try:
                working = [pool.submit(work) for _ in range(width)]
            except RuntimeError as error:  # no thread is to be had: those that began go on, and so do we
                logger.warning("lane %s: %s", self.connector.name, error)
                self.width = 1
                working = []
            for future in working:
                future.result()
        self.verdict.all_returned()

    def _send_chain(self, chain: list[DueRow]) -> None:
        for row in chain:
            is_tried = row.id in self._tried  # it was asked because others failed
            if row.id in self._holding or not (is_tried or self._send_row(row)):
                return

    def _send_row(self, row: DueRow) -> bool:
        """Try one row; return whether its object's later rows may go now."""
        if not (self._may_start() and self._wait_for_turn()):
            return False
        started = elapsed()
        marked = self.mark(row) if self.mark else row
        if marked is None:  # somebody has cancelled or retried it meanwhile
            self._tried.add(row.id)
            self._holding.add(row.id)
            return False
        result = self._attempt(marked)
        with self._lock:
            self._tried.add(row.id)
            self._objects.add(row.object_key)
            self.outcomes.append(result)
            self._spent_ms += result.duration_ms
            self.verdict.note(result)
            may_go_on = result.status != PENDING or not row.holds(elapsed() - started)
            if not may_go_on:
                self._holding.add(row.id)
        run_slot.checkpoint()
        return may_go_on

    def _wait_for_turn(self) -> bool:
        if not self.pacer.interval:
            return True
        pause = self.pacer.wait(self.patience)
        if pause is None:
            with self._lock:
                self.halted = "paced"
                # Short enough for a slot to sit out: the lane is handed over. Longer: the sweep brings it back.
                if (wait := self.pacer.next_at - time.monotonic()) > conf.PACE_SECONDS:
                    self.verdict.rest(wait, OWN_LIMIT)
            return False
        if pause:
            with self._lock:
                self.slept += pause
            with run_slot.away():
                time.sleep(pause)
        return True

    def _attempt(self, row: DueRow) -> Outcome:
        if self._trace is None:
            return self._send_once(row)
        connector = self.connector
        about = {
            "messaging.message.id": row.idempotency_key,
            "integrations.connector_type": connector.name,
            "integrations.sync_id": row.id,
            "integrations.attempt": row.attempts + 1,
        }
        with tracing.attempted(row.event_type, row.traceparent, connector.base_url, about, within=self._trace) as span:
            result = self._send_once(row)
            span.ended(result.response_status, result.error.code if result.error is not None else "")
        return result

    def _send_once(self, row: DueRow) -> Outcome:
        started, attempt = time.perf_counter(), row.attempts + 1
        about = sending.set(log_ids(row, attempt))
        recorder = recording.Recorder()
        noting = recording.current.set(recorder)
        connector = self.connector
        receipt, body, failure = Receipt(), b"", None
        try:
            envelope = self._envelope(row, attempt)
            body = envelope.body
            with within(connector.binding.timeout or conf.TIMEOUT_SECONDS), run_slot.away():
                connector.connect()
                receipt = connector.deliver(envelope)
            receipt = outcome.redacted(receipt, connector)
        except IntegrationError as error:
            failure = error
        except Exception as error:  # whatever a connector throws or returns: the row is settled and tried again
            IdLogger(logger, connector.binding.ids).warning(
                "connector %s raised %s", connector.name, type(error).__name__
            )
            failure = IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
        finally:
            recording.current.reset(noting)
            sending.reset(about)
        duration_ms, was_counted = round((time.perf_counter() - started) * 1000), self.mark is not None
        age = row.age + elapsed() - self.read_at
        exchanges = self._exchanges(recorder, row, attempt, body, (failure or receipt).excerpt)
        if failure is None:
            return outcome.delivered(row, receipt, duration_ms, was_counted=was_counted, age=age, exchanges=exchanges)
        policy = self.policy()
        return outcome.failed(row, failure, duration_ms, policy, was_counted=was_counted, exchanges=exchanges)

    def _envelope(self, row: DueRow, attempt: int) -> Envelope:
        """Return what the connector is handed.

        Raises:
            IntegrationPermanentError: the event belongs to another tenant, or its subscription makes no payload of it.
        """
        theirs, ours = row.tenant_id, self.tenant_id
        if None not in (theirs, ours) and theirs != ours and tenant_key(theirs) != ours:  # as a database stores it
            raise IntegrationPermanentError("the event belongs to another tenant; not sent", code="other_tenant")
        own = row.older_body or row.body
        return Envelope(
            event_type=row.event_type,
            idempotency_key=row.idempotency_key,
            body=bytes_of(row.payload, own) if row.payload else own.encode(),
            event_body=row.body.encode() if row.payload or row.older_body else b"",
            sequence=row.event_id,
            attempt=attempt,
            progress=json.loads(row.progress) if row.progress else {},
            summary_format=event_types.summary_format(row.event_type),
            payload_version=row.payload_version,
        )

    def _exchanges(
        self, recorder: recording.Recorder, row: DueRow, attempt: int, body: bytes, excerpt: str
    ) -> recording.Entries:
        """Return what may be stored of what was sent; that it cannot be told must not lose what became of it."""
        if not recorder.exchanges:
            return []
        ours = [
            f"webhook-id: {row.idempotency_key}",
            f"webhook-event: {row.event_type}",
            f"webhook-sequence: {row.event_id}",
            f"webhook-attempt: {attempt}",
            f"webhook-payload-version: {row.payload_version}",
            *(f"{name}: {value}" for name, value in tracing.header().items()),
        ]
        try:
            return self._scribe.entries(recorder, row.id, body, ours, excerpt)
        except Exception as error:
            logger.warning("what was sent for sync %s cannot be logged: %s", row.id, type(error).__name__)
            return []

    def _may_start(self) -> bool:
        if self.stopped:
            return False
        # A lane that takes a whole turn to begin with (a cold process, slow secrets) would send nothing, for ever.
        if time.monotonic() >= self.stop_at and (self._tried or not self.may_begin_late):
            return False
        if elapsed() >= self.safe_until:  # we stood still: settle asks whether the lane is still ours
            self.halted = "lease ending"
            return False
        return True

    def _disconnect(self) -> None:
        """Give back what the slice used; that it fails must not lose what became of the slice."""
        try:
            self.connector.disconnect()
        except Exception as error:
            logger.warning("connector %s could not disconnect: %s", self.connector.name, type(error).__name__)
