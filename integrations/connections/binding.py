"""From a configured integration to a connector that can send for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from integrations.auth.token import TokenStore
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import HEADERS, Manifest
from integrations.connectors.port import Binding, Client
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.versions import check_stored
from integrations.errors import ConfigurationError, IncompatibleConnector, IntegrationNotConfigured, UnknownConnector

if TYPE_CHECKING:
    from .models import TenantIntegration

SETTINGS_COLUMNS = ("webhook_url_encrypted", "headers_encrypted", "credentials_encrypted", "config")  # of the row
SIGNING_KEYS = "signing_keys"  # in the credentials, beside the fields of the manifest


def bind(
    integration: TenantIntegration,
    client: Client | None = None,
    *,
    attempts: int = 1,
    timeout: float | None = None,
    tokens: TokenStore | None = None,
) -> BaseConnector:
    """Return the connector of `integration` with its decrypted settings.

    Args:
        client: the guarded HTTP client; None: the process's own.
        attempts: how often a call may be tried: 1 where the lane retries, more where somebody waits.
        timeout: seconds for one request; None: the integration's own.
        tokens: where OAuth tokens are kept.

    Raises:
        EncryptionError: a stored credential does not open with our keys.
        IntegrationNotConfigured: the kind is unknown, a required field is missing, or another version stored it.
    """
    connector = ConnectorRegistry.type_of(integration.integration_type)
    manifest = connector.manifest
    credentials = integration.credentials
    try:
        secrets = signing_secrets(credentials, timezone.now()) if integration.is_signed else ()
    except (KeyError, TypeError, ValueError):
        raise IntegrationNotConfigured("the signing keys are unreadable; rotate the signing secret") from None
    binding = Binding(
        url=integration.webhook_url,
        headers=integration.headers,
        credentials={key: value for key, value in credentials.items() if key != SIGNING_KEYS},
        config=integration.config,
        signing_secrets=secrets,
        timeout=timeout or integration.timeout_seconds or manifest.timeout,
        attempts=attempts,
        tokens=tokens,
    )
    settings = binding.settings
    if (migrated := _migrated(connector, integration, settings)) is not settings:
        more = {"signing_secrets": secrets, "timeout": binding.timeout, "attempts": attempts, "tokens": tokens}
        binding = Binding.from_settings(manifest, migrated, **more)
    _refuse_incomplete(manifest, binding.settings)
    return connector(binding, client)


def signing_secrets(credentials: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    """Return the secrets that sign at `now`, newest first."""
    keys = credentials.get(SIGNING_KEYS) or []
    return tuple(key["secret"] for key in keys if not key.get("until") or datetime.fromisoformat(key["until"]) > now)


def settings_of(integration: TenantIntegration) -> dict[str, Any]:
    """Return the settings in one flat dict, decrypted, as the present connector wants them.

    As they were stored, if nobody knows the kind or nothing reads what that version stored: a person must look at them.
    """
    credentials = {key: value for key, value in integration.credentials.items() if key != SIGNING_KEYS}
    settings = Binding(integration.webhook_url, integration.headers, credentials, integration.config).settings
    try:
        return _migrated(ConnectorRegistry.type_of(integration.integration_type), integration, settings)
    except (UnknownConnector, IncompatibleConnector):
        return settings


def _migrated(
    connector: type[BaseConnector], integration: TenantIntegration, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return `settings`, which the row's version stored, as the present version wants them; the same dict if it does.

    Raises:
        IncompatibleConnector: nothing reads them, or the code that should fails.
    """
    before, manifest = integration.connector_version, connector.manifest
    if not check_stored(manifest.key, before, manifest.version, connector.can_migrate):
        return settings
    try:
        return connector.migrate_config(settings, before)
    except Exception as error:  # anybody's code; the lane must rest and not fall over
        problem = type(error).__name__
    raise IncompatibleConnector(
        f"the settings of version {before} could not be read: {problem}; save the integration again"
    )


def apply_settings(integration: TenantIntegration, settings: Mapping[str, Any]) -> None:
    """Put a flat dict of checked settings on `integration` (not saved): what is secret is encrypted."""
    manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    binding = Binding.from_settings(manifest, settings)
    kept = {SIGNING_KEYS: keys} if (keys := integration.credentials.get(SIGNING_KEYS)) else {}
    integration.webhook_url = binding.url
    integration.headers = dict(binding.headers)
    integration.credentials = {**binding.credentials, **kept}
    integration.config = dict(binding.config)


def _refuse_incomplete(manifest: Manifest, settings: Mapping[str, Any]) -> None:
    missing = {
        field.name: f"{field.title} is empty; set it on the integration"
        for field in manifest.fields
        if field.required and field.default is None and field.name != HEADERS and settings.get(field.name) in (None, "")
    }
    if missing:
        raise ConfigurationError(missing)
