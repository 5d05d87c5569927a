"""Which kinds of systems we can talk to. A new kind is one new module in this package."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from integrations.errors import IntegrationNotConfigured

from .port import Connector

_connectors: dict[str, type[Connector]] = {}


def register(connector: type[Connector]) -> type[Connector]:
    """Class decorator: make `connector` known under its key.

    Raises:
        ValueError: another class has that key already.
    """
    if _connectors.setdefault(connector.key, connector) is not connector:
        raise ValueError(f"two connectors call themselves {connector.key!r}")
    return connector


@cache
def _load() -> None:
    package = import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{__package__}.{module.name}")


def get(key: str) -> type[Connector]:
    """Return the connector class for `key`.

    Raises:
        IntegrationNotConfigured: there is none; the message lists those there are.
    """
    _load()
    try:
        return _connectors[key]
    except KeyError:
        known = ", ".join(sorted(_connectors))
        raise IntegrationNotConfigured(f"no connector {key[:50]!r}; there are: {known}") from None


def connector_choices() -> list[tuple[str, str]]:
    """Return ``[(key, label), …]`` of all connectors, as Django's choices."""
    _load()
    return [(key, connector.label) for key, connector in sorted(_connectors.items())]
