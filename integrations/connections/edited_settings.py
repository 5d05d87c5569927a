"""An integration's settings as a form shows them, and what people put in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.versions import check_stored
from integrations.errors import EncryptionError, IncompatibleConnector

from .binding import as_now
from .models import TenantIntegration
from .row import SIGNING_KEYS


def settings_to_edit(integration: TenantIntegration) -> dict[str, Any]:
    """Return the stored settings for a form: as the present version of the connector reads them.

    What no key of ours opens is left out, so that it can be set anew; what an incompatible version stored is left as
    it is, so that a person can check it and save it again.
    """
    credentials = dict(_readable(integration, "credentials") or {})
    credentials.pop(SIGNING_KEYS, None)
    address, headers = _readable(integration, "webhook_url") or "", _readable(integration, "headers") or {}
    return as_now(integration, Binding(address, headers, credentials, integration.config).settings)


def apply_settings(integration: TenantIntegration, settings: Mapping[str, Any]) -> list[str]:
    """Put a flat dict of checked settings on `integration` (not saved): what is secret is encrypted.

    What is no field of the manifest stays where it is: the signing keys, and whatever other code keeps there.

    Returns:
        the columns that changed, for ``save(update_fields=…)``.
    """
    connector = ConnectorRegistry.type_of(integration.integration_type)
    manifest = connector.manifest
    kept = _signing_keys if _is_older(connector, integration) else _foreign  # an older version's fields are no more
    secrets = kept(manifest, _readable(integration, "credentials") or {})
    # `settings_of` has them too, and nobody but their place says that they are secret.
    binding = Binding.from_settings(manifest, {name: settings[name] for name in settings if name not in secrets})
    changed = []
    for name, value in (
        ("webhook_url", binding.url),
        ("headers", dict(binding.headers)),
        ("credentials", {**binding.credentials, **secrets}),
    ):
        before = _readable(integration, name)
        # An unreadable value is replaced, but not by nothing: its key may come back.
        if before != value and (value or before is not None):
            setattr(integration, name, value)
            changed.append(f"{name}_encrypted")
    config = {**kept(manifest, integration.config), **binding.config}
    if config != integration.config:
        integration.config = config
        changed.append("config")
    return changed


def _readable(integration: TenantIntegration, name: str) -> Any:
    """Return an encrypted attribute, None for one that no key of ours opens: it is replaced."""
    try:
        return getattr(integration, name)
    except EncryptionError:
        return None


def _is_older(connector: type[BaseConnector], integration: TenantIntegration) -> bool:
    """Tell whether another major version of the connector stored the settings."""
    manifest = connector.manifest
    try:
        return check_stored(manifest.key, integration.connector_version, manifest.version, connector.can_migrate)
    except IncompatibleConnector:
        return True


def _signing_keys(manifest: Manifest, stored: Mapping[str, Any]) -> dict[str, Any]:
    return {SIGNING_KEYS: stored[SIGNING_KEYS]} if SIGNING_KEYS in stored else {}


def _foreign(manifest: Manifest, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored beside the manifest's fields; an open manifest owns all but the signing keys."""
    if manifest.is_open:
        return _signing_keys(manifest, stored)
    return {name: value for name, value in stored.items() if manifest.field(name) is None}
