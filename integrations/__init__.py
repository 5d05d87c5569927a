"""What other code imports, from one place:

    from integrations import BaseIntegration, HTTPClient, IntegrationDisabled, config, get_connector

Each name is imported when it is first used (PEP 562): importing this package loads no model, so it may happen before
Django's apps are ready. Models are in integrations.models.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compat.errors import ConnectorError
    from .configuration import service as config
    from .configuration.base import BaseIntegration
    from .connectors.base import BaseConnector
    from .connectors.families.shop import OrderStatus
    from .connectors.registry import ConnectorRegistry
    from .credentials.encryption import EncryptionService
    from .delivery.schedule import beat_schedule
    from .errors import (
        ConfigurationError,
        EncryptionError,
        IntegrationAuthError,
        IntegrationDisabled,
        IntegrationError,
        IntegrationIncomplete,
        IntegrationNotConfigured,
        IntegrationPermanentError,
        IntegrationRateLimited,
        IntegrationTemporaryError,
        UnknownConnector,
    )
    from .services.lookup import get_connector, list_available_providers
    from .system.ai import GeminiIntegration, OpenAIIntegration
    from .system.connected import ConnectedIntegration
    from .system.github import GitHubIntegration
    from .system.graph import GraphIntegration
    from .system.weaviate import WeaviateIntegration
    from .transport.http_client import HTTPClient

_ERRORS = (
    "ConfigurationError",
    "EncryptionError",
    "IntegrationAuthError",
    "IntegrationDisabled",
    "IntegrationError",
    "IntegrationIncomplete",
    "IntegrationNotConfigured",
    "IntegrationPermanentError",
    "IntegrationRateLimited",
    "IntegrationTemporaryError",
    "UnknownConnector",
)
_HOMES = {
    **dict.fromkeys(_ERRORS, "errors"),
    "BaseConnector": "connectors.base",
    "BaseIntegration": "configuration.base",
    "ConnectedIntegration": "system.connected",
    "ConnectorError": "compat.errors",
    "ConnectorRegistry": "connectors.registry",
    "EncryptionService": "credentials.encryption",
    "GeminiIntegration": "system.ai",
    "GitHubIntegration": "system.github",
    "GraphIntegration": "system.graph",
    "HTTPClient": "transport.http_client",
    "OpenAIIntegration": "system.ai",
    "OrderStatus": "connectors.families.shop",
    "WeaviateIntegration": "system.weaviate",
    "beat_schedule": "delivery.schedule",
    "config": "configuration.service",
    "get_connector": "services.lookup",
    "list_available_providers": "services.lookup",
}
__all__ = [
    "BaseConnector",
    "BaseIntegration",
    "ConfigurationError",
    "ConnectedIntegration",
    "ConnectorError",
    "ConnectorRegistry",
    "EncryptionError",
    "EncryptionService",
    "GeminiIntegration",
    "GitHubIntegration",
    "GraphIntegration",
    "HTTPClient",
    "IntegrationAuthError",
    "IntegrationDisabled",
    "IntegrationError",
    "IntegrationIncomplete",
    "IntegrationNotConfigured",
    "IntegrationPermanentError",
    "IntegrationRateLimited",
    "IntegrationTemporaryError",
    "OpenAIIntegration",
    "OrderStatus",
    "UnknownConnector",
    "WeaviateIntegration",
    "beat_schedule",
    "config",
    "get_connector",
    "list_available_providers",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{home}")
    found = module if name == "config" else getattr(module, name)
    globals()[name] = found  # the next look-up does not come here
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
