"""What one attempt means for its row, without a row in a database."""

from __future__ import annotations

import pytest

from integrations import conf
from integrations.connectors.port import Receipt
from integrations.delivery.outcome import as_unexpected, delivered, failed, figures_of, given_up, log_ids, waits
from integrations.errors import IntegrationError, IntegrationPermanentError, IntegrationTemporaryError
from integrations.retry_policy import RetryPolicy

from .test_choice import row

POLICY = RetryPolicy(base=10, factor=2, cap=100, jitter=0, max_attempts=3, max_age=1000)
DOWN, WRONG = IntegrationTemporaryError("down"), IntegrationPermanentError("wrong")


def test_what_was_taken_is_synced_and_stays_so() -> None:
    result = delivered(row(1), Receipt(202, excerpt="ok"), 7)
    assert (result.status, result.is_final, result.retry_in, result.duration_ms) == ("synced", True, None, 7)
    assert (result.response_status, result.error_text, result.attempt) == (202, "", 1)


@pytest.mark.parametrize(
    ("attempts", "error", "status", "retry_in"),
    [
        (0, DOWN, "pending", 10),
        (1, DOWN, "pending", 20),
        (2, DOWN, "failed", None),  # the third and last attempt
        (0, WRONG, "failed", None),
    ],
)
def test_a_failure_is_tried_again_or_ends_the_row(
    attempts: int, error: IntegrationError, status: str, retry_in: float | None
) -> None:
    result = failed(row(1, attempts=attempts), error, 7, POLICY)
    assert (result.status, result.retry_in, result.attempt) == (status, retry_in, attempts + 1)
    assert result.is_final is (status == "failed") and result.receipt is None


def test_too_old_a_row_is_not_tried_again() -> None:
    assert failed(row(1, age=1000.0), DOWN, 7, POLICY).status == "failed"
    assert failed(row(1, age=999.0), DOWN, 7, POLICY).status == "pending"


def test_an_attempt_that_was_written_down_before_it_began_is_the_same_attempt() -> None:
    result = failed(row(1), DOWN, 7, POLICY, was_counted=True)
    assert (result.attempt, result.retry_in, result.was_counted) == (1, 10, True)
    assert delivered(row(1), Receipt(), 7, was_counted=True).attempt == 1


def test_a_failure_that_is_not_the_rows_ends_nothing() -> None:
    ended = failed(row(1), WRONG, 7, POLICY)
    waiting = waits(ended)
    assert (waiting.status, waiting.retry_in, waiting.error) == ("pending", conf.RETRY_BASE_SECONDS, WRONG)
    assert waits(waiting) is waiting  # its own time stays


def test_what_is_given_up_is_final() -> None:
    result = given_up(row(1, attempts=2), WRONG)
    assert (result.status, result.is_final, result.attempt, result.retry_in) == ("failed", True, 2, None)


def test_what_people_read() -> None:
    def said(error: IntegrationError) -> tuple[str, int | None]:
        result = given_up(row(1), error)
        return result.error_text, result.response_status

    assert said(IntegrationPermanentError("refused", status=400, excerpt="no such field")) == (
        "refused — no such field",
        400,
    )
    assert said(IntegrationTemporaryError("no answer")) == ("no answer", None)


def test_what_lines_of_the_log_say() -> None:
    assert log_ids(row(7), 3) == {"event_type": "t", "event_id": "evt_7", "sync_id": 7, "attempt": 3}


def test_a_delivery_whose_outcome_cannot_be_stored_counts_as_none() -> None:
    found = figures_of([as_unexpected(delivered(row(1), Receipt(200), 7, age=3.0))])
    assert (found.delivered, found.retrying, found.age_ms, sum(found.ages), sum(found.durations)) == (0, 1, 0, 0, 1)
