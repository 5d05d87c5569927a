"""What counts as an event: one file per model, found by itself (docs/adding-a-model.md).

Also the place from which host code imports the signals that it may listen to (lifecycle.py).
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from django.apps import apps

from integrations.lifecycle import (
    connection_disabled,
    connection_status_changed,
    sync_completed,
    webhook_event_processed,
    webhook_event_received,
)

__all__ = [
    "connect_all",
    "connection_disabled",
    "connection_status_changed",
    "sync_completed",
    "webhook_event_processed",
    "webhook_event_received",
]


def connect_all() -> None:
    """Import every module of this package; each connects its trigger handler. Called once, by apps.py.

    The example's modules are left out where its app `tasks` is not installed, or is another project's.
    """
    is_example = "workitem" in apps.all_models.get("tasks", ())
    for module in pkgutil.iter_modules(__path__):
        if is_example or not module.name.startswith("workitem"):
            import_module(f"{__name__}.{module.name}")
