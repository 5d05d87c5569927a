"""What counts as an event: one file per model, found by itself (docs/adding-a-model.md)."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def connect_all() -> None:
    """Import every module of this package; each connects its trigger handler. Called once, by apps.py."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
