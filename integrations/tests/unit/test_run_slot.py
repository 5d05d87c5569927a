"""The slot of a process, with real threads that do what a test tells them, and a clock that it sets."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest

from integrations.delivery import run_slot
from integrations.delivery.run_slot import BRIEF, FRESH_IN_A_ROW, OVERRUN, PATIENCE, QUANTUM, Gate, Stay
from integrations.tests.services import wait_until

SECONDS = 10  # how long a test waits for a thread before it fails


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Lane:
    """One thread with a stay in the gate; it does what it is told, one thing after the other."""

    def __init__(self, gate: Gate, name: str, events: list[str]) -> None:
        self.gate, self.name, self.events = gate, name, events
        self.stay: Stay | None = None
        self.error: BaseException | None = None
        self._orders: Queue[tuple[Callable[[], Any], threading.Event] | None] = Queue()
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            action, done = order
            try:
                action()
            except BaseException as error:
                self.error = error
            done.set()

    def tell(self, action: Callable[[], Any]) -> threading.Event:
        done = threading.Event()
        self._orders.put((action, done))
        return done

    def do(self, action: Callable[[], Any]) -> None:
        assert self.tell(action).wait(SECONDS), f"{self.name} does not come to its end"

    # -- orders; each returns what is set when it is done -------------------------------------------------

    def begins(self, part_of: Stay | None = None) -> threading.Event:
        def begin() -> None:
            self.stay = self.gate.begin(self.name, None, part_of)
            self.events.append(self.name)

        return self.tell(begin)

    def goes_away(self) -> None:
        self.do(lambda: self.stay.__enter__())

    def comes_back(self) -> threading.Event:
        return self.tell(lambda: (self.stay.__exit__(None, None, None), self.events.append(self.name)))

    def checks(self) -> threading.Event:
        return self.tell(lambda: (self.gate.check(self.stay), self.events.append(self.name)))

    def ends(self) -> None:
        self.do(lambda: self.gate.end(self.stay))

    def dies(self) -> None:
        self._orders.put(None)
        self.thread.join(SECONDS)

    def is_over(self) -> bool:
        """Tell whether its thread has come to its end; whatever waits for the slot is let through."""
        self._orders.put(None)
        for stay in self.gate.holders:
            self.gate.end(stay)
        self.thread.join(0.01)
        return not self.thread.is_alive()

    @property
    def has_slot(self) -> bool:
        return self.stay is not None and self.stay in self.gate.holders


class World:
    def __init__(self, slots: int = 1) -> None:
        self.clock = Clock()
        self.gate = Gate(slots=slots, clock=self.clock, has_watcher=False)
        self.events: list[str] = []
        self.lanes: list[Lane] = []

    def end(self) -> None:
        wait_until(lambda: sum(lane.is_over() for lane in self.lanes) == len(self.lanes), SECONDS, "threads are left")

    def lane(self, name: str) -> Lane:
        self.lanes.append(Lane(self.gate, name, self.events))
        return self.lanes[-1]

    def running(self, name: str) -> Lane:
        """A lane that has begun."""
        lane = self.lane(name)
        assert lane.begins().wait(SECONDS)
        return lane

    def queued(self, name: str) -> tuple[Lane, threading.Event]:
        """A lane that waits to begin."""
        lane, before = self.lane(name), self.gate.waiting
        done = lane.begins()
        self.until_waiting(before + 1)
        return lane, done

    def until_waiting(self, count: int) -> None:
        """Return when `count` threads wait for the slot."""
        wait_until(lambda: self.gate.waiting == count, SECONDS, f"{count} wait for the slot", interval=0.001)

    def passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.gate.look()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.end()


# -- one at a time ---------------------------------------------------------------------------------------


def test_the_second_waits_until_the_first_has_ended(world: World) -> None:
    first = world.running("first")
    second, begun = world.queued("second")
    assert first.has_slot and not begun.is_set()
    first.ends()
    assert begun.wait(SECONDS) and second.has_slot


def test_only_one_of_many_has_the_slot(world: World) -> None:
    """Thirty threads that go away, come back and check: never two that compute, and all come to their end."""
    gate, computing, most = Gate(slots=1), 0, 0
    start, lock = threading.Barrier(30), threading.Lock()

    def compute() -> None:
        nonlocal computing, most
        with lock:
            computing += 1
            most = max(most, computing)
        sum(range(50))
        with lock:
            computing -= 1

    def work() -> None:
        start.wait(SECONDS)
        stay = gate.begin()
        stay.call_seconds = 1.0  # hands over at each call
        for _ in range(50):
            compute()
            with stay:
                pass
            stay.call_seconds = 1.0
            gate.check(stay)
        gate.end(stay)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1 and not gate.holders and gate.waiting == 0


# -- away ------------------------------------------------------------------------------------------------


def test_a_quick_call_keeps_the_slot(world: World) -> None:
    first = world.running("first")
    _, begun = world.queued("second")
    first.goes_away()
    world.passes(PATIENCE * 0.9)
    assert not begun.is_set()
    assert first.comes_back().wait(SECONDS) and first.has_slot


def test_a_call_that_hangs_gives_the_slot_away(world: World) -> None:
    first = world.running("first")
    second, begun = world.queued("second")
    first.goes_away()
    world.passes(2 * PATIENCE)
    assert begun.wait(SECONDS) and second.has_slot
    back = first.comes_back()
    world.until_waiting(1)
    assert not back.is_set()
    second.ends()
    assert back.wait(SECONDS) and first.has_slot


def test_with_nobody_waiting_a_hang_costs_nothing(world: World) -> None:
    first = world.running("first")
    first.goes_away()
    world.passes(30)
    assert first.has_slot and first.comes_back().wait(SECONDS) and first.has_slot


def test_sixty_that_hang_are_waited_for_by_nobody(world: World) -> None:
    world.running("hangs").goes_away()
    for number in range(59):
        lane, begun = world.queued(f"hangs {number}")
        world.passes(2 * PATIENCE)
        assert begun.wait(SECONDS)
        lane.goes_away()
    quiet, begun = world.queued("quiet")
    world.passes(2 * PATIENCE)
    assert begun.wait(SECONDS) and quiet.has_slot


def test_usually_slow_calls_hand_the_slot_over_at_once(world: World) -> None:
    first = world.running("first")
    first.goes_away()
    world.clock.now += 100 * BRIEF
    assert first.comes_back().wait(SECONDS)
    _, begun = world.queued("second")
    first.goes_away()  # no time passes
    assert begun.wait(SECONDS)


def test_who_works_for_a_lane_knows_how_slow_its_calls_are(world: World) -> None:
    first = world.running("first")
    first.goes_away()
    world.clock.now += 1
    assert first.comes_back().wait(SECONDS)
    first.goes_away()
    part = world.lane("part")
    begun = part.begins(part_of=first.stay)
    world.passes(2 * PATIENCE)
    assert begun.wait(SECONDS)
    assert part.stay.call_seconds == first.stay.call_seconds > BRIEF


def test_as_many_compute_as_there_are_slots() -> None:
    world = World(slots=2)
    first, second = world.running("first"), world.running("second")
    third, begun = world.queued("third")
    assert first.has_slot and second.has_slot and not begun.is_set()
    second.goes_away()
    world.passes(2 * PATIENCE)
    assert begun.wait(SECONDS) and first.has_slot and third.has_slot and not second.has_slot
    first.ends()
    assert second.comes_back().wait(SECONDS)
    third.ends()
    world.end()


# -- turns -----------------------------------------------------------------------------------------------


def test_a_turn_ends_at_a_checkpoint_and_not_before(world: World) -> None:
    first = world.running("first")
    second, begun = world.queued("second")
    world.passes(QUANTUM * 0.9)
    assert first.checks().wait(SECONDS) and first.has_slot
    world.passes(QUANTUM * 0.2)
    assert first.has_slot
    checked = first.checks()
    assert begun.wait(SECONDS) and second.has_slot and not checked.is_set()
    second.ends()
    assert checked.wait(SECONDS) and first.has_slot


def test_coming_back_is_a_checkpoint(world: World) -> None:
    first = world.running("first")
    _, begun = world.queued("second")
    world.clock.now += 2 * QUANTUM
    first.goes_away()
    first.comes_back()
    assert begun.wait(SECONDS)


def test_a_newcomer_waits_for_one_turn_beside_four_backlogs(world: World) -> None:
    backlogs = [world.running("backlog 0")]
    backlogs += [world.queued(f"backlog {n}")[0] for n in range(1, 4)]
    for lane in backlogs:  # each had a turn
        world.clock.now += 2 * QUANTUM
        lane.checks()
        world.until_waiting(3)
        turn = backlogs[(backlogs.index(lane) + 1) % 4]
        assert turn.tell(lambda: None).wait(SECONDS) and turn.has_slot
    quiet, begun = world.queued("quiet")
    assert backlogs[0].has_slot
    world.clock.now += 2 * QUANTUM
    backlogs[0].checks()
    assert begun.wait(SECONDS) and quiet.has_slot


def test_newcomers_without_end_do_not_starve_who_had_a_turn(world: World) -> None:
    old = world.running("old")
    newcomers = [world.queued(f"new {n}") for n in range(2 * FRESH_IN_A_ROW)]
    world.clock.now += 2 * QUANTUM
    checked = old.checks()
    wait_until(lambda: not old.has_slot and world.gate.waiting == len(newcomers), SECONDS)
    went_before = 0
    for lane, begun in newcomers:
        if old.has_slot:
            break
        assert begun.wait(SECONDS)
        lane.ends()
        went_before += 1
    assert 0 < went_before <= FRESH_IN_A_ROW and checked.wait(SECONDS)


# -- silence, death, errors --------------------------------------------------------------------------------


def test_who_gives_no_sign_loses_the_slot_and_goes_on_without_it(world: World) -> None:
    silent = world.running("silent")
    second, begun = world.queued("second")
    world.passes(OVERRUN * 0.9)
    assert not begun.is_set()
    world.passes(OVERRUN * 0.2)
    assert begun.wait(SECONDS) and second.has_slot
    checked = silent.checks()
    world.until_waiting(1)
    second.ends()
    assert checked.wait(SECONDS) and silent.has_slot


def test_a_thread_that_died_with_the_slot_is_not_waited_for(world: World) -> None:
    world.running("dead").dies()
    _, begun = world.queued("second")
    world.gate.look()
    assert begun.wait(SECONDS)


def test_what_is_raised_gives_the_slot_back() -> None:
    with pytest.raises(ZeroDivisionError), run_slot.running(), run_slot.away():
        1 / 0  # noqa: B018
    assert not run_slot.gate.holders and run_slot.current() is None


def test_silence_beyond_the_limit_is_told(world: World) -> None:
    stay = world.gate.begin("lane 7", limit=90)
    world.clock.now += 90
    assert world.gate.silent() == []
    world.clock.now += 1
    assert world.gate.silent() == [(stay, 91)]
    world.gate.check(stay)
    assert world.gate.silent() == []
    with stay:
        world.clock.now += 91
        assert world.gate.silent() == [(stay, 91)], "a call that never ends"
    world.gate.end(stay)


def test_who_waits_for_the_slot_is_not_silent(world: World) -> None:
    first = world.running("first")
    world.queued("second")
    world.clock.now += 10_000
    assert [stay.label for stay, _ in world.gate.silent()] == []  # no limits here
    for stay in world.gate._stays:
        stay.limit = 1
    assert [stay.label for stay, _ in world.gate.silent()] == ["first"]
    first.ends()


# -- beside threads ---------------------------------------------------------------------------------------


def test_one_thread_passes_everything_at_once() -> None:
    """As in the pools prefork and solo, and nested as it comes."""
    with run_slot.running("lane 1") as stay:
        with run_slot.running("again") as same:
            assert same is stay
        with run_slot.away(), run_slot.away():
            run_slot.checkpoint()
        assert run_slot.current() is stay and run_slot.gate.holders == {stay}
    assert run_slot.current() is None and not run_slot.gate.holders


def test_outside_of_a_lane_nothing_happens() -> None:
    with run_slot.away():
        run_slot.checkpoint()
    assert not run_slot.gate.holders


def test_the_watcher_takes_the_slot_from_who_hangs() -> None:
    """The thread that looks, with the real clock."""
    let_go, is_away, done = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        with run_slot.running(), run_slot.away():
            is_away.set()
            let_go.wait(SECONDS)
        done.set()

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    assert is_away.wait(SECONDS)
    with run_slot.running():
        assert not let_go.is_set()
        let_go.set()
        with run_slot.away():
            assert done.wait(SECONDS)
    thread.join(SECONDS)


def test_a_fork_begins_anew() -> None:
    """Another thread holds the slot at the fork, and this one is in the midst of its own stay."""
    let_go, is_away = threading.Event(), threading.Event()

    def hold() -> None:
        with run_slot.running(), run_slot.away():
            is_away.set()
            let_go.wait(SECONDS)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert is_away.wait(SECONDS)
    with run_slot.running():
        child = os.fork()
        if child == 0:
            try:
                is_new = run_slot.current() is None and not run_slot.gate.holders
                with run_slot.running():
                    pass
                os._exit(0 if is_new else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    let_go.set()
    thread.join(SECONDS)
    assert not run_slot.gate.holders
