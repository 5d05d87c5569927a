"""BaseIntegration: a service of the whole installation, with a switch and a configuration (seeds/004 §2).

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

from typing import Generic, TypeVar

from integrations.errors import IntegrationDisabled, IntegrationNotConfigured
from integrations.logs import AnyLogger, logger_for

from . import service
from .models import AbstractConfiguration

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
            IntegrationNotConfigured: it is switched on, but something is missing or cannot be decrypted.
        """
        config = self._enabled_config()
        if not self._is_config_complete(config):
            raise IntegrationNotConfigured(f"{self.name} is switched on, but its configuration is incomplete")
        return config

    def _enabled_config(self) -> C:
        config = self.get_config()
        if config is None or not config.enabled:
            self.logger.info("%s is switched off; nothing is done", self.name)  # a state, not a fault (S4-49)
            raise IntegrationDisabled(f"{self.name} is switched off")
        return config
