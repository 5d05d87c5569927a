"""What failures say about the destination, and what they do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from integrations.connectors.port import Receipt
from integrations.delivery.outcome import Outcome, delivered, failed, waits
from integrations.delivery.verdicts import ASKED, OTHERS, TRUSTED_REFUSALS, CircuitBreaker, Verdict
from integrations.errors import (
    EVENT,
    QUOTA,
    SETUP,
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


# -- whose fault it is -----------------------------------------------------------------------------------------


def told(fault: str, key: str = "a", number: int = 1, **more: Any) -> Outcome:
    error = IntegrationPermanentError("the channel is gone", code="gone", status=200, fault=fault, **more)
    return failed(row(number, key), error, 1, webhook())


def rejected(key: str, number: int, code: str = "http_400") -> Outcome:
    return failed(row(number, key), IntegrationPermanentError("no", code=code, status=400), 1, webhook())


def test_the_set_ups_fault_counts_as_refused_credentials_do_and_its_rows_wait() -> None:
    refusals, last = 0, ""
    for key, halted, rest in (("a", "refused", 5), ("b", "refused", 60), ("c", "setup", None)):
        outcome = told(SETUP, key)
        assert outcome.status == "pending"
        verdict = judge(Verdict(CircuitBreaker(), refusals=refusals, refused_object=last), [outcome])
        verdict.conclude()
        assert (verdict.halted, verdict.wait, verdict.why) == (halted, rest, "the channel is gone")
        refusals, last = verdict.refusals, verdict.refused_object
    assert verdict.breaker.failures == 0


def test_a_row_whose_attempts_are_over_waits_too_when_the_lane_stops() -> None:
    last = failed(
        row(7, "c"), IntegrationPermanentError("gone", code="x", status=200, fault=SETUP), 1, webhook(max_attempts=1)
    )
    verdict = judge(Verdict(CircuitBreaker(), refusals=2, refused_object="b"), [last])
    verdict.conclude()
    assert last.status == "failed" and verdict.waiting == {7} and waits(last).status == "pending"


def test_a_quota_rests_for_an_hour_or_as_long_as_it_says() -> None:
    verdict = judge(Verdict(CircuitBreaker()), [told(QUOTA)])
    assert verdict.halted == "quota" and verdict.wait is not None and 3600 <= verdict.wait < 4000
    assert "the channel is gone" in verdict.wait_reason
    for_a_day = judge(Verdict(CircuitBreaker()), [told(QUOTA, retry_after=86400)])
    assert for_a_day.wait is not None and for_a_day.wait >= 86400


def test_events_that_are_rejected_alike_stop_a_lane_that_never_worked() -> None:
    verdict = judge(Verdict(CircuitBreaker()), [rejected("a", 1), rejected("b", 2)])
    assert not verdict.doubt
    judge(verdict, [rejected("c", 3)])
    assert verdict.doubt == "rejected"
    verdict.conclude()
    assert (verdict.halted, verdict.refusals, verdict.waiting) == ("setup", 3, {1, 2, 3})
    assert "3 events in a row" in verdict.why


def test_events_that_are_rejected_alike_rest_a_lane_that_worked_until_it_is_sure() -> None:
    refusals, rejections, as_what = 0, 0, ""
    for halted, rest in (("refused", 5), ("refused", 60), ("setup", None)):
        verdict = Verdict(
            CircuitBreaker(),
            refusals=refusals,
            was_ever_taken=True,
            is_trusted=True,
            rejections=rejections,
            rejected_as=as_what,
        )
        number = 0
        while not verdict.doubt or verdict.may_ask_another:
            number += 1
            verdict.note(rejected(f"object {number}", number))
        verdict.conclude()
        assert (verdict.halted, verdict.wait, len(verdict.waiting)) == (halted, rest, number)
        assert number == (OTHERS if refusals else 3 + OTHERS)
        refusals, rejections, as_what = verdict.refusals, verdict.rejections, verdict.rejected_as


@pytest.mark.parametrize(
    "between",
    [
        taken("x"),
        rejected("x", 9, code="http_422"),
        failed(row(9, "x"), IntegrationTemporaryError("down"), 1, webhook()),
    ],
    ids=["taken", "rejected otherwise", "failing otherwise"],
)
def test_one_of_the_others_that_is_not_rejected_alike_ends_the_doubt(between: Outcome) -> None:
    verdict = judge(Verdict(CircuitBreaker(), was_ever_taken=True), [rejected(key, n) for n, key in enumerate("abc")])
    assert verdict.doubt == "rejected"
    judge(verdict, [between])
    assert not verdict.may_ask_another
    verdict.conclude()
    assert (verdict.halted, verdict.refusals, verdict.waiting) == ("", 0, set())


def test_one_object_that_is_rejected_again_and_again_is_its_own_trouble_where_others_were_taken() -> None:
    verdict = judge(Verdict(CircuitBreaker(), was_ever_taken=True), [rejected("a", n) for n in range(20)])
    assert verdict.rejections == 1 and not verdict.doubt


def test_a_temporary_failure_of_the_event_alone_opens_no_breaker() -> None:
    greylisted = IntegrationTemporaryError("450 greylisted", fault=EVENT)
    verdict = judge(Verdict(CircuitBreaker()), [broken(error=greylisted)] * 20)
    assert verdict.is_calm and not verdict.halted


def test_part_of_it_that_was_taken_speaks_for_the_destination() -> None:
    partly = IntegrationTemporaryError("1 of 2", fault=EVENT, progress={"taken": ["jane"]})
    verdict = judge(Verdict(CircuitBreaker(failures=4)), [broken(error=partly)])
    assert (verdict.breaker.failures, verdict.taken) == (0, 1)


def test_who_was_under_way_when_the_doubt_arose_was_not_asked() -> None:
    verdict = judge(Verdict(CircuitBreaker()), [rejected(f"object {n}", n) for n in range(9)])
    assert verdict.doubt == "rejected" and not verdict.may_ask_another
    verdict.all_returned()
    assert verdict.may_ask_another
    judge(verdict, [taken("x")])
    assert (verdict.doubt, verdict.rejections) == ("", 0)


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_that_were_under_way_the_one_that_names_a_wait_holds_for_calls_too(first: int) -> None:
    guess = broken(error=IntegrationPermanentError("used up", fault=QUOTA))
    asked = broken(error=IntegrationRateLimited("slow down", retry_after=90.0))
    verdict = judge(Verdict(CircuitBreaker()), [guess, asked][:: 1 if first else -1])
    assert (verdict.wait or 0) >= 3600 and verdict.wait_reason.startswith(ASKED)
