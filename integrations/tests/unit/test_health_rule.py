"""The rule of health: each state, what goes before what, and what is evidence enough."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.connections.health import refused_reason
from integrations.health.rule import Facts, Fault, State, judge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WORKED: dict[str, Any] = {"last_success_at": NOW - HOUR}
RESTS: dict[str, Any] = {"paused_until": NOW + MINUTE, "pause_reason": "the destination asked us to slow down"}
FAILS: dict[str, Any] = {
    "failing_since": NOW - HOUR,
    "last_failure_at": NOW - MINUTE,
    "failing_rows": 24,
    "last_error": "hooks.example.com answered HTTP 400",
}

# What each state is made of, in the order in which they are said: the first that is true.
STATES: list[tuple[State, dict[str, Any]]] = [
    (State.DELETING, {"deleting_since": NOW - MINUTE, "deleting": "being deleted: 7 rows left"}),
    (State.OFF, {"is_active": False}),
    (State.DISABLED, {"is_enabled": False, "disabled_reason": refused_reason(3), "refusals": 3}),
    (State.ATTENTION, {"is_installed": False, "connector": "gone"}),
    (State.NOT_CONNECTED, {"awaits_connection": True}),
    (State.PAUSED, {"paused_since": NOW - HOUR, "paused_by": "jane"}),
    (State.ATTENTION, {"attention": "the address moved for good"}),
    (State.FAILING, FAILS),
    (State.RESTING, RESTS),
    (State.NO_EVENTS, {"is_subscribed": False}),
]


def made(*parts: dict[str, Any], **more: Any) -> Facts:
    return Facts(**{name: value for part in parts for name, value in part.items()} | more)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(len(STATES)), 2)))
@pytest.mark.parametrize("worked", [{}, WORKED])
def test_of_two_the_first_is_said(first: int, second: int, worked: dict[str, Any]) -> None:
    found = judge(made(worked, STATES[second][1], STATES[first][1]), NOW)
    assert found.state == STATES[first][0]
    assert found.why and found.label


def test_each_alone_and_none_of_them() -> None:
    for state, facts in STATES:
        assert judge(made(WORKED, facts), NOW).state == state
    assert judge(made(WORKED), NOW).state == State.WORKING
    assert judge(Facts(), NOW).state == State.NEVER_TRIED


@pytest.mark.parametrize(
    ("facts", "is_failing"),
    [
        pytest.param({"failing_rows": 24, "last_success_at": None}, True, id="24 of 24"),
        pytest.param({"failing_rows": 1, "last_success_at": None}, True, id="the first ever"),
        pytest.param({"failing_rows": 1}, False, id="one event, beside others"),
        pytest.param({"failing_rows": 1, "failing_attempts": 1}, False, id="one time-out"),
        pytest.param({"failing_rows": 1, "failing_attempts": 2}, True, id="and again"),
        pytest.param({"failing_rows": 9, "failing_since": NOW - MINUTE * 2}, False, id="nine within a minute"),
        pytest.param({"failing_rows": 10, "failing_since": NOW - MINUTE * 2}, True, id="ten within a minute"),
        pytest.param({"failing_rows": 2}, False, id="two within an hour"),
        pytest.param({"failing_rows": 3}, True, id="three within an hour"),
        pytest.param({"failing_rows": 1, "failing_since": NOW - DAY - MINUTE}, True, id="one for a day"),
        pytest.param(
            {"failing_rows": 1, "failing_since": NOW - DAY * 9, "last_failure_at": NOW - DAY * 9},
            False,
            id="one, then nothing was due for days",
        ),
        pytest.param(
            {"failing_rows": 4, "failing_since": NOW - DAY * 9, "last_failure_at": NOW - DAY * 9 + HOUR},
            True,
            id="four, then nothing was due for days",
        ),
        pytest.param({"failing_since": None, "failing_rows": 0}, False, id="taken since"),
        pytest.param({"failing_since": None, "failing_rows": 0, "times_opened": 1}, True, id="the breaker is open"),
    ],
)
def test_what_is_evidence_enough(facts: dict[str, Any], is_failing: bool) -> None:
    found = judge(made({"last_success_at": NOW - DAY * 10}, FAILS, facts), NOW)
    assert (found.state == State.FAILING) == found.is_failing == is_failing
    if is_failing and facts.get("times_opened") is None:
        assert "HTTP 400" in found.why and found.since is not None


def test_failing_says_since_when_why_and_until_when_it_rests() -> None:
    found = judge(made(WORKED, FAILS, RESTS, failing_attempts=5), NOW)
    assert (found.state, found.since, found.until) == (State.FAILING, NOW - HOUR, NOW + MINUTE)
    assert "HTTP 400" in found.why and "24 events failed" in found.why
    assert found.fault == Fault.DESTINATION and "asked again by itself" in found.what_to_do


def test_who_only_asks_us_to_slow_down_rests() -> None:
    slow = {"failing_since": NOW - HOUR, "last_failure_at": NOW - MINUTE, "last_error": "HTTP 429"}
    found = judge(made(RESTS, slow), NOW)
    assert (found.state, found.until, found.is_failing) == (State.RESTING, NOW + MINUTE, False)
    assert "asked us to slow down" in found.why
    assert judge(made(slow), NOW).state == State.FAILING, "nothing was ever taken, and it does not rest"


def test_one_that_fails_for_some_works_in_part_and_says_which() -> None:
    words = "3 events wait for a retry (400 for 3), while 214 others were taken: look at these events."
    found = judge(made(WORKED, trouble=words, last_error="HTTP 400"), NOW)
    assert (found.state, found.is_partial, found.kind, found.is_failing) == (State.WORKING, True, "warn", False)
    assert words in found.why and "HTTP 400" in found.why
    given_up = made(WORKED, gave_up_at=NOW - HOUR, last_error="msg_too_long")
    assert judge(given_up, NOW).is_partial and "msg_too_long" in judge(given_up, NOW).why
    assert not judge(given_up, NOW + DAY).is_partial
    last = judge(made(WORKED, FAILS, failing_rows=2, last_failure_at=NOW - HOUR), NOW)
    assert last.is_partial and "The last 2 events were not taken" in last.why


def test_a_test_event_that_was_taken_since_is_said() -> None:
    facts = made(WORKED, FAILS, is_connected=True, last_test_at=NOW, test_sends_event=True)
    found = judge(facts, NOW)
    assert (found.state, found.is_partial, found.label) == (State.WORKING, True, "⚠ Test passed")
    assert judge(replace(facts, test_sends_event=False), NOW).state == State.FAILING, "a check proves the credentials"
    assert judge(replace(facts, last_test_at=NOW - HOUR), NOW).state == State.FAILING, "it failed after the test"
    assert judge(replace(facts, is_connected=False), NOW).state == State.FAILING


def test_settings_that_were_saved_since_are_said() -> None:
    assert "saved after the last failure" in judge(made(WORKED, FAILS, changed_at=NOW), NOW).what_to_do
    assert "saved after" not in judge(made(WORKED, FAILS, changed_at=NOW - DAY), NOW).what_to_do


@pytest.mark.parametrize(
    ("facts", "fault", "to_do"),
    [
        ({"refusals": 3, "is_enabled": False}, Fault.CREDENTIALS, "enter the right ones, then re-enable it"),
        ({"refusals": 2, "attention": "x"}, Fault.CREDENTIALS, "enter the right ones, then resume it"),
        (
            {"refusals": 3, "is_enabled": False, "is_set_up_at_fault": True},
            Fault.SET_UP,
            "mend what it says, then re-enable it",
        ),
        ({"is_enabled": False, "disabled_reason": "410 Gone"}, Fault.GONE, "enter another one"),
        ({"is_enabled": False}, Fault.NOBODY, "Re-enable it"),
        ({"is_enabled": False, "is_connected": True}, Fault.NOBODY, "what is pending goes out"),
        ({"times_opened": 1}, Fault.DESTINATION, "asked again by itself"),
        ({}, Fault.NOBODY, ""),
    ],
)
def test_whose_fault_it_is_and_what_to_do(facts: dict[str, Any], fault: Fault, to_do: str) -> None:
    found = judge(made(WORKED, facts), NOW)
    assert found.fault == fault and to_do in found.what_to_do


@pytest.mark.parametrize(
    ("facts", "state", "label"),
    [
        ({}, State.NEVER_TRIED, "○ Not tested"),
        ({"is_connected": True, "last_test_at": NOW}, State.WORKING, "✓ Connected"),
        ({"last_test_at": NOW}, State.FAILING, "✗ Failing"),
        ({"pulled_at": NOW}, State.WORKING, "✓ Working"),
        ({"pulled_at": NOW, "pull_error": "orders: HTTP 500"}, State.FAILING, "✗ Failing"),
        ({"refusals": 1, "is_connected": True, "last_test_at": NOW}, State.FAILING, "✗ Refused"),
        ({"times_opened": 1, "pause_reason": "circuit breaker", "is_connected": True}, State.FAILING, "✗ Failing"),
        ({"is_connected": True, **RESTS}, State.RESTING, "⚠ Resting"),
        ({"is_enabled": False}, State.DISABLED, "✗ Disabled"),
        ({"is_subscribed": False, "is_connected": True}, State.WORKING, "✓ Connected"),
    ],
)
def test_what_nothing_is_sent_to_is_judged_by_pulls_calls_and_tests(
    facts: dict[str, Any], state: State, label: str
) -> None:
    found = judge(made(facts, takes_events=False), NOW)
    assert (found.state, found.label) == (state, label)


def test_what_takes_events_and_is_pulled_from_says_what_the_pull_says() -> None:
    found = judge(made(WORKED, pull_error="orders: HTTP 500"), NOW)
    assert found.is_partial and "orders: HTTP 500" in found.why
