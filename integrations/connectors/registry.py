"""Which kinds of systems we can talk to, and where they were found.

kinds/*.py            our own, one module per kind
templates/*.yaml      our own that need no code; more folders: the setting TEMPLATE_DIRS
other packages        entry points of the group ``integrations.connectors`` (a BaseConnector class each)
by hand               ``ConnectorRegistry.register("MY_ERP", MyConnector)`` in an AppConfig.ready
"""

from __future__ import annotations

import logging
import pkgutil
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, overload

from integrations.errors import UnknownConnector

from .base import BaseConnector
from .manifest import Manifest
from .versions import check_sdk

ENTRY_POINT_GROUP = "integrations.connectors"
TEMPLATES = Path(__file__).parent / "templates"

logger = logging.getLogger("integrations.connectors")


class ConnectorRegistry:
    """The connectors of this process, by key. All methods are the class's own; there is one registry."""

    _connectors: dict[str, type[BaseConnector]] = {}
    _loaded = False
    _lock = threading.Lock()  # of the dict
    # Of the first load alone: whoever imports a kind meanwhile holds Python's lock of that module, and registers.
    _loading = threading.RLock()

    @overload
    @classmethod
    def register(cls, name: str, connector: type[BaseConnector]) -> type[BaseConnector]: ...
    @overload
    @classmethod
    def register(cls, name: type[BaseConnector]) -> type[BaseConnector]: ...
    @classmethod
    def register(
        cls, name: str | type[BaseConnector], connector: type[BaseConnector] | None = None
    ) -> type[BaseConnector]:
        """Make `connector` known under `name`; as a class decorator, under its manifest's key.

        Raises:
            ValueError: another class has that name already.
            IncompatibleConnector: it was written for another version of the connector kit.
        """
        found: type[BaseConnector] = connector if connector is not None else name  # type: ignore[assignment]
        key = name if isinstance(name, str) else found.manifest.key
        check_sdk(key, found.manifest.sdk)
        with cls._lock:
            if cls._connectors.setdefault(key, found) is not found:
                raise ValueError(f"two connectors call themselves {key!r}")
        if found.manifest.key != key:
            found.manifest = found.manifest.model_copy(update={"key": key})
        return found

    @classmethod
    def unregister(cls, name: str) -> None:
        """Forget `name`; nothing happens if it is unknown."""
        with cls._lock:
            cls._connectors.pop(name, None)

    @classmethod
    def type_of(cls, name: str) -> type[BaseConnector]:
        """Return the class called `name`.

        Raises:
            UnknownConnector: ``Unknown connector type: 'MY_ERP'`` (also a ValueError, S2-9).
        """
        cls._load()
        try:
            return cls._connectors[name]
        except KeyError:
            raise UnknownConnector(f"Unknown connector type: {name[:50]!r}") from None

    @classmethod
    def get(cls, name: str) -> BaseConnector:
        """Return a connector called `name`, bound to nothing: each call brings its configuration."""
        return cls.type_of(name)()

    @classmethod
    def all(cls, family: str | None = None) -> list[type[BaseConnector]]:
        """Return all connectors (of `family`), sorted by key."""
        cls._load()
        found = [cls._connectors[key] for key in sorted(cls._connectors, key=str.lower)]
        return [each for each in found if family is None or each.manifest.family == family]

    @classmethod
    def _load(cls) -> None:
        if cls._loaded:
            return
        with cls._loading:
            if cls._loaded:
                return
            package = import_module("integrations.connectors.kinds")
            for module in pkgutil.iter_modules(package.__path__):
                import_module(f"{package.__name__}.{module.name}")
            _load_templates(cls.register)
            _load_entry_points(cls.register)
            cls._loaded = True


def _load_templates(register: Callable[[type[BaseConnector]], Any]) -> None:
    """Register what the template folders hold; a broken one of ours fails the start, as broken code would."""


def _load_entry_points(register: Callable[[str, type[BaseConnector]], Any]) -> None:
    """Register what other packages offer; one that does not load is reported, and the others still work."""
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            register(entry.name, entry.load())
        except Exception:
            logger.exception("the connector %s of package %s cannot be used", entry.name, entry.value)


register = ConnectorRegistry.register


def manifests(family: str | None = None) -> list[Manifest]:
    """Return the manifests of all connectors (of `family`), sorted by key."""
    return [connector.manifest for connector in ConnectorRegistry.all(family)]


def connector_choices() -> list[tuple[str, str]]:
    """Return ``[(key, label), …]`` of all connectors, as Django's choices."""
    return [(manifest.key, manifest.label) for manifest in manifests()]
