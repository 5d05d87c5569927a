"""Let few lanes of a process compute at a time, while any number of them wait for their destinations.

    with run_slot.running():                    # a slot: around all the work of one lane, before its lease is taken
        with run_slot.away():                   # around each call of a connector: others may compute meanwhile
            connector.deliver(envelope)
        run_slot.checkpoint()                   # between two rows: passes the slot on if our turn is over

A worker process has many threads, so that a destination that hangs costs a thread and nothing else; and few slots
(SLOTS), because threads that compute at the same time take Python's lock from each other.

- Who goes away keeps its slot for PATIENCE, so that quick calls hand nothing over. A stay whose calls usually take
  longer than BRIEF gives it to who waits at once.
- Who has had a slot for QUANTUM while others wait passes it on and queues behind those who have not had their turn:
  one event of a quiet tenant waits for one turn, not for a turn of every lane that has a backlog.
- Who gives no sign for OVERRUN (a lock in the database, a call that was not announced, a long computation) loses its
  slot too, and goes on without it until it gives one. Slots are there for speed: no promise hangs on them.

Who goes away, queues or ends a task of ours gives its pooled database connections (``OPTIONS["pool"]``) back first; the
next query takes one again. So the connections in use are as many as lanes that compute, not as threads that wait.

With one thread for tasks (the pools prefork and solo) all this changes nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any

from celery.signals import task_postrun
from django.db import connections

logger = logging.getLogger("integrations.delivery")

SLOTS = 2  # one lane waits for the database or a quick receiver while the other computes
PATIENCE = 0.005  # how long a single call may keep the slot
BRIEF = 0.001  # a stay whose calls usually take longer hands the slot over before each of them
QUANTUM = 0.005  # how long a turn is while others wait
OVERRUN = 0.1  # how long a turn is without a sign
FRESH_IN_A_ROW = 8  # then one goes that had a turn before, or newcomers without end would starve it
LOOK_SECONDS = 0.005  # how often the watcher looks after the slot while anybody waits for it
CARE_SECONDS = 1.0  # how often who waits looks for itself, should the watcher be gone


class Stay:
    """One thread's time in the gate. As a context manager: a time that it is away."""

    __slots__ = (
        "_depth",
        "_gate",
        "_generation",
        "_pooled",
        "away_since",
        "call_seconds",
        "granted_at",
        "is_used",
        "label",
        "limit",
        "seen_at",
        "signal",
        "thread",
    )

    def __init__(self, gate: Gate, label: str, limit: float | None, part_of: Stay | None) -> None:
        self._gate = gate
        self._generation = gate.generation
        self._depth = 0
        self._pooled: list[Any] | None = None  # the thread's pooled connections, looked up once
        self.label = label
        self.limit = limit
        self.thread = threading.current_thread()
        self.signal = threading.Lock()  # released by who grants the slot
        self.signal.acquire()
        self.away_since: float | None = None
        self.call_seconds: float = part_of.call_seconds if part_of else 0.0  # moving mean
        self.granted_at = self.seen_at = gate.clock()
        self.is_used = False  # its last turn ended because it was over

    @property
    def is_current(self) -> bool:
        """Tell whether this is still the process that it began in, and not a fork of it."""
        return self._generation == self._gate.generation

    def give_back_connections(self) -> None:
        """Give the thread's pooled database connections back, unless a transaction is open."""
        if self._pooled is None:
            self._pooled = _pooled_connections()
        _give_back(self._pooled)

    def __enter__(self) -> Stay:
        self._depth += 1
        if self._depth == 1 and self.is_current:
            self.give_back_connections()
            self._gate.go_away(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self.is_current:
            self._gate.come_back(self)


class Gate:
    """The slots of a process, and who waits for one.

    Args:
        slots: how many may compute at once.
        clock: seconds that never go back; for tests.
        has_watcher: a thread looks after the slot while anybody waits; without one, tests call `look`.
    """

    def __init__(
        self, *, slots: int = SLOTS, clock: Callable[[], float] = time.monotonic, has_watcher: bool = True
    ) -> None:
        self.slots = slots
        self.clock = clock
        self.generation = 0
        self._has_watcher = has_watcher
        self.forget()

    def forget(self) -> None:
        """Forget everybody: a fork has one thread, and whatever the others held is not there any more."""
        self.generation += 1
        self._lock = threading.Lock()
        self._holders: set[Stay] = set()
        self._stays: set[Stay] = set()
        self._fresh: deque[Stay] = deque()
        self._used: deque[Stay] = deque()
        self._fresh_in_a_row = 0
        self._is_needed = threading.Event()
        self._watcher: threading.Thread | None = None

    # -- one stay -----------------------------------------------------------------------------------------

    def begin(self, label: str = "", limit: float | None = None, part_of: Stay | None = None) -> Stay:
        """Return a new stay of this thread, with the slot."""
        stay = Stay(self, label, limit, part_of)
        try:
            with self._lock:
                self._stays.add(stay)
                self._queue(stay)
            self._wait(stay)
        except BaseException:
            self.end(stay)
            raise
        return stay

    def end(self, stay: Stay) -> None:
        """End `stay`, whatever it is at."""
        if not stay.is_current:
            return
        with self._lock:
            self._stays.discard(stay)
            for queue in (self._fresh, self._used):
                if stay in queue:
                    queue.remove(stay)
            self._holders.discard(stay)
            self._grant()

    def go_away(self, stay: Stay) -> None:
        """Note that `stay` does not compute from now on."""
        stay.seen_at = stay.away_since = self.clock()
        if stay.call_seconds > BRIEF and self._is_wanted():
            with self._lock:
                self._take_from(stay)
                self._grant()

    def come_back(self, stay: Stay) -> None:
        """Let `stay` compute again; it waits if the slot is not its own any more."""
        now = self.clock()
        if stay.away_since is not None:
            stay.call_seconds += 0.2 * (now - stay.away_since - stay.call_seconds)
        with self._lock:
            stay.away_since = None
            stay.seen_at = now
            is_ours = stay in self._holders
        if not is_ours or self._is_over(stay, now):
            self._queue_again(stay)

    def check(self, stay: Stay) -> None:
        """Pass the slot on if others wait and the turn of `stay` is over; return with the slot."""
        stay.seen_at = now = self.clock()
        if stay not in self._holders or self._is_over(stay, now):
            self._queue_again(stay)

    # -- who is next; all with the lock held, but for the two that only read ----------------------------------

    def _is_wanted(self) -> bool:
        return bool(self._fresh or self._used)

    def _is_over(self, stay: Stay, now: float) -> bool:
        return now - stay.granted_at >= QUANTUM and self._is_wanted()

    def _queue(self, stay: Stay) -> None:
        (self._used if stay.is_used else self._fresh).append(stay)
        self._grant()

    def _take_from(self, stay: Stay) -> None:
        if stay in self._holders:
            stay.is_used = stay.away_since is None
            self._holders.discard(stay)

    def _grant(self) -> None:
        while len(self._holders) < self.slots and self._is_wanted():
            if self._fresh and (not self._used or self._fresh_in_a_row < FRESH_IN_A_ROW):
                self._fresh_in_a_row += 1
                stay = self._fresh.popleft()
            else:
                self._fresh_in_a_row = 0
                stay = self._used.popleft()
            self._holders.add(stay)
            stay.granted_at = stay.seen_at = self.clock()
            stay.signal.release()

    # -- waiting ------------------------------------------------------------------------------------------

    def _queue_again(self, stay: Stay) -> None:
        if not stay.is_current:
            return
        stay.give_back_connections()
        with self._lock:
            self._take_from(stay)
            self._queue(stay)
        self._wait(stay)

    def _wait(self, stay: Stay) -> None:
        if stay.signal.acquire(blocking=False):
            return
        self._is_needed.set()
        if self._has_watcher and (self._watcher is None or not self._watcher.is_alive()):
            # When lanes of this process meet for the first time.
            self._watcher = threading.Thread(target=self._keep_looking, name="run-slot", daemon=True)
            self._watcher.start()
        while not stay.signal.acquire(timeout=CARE_SECONDS):
            self.look()

    def look(self) -> bool:
        """Take the slot from who is away, silent or dead; return whether anybody waits for it."""
        with self._lock:
            if not self._is_wanted():
                self._is_needed.clear()
                return False
            now = self.clock()
            for holder in list(self._holders):
                is_away = holder.away_since is not None and now - holder.away_since >= PATIENCE
                if not holder.thread.is_alive():
                    self._stays.discard(holder)
                    self._holders.discard(holder)
                elif is_away or now - holder.seen_at >= OVERRUN:
                    self._take_from(holder)
            self._grant()
            return True

    def _keep_looking(self) -> None:
        while True:
            self._is_needed.wait()
            time.sleep(LOOK_SECONDS)
            self.look()

    # -- for the watchdog and for tests --------------------------------------------------------------------

    def silent(self) -> list[tuple[Stay, float]]:
        """Return the stays that have the right to compute and gave no sign within their limit, and for how long."""
        now = self.clock()
        with self._lock:
            waiting = {*self._fresh, *self._used} - self._holders
            stays = [(stay, now - stay.seen_at) for stay in self._stays if stay not in waiting]
        return [(stay, seconds) for stay, seconds in stays if stay.limit is not None and seconds > stay.limit]

    @property
    def holders(self) -> set[Stay]:
        """Who may compute now."""
        return set(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait for the slot."""
        return len(self._fresh) + len(self._used)


gate = Gate()
_here = threading.local()
_outside = nullcontext()  # away without a stay, e.g. in a web process
_inherited: list[Any] = []  # pools of the parent process, kept so that nothing ends them


def _after_fork() -> None:
    """Forget what a fork has not got: the other threads with their stays, those that serve a pool, a pool's sockets."""
    gate.forget()
    for wrapper in _pooled_connections():
        if pools := getattr(wrapper, "_connection_pools", None):
            _inherited.append((dict(pools), wrapper.connection))
            pools.clear()
            wrapper.connection = None


os.register_at_fork(after_in_child=_after_fork)


def current() -> Stay | None:
    """Return this thread's stay, if it has one."""
    stay: Stay | None = getattr(_here, "stay", None)
    return stay if stay is not None and stay.is_current else None


@contextmanager
def running(label: str = "", *, limit: float | None = None, part_of: Stay | None = None) -> Iterator[Stay]:
    """Hold one of the process's slots, as far as others let us; inside of another one: that one.

    Args:
        label: who this is, for the log.
        limit: seconds without a sign after which the process counts as broken (watchdog.py); None: no limit.
        part_of: the stay of the lane that this thread works for: it is let in even if newcomers are not.
    """
    if (stay := current()) is not None:
        yield stay
        return
    stay = gate.begin(label, limit, part_of)
    _here.stay = stay
    try:
        yield stay
    finally:
        _here.stay = None
        try:
            stay.give_back_connections()
        finally:
            gate.end(stay)


def away() -> Stay | nullcontext[None]:
    """Return a context in which this thread waits for somebody else, and others may compute."""
    return current() or _outside


def checkpoint() -> None:
    """Pass the slot on if others wait and our turn is over."""
    if (stay := current()) is not None:
        gate.check(stay)


# -- pooled database connections --------------------------------------------------------------------------


def _pooled_connections() -> list[Any]:
    """Return this thread's connections that a pool has lent."""
    return [each for each in connections.all(initialized_only=True) if each.settings_dict["OPTIONS"].get("pool")]


def _give_back(pooled: list[Any]) -> None:
    for wrapper in pooled:
        if wrapper.connection is not None and not wrapper.in_atomic_block:
            try:
                wrapper.close()
            except Exception as error:  # a connection that is lost already
                logger.warning("a database connection could not be given back: %s", type(error).__name__)


@task_postrun.connect(dispatch_uid="give back pooled connections")
def _after_a_task(sender: Any = None, **_: Any) -> None:
    """Give this thread's connections back after a task of ours: a thread that waits for its next task needs none.

    CELERY_DB_REUSE_MAX would have each thread keep one, and a hundred threads share ten.
    """
    is_ours = str(getattr(sender, "name", "")).startswith("integrations.")
    if is_ours and not getattr(sender.request, "is_eager", False):
        _give_back(_pooled_connections())
