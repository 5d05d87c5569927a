"""After a commit, tell a worker to look at the lane. A hint: it may be lost, doubled or late.

A lane that somebody holds needs no hint: its holder releases it first and looks again after that (drain.py), so it
sees what was committed before. A hint names the turn of the lane that it asks for: once somebody took that turn, its
copies say nothing new and are dropped (lease.py). Everything here is bounded, because it runs in the user's request:
after a failure the broker is left alone for a while, and the sweep finds what was owed. Of several hints that are sent
together each has its chance, as long as there is time; three failures in a row say that the broker is away.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from celery import current_app
from django.db import connections
from kombu.pools import producers

from integrations.telemetry.counters import WAKE_UPS

from . import statements

logger = logging.getLogger("integrations.delivery")

TASK = "integrations.tasks.send_integration_webhook"
TASK_OF_MANY = "integrations.tasks.wake_lanes"
QUEUE, SLOW_QUEUE = "deliveries", "slow"
BROKER_SECONDS = 0.5  # for each answer of the broker
WAKE_SECONDS = 0.8  # for one hint (a first one to Redis takes 16 answers), and for starting on further ones
REST_SECONDS = 5.0  # how long a broker that failed is left alone
FAILURES = 3  # in a row, of hints that are sent together: the broker is away
LANES_PER_MESSAGE = 100
MAX_ASKED = 20_000

T = TypeVar("T")
Lane = tuple[int, int, bool]  # id, turn, is slow

_rest_until = 0.0
_batch = threading.local()  # by database: the lanes to wake after the commit
_here = threading.local()  # together: the hints that this thread is just sending together
_senders: ThreadPoolExecutor | None = None
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

    One question and one message, however many they are. While a lane is at the turn that this process has asked for,
    that hint is still on its way, and whoever follows it sees what was committed before; nothing is written here.
    """
    ids = list(integration_ids)
    if not ids:
        return
    connection = connections["default"]
    with connection.cursor() as cursor:
        cursor.execute(statements.idle(connection.vendor, len(ids)), ids)
        idle = [(pk, turn, bool(is_slow)) for pk, turn, is_slow in cursor.fetchall() if not _is_asked(pk, turn)]
    woken = wake_all(idle)
    since = time.monotonic()
    if len(_asked) > MAX_ASKED:
        _asked.clear()
    _asked.update((pk, (turn, since)) for pk, turn, _ in woken)


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


@dataclass(slots=True)
class _Together:
    """Hints that are sent together: until when, and how many have failed in a row."""

    ends_at: float
    failures: int = 0


@contextmanager
def together(seconds: float | None = None) -> Iterator[None]:
    """Let one hint of the block that fails not be the end of the others; inside of another one: part of that.

    Args:
        seconds: for all of them; None: WAKE_SECONDS.
    """
    if getattr(_here, "together", None) is not None:
        yield
        return
    _here.together = hints = _Together(time.monotonic() + (WAKE_SECONDS if seconds is None else seconds))
    try:
        yield
    finally:
        _here.together = None
        if hints.failures:
            _leave_alone()


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


def is_away() -> bool:
    """Tell whether the broker failed a moment ago and is left alone, or those who send together have no time left."""
    hints: _Together | None = getattr(_here, "together", None)
    now = time.monotonic()
    return now < _rest_until or (hints is not None and now >= hints.ends_at)


def send_hint(task: str, kwargs: dict[str, Any], queue: str) -> bool:
    """Send one message. Returns False when the broker is away; never raises, never waits longer than WAKE_SECONDS.

    It never expires: whether it had would be decided by comparing the clocks of two machines.
    """
    if is_away():
        WAKE_UPS.labels(queue, "lost").inc()
        return False
    hints: _Together | None = getattr(_here, "together", None)
    left = WAKE_SECONDS if hints is None else min(WAKE_SECONDS, hints.ends_at - time.monotonic())
    try:
        _send_in_time(task, kwargs, queue, left)
    except Exception as error:  # whatever a broker's client library throws
        logger.warning("broker away (%s); the sweep will find what is due", type(error).__name__)
        WAKE_UPS.labels(queue, "lost").inc()
        if hints is not None:
            hints.failures += 1
        if hints is None or hints.failures >= FAILURES:
            _leave_alone()
        return False
    if hints is not None:
        hints.failures = 0
    WAKE_UPS.labels(queue, "sent").inc()
    return True


def _leave_alone() -> None:
    global _rest_until
    _rest_until = time.monotonic() + REST_SECONDS


def _send_in_time(task: str, kwargs: dict[str, Any], queue: str, seconds: float) -> None:
    if current_app.conf.task_always_eager:
        current_app.tasks[task].apply(kwargs=kwargs)
        return
    in_time(lambda: _send(task, kwargs, queue), seconds)


def in_time(send: Callable[[], T], seconds: float) -> T:
    """Send on another thread and stop waiting after `seconds`: no client library bounds a whole exchange.

    Raises:
        TimeoutError: it took longer. What has begun ends by itself, and may still arrive.
    """
    sending = _pool().submit(send)
    try:
        return sending.result(seconds)
    finally:
        sending.cancel()  # if it has not even begun


def _pool() -> ThreadPoolExecutor:
    global _senders
    if _senders is None:
        _senders = ThreadPoolExecutor(4, thread_name_prefix="wake-up")
    return _senders


def _after_fork() -> None:
    global _senders
    _senders = None  # threads do not survive a fork


os.register_at_fork(after_in_child=_after_fork)


def _send(task: str, kwargs: dict[str, Any], queue: str) -> None:
    app = current_app
    with bounded_producer() as producer:
        app.send_task(
            task,
            kwargs=kwargs,
            queue=queue,
            serializer="json",
            producer=producer,
            retry=False,
            ignore_result=True,
            argsrepr="(…)",  # or monitors and logs would repeat the arguments
            kwargsrepr="{…}",
        )


@contextmanager
def bounded_producer() -> Iterator[Any]:
    """Lend a producer that waits BROKER_SECONDS for each answer of the broker."""
    with producers[_connection()].acquire(block=True, timeout=BROKER_SECONDS) as producer:
        yield producer


def _connection() -> Any:
    """A connection with limits for a sender; a worker's own one blocks in BRPOP and must not have them."""
    app = current_app
    bounds = {
        **(app.conf.broker_transport_options or {}),
        "socket_timeout": BROKER_SECONDS,
        "socket_connect_timeout": BROKER_SECONDS,
        "retry_on_timeout": False,
        "read_timeout": BROKER_SECONDS,
        "write_timeout": BROKER_SECONDS,
        "max_retries": 0,
    }
    return app.connection_for_write(connect_timeout=BROKER_SECONDS, transport_options=bounds)


def messages_waiting(queues: Sequence[str]) -> dict[str, int | None]:
    """Return how many messages wait in each of these queues; None: the broker does not say.

    Waits for the broker within the same bounds as a hint.
    """

    def ask() -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        with _connection() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
            for queue in queues:
                with connection.channel() as channel:  # RabbitMQ closes it if there is no such queue
                    try:
                        found[queue] = channel.queue_declare(queue=queue, passive=True).message_count
                    except connection.channel_errors:
                        found[queue] = 0  # Redis forgets an empty one
        return found

    try:
        return in_time(ask, WAKE_SECONDS)
    except Exception:  # whatever a broker's client library throws
        return dict.fromkeys(queues)


def broker_answers() -> bool:
    """Tell whether the broker takes a connection within the same bounds as a hint."""
    try:
        with _connection() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
            _ = connection.default_channel  # opening it talks to the broker
    except Exception:  # whatever a broker's client library throws
        return False
    return True
