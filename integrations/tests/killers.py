"""What a worker of its own imports to meet items that kill it: ``celery worker -I integrations.tests.killers``.

Whoever handles an item writes its name to the file KILL_LOG; the item called "poison" then sends the process SIGKILL.
With TOGETHER above 1, as many begin at once, so that the first death takes neighbours along.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from integrations.connectors.registry import ConnectorRegistry
from integrations.inbound.actions import register_action
from integrations.pull.handlers import handles
from integrations.tests.inbound_world import EFFECT, provider
from integrations.tests.pull_world import KEY, CornerShop, store_orders

POISON = "poison"
_log = Path(os.environ.get("KILL_LOG", os.devnull))
_together = threading.Barrier(int(os.environ.get("TOGETHER", "1")))


def begun(log: Path) -> dict[str, int]:
    """Return how often each item was begun with."""
    names = log.read_text().split() if log.exists() else []
    return {name: names.count(name) for name in names}


def work_on(name: str) -> None:
    """Do what this module is for."""
    is_first = name not in begun(_log)
    with _log.open("a") as log:
        log.write(f"{name}\n")
    if is_first and _together.parties > 1:
        with suppress(threading.BrokenBarrierError):
            _together.wait(1)
    if name == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    if is_first and _together.parties > 1:
        threading.Event().wait(1)  # for the end, if it comes


def _effect(dto: Any, connection: Any) -> None:
    from integrations.models import SyncState

    SyncState.objects.create(connection=connection, resource_type=f"effect-{dto.payload['name']}")
    work_on(dto.payload["name"])


def _store(items: list[str], shop: Any) -> None:
    store_orders(items, shop)
    work_on(shop.name)


if "KILL_LOG" in os.environ:  # and not in the test's own process
    _registered = provider(is_chosen=True, id_header="X-Id", event_header="X-Event")
    _registered.__enter__()
    register_action(EFFECT, "An effect", _effect)
    ConnectorRegistry.register(KEY, CornerShop)
    handles("shop", "orders")(_store)
