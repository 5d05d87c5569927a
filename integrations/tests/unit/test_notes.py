"""What the notes on business objects say: whole sentences, and names and errors as they are."""

from __future__ import annotations

from integrations.audit.notes import not_received, not_sent, received


def test_names_and_errors_are_quoted_as_they_are() -> None:
    assert received("Orders..SAP", "order_paid", status=200, attempt=2, remark="It lay in ../in already...") == (
        "✓ Orders..SAP received order_paid (HTTP 200) at attempt 2. It lay in ../in already..."
    )
    assert not_received("Files", "order_paid", attempts=3, why="../out is not there") == (
        "✗ Files did not get order_paid: failed after 3 attempts: ../out is not there."
    )


def test_each_ends_with_one_full_stop() -> None:
    for why in ("It is full", "It is full."):
        assert received("A", "b", status=None, attempt=1, remark=why) == "✓ A received b. It is full."
        assert (
            not_received("A", "b", attempts=1, why=why) == "✗ A did not get b: failed at the first attempt: It is full."
        )
        assert not_sent("A", "b", ended_as="cancelled", why=why) == "✗ b was not sent to A: cancelled: It is full."
