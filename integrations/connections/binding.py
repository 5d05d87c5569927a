"""From a configured integration to a connector that can send for it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from integrations.connectors import registry
from integrations.connectors.port import Binding, Client, Connector
from integrations.errors import IntegrationNotConfigured

from .models import TenantIntegration
from .signing_keys import signing_secrets


def bind(integration: TenantIntegration, client: Client) -> Connector:
    """Return the connector of `integration` with its decrypted settings.

    Raises:
        EncryptionError: a stored credential does not open with our keys.
        IntegrationNotConfigured: the kind is unknown or the address is missing.
    """
    connector = registry.get(integration.integration_type)
    url: Any = integration.webhook_url
    if not url:
        raise IntegrationNotConfigured("the webhook URL is empty; set it on the integration")
    credentials = integration.credentials
    try:
        secrets = signing_secrets(credentials, timezone.now()) if integration.is_signed else ()
    except (KeyError, TypeError, ValueError):
        raise IntegrationNotConfigured("the signing keys are unreadable; rotate the signing secret") from None
    return connector(
        Binding(
            url=url,
            headers=integration.headers,
            credentials={key: value for key, value in credentials.items() if key != "signing_keys"},
            config=integration.config,
            signing_secrets=secrets,
            timeout=integration.timeout_seconds,
        ),
        client,
    )
