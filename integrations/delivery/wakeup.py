"""After a commit, tell a worker to look at the lane. A hint: it may be lost, doubled or late.

A lane that somebody holds needs no hint: its holder releases it first and looks again after that (drain.py), so it
sees what was committed before. A hint names the turn of the lane that it asks for: once somebody took that turn, its
copies say nothing new and are dropped (lease.py).

The request that committed asks which lanes a hint would help, and goes on: a thread of the process sends them
(docs/adr/0048), those that came together in one message. A broker that hangs costs a save nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import current_app
from celery.signals import worker_process_shutdown
from django.db import connections

from . import statements
from .hints import QUEUE, SLOW_QUEUE, nobody_waits, send_hint, together

logger = logging.getLogger("integrations.delivery")

TASK = "integrations.tasks.send_integration_webhook"
TASK_OF_MANY = "integrations.tasks.wake_lanes"
LANES_PER_MESSAGE = 100
BATCH = 5_000  # lanes in one question: PostgreSQL takes 65,535 parameters, SQLite perhaps 32,766
MAX_ASKED = 20_000
END_SECONDS = 5.0  # how long a process of a worker's pool that ends waits for its last hints

Lane = tuple[int, int, bool]  # id, turn, is slow

_batch = threading.local()  # by database: the lanes to wake after the commit
_asked: dict[int, tuple[int, float]] = {}  # lane → the turn that this process has asked for, and when


def wake_on_commit(integration_ids: Iterable[int], *, using: str = "default") -> None:
    """Wake these lanes once the current transaction is durable; once per transaction and lane."""
    batch: set[int] | None = getattr(_batch, using, None)
    if batch is None:
        batch = set()
        setattr(_batch, using, batch)
    batch.update(integration_ids)

    # A callback per call, not per transaction: the savepoint of an earlier one may be rolled back, and its
    # callback with it. The first to run empties the batch. Ids left over from a rolled-back transaction
    # cost one needless look.
    def wake_after_commit() -> None:
        if batch:
            ids = set(batch)
            batch.clear()
            wake_idle(ids)

    connections[using].on_commit(wake_after_commit, robust=True)


def wake_idle(integration_ids: Iterable[int]) -> None:
    """Wake those of these lanes that nobody holds, that could send, and for which no hint is under way.

    One question for up to BATCH of them; the messages are sent behind the caller's back. While a lane is at the turn
    that this process has asked for, that hint is still on its way, and whoever follows it sees what was committed
    before; nothing is written here.
    """
    ids, connection = list(integration_ids), connections["default"]
    idle: list[Lane] = []
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        with connection.cursor() as cursor:
            cursor.execute(statements.idle(connection.vendor, len(batch)), batch)
            idle += [(pk, turn, bool(is_slow)) for pk, turn, is_slow in cursor.fetchall() if not _is_asked(pk, turn)]
    if not idle:
        return
    since = time.monotonic()
    if len(_asked) > MAX_ASKED:
        _asked.clear()
    _asked.update((pk, (turn, since)) for pk, turn, _ in idle)
    if current_app.conf.task_always_eager:  # no broker: the worker's part is done here and now
        wake_all(idle)
    else:
        _behind.take(idle)


def _is_asked(integration_id: int, turn: int) -> bool:
    asked = _asked.get(integration_id)
    return asked is not None and asked[0] == turn and time.monotonic() - asked[1] < statements.hint_seconds()


def wake(integration_id: int, *, turn: int | None = None, is_slow: bool = False) -> bool:
    """Tell a worker to look at this lane; see `send_hint`.

    Args:
        turn: of the lane, as the caller saw it; None: look in any case.
    """
    kwargs = {"integration_id": integration_id} | ({} if turn is None else {"turn": turn})
    return send_hint(TASK, kwargs, SLOW_QUEUE if is_slow else QUEUE)


def wake_all(lanes: Sequence[Lane]) -> list[Lane]:
    """Tell workers to look at these lanes; of many in one message, whose reader passes them on.

    If that message cannot be sent, each lane has a chance of its own. Returns those that were asked for.
    """
    woken: list[Lane] = []
    with together():
        for start in range(0, len(lanes), LANES_PER_MESSAGE):
            part = lanes[start : start + LANES_PER_MESSAGE]
            if len(part) > 1 and send_hint(TASK_OF_MANY, {"lanes": [list(lane) for lane in part]}, QUEUE):
                woken += part
            else:
                woken += [lane for lane in part if wake(lane[0], turn=lane[1], is_slow=lane[2])]
    return woken


class _Behind:
    """The thread that sends hints behind the requests that caused them; made anew in a forked process."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._waiting: dict[int, Lane] = {}
        self._is_sending = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hints")  # without one until something is sent

    def take(self, lanes: Iterable[Lane]) -> None:
        """Send hints for `lanes` soon; the interpreter does not end before."""
        with self._lock:
            self._waiting.update((lane[0], lane) for lane in lanes)
            if self._is_sending or not self._waiting:
                return
            self._is_sending = True
        try:
            self._thread.submit(self._send)
        except RuntimeError:  # the interpreter is ending, and takes no more work
            self._send()
        except BaseException:  # a time limit that strikes here; whoever commits next sends these too
            self._is_sending = False
            raise

    def wait(self, seconds: float) -> bool:
        """Tell whether all was sent, or given up, within `seconds`."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._is_sending, seconds)

    def _send(self) -> None:
        while True:
            with self._lock:
                lanes = list(self._waiting.values())
                self._waiting.clear()
                if not lanes:
                    self._is_sending = False
                    self._lock.notify_all()
                    return
            woken: set[Lane] = set()
            try:
                with nobody_waits():
                    woken.update(wake_all(lanes))
            except Exception:
                logger.exception("hints were not sent; the sweep will find what is due")
            for lane in lanes:
                if lane not in woken:
                    _asked.pop(lane[0], None)  # whoever saves next tries again


_behind = _Behind()


def wait_until_sent(seconds: float) -> bool:
    """Wait for the hints of this process's commits that are not sent yet; tell whether they were, or were given up.

    A process that ends as usual need not: the interpreter waits. One that ends by ``os._exit`` may; a process of
    Celery's pool does.
    """
    return _behind.wait(seconds)


@worker_process_shutdown.connect(dispatch_uid="send a pool process's last hints")
def _before_end(**_: Any) -> None:
    wait_until_sent(END_SECONDS)


def forget() -> None:
    """Forget which lanes are asked for, and what rolled-back transactions of this thread wanted to wake.

    For tests that are rolled back: keys of theirs come again, as those of other lanes.
    """
    _asked.clear()
    vars(_batch).clear()


def _after_fork() -> None:
    global _behind
    _behind = _Behind()  # neither threads nor what they had to do survives a fork: it is the parent's
    _asked.clear()


os.register_at_fork(after_in_child=_after_fork)
