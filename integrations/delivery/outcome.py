"""What one attempt means for its row: a receipt or an error in, the row's next state out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from integrations.connectors.port import Receipt
from integrations.errors import IntegrationError
from integrations.outbox.models import IntegrationSync
from integrations.retry_policy import RetryPolicy

from .due import DueRow

Status = IntegrationSync.Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt, ready to be settled.

    Attributes:
        retry_in: seconds until the next attempt; None when the row is final.
        error: what went wrong; None after success.
    """

    row: DueRow
    status: str
    duration_ms: int
    retry_in: float | None = None
    receipt: Receipt | None = None
    error: IntegrationError | None = None

    @property
    def is_final(self) -> bool:
        return self.status != Status.PENDING

    @property
    def response_status(self) -> int | None:
        if self.receipt is not None:
            return self.receipt.status
        return self.error.status if self.error is not None else None

    @property
    def error_text(self) -> str:
        """Our words, and the redacted start of the answer: what people read on the row."""
        if self.error is None:
            return ""
        return f"{self.error.message} — {self.error.excerpt}" if self.error.excerpt else self.error.message


def delivered(row: DueRow, receipt: Receipt, duration_ms: int) -> Outcome:
    """The receiver has it."""
    return Outcome(row, Status.SYNCED, duration_ms, receipt=receipt)


def failed(row: DueRow, error: IntegrationError, duration_ms: int, policy: RetryPolicy, now: datetime) -> Outcome:
    """Try again later, or give up."""
    age = (now - row.created_at).total_seconds()
    retry_in = policy.delay(row.attempts + 1, error, age)
    status = Status.FAILED if retry_in is None else Status.PENDING
    return Outcome(row, status, duration_ms, retry_in=retry_in, error=error)
