"""What application code calls: by name and tenant, without knowing rows or lanes.

    from integrations.services import ConnectionService, SyncService, WebhookService

Each is imported when it is first used: importing this package loads no model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connection import ConnectionService
    from .sync import SyncService
    from .webhook import WebhookService

_HOMES = {"ConnectionService": "connection", "SyncService": "sync", "WebhookService": "webhook"}
__all__ = ["ConnectionService", "SyncService", "WebhookService"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
