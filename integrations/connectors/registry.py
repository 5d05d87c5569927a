"""Which kinds of systems we can talk to, and where they were found.

kinds/<kind>/         our own: connector.py, or connector.yaml where no code is needed
TEMPLATE_DIRS         a setting: folders with more of the latter (docs/templates.md)
other packages        entry points of the group ``integrations.connectors`` (a BaseConnector class each)
by hand               ``ConnectorRegistry.register("MY_ERP", MyConnector)`` in an AppConfig.ready

A name belongs to whoever has it first, and ours are taken before anybody else registers one; ``replace=True`` takes a
name over.
"""

from __future__ import annotations

import logging
import pkgutil
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path
from typing import Any, overload

from integrations import conf
from integrations.errors import IncompatibleConnector, TemplateError, UnknownConnector

from .base import BaseConnector
from .manifest import Manifest
from .template.load import TemplateInterpreter, templates_in
from .versions import check_sdk

ENTRY_POINT_GROUP = "integrations.connectors"
KINDS = Path(__file__).parent / "kinds"
_OURS = f"{__package__}."  # where our own kinds are

logger = logging.getLogger("integrations.connectors")


class NameTaken(ValueError):
    """Another connector has this name."""


class ConnectorRegistry:
    """The connectors of this process, by key. All methods are the class's own; there is one registry."""

    _connectors: dict[str, type[BaseConnector]] = {}
    _interpreters: dict[str, type[TemplateInterpreter]] = {}
    _template_errors: list[TemplateError] = []
    _broken: dict[str, str] = {}  # what other packages offer and we cannot use: name → why
    _loaded = _has_ours = False
    _lock = threading.Lock()  # of the dict
    # Of the first load alone: whoever imports a kind meanwhile holds Python's lock of that module, and registers.
    _loading = threading.RLock()
    # Of our own, apart: whoever imports a module of a host holds Python's lock of that one, and registers.
    _loading_ours = threading.RLock()

    @overload
    @classmethod
    def register(cls, name: str, connector: type[BaseConnector], *, replace: bool = False) -> type[BaseConnector]: ...
    @overload
    @classmethod
    def register(cls, name: type[BaseConnector], *, replace: bool = False) -> type[BaseConnector]: ...
    @classmethod
    def register(
        cls,
        name: str | type[BaseConnector],
        connector: type[BaseConnector] | None = None,
        *,
        replace: bool = False,
    ) -> type[BaseConnector]:
        """Make `connector` known under `name`; as a class decorator, under its manifest's key.

        Args:
            replace: take the name from whoever has it. Integrations that are stored under it are then this one's.

        Raises:
            ValueError: another class has that name already, the class has another name, or no name is like that.
            IncompatibleConnector: it was written for another version of the connector kit.
        """
        found: type[BaseConnector] = connector if connector is not None else name  # type: ignore[assignment]
        if not (isinstance(found, type) and issubclass(found, BaseConnector)):
            raise TypeError(f"{found!r} is not a subclass of BaseConnector")
        key = name if isinstance(name, str) else found.manifest.key
        check_sdk(key, found.manifest.sdk)
        if not found.__module__.startswith(_OURS):
            cls._load_ours()  # or the name of one of ours would look free
        with cls._lock:
            owner = cls._connectors.get(key, found)
            if owner is not found and not replace:
                raise NameTaken(
                    f"two connectors call themselves {key!r}: {owner.__module__}.{owner.__qualname__} "
                    f"({owner.manifest.label}) has that name; choose another, or register with replace=True"
                )
            if other := next((each for each, known in cls._connectors.items() if known is found and each != key), None):
                raise ValueError(f"{found.__name__} is {other!r} already; derive another class for {key!r}")
            if found.manifest.key != key:
                found.manifest = Manifest.model_validate({**dict(found.manifest), "key": key})
            cls._connectors[key] = found
            cls._broken.pop(key, None)
        return found

    @classmethod
    def interprets_templates(cls, connector: type[TemplateInterpreter]) -> type[TemplateInterpreter]:
        """Make `connector` known to templates, which name it as their ``connector``; as a class decorator."""
        owner = cls._interpreters.setdefault(connector.manifest.key, connector)
        if owner is not connector:
            raise NameTaken(
                f"templates that name {connector.manifest.key!r} are {owner.__module__}.{owner.__qualname__}'s"
            )
        return connector

    @classmethod
    def template_errors(cls) -> list[TemplateError]:
        """Return what is wrong with the templates in TEMPLATE_DIRS; those are not registered."""
        cls._load()
        return list(cls._template_errors)

    @classmethod
    def unregister(cls, name: str) -> None:
        """Forget `name`; nothing happens if it is unknown."""
        with cls._lock:
            cls._connectors.pop(name, None)

    @classmethod
    def type_of(cls, name: str) -> type[BaseConnector]:
        """Return the class called `name`.

        Raises:
            UnknownConnector: ``Unknown connector type: 'MY_ERP'`` (also a ValueError).
            IncompatibleConnector: it is installed, and was written for another version of the connector kit.
        """
        cls._load()
        try:
            return cls._connectors[name]
        except KeyError:
            problem = cls._broken.get(name)
        if problem:
            raise IncompatibleConnector(problem)
        raise UnknownConnector(f"Unknown connector type: {name[:50]!r}")

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
    def broken(cls) -> dict[str, str]:
        """Return what other packages offer and we cannot use, as {name: why}."""
        cls._load()
        return dict(cls._broken)

    @classmethod
    def _load(cls) -> None:
        if cls._loaded:
            return
        with cls._loading:
            if cls._loaded:
                return
            cls._load_ours()
            cls._template_errors = _load_templates(cls.register, cls._interpreters, map(Path, conf.TEMPLATE_DIRS))
            for problem in cls._template_errors:
                logger.error("a connector template cannot be used: %s", problem)
            cls._broken.update(_load_entry_points(cls.register))
            cls._loaded = True

    @classmethod
    def _load_ours(cls) -> None:
        """Load the kinds and templates of this package, which import nobody else's code."""
        if cls._has_ours:
            return
        with cls._loading_ours:
            if cls._has_ours:
                return
            for module in pkgutil.iter_modules([str(KINDS)]):
                import_module(f"{_OURS}kinds.{module.name}")
            for problem in _load_templates(cls.register, cls._interpreters, sorted(KINDS.glob("*/"))):
                raise problem
            cls._has_ours = True


def _load_templates(
    register: Callable[[type[BaseConnector]], Any],
    interpreters: Mapping[str, type[TemplateInterpreter]],
    folders: Iterable[Path],
) -> list[TemplateError]:
    """Register the templates in `folders`, and return what is wrong with those that cannot be used.

    A broken one of ours fails the start, as broken code would; of the operator's, the others still work.
    """
    versions = {key: connector.manifest.version for key, connector in interpreters.items()}
    problems: list[TemplateError] = []
    for found in chain.from_iterable(templates_in(folder, versions) for folder in folders):
        if isinstance(found, TemplateError):
            problems.append(found)
            continue
        try:
            register(interpreters[found.connector].for_template(found))
        except (ValueError, IncompatibleConnector) as error:
            problems.append(TemplateError(str(error), file=found.file, line=found.line))
    return problems


def _load_entry_points(register: Callable[[str, type[BaseConnector]], Any]) -> dict[str, str]:
    """Register what other packages offer; those that do not load are reported and returned, the others work."""
    broken = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            register(entry.name, entry.load())
        except Exception as error:
            logger.exception("the connector %s of package %s cannot be used", entry.name, entry.value)
            own_words = isinstance(error, IncompatibleConnector | NameTaken)
            broken[entry.name] = str(error) if own_words else f"connector {entry.name} ({entry.value}) does not load"
    return broken


register = ConnectorRegistry.register
interprets_templates = ConnectorRegistry.interprets_templates


def manifests(family: str | None = None) -> list[Manifest]:
    """Return the manifests of all connectors (of `family`), sorted by key."""
    return [connector.manifest for connector in ConnectorRegistry.all(family)]


def connector_choices() -> list[tuple[str, str]]:
    """Return ``[(key, label), …]`` of all connectors, as Django's choices."""
    return [(manifest.key, manifest.label) for manifest in manifests()]
