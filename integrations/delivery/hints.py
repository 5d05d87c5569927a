"""Send a hint: one message, within bounds, or not at all. It may be lost, doubled or late; the sweep finds what is due.

A worker's turn, a sweep or a person's button may wait for it, so that everything here ends in time: after a failure the
broker is left alone for a while. For what a save asks for nobody waits (wakeup.py). Of several hints that are sent
together each has its chance, as long as there is time; three failures in a row say that the broker is away.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from celery import current_app
from kombu.pools import connections, producers

from integrations.telemetry.counters import WAKE_UPS

logger = logging.getLogger("integrations.delivery")

QUEUE, SLOW_QUEUE = "deliveries", "slow"
BROKER_SECONDS = 0.5  # for each answer of the broker
WAKE_SECONDS = 0.8  # for one hint (a first one to Redis takes 16 answers), and for starting on further ones
REST_SECONDS = 5.0  # how long a broker that failed is left alone
FAILURES = 3  # in a row, of hints that are sent together: the broker is away
FORK_SECONDS = 5.0  # how long a fork waits for those who are talking to the broker

T = TypeVar("T")

_rest_until = 0.0
_here = threading.local()  # together: the hints that this thread is sending; is_behind: nobody waits for them
_senders = ThreadPoolExecutor(4, thread_name_prefix="wake-up")  # without threads until something is sent
_talks = 0  # how many threads are talking to the broker
_talks_changed = threading.Condition()  # held while the process forks


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


@contextmanager
def nobody_waits() -> Iterator[None]:
    """Send the hints of the block on this very thread: it may wait for each answer of the broker."""
    _here.is_behind = True
    try:
        yield
    finally:
        _here.is_behind = False


def is_away() -> bool:
    """Tell whether the broker failed a moment ago and is left alone, or those who send together have no time left.

    Without a broker (`task_always_eager`) there is none that could be away.
    """
    if current_app.conf.task_always_eager:
        return False
    hints: _Together | None = getattr(_here, "together", None)
    now = time.monotonic()
    return now < _rest_until or (hints is not None and now >= hints.ends_at)


def send_hint(task: str, kwargs: dict[str, Any], queue: str) -> bool:
    """Send one message. Returns False when the broker is away; never raises, never waits longer than WAKE_SECONDS.

    Inside of `nobody_waits` only each answer of the broker is bounded, by BROKER_SECONDS. The message never expires:
    whether it had would be decided by comparing the clocks of two machines.
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
        current_app.loader.import_task_module(task.rpartition(".")[0])  # a web process need not have done so
        current_app.tasks[task].apply(kwargs=kwargs)
    elif getattr(_here, "is_behind", False):
        _send(task, kwargs, queue)
    else:
        in_time(lambda: _send(task, kwargs, queue), seconds)


def in_time(send: Callable[[], T], seconds: float) -> T:
    """Send on another thread and stop waiting after `seconds`: no client library bounds a whole exchange.

    Raises:
        TimeoutError: it took longer. What has begun ends by itself, and may still arrive.
    """
    sending = _senders.submit(send)
    try:
        return sending.result(seconds)
    finally:
        sending.cancel()  # if it has not even begun


@contextmanager
def _talking() -> Iterator[None]:
    """Have a fork wait for the block: a child inherits what this thread locks, imports too, and nobody unlocks it."""
    global _talks
    with _talks_changed:
        _talks += 1
    try:
        yield
    finally:
        with _talks_changed:
            _talks -= 1
            _talks_changed.notify_all()


def _before_fork() -> None:
    _talks_changed.acquire()
    _talks_changed.wait_for(lambda: not _talks, FORK_SECONDS)


def _after_fork() -> None:
    global _senders, _talks, _talks_changed
    _senders = ThreadPoolExecutor(4, thread_name_prefix="wake-up")  # threads do not survive a fork
    _talks, _talks_changed = 0, threading.Condition()
    for group in (producers, connections):  # their sockets are the parent's
        group.clear()


os.register_at_fork(before=_before_fork, after_in_parent=lambda: _talks_changed.release(), after_in_child=_after_fork)


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
    with _talking(), producers[_connection()].acquire(block=True, timeout=BROKER_SECONDS) as producer:
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
        with _talking(), _connection() as connection:
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
        with _talking(), _connection() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
            _ = connection.default_channel  # opening it talks to the broker
    except Exception:  # whatever a broker's client library throws
        return False
    return True
