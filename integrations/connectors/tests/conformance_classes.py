"""The classes that try our kinds on the conformance suite, each in its kind's tests/test_conformance.py."""

from __future__ import annotations

from importlib import import_module

from integrations.connectors.registry import KINDS
from integrations.testing import ConnectorConformance


def conformance_classes() -> list[type[ConnectorConformance]]:
    files = sorted(KINDS.glob("*/tests/test_conformance.py"))
    modules = [import_module(f"integrations.connectors.kinds.{file.parts[-3]}.tests.{file.stem}") for file in files]
    return [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, ConnectorConformance) and hasattr(found, "connector")
    ]
