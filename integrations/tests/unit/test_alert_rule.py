"""What is to be told now, from what is true and what was told before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from integrations.alerts.rule import QUIET, Told, may_tell, seen

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOTHING = Told(is_open=False, since=START, is_told=True)  # nothing was ever wrong


def played(states: list[bool], step: timedelta = timedelta(minutes=10)) -> list[tuple[int, str]]:
    """Return (look, what was told) for a thing that is wrong or not at each look."""
    known = NOTHING
    said = []
    for number, is_wrong in enumerate(states):
        now = START + number * step
        known, is_news = seen(known, is_wrong=is_wrong, since=now, now=now)
        if is_news:
            said.append((number, "wrong" if is_wrong else "over"))
    return said


def test_what_stays_wrong_is_told_once_and_its_end_once() -> None:
    assert played([True] * 20 + [False] * 20) == [(0, "wrong"), (20, "over")]


def test_what_was_never_wrong_is_not_told() -> None:
    assert played([False] * 5) == []
    assert seen(NOTHING, is_wrong=False, since=START, now=START) == (NOTHING, False)


def test_what_comes_and_goes_is_told_once_an_hour() -> None:
    said = played([True, False] * 12)  # 4 hours, every 10 minutes
    assert [number for number, word in said if word == "wrong"] == [0, 6, 12, 18]
    assert all(later == "over" for _, later in said[1::2])


def test_whoever_did_not_hear_that_it_is_wrong_does_not_hear_that_it_is_over() -> None:
    assert played([True, False, True, False]) == [(0, "wrong"), (1, "over")]


def test_what_is_still_wrong_when_the_hour_is_over_is_told_then() -> None:
    assert played([True, False, True, True, True, True, True, True]) == [(0, "wrong"), (1, "over"), (6, "wrong")]


def test_what_is_not_wrong_for_long_enough_is_not_told() -> None:
    patience = timedelta(minutes=5)

    def look(known: Told, minute: int, since: int) -> tuple[Told, bool]:
        at, now = START + timedelta(minutes=since), START + timedelta(minutes=minute)
        return seen(known, is_wrong=True, since=at, now=now, patience=patience)

    known, is_news = look(NOTHING, 0, since=0)
    known, is_news_later = look(known, 6, since=4)  # it was over between the two looks
    assert not is_news and not is_news_later
    known, is_news = look(known, 9, since=4)
    assert is_news and known.since == START + timedelta(minutes=4)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 90))
def test_nobody_is_ever_left_with_what_is_not_true(states: list[bool], minutes: int) -> None:
    step = timedelta(minutes=minutes)
    said = played(states, step)
    words = [word for _, word in said]
    assert words == ["wrong", "over"] * (len(words) // 2) + ["wrong"] * (len(words) % 2)  # by turns
    wrong = [number for number, word in said if word == "wrong"]
    assert all((later - before) * step >= QUIET for before, later in pairwise(wrong))
    if states and not states[-1]:
        assert not words or words[-1] == "over"
    for number, word in said:
        assert states[number] == (word == "wrong")


def test_sums_are_told_once_an_hour() -> None:
    assert may_tell(None, START)
    assert not may_tell(START, START + timedelta(minutes=59))
    assert may_tell(START, START + timedelta(minutes=60))
