"""After a commit, tell a worker to look at the lane. A hint: it may be lost, doubled or late.

A lane that somebody holds needs no hint: its holder releases it first and looks again after that
(drain.py), so it sees what was committed before. Everything here is bounded, because it runs in the user's
request: after one failure the broker is left alone for a while, and the sweep finds what was owed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from celery import current_app
from django.db import connections
from kombu.pools import producers

from integrations.compiled_row import CompiledRow

from .lease import free, rested
from .models import Lane

logger = logging.getLogger("integrations.delivery")

TASK = "integrations.tasks.send_integration_webhook"
QUEUE, SLOW_QUEUE = "deliveries", "slow"
BROKER_SECONDS = 0.5  # for each answer of the broker
WAKE_SECONDS = 0.8  # for one hint (a first one to Redis takes 16 answers), and for starting on further ones
REST_SECONDS = 5.0  # how long a broker that failed is left alone
EXPIRES_SECONDS = None  # never: Celery would compare two machines' clocks

_idle = CompiledRow(
    lambda using: Lane.objects.using(using).filter(free(), rested(), integration__is_enabled=True), ("pk", "is_slow")
)
_rest_until = 0.0
_batch = threading.local()
_senders: ThreadPoolExecutor | None = None


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
    """Wake those of these lanes that nobody holds and that could send; as many as time allows, the sweep the others."""
    found = (_idle.fetch(pk, "default") for pk in integration_ids)
    idle = [lane for lane in found if lane is not None]
    deadline = time.monotonic() + WAKE_SECONDS
    for integration_id, is_slow in idle:
        if not wake(integration_id, is_slow=is_slow) or time.monotonic() > deadline:
            break


def wake(integration_id: int, *, is_slow: bool = False) -> bool:
    """Tell a worker to look at this lane; see `send_hint`."""
    return send_hint(TASK, {"integration_id": integration_id}, SLOW_QUEUE if is_slow else QUEUE)


def send_hint(task: str, kwargs: dict[str, Any], queue: str, *, expires: float | None = EXPIRES_SECONDS) -> bool:
    """Send one message. Returns False when the broker is away; never raises, never waits longer than WAKE_SECONDS.

    Args:
        expires: seconds after which nobody reads it any more; None: never, for what no sweep would find.
    """
    global _rest_until
    if time.monotonic() < _rest_until:
        return False
    try:
        _send_in_time(task, kwargs, queue, expires)
    except Exception as error:  # whatever a broker's client library throws
        _rest_until = time.monotonic() + REST_SECONDS
        logger.warning("broker away (%s); the sweep will find what is due", type(error).__name__)
        return False
    return True


def _send_in_time(task: str, kwargs: dict[str, Any], queue: str, expires: float | None) -> None:
    """Send on another thread and stop waiting after WAKE_SECONDS: no client library bounds a whole exchange."""
    if current_app.conf.task_always_eager:
        current_app.tasks[task].apply(kwargs=kwargs)
        return
    sending: Future[None] = _pool().submit(_send, task, kwargs, queue, expires)
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


def _send(task: str, kwargs: dict[str, Any], queue: str, expires: float | None) -> None:
    app = current_app
    with producers[_connection()].acquire(block=True, timeout=BROKER_SECONDS) as producer:
        app.send_task(
            task,
            kwargs=kwargs,
            queue=queue,
            producer=producer,
            retry=False,
            expires=expires,
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
    """Tell whether the broker takes a connection within the same bounds as a wake-up."""
    try:
        with _connection() as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
            _ = connection.default_channel  # opening it talks to the broker
    except Exception:  # whatever a broker's client library throws
        return False
    return True
