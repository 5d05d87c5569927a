"""What failures say about the destination, and what they do not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from integrations.connectors.port import Receipt
from integrations.delivery.circuit_breaker import CircuitBreaker
from integrations.delivery.outcome import Outcome, delivered, failed
from integrations.delivery.verdicts import OTHERS, TRUSTED_REFUSALS, Verdict
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.retry_policy import webhook

from .test_choice import row


def taken(key: str = "a") -> Outcome:
    return delivered(row(1, key), Receipt(200), 1)


def broken(key: str = "a", error: IntegrationError | None = None, **more: object) -> Outcome:
    return failed(row(1, key, **more), error or IntegrationTemporaryError("down"), 1, webhook())


def refused(key: str = "a") -> Outcome:
    return broken(key, IntegrationAuthError("no", status=403))


def judge(verdict: Verdict, outcomes: Iterable[Outcome]) -> Verdict:
    for outcome in outcomes:
        verdict.note(outcome)
    return verdict


def test_five_failures_are_a_doubt_and_others_that_fail_too_a_verdict() -> None:
    verdict = judge(Verdict(CircuitBreaker()), [broken()] * 4)
    assert not verdict.doubt and not verdict.is_calm
    judge(verdict, [broken()])
    assert verdict.doubt == "failing" and verdict.breaker.pause is None
    asked = 0
    while verdict.may_ask_another:
        verdict.note(broken())
        asked += 1
    verdict.conclude()
    assert asked == OTHERS and verdict.halted == "breaker" and verdict.breaker.pause == 30


def test_one_of_the_others_that_is_taken_ends_the_doubt() -> None:
    verdict = judge(Verdict(CircuitBreaker()), [*[broken()] * 5, broken(), taken()])
    assert not verdict.doubt and not verdict.halted and verdict.is_calm


def test_a_probe_asks_up_to_five() -> None:
    verdict = Verdict(CircuitBreaker(failures=9, times_opened=1))
    assert verdict.doubt == "failing"
    judge(verdict, [broken()] * OTHERS)
    assert not verdict.may_ask_another
    verdict.conclude()
    assert verdict.breaker.pause == 60
    probing = judge(Verdict(CircuitBreaker(failures=9, times_opened=1)), [broken(), taken()])
    assert (probing.breaker.failures, probing.breaker.times_opened, probing.doubt) == (0, 0, "")


def test_a_probe_that_finds_nobody_to_ask_says_nothing() -> None:
    verdict = Verdict(CircuitBreaker(failures=9, times_opened=1))
    verdict.conclude()  # what was due is cancelled
    assert (verdict.halted, verdict.breaker.pause, verdict.breaker.times_opened) == ("", None, 1)


def test_a_row_that_failed_before_the_last_success_is_no_evidence() -> None:
    again = broken(failed_ago=1, is_cleared=True)
    assert judge(Verdict(CircuitBreaker()), [again] * 20).breaker.failures == 0
    assert judge(Verdict(CircuitBreaker()), [broken(failed_ago=1)] * 4).breaker.failures == 4
    assert judge(Verdict(CircuitBreaker()), [taken(), *[broken(failed_ago=1)] * 9]).breaker.failures == 0


def test_an_answer_that_is_no_success_is_not_the_destinations_fault() -> None:
    verdict = judge(Verdict(CircuitBreaker()), [broken(error=IntegrationPermanentError("400", status=400))] * 9)
    assert verdict.is_calm and not verdict.halted


@pytest.mark.parametrize("error", [IntegrationRateLimited("slow", retry_after=60), IntegrationTemporaryError("503")])
def test_a_wish_to_wait_is_obeyed(error: IntegrationError) -> None:
    error.retry_after = 60
    verdict = judge(Verdict(CircuitBreaker()), [broken(error=error)])
    assert verdict.halted and verdict.wait and verdict.wait >= 60


def test_gone_stops_at_once() -> None:
    assert judge(Verdict(CircuitBreaker()), [broken(error=IntegrationGone("410", status=410))]).halted == "gone"


# -- refused credentials ---------------------------------------------------------------------------------------


def test_without_any_success_each_refusal_counts_and_rests() -> None:
    refusals, last = 0, ""
    for key, halted, rest in (("a", "refused", 5), ("b", "refused", 60), ("c", "auth", None)):
        verdict = judge(Verdict(CircuitBreaker(), refusals=refusals, refused_object=last), [refused(key)])
        assert not verdict.may_ask_another  # one request a time: wrong credentials are not shown around
        verdict.conclude()
        assert (verdict.halted, verdict.wait) == (halted, rest)
        refusals, last = verdict.refusals, verdict.refused_object
    assert refusals == 3


def test_a_lane_that_worked_asks_others_first() -> None:
    verdict = judge(Verdict(CircuitBreaker(), is_trusted=True, was_ever_taken=True), [refused("a")])
    assert verdict.doubt == "refused" and verdict.may_ask_another
    judge(verdict, [refused("b"), taken("c")])
    assert (verdict.refusals, verdict.halted, verdict.doubt) == (0, "", "")


def test_all_others_refused_too_is_one_refusal_of_the_lane() -> None:
    verdict = judge(Verdict(CircuitBreaker(), is_trusted=True, was_ever_taken=True), [refused("a")])
    count = 1
    while verdict.may_ask_another:
        verdict.note(refused(f"other {count}"))
        count += 1
    verdict.conclude()
    assert count == TRUSTED_REFUSALS
    assert (verdict.refusals, verdict.halted, verdict.wait) == (1, "refused", 5)


def test_a_lone_refused_object_is_its_own_trouble_where_others_were_taken() -> None:
    verdict = judge(Verdict(CircuitBreaker(), is_trusted=True, was_ever_taken=True), [refused("a")])
    verdict.conclude()  # nobody else was due
    assert (verdict.refusals, verdict.halted, verdict.wait) == (1, "", None)
    for _ in range(5):  # its retries
        verdict = Verdict(CircuitBreaker(), refusals=1, refused_object="a", was_ever_taken=True)
        judge(verdict, [refused("a")]).conclude()
        assert (verdict.refusals, verdict.halted) == (1, "")


def test_a_success_ends_the_count() -> None:
    verdict = judge(Verdict(CircuitBreaker(), refusals=2, refused_object="a"), [taken("b")])
    assert (verdict.refusals, verdict.refused_object, verdict.is_calm) == (0, "", True)


def test_a_destination_that_goes_down_after_a_refusal_opens_the_breaker() -> None:
    failures, halted = 0, ""
    for _ in range(6):
        verdict = Verdict(CircuitBreaker(failures), refusals=1, refused_object="a")
        judge(verdict, [broken("b")]).conclude()
        failures, halted = verdict.breaker.failures, verdict.halted
        if halted == "breaker":
            break
        assert verdict.wait == 5
    assert halted == "breaker"
