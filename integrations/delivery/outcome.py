"""What one attempt means for its row: a receipt or an error in, the row's next state out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Receipt
from integrations.errors import MAX_MESSAGE, IntegrationError, IntegrationTemporaryError, printable
from integrations.outbox.models import IntegrationSync
from integrations.retry_policy import RetryPolicy
from integrations.statistics.figures import Figures
from integrations.transport.recording import Entries
from integrations.transport.redaction import redact

from .choice import DueRow

Status = IntegrationSync.Status
MAX_FACTS, MAX_NAME = 20, 50  # of a receipt; characters of the name of one
PENDING, SYNCED, FAILED = str(Status.PENDING), str(Status.SYNCED), str(Status.FAILED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt, ready to be settled.

    Attributes:
        attempt: its number, 1 for the first.
        response_status: of the answer, if there was one.
        retry_in: seconds until the next attempt; None when the row is final.
        error: what went wrong; None after success.
        was_counted: the attempt was written down before it began.
        age: seconds from when its retries are counted to the answer, of what was delivered.
        exchanges: what was sent and what came back, masked (transport/recording.py).
    """

    row: DueRow
    status: str
    duration_ms: int
    attempt: int
    response_status: int | None = None
    retry_in: float | None = None
    receipt: Receipt | None = None
    error: IntegrationError | None = None
    was_counted: bool = False
    age: float | None = None
    exchanges: Entries = ()

    @property
    def is_final(self) -> bool:
        return self.status != PENDING

    @property
    def took_ms(self) -> int | None:
        """How long the request took; None: none was sent."""
        was_sent = self.error is None or self.response_status is not None or self.duration_ms > 0
        return self.duration_ms if was_sent else None

    @property
    def error_text(self) -> str:
        """Our words, and the redacted start of the answer: what people read on the row."""
        if self.error is None:
            return ""
        return f"{self.error.message} — {self.error.excerpt}" if self.error.excerpt else self.error.message

    @property
    def remark(self) -> str:
        """What people must know of a delivery that was taken; "" if there is nothing."""
        return self.receipt.remark if self.receipt is not None else ""

    @property
    def reason(self) -> str:
        """What people must know of the row from now on; "" if there is nothing."""
        return f"gave up: {self.error_text}" if self.status == FAILED else self.remark

    @property
    def answer(self) -> str | Mapping[str, Any] | None:
        """What the log keeps of the answer: its excerpt; with facts that a receipt says, an object that holds both."""
        if self.receipt is None:
            return self.error.excerpt or None if self.error is not None else None
        facts = {"external_id": self.receipt.external_id, "location": self.receipt.location, **self.receipt.details}
        facts = {name: value for name, value in facts.items() if value}
        if not facts:
            return self.receipt.excerpt or None
        return {"answer": self.receipt.excerpt, **facts} if self.receipt.excerpt else facts


def log_ids(row: DueRow, attempt: int) -> dict[str, Any]:
    """Return what lines of the log say of an attempt beside their words."""
    return {"event_type": row.event_type, "event_id": row.idempotency_key, "sync_id": row.id, "attempt": attempt}


def delivered(
    row: DueRow,
    receipt: Receipt,
    duration_ms: int,
    *,
    was_counted: bool = False,
    age: float | None = None,
    exchanges: Entries = (),
) -> Outcome:
    """The receiver has it."""
    return Outcome(
        row,
        SYNCED,
        duration_ms,
        row.attempts + 1,
        receipt.status,
        receipt=receipt,
        was_counted=was_counted,
        age=age,
        exchanges=exchanges,
    )


def failed(
    row: DueRow,
    error: IntegrationError,
    duration_ms: int,
    policy: RetryPolicy,
    *,
    was_counted: bool = False,
    exchanges: Entries = (),
) -> Outcome:
    """Try again later, or give up."""
    attempt = row.attempts + 1
    retry_in = policy.delay(attempt, error, row.age)
    status = FAILED if retry_in is None else PENDING
    return Outcome(
        row,
        status,
        duration_ms,
        attempt,
        error.status,
        retry_in=retry_in,
        error=error,
        was_counted=was_counted,
        exchanges=exchanges,
    )


def waits(result: Outcome) -> Outcome:
    """Return `result` as one that ends nothing: what went wrong is not this row's fault."""
    return replace(result, status=PENDING, retry_in=conf.RETRY_BASE_SECONDS) if result.is_final else result


def given_up(row: DueRow, error: IntegrationError) -> Outcome:
    """No further attempt: what `error` says ends the row."""
    return Outcome(row, FAILED, 0, row.attempts, error.status, error=error, was_counted=True)


def without_texts(result: Outcome) -> Outcome:
    """Return `result` with nothing that the receiver said, but our own short words."""
    error, status = copy(result.error), result.response_status
    if error is not None:
        error.message, error.excerpt = error.code, ""
    status = status if isinstance(status, int) and 0 <= status < 1000 else None
    receipt = result.receipt
    if receipt is not None:
        receipt = replace(receipt, excerpt="", external_id="", location="", details={}, remark="")
    return replace(result, error=error, response_status=status, receipt=receipt, exchanges=())


def as_unexpected(result: Outcome) -> Outcome:
    """Return what stands for `result` if nothing of it can be stored: the row is tried again."""
    return replace(
        result,
        status=PENDING,
        retry_in=conf.RETRY_BASE_SECONDS,
        response_status=None,
        receipt=None,
        error=IntegrationTemporaryError("its outcome could not be stored", code="unexpected"),
        age=None,
    )


def figures_of(outcomes: Iterable[Outcome]) -> Figures:
    """Return what statistics keep of these attempts."""
    figures = Figures()
    for result in outcomes:
        if result.error is None:
            figures.delivered += 1
        elif result.status == FAILED:
            figures.given_up += 1
        else:
            figures.retrying += 1
        if result.took_ms is not None:
            figures.add_duration(result.took_ms)
        if result.age is not None:
            figures.add_age(max(0, round(result.age * 1000)))
    return figures


# -- what a receipt says beside its excerpt (the ERP's order number, the file's name), fit to be stored and shown ------
# Connectors of others fill it in too, so nothing is taken on trust: flat, short, few, and without known secrets.


def redacted(receipt: Receipt, connector: BaseConnector) -> Receipt:
    """Return `receipt` with facts that may be stored; most receipts have none, and cost nothing here.

    Raises:
        TypeError: the connector returned something else, or a status that is no number.
    """
    if not isinstance(receipt, Receipt) or not isinstance(receipt.status, int | None):
        raise TypeError("a connector returns a Receipt, with the HTTP status or None")
    if not (receipt.external_id or receipt.location or receipt.details or receipt.remark):
        return receipt
    secrets = connector.secrets

    def clean(value: Any) -> str:
        return redact(printable(str(value)), secrets)[:MAX_MESSAGE]

    details = list(receipt.details.items())[:MAX_FACTS]
    return replace(
        receipt,
        external_id=clean(receipt.external_id),
        location=clean(receipt.location),
        remark=clean(receipt.remark),
        details={str(name)[:MAX_NAME]: clean(value) for name, value in details if value not in (None, "")},
    )
