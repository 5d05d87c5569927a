"""What runs and what does not, in words, from what was seen of processes."""

from __future__ import annotations

import pytest

from integrations.observability.lights import BAD, OK, WARN, Light, Process, lights, sentence
from integrations.statistics.words import percent, took

UP = dict.fromkeys(("database", "worker", "slow_worker", "beat", "broker"), True)


def process(kind: str, *queues: str, ago: float = 5, is_lost: bool = False, skew: float = 0.0) -> Process:
    return Process(f"{kind}@web-2:{len(queues)}", kind, "web-2", 7, queues, skew, ago, is_lost)


RUNNING = [process("web"), process("worker", "deliveries"), process("worker", "slow"), process("beat")]


def by_name(seen: list[Process], **parts: bool) -> dict[str, Light]:
    return {light.name: light for light in lights(seen, {**UP, **parts})}


def test_all_is_well() -> None:
    found = by_name(RUNNING)
    assert list(found) == ["Web", "Workers", "Slow workers", "Beat", "Broker", "Database", "Clocks"]
    assert {light.kind for light in found.values()} == {OK}
    assert sentence(found.values()).kind == OK


def test_a_worker_that_was_lost_is_told_and_one_that_is_left_goes_on() -> None:
    lost = process("worker", "deliveries", ago=240, is_lost=True)
    found = by_name([*RUNNING, lost])["Workers"]
    assert (found.kind, found.words) == (WARN, "1 running, 1 lost: last seen 4 min ago")
    alone = by_name([process("web"), lost, process("worker", "slow"), process("beat")])
    assert (alone["Workers"].kind, alone["Slow workers"].kind) == (BAD, OK)
    assert "start a worker with -Q deliveries; the last was seen 4 min ago" in alone["Workers"].words


@pytest.mark.parametrize(("part", "name"), [("broker", "Broker"), ("beat", "Beat")])
def test_a_part_that_is_down_says_what_to_do(part: str, name: str) -> None:
    found = by_name(RUNNING, **{part: False})[name]
    assert found.kind == BAD and "start" in found.words


def test_a_wrong_clock_is_something_to_look_at() -> None:
    found = by_name([*RUNNING, process("worker", "deliveries", "slow", skew=70.0)])["Clocks"]
    assert (found.kind, found.words) == (WARN, "worker@web-2:2 is 70 s ahead of the database's: set it (NTP)")


def test_who_cannot_mend_it_reads_whether_deliveries_go_out_and_no_name_of_a_process() -> None:
    held_up = sentence(lights(RUNNING, {**UP, "broker": False}))
    assert held_up.kind == BAD and "held up" in held_up.words and "Nothing is lost" in held_up.words
    late = sentence(lights(RUNNING[:2] + RUNNING[3:], UP))
    assert late.kind == WARN
    assert lights([], {**UP, "database": False}) == [Light("Database", BAD, "does not answer")]


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (None, "–"),
        (0, "0 ms"),
        (85.4, "85 ms"),
        (1240, "1.2 s"),
        (45_000, "45 s"),
        (180_000, "3 min"),
        (9e6, "2.5 h"),
        (3.6e6, "1 h"),
    ],
)
def test_times_in_the_unit_that_fits(milliseconds: float | None, words: str) -> None:
    assert took(milliseconds) == words


@pytest.mark.parametrize(
    ("part", "words"),
    [(None, "–"), (1.0, "100 %"), (0.0, "0 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.843, "84.3 %")],
)
def test_only_all_is_all_and_only_none_is_none(part: float | None, words: str) -> None:
    assert percent(part) == words
