"""ConnectedIntegration: a system-wide integration whose work a connector does.

    class SentryIntegration(ConnectedIntegration[SentryConfiguration]):
        name = "sentry"                             the configuration's name and the connector's key

        def issues(self, project):
            return self.adapter().call("issues", project=project)

Calls are waited for, so they are tried again where that is safe (docs/http-client.md). Errors: those of
`require_config` and of the connector.
"""

from __future__ import annotations

from typing import Any, TypeVar

from integrations import conf
from integrations.configuration.base import BaseIntegration
from integrations.configuration.models import IntegrationConfiguration
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check
from integrations.connectors.port import Binding, TestResult
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import ConfigurationError, IntegrationError, forgets_locals

C = TypeVar("C", bound=IntegrationConfiguration)


class ConnectedIntegration(BaseIntegration[C]):
    """A switch and a configuration in front of the connector called `name`."""

    def _is_config_complete(self, config: C) -> bool:
        return not config.missing()

    def adapter(self) -> Any:
        """Return the connector (a BaseConnector), bound to the configuration.

        Raises:
            IntegrationDisabled, IntegrationNotConfigured: see `require_config`; what is wrong is named.
        """
        return bound(self.name, self.require_config().settings)

    def call(self, action: str, /, **params: Any) -> Any:
        """Do what the connector's template calls `action` (docs/templates.md)."""
        return self.adapter().call(action, **params)

    def health_check(self, config: C | None = None) -> TestResult:
        """Prove the credentials, changing nothing; never raises.

        Args:
            config: try this one, switched on or not; None: the one in use.
        """
        try:
            adapter = self.adapter() if config is None else bound(self.name, config.settings)
        except IntegrationError as error:
            return TestResult(False, error.message, message=error.message)
        return self._checked(adapter)

    def _checked(self, adapter: BaseConnector) -> TestResult:
        return adapter.test_connection()


@forgets_locals
def bound(name: str, settings: dict[str, Any]) -> BaseConnector:
    """Return connector `name` bound to `settings`; what only deliveries need may be missing."""
    connector = ConnectorRegistry.type_of(name)
    clean, problems = check(connector.manifest, settings)
    if wrong := {field: problem for field, problem in problems.items() if settings.get(field) not in (None, "", [])}:
        raise ConfigurationError(wrong)
    return connector(Binding.from_settings(connector.manifest, clean, attempts=conf.HTTP_MAX_ATTEMPTS))
