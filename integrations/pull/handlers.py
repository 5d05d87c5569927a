"""Who takes the items of a pull that nobody waits for: tasks and scheduled pulls.

    @handles("shop", "orders")
    def store_orders(items, connection):
        for order in items:
            Order.objects.update_or_create(shop=connection, number=order.order_id, defaults={…})

Import such a module in an AppConfig.ready, so that workers know it too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from integrations.connections.abstract import AbstractConnection

ProcessFn = Callable[[list[Any], Any], Any]  # process_fn(items, connection)
F = TypeVar("F", bound=ProcessFn)

_handlers: dict[tuple[str, str], ProcessFn] = {}
_lock = threading.Lock()


def handles(family: str, resource_type: str) -> Callable[[F], F]:
    """Make the decorated ``function(items, connection)`` take `resource_type` of every provider of `family`.

    It runs in the transaction that saves the cursor: what it writes and where we are commit together, or not at all.

    Raises:
        ValueError: another function does that already.
    """

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


def handler_for(connection: AbstractConnection, resource_type: str) -> ProcessFn | None:
    """Return who takes `resource_type` of this connection's provider family, None if nobody does."""
    return _handlers.get((connection.provider_family, resource_type))
