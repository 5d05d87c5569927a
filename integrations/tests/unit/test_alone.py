"""Shared work runs side by side; what is alone waits for it, and lets nothing begin."""

from __future__ import annotations

import threading
from collections.abc import Callable

from integrations.alone import alone, shared, times_died


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_shared_work_is_side_by_side() -> None:
    both = threading.Barrier(2)

    def work() -> None:
        with shared():
            both.wait(10)

    threads = [started(work), started(work)]
    for thread in threads:
        thread.join(10)
    assert not both.broken and not any(thread.is_alive() for thread in threads)


def test_who_wants_to_be_alone_waits_for_the_others_and_not_for_ever() -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with shared():
            inside.set()
            leave.wait(10)

    other = started(work)
    assert inside.wait(10)
    with shared(), alone(0.05) as is_alone:
        assert not is_alone
    leave.set()
    other.join(10)
    with shared(), alone(10) as is_alone:
        assert is_alone


def test_nothing_begins_beside_it() -> None:
    order: list[str] = []

    def work() -> None:
        with shared():
            order.append("other")

    with shared(), alone(10) as is_alone:
        assert is_alone
        other = started(work)
        other.join(0.2)
        with shared():  # a part of it, as a task that is run at once
            order.append("alone")
    other.join(10)
    assert order == ["alone", "other"]


def test_two_that_want_to_be_alone_take_turns() -> None:
    order: list[str] = []

    def work(name: str) -> None:
        with shared(), alone(10) as is_alone:
            assert is_alone
            order.extend((name, name))

    threads = [started(lambda name=name: work(name)) for name in "ab"]  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


def test_what_it_raises_leaves_nothing_behind() -> None:
    for _ in range(2):
        try:
            with shared(), alone(10):
                raise KeyError
        except KeyError:
            pass

    def work() -> None:
        with shared():
            pass

    other = started(work)
    other.join(10)
    assert not other.is_alive()


def test_what_people_read() -> None:
    assert times_died(1, 90.0) == "its worker died once, or took longer than 90 s"
    assert times_died(5, 120.0) == "its worker died 5 times, or took longer than 120 s"
