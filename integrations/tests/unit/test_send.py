"""How far a slice gets, and in which order, where something fails on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Binding, Envelope, Receipt
from integrations.delivery.choice import DueRow
from integrations.delivery.pacing import Pacer
from integrations.delivery.send import Slice
from integrations.delivery.verdicts import CircuitBreaker, Verdict
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.retry_policy import webhook

from .test_choice import row

Answer = Callable[[int], IntegrationError | None]


class Scripted(BaseConnector):
    """Answers each event as it is told."""

    manifest = Manifest(key="scripted", label="Scripted", fields=())

    def __init__(self, answer: Answer) -> None:
        super().__init__(Binding())
        self.script = answer
        self.asked: list[int] = []

    def deliver(self, envelope: Envelope) -> Receipt:
        self.asked.append(envelope.sequence)
        if (error := self.script(envelope.sequence)) is not None:
            raise error
        return Receipt(200)


def slice_of(answer: Answer, others: list[DueRow], failures: int = 0, **more: Any) -> Slice:
    """A slice whose lane has so many failures behind it; `others` are asked in this order."""

    def ask_another(tried: set[int], objects: set[str]) -> DueRow | None:
        return next((other for other in others if other.id not in tried), None)

    return Slice(
        connector=Scripted(answer),
        policy=webhook,
        verdict=Verdict(CircuitBreaker(failures)),
        pacer=Pacer(0.0, 0.0, time.monotonic),
        ask_another=ask_another,
        width=1,
        stop_at=time.monotonic() + 60,
        safe_until=float("inf"),
        **more,
    )


def asked(sending: Slice) -> list[int]:
    connector = sending.connector
    assert isinstance(connector, Scripted)
    return connector.asked


def failing(*ids: int) -> Answer:
    return lambda pk: IntegrationTemporaryError("down") if pk in ids else None


def test_a_row_that_was_asked_because_others_failed_holds_its_object_back() -> None:
    first, behind, good = row(2, "b"), row(3, "b"), row(4, "c")
    sending = slice_of(failing(1, 2), others=[first, good], failures=4)
    sending.send([[row(1, "a")], [first, behind], [good]])
    assert asked(sending) == [1, 2, 4]  # not 3: the one before it is pending


def test_what_was_asked_because_others_failed_and_was_taken_holds_nobody_back() -> None:
    first, behind = row(2, "b"), row(3, "b")
    sending = slice_of(failing(1), others=[first], failures=4)
    sending.send([[row(1, "a")], [first, behind]])
    assert asked(sending) == [1, 2, 3]


def test_a_row_that_somebody_took_away_is_not_asked_again_and_again() -> None:
    looked: list[int] = []

    def gone(row: DueRow) -> None:
        looked.append(row.id)
        if len(looked) > 3:
            raise AssertionError("it is asked for ever")

    sending = slice_of(failing(), others=[], failures=5, mark=gone)
    sending.send([[row(1, "a")]])
    assert looked == [1] and asked(sending) == []


def test_a_doubt_in_a_destination_that_takes_its_time_ends() -> None:
    """Every request takes longer than the turn: with one for each turn, its breaker would never open."""
    failures = paused = 0
    for turn in range(7):

        def hangs(pk: int) -> IntegrationError:
            sending.stop_at = 0.0  # noqa: B023 - used in this turn alone
            return IntegrationTemporaryError("timed out")

        sending = slice_of(hangs, others=[row(100 + turn, "z")], failures=failures)
        sending.send([[row(turn + 1, f"o{turn}")]])
        failures = sending.verdict.breaker.failures
        if sending.verdict.breaker.pause:
            paused = turn + 1
            assert asked(sending) == [105]  # somebody else was asked before
            break
    assert paused == 6


def test_the_first_row_is_sent_however_late_it_is() -> None:
    sending = slice_of(lambda pk: None, others=[])
    sending.stop_at = 0.0
    sending.send([[row(1, "a"), row(2, "a")], [row(3, "b")]])
    assert asked(sending) == [1]


def test_nothing_is_sent_late_for_somebody_who_has_waited() -> None:
    sending = slice_of(lambda pk: None, others=[], may_begin_late=False)
    sending.stop_at = 0.0
    sending.send([[row(1, "a")]])
    assert asked(sending) == []
