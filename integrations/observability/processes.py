"""Which processes run, and how far each one's clock is from the database's.

A worker's main process and the scheduler beat by themselves, a web process after a request; each beat is one statement
that also compares the clocks. The pool processes of a prefork worker write nothing: they compare alone, before a task.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from celery.signals import (
    beat_embedded_init,
    beat_init,
    before_task_publish,
    task_prerun,
    worker_ready,
    worker_shutdown,
)
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connection, connections
from django.db.models import Q, QuerySet
from django.dispatch import receiver

from integrations import conf
from integrations.database import clock, sql
from integrations.database.times import SKEW, after, compare, compare_in
from integrations.delivery.hints import QUEUE, SLOW_QUEUE

from . import heartbeat
from .models import ProcessHeartbeat
from .periodic import look_in_place_of_beat

WEB, WORKER, BEAT = "web", "worker", "beat"
PERIOD = 15.0  # seconds between two beats, and between two comparisons
QUIET_SECONDS = 600.0  # a web process that nobody asks anything is no dead one
FORGOTTEN_SECONDS = 3600.0
MOST_QUEUES = 500  # characters of their names, as the column has them

logger = logging.getLogger("integrations.observability")

_BEAT = """
INSERT INTO {table} (name, kind, host, pid, queues, beaten_at, skew_seconds)
VALUES (%s, %s, %s, %s, %s, {now}, {skew})
ON CONFLICT (name) DO UPDATE
SET queues = excluded.queues, skew_seconds = excluded.skew_seconds, beaten_at = excluded.beaten_at
RETURNING skew_seconds
"""

_beaten: dict[tuple[int, str], float] = {}  # when, by `clock.elapsed`; a fork is another process
_said = 0.0  # the skew that the log knows of
_compared_at = float("-inf")
_lock = threading.Lock()


def beat(kind: str, queues: Iterable[str] = ()) -> None:
    """Note that this process is alive, and compare its clock; never raises because of the database."""
    is_first = (os.getpid(), kind) not in _beaten
    _beaten[os.getpid(), kind] = clock.elapsed()
    vendor = connection.vendor
    if vendor not in SKEW:
        return
    values = (_name(kind), kind, _host(), os.getpid(), _listed(queues))
    try:
        skew = compare_in(
            "default",
            _BEAT.format(table=ProcessHeartbeat._meta.db_table, now=sql.now(vendor), skew=SKEW[vendor]),
            values,
        )
        if is_first:
            ProcessHeartbeat.objects.filter(beaten_at__lt=after(-FORGOTTEN_SECONDS)).delete()
    except DatabaseFailure as error:
        logger.warning("could not note that this %s is alive: %s", kind, type(error).__name__)
        return
    if skew is not None:
        _say(values[0], skew)


def beat_if_due(kind: str, queues: Iterable[str] = ()) -> None:
    """Beat, unless this process did within PERIOD."""
    if clock.elapsed() - _beaten.get((os.getpid(), kind), float("-inf")) >= PERIOD:
        beat(kind, queues)


def compare_if_due(older_than: float = PERIOD) -> None:
    """Compare the clocks, unless that was done lately; a database that is away is not asked again for a while."""
    global _compared_at
    if clock.age() < older_than or clock.elapsed() - _compared_at < PERIOD:
        return
    _compared_at = clock.elapsed()
    try:
        compare()
    except DatabaseFailure as error:
        logger.warning("this process's clock could not be compared with the database's: %s", type(error).__name__)


def seen_lately() -> QuerySet[ProcessHeartbeat]:
    """Return the processes that count as alive, by name."""
    works = Q(beaten_at__gte=after(-conf.HEARTBEAT_STALE_SECONDS))
    return ProcessHeartbeat.objects.filter(
        works | Q(kind=WEB, beaten_at__gte=after(-max(QUIET_SECONDS, conf.HEARTBEAT_STALE_SECONDS)))
    ).order_by("name")


def with_wrong_clocks() -> list[ProcessHeartbeat]:
    """Return those of them whose clock is more than OFF_SECONDS from the database's."""
    return [each for each in seen_lately() if abs(each.skew_seconds) > clock.OFF_SECONDS]


def is_consumed(queue: str) -> bool:
    """Tell whether a worker that counts as alive takes messages from `queue`."""
    found = seen_lately().filter(kind=WORKER, queues__contains=queue).values_list("queues", flat=True)
    return any(queue in queues.split(",") for queues in found)


def _listed(queues: Iterable[str]) -> str:
    """Return the names of `queues`, as many as there is room for: ours first, by which it is known who takes what."""
    text = ",".join(sorted(queues, key=lambda name: (name not in (QUEUE, SLOW_QUEUE), name)))
    return text if len(text) <= MOST_QUEUES else text[:MOST_QUEUES].rpartition(",")[0]


def _host() -> str:
    return socket.gethostname()[:150]


def _name(kind: str) -> str:
    return f"{kind}@{_host()}:{os.getpid()}"


def _say(name: str, skew: float) -> None:
    """Say once that the clock is wrong, again when it has changed, and when it is right."""
    global _said
    with _lock:
        is_wrong, was_wrong = abs(skew) > clock.OFF_SECONDS, _said != 0.0
        if abs(skew - _said) <= clock.OFF_SECONDS and is_wrong == was_wrong:
            return
        _said = skew if is_wrong else 0.0
    if is_wrong:
        logger.warning(
            "the clock of %s is %s the database's; set it (NTP). Deliveries go by the database's clock meanwhile.",
            name,
            clock.described(skew),
        )
    else:
        logger.info("the clock of %s agrees with the database's again", name)


# -- a worker ----------------------------------------------------------------------------------------------------------


class _Pulse(threading.Thread):
    """Beats for a worker's main process, whatever its pool is at.

    Attributes:
        also: what it does after each beat.
    """

    def __init__(self, queues: Iterable[str], also: Callable[[], object] = lambda: None) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.ended = threading.Event()
        self._queues, self._also = tuple(queues), also

    def run(self) -> None:
        while True:
            try:
                beat(WORKER, self._queues)
                self._also()
            except Exception:  # the next one may do; without it, the worker would count as dead
                logger.exception("a heartbeat failed")
            finally:
                connections.close_all()  # this thread's: none that a pool process could inherit
            if self.ended.wait(PERIOD):
                return


_pulse: _Pulse | None = None


@worker_ready.connect(dispatch_uid="process-worker-ready")
def _worker_ready(sender: Any, **_: Any) -> None:
    global _pulse
    heartbeat.beat("worker")
    queues = tuple(sender.app.amqp.queues.consume_from)
    _pulse = _Pulse(queues, partial(look_in_place_of_beat, sender.app, queues))
    _pulse.start()


@worker_shutdown.connect(dispatch_uid="process-worker-shutdown")
def _worker_ends(**_: Any) -> None:
    if _pulse is None:
        return
    _pulse.ended.set()
    _pulse.join(5.0)
    with suppress(DatabaseFailure):  # it is forgotten in time
        ProcessHeartbeat.objects.filter(name=_name(WORKER)).delete()


@task_prerun.connect(dispatch_uid="process-task-prerun")
def _before_a_task(**_: Any) -> None:
    compare_if_due()


# -- the scheduler -----------------------------------------------------------------------------------------------------


def _watch_scheduler(**_: Any) -> None:
    before_task_publish.connect(_scheduler_sent, dispatch_uid="process-beat", weak=False)
    heartbeat.beat("beat")
    beat(BEAT)


def _scheduler_sent(**_: Any) -> None:
    heartbeat.beat("beat")
    beat_if_due(BEAT)


beat_init.connect(_watch_scheduler, dispatch_uid="process-beat-init", weak=False)
beat_embedded_init.connect(_watch_scheduler, dispatch_uid="process-beat-embedded", weak=False)


# -- a web process -----------------------------------------------------------------------------------------------------


def _is_served(sender: Any) -> bool:
    return isinstance(sender, type) and issubclass(sender, WSGIHandler | ASGIHandler)  # a test's client is none


@receiver(request_started, dispatch_uid="process-request-started")
def _before_a_request(sender: Any, **_: Any) -> None:
    if _is_served(sender):
        compare_if_due(QUIET_SECONDS)  # the first one; from then on, what comes after a request does


@receiver(request_finished, dispatch_uid="process-request-finished")
def _after_a_request(sender: Any, **_: Any) -> None:
    """The answer is on its way: nobody waits for this."""
    if _is_served(sender) and not connection.in_atomic_block:
        beat_if_due(WEB)
        close_old_connections()
