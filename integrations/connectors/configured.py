"""A connector's configuration: bound to it or given with a call, checked, and carried over from older versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from integrations.errors import ConfigurationError, forgets_locals

from .config_check import check, checked
from .manifest import Manifest
from .port import Binding, Client, ERPConnectorPort
from .versions import Version


class Configured(ERPConnectorPort):
    """The part of BaseConnector that knows its settings.

    Args:
        binding: one integration's settings, decrypted; None: unbound, and each call brings its own.
        client: the guarded HTTP client; None: the process's own.
    """

    manifest: ClassVar[Manifest]

    def __init__(self, binding: Binding | None = None, client: Client | None = None) -> None:
        self.binding = binding or Binding()
        self._client = client

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The binding's settings with the manifest's defaults; check with `validate_config`."""
        return {**self.manifest.defaults(), **self.binding.settings}

    @classmethod
    @forgets_locals
    def bound_to(cls, config: Mapping[str, Any], client: Client | None = None, **more: Any) -> Self:
        """Return the connector bound to a flat configuration.

        Raises:
            ConfigurationError: a field is missing or wrong; names, never values.
        """
        return cls(Binding.from_settings(cls.manifest, cls.checked_config(config), **more), client)

    @classmethod
    def checked_config(cls, config: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return `config` with defaults and proper types.

        Args:
            stored: the configuration in whose place it comes, if there is one.

        Raises:
            ConfigurationError: `validate_config`, or `validate_change`, finds something wrong.
        """
        if problems := cls.validate_config(config) if stored is None else cls.validate_change(config, stored):
            raise ConfigurationError(problems)
        return checked(cls.manifest, config, stored)

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        """Return {field: what is wrong}; {} when `config` is fine."""
        return check(cls.manifest, config)[1]

    @classmethod
    def validate_change(cls, config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, str]:
        """Return {field: what is wrong} with `config` in the place of what is `stored`.

        A rule that came after something was stored may let that stay: it must not stop people from changing others.
        """
        problems = cls.validate_config(config)
        may_stay = check(cls.manifest, config)[1].keys() - check(cls.manifest, config, stored)[1].keys()
        return {name: problem for name, problem in problems.items() if name not in may_stay}

    @forgets_locals
    def validate_required_fields(self, config: Mapping[str, Any], names: Iterable[str]) -> None:
        """Raise ConfigurationError (a ConnectorError) naming those of `names` that `config` lacks."""
        if missing := [name for name in names if config.get(name) in (None, "", [], {})]:
            raise ConfigurationError(dict.fromkeys(missing, "missing; it is required"))

    @classmethod
    def can_migrate(cls, before: Version) -> bool:
        """Tell whether `migrate_config` reads what version `before` (an older major one) stored."""
        return False

    @classmethod
    def migrate_config(cls, config: dict[str, Any], from_version: str) -> dict[str, Any]:
        """Return the flat configuration that version `from_version` stored, as this version wants it."""
        return config
