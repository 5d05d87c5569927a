"""After a commit, tell a worker to look at the lane. A hint: it may be lost, doubled or late.

A lane that somebody holds needs no hint: its holder releases it first and looks again after that (drain.py), so it
sees what was committed before. A hint names the turn of the lane that it asks for: once somebody took that turn, its
copies say nothing new and are dropped (lease.py). Everything here is bounded, because it runs in the user's request:
after one failure the broker is left alone for a while, and the sweep finds what was owed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from celery import current_app
from django.db import connections
from kombu.pools import producers

from . import statements

logger = logging.getLogger("integrations.delivery")

TASK = "integrations.tasks.send_integration_webhook"
TASK_OF_MANY = "integrations.tasks.wake_lanes"
QUEUE, SLOW_QUEUE = "deliveries", "slow"
BROKER_SECONDS = 0.5  # for each answer of the broker
WAKE_SECONDS = 0.8  # for one hint (a first one to Redis takes 16 answers), and for starting on further ones
REST_SECONDS = 5.0  # how long a broker that failed is left alone
LANES_PER_MESSAGE = 100
MAX_ASKED = 20_000

_rest_until = 0.0
_batch = threading.local()
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
    if wake_all(idle):
        since = time.monotonic()
        if len(_asked) > MAX_ASKED:
            _asked.clear()
        _asked.update((pk, (turn, since)) for pk, turn, _ in idle)


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


def wake_all(lanes: Sequence[tuple[int, int, bool]]) -> bool:
    """Tell workers to look at these lanes (id, turn, is slow); of many in one message, whose reader passes them on."""
    if len(lanes) == 1:
        return wake(lanes[0][0], turn=lanes[0][1], is_slow=lanes[0][2])
    for start in range(0, len(lanes), LANES_PER_MESSAGE):
        part = [list(lane) for lane in lanes[start : start + LANES_PER_MESSAGE]]
        if not send_hint(TASK_OF_MANY, {"lanes": part}, QUEUE):
            return False
    return True


def send_hint(task: str, kwargs: dict[str, Any], queue: str) -> bool:
    """Send one message. Returns False when the broker is away; never raises, never waits longer than WAKE_SECONDS.

    It never expires: whether it had would be decided by comparing the clocks of two machines.
    """
    global _rest_until
    if time.monotonic() < _rest_until:
        return False
    try:
        _send_in_time(task, kwargs, queue)
    except Exception as error:  # whatever a broker's client library throws
        _rest_until = time.monotonic() + REST_SECONDS
        logger.warning("broker away (%s); the sweep will find what is due", type(error).__name__)
        return False
    return True


def _send_in_time(task: str, kwargs: dict[str, Any], queue: str) -> None:
    """Send on another thread and stop waiting after WAKE_SECONDS: no client library bounds a whole exchange."""
    if current_app.conf.task_always_eager:
        current_app.tasks[task].apply(kwargs=kwargs)
        return
    sending: Future[None] = _pool().submit(_send, task, kwargs, queue)
    try:
        sending.result(WAKE_SECONDS)
    finally:
        sending.cancel()  # if it has not even begun; else it ends by itself, and a late hint is harmless


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
    with producers[_connection()].acquire(block=True, timeout=BROKER_SECONDS) as producer:
        app.send_task(
            task,
            kwargs=kwargs,
            queue=queue,
            producer=producer,
            retry=False,
            ignore_result=True,
            argsrepr="(…)",  # or monitors and logs would repeat the arguments
            kwargsrepr="{…}",
        )


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


def broker_answers() -> bool:
    """Tell whether the broker takes a connection within the same bounds as a hint."""
    try:
        with _connection() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
            _ = connection.default_channel  # opening it talks to the broker
    except Exception:  # whatever a broker's client library throws
        return False
    return True
