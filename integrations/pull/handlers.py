"""Who takes the items of a pull that nobody waits for: tasks and scheduled pulls.

    @handles("shop", "orders")
    def store_orders(items, connection):
        for order in items:
            Order.objects.update_or_create(shop=connection, number=order.order_id, defaults={…})

Import such a module in an AppConfig.ready, so that workers know it too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from integrations.connections.abstract import AbstractConnection
from integrations.connectors.manifest import FAMILY
from integrations.lifecycle import sync_completed

ProcessFn = Callable[[list[Any], Any], Any]  # process_fn(items, connection)
F = TypeVar("F", bound=ProcessFn)

NOBODY = "nobody takes the items"

logger = logging.getLogger("integrations.pull")

_handlers: dict[tuple[str, str], ProcessFn] = {}
_lock = threading.Lock()


def handles(family: str, resource_type: str) -> Callable[[F], F]:
    """Make the decorated ``function(items, connection)`` take `resource_type` of every provider of `family`.

    It runs in the transaction that saves the cursor: what it writes and where we are commit together, or not at all.

    Raises:
        ValueError: another function does that already, or no connector can have such a family.
    """
    if not FAMILY.fullmatch(family):
        raise ValueError(f"a family is written in small letters, such as shop or issue-tracker, not {family[:50]!r}")

    def register(function: F) -> F:
        with _lock:
            known = _handlers.setdefault((family, resource_type), function)
        if known is not function:
            raise ValueError(f"{known.__module__}.{known.__qualname__} handles {family}/{resource_type} already")
        return function

    return register


def forget(family: str, resource_type: str) -> None:
    """Undo `handles`; nothing happens if nobody does."""
    with _lock:
        _handlers.pop((family, resource_type), None)


def families() -> set[str]:
    """Return the families whose items somebody takes."""
    with _lock:
        return {family for family, _ in _handlers}


def handler_for(connection: AbstractConnection, resource_type: str) -> ProcessFn | None:
    """Return who takes `resource_type` of this connection's provider family, None if nobody does."""
    return _handlers.get((connection.provider_family, resource_type))


def has_taker(connection: AbstractConnection, resource_type: str) -> bool:
    """Tell whether anybody takes the items: a handler, or at least a receiver of sync_completed."""
    return bool(handler_for(connection, resource_type)) or sync_completed.has_listeners(type(connection))


def is_heard(connection: AbstractConnection, resource_type: str) -> bool:
    """Tell what `has_taker` does, and say in the log who is missing.

    A pull that nobody hears must not begin: its cursor would pass items that no later handler is shown.
    """
    if handler_for(connection, resource_type):
        return True
    whose = (resource_type, connection.provider_family or "an unnamed family", connection.pk)
    ids = {**connection.log_ids(), "resource_type": resource_type}
    if has_taker(connection, resource_type):
        logger.info(
            "no handler for the %s of %s (connection %s): only receivers of sync_completed get them", *whose, extra=ids
        )
        return True
    logger.warning(
        "no handler for the %s of %s (connection %s), so they are not pulled: register one (docs/pull.md)",
        *whose,
        extra=ids,
    )
    return False
