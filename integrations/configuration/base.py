"""BaseIntegration: a service of the whole installation, with a switch and a configuration.

class GitHubIntegration(BaseIntegration[GitHubConfiguration]):
    name = "github"

    def _get_config_model(self):
        return GitHubConfiguration

    def _is_config_complete(self, config):
        return bool(config.github_token)

    def get_issue(self, owner, repo, issue_number):
        config = self.require_config()
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from integrations.credentials.fields import EncryptedText
from integrations.errors import IntegrationDisabled, IntegrationNotConfigured
from integrations.telemetry.logs import AnyLogger, logger_for

from . import cache, service
from .models import AbstractConfiguration, IntegrationConfiguration

C = TypeVar("C", bound=AbstractConfiguration)


class BaseIntegration(Generic[C]):
    """Set `name`, say which model configures it and when that is complete. Instances hold no state.

    Attributes:
        name: e.g. ``github``.
    """

    name: str = ""

    @property
    def logger(self) -> AnyLogger:
        """``<LOGGER_PREFIX>.<name>``"""
        if not self.name:
            raise NotImplementedError(f"{type(self).__name__} must set name")
        return logger_for(self.name)

    def _get_config_model(self) -> type[C]:
        raise NotImplementedError(f"{type(self).__name__} must return the model of its configuration")

    def _is_config_complete(self, config: C) -> bool:
        raise NotImplementedError(f"{type(self).__name__} must say when its configuration is complete")

    def get_config(self) -> C | None:
        """Return the configuration, None if there is none; cached, switched on or not, complete or not."""
        return service.get_singleton(self._get_config_model())

    def enabled(self) -> bool:
        """Tell whether it is switched on; False if it is not configured."""
        config = self.get_config()
        return config is not None and config.enabled

    def require_enabled(self) -> None:
        """Raise IntegrationDisabled if it is not switched on."""
        self._enabled_config()

    def require_config(self) -> C:
        """Return the configuration, switched on and complete.

        Raises:
            IntegrationDisabled: it is switched off, or nobody has configured it.
            IntegrationNotConfigured: it is switched on, but something is missing (the message names it) or cannot be
            decrypted.
        """
        config = self._enabled_config()
        if not self._is_config_complete(config):
            missing = ", ".join(self._missing(config))
            reason = f"enter {missing}" if missing else "check its settings"
            raise IntegrationNotConfigured(f"{self.name} is switched on, but its configuration is incomplete: {reason}")
        return config

    def _missing(self, config: C) -> list[str]:
        """Return the names of the empty fields for want of which `config` is not complete, as far as that can be told.

        Found by filling in all that is empty, and leaving out one after the other.
        """
        if isinstance(config, IntegrationConfiguration) and (missing := config.missing()):
            return missing
        if not isinstance(config, AbstractConfiguration):  # whatever get_config() returns
            return []
        empty = [name for name in _entered(config) if getattr(config, name) in (None, "")]
        if not self._would_do(config, empty):
            return []
        return [name for name in empty if not self._would_do(config, {*empty} - {name})]

    def _would_do(self, config: C, filled: Iterable[str]) -> bool:
        trial = cache.copy_of(config)
        try:
            for name in filled:
                setattr(trial, name, "0")
            return bool(self._is_config_complete(trial))
        except Exception:  # a host's own code, on values that nobody has entered
            return False

    def _enabled_config(self) -> C:
        config = self.get_config()
        if config is None or not config.enabled:
            self.logger.info("%s is switched off; nothing is done", self.name)  # a state, not a fault
            raise IntegrationDisabled(f"{self.name} is switched off")
        return config


def _entered(config: AbstractConfiguration) -> list[str]:
    """Return the names of what a person enters: columns, and texts that are kept encrypted in one."""
    sealed = [name for name in dir(type(config)) if isinstance(getattr(type(config), name, None), EncryptedText)]
    columns = {getattr(type(config), name).column for name in sealed}
    fields = (field.attname for field in config._meta.concrete_fields if not field.primary_key and field.editable)
    return [*(name for name in fields if name not in columns), *sealed]
