"""The settings of an integration as one flat dict: shown without secrets, changed only when the whole is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from integrations.connections.binding import settings_of
from integrations.connections.edited_settings import apply_settings
from integrations.connections.models import TenantIntegration
from integrations.connections.settings_check import checked_change, kept_elsewhere
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import doubts
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK, is_mask, mask_values
from integrations.database import clock
from integrations.errors import ConfigurationError
from integrations.transport.redaction import mask_url

NOTHING_STORED = "the dots stand for a stored value, but none is stored: enter the value"


def shown_settings(integration: TenantIntegration) -> dict[str, Any]:
    """Return the settings with dots for what is secret, header values and the path of the address included."""
    manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    return {name: _shown(manifest, name, value) for name, value in settings_of(integration).items()}


def _shown(manifest: Manifest, name: str, value: Any) -> Any:
    if name == URL:
        return mask_url(value)
    if name == HEADERS:
        return mask_values(value)
    field = manifest.field(name)
    return value if field is not None and not field.is_secret else MASK


def change_settings(integration: TenantIntegration, changes: Mapping[str, Any]) -> list[str]:
    """Put `changes` on `integration` (not saved) and return the columns to save.

    Dots mean "unchanged", None or "" removes. A secret that was entered for one server is not sent to another: when
    the address moves, secrets must come again.

    Raises:
        ConfigurationError: something is missing, unknown or wrong afterwards; nothing was changed.
    """
    connector = ConnectorRegistry.type_of(integration.integration_type)
    stored = settings_of(integration)
    merged, unknown = dict(stored), {}
    for name, value in changes.items():
        if name == URL and stored.get(URL) and value == mask_url(stored[URL]):
            continue
        if is_mask(value):
            if name not in stored:
                unknown[name] = NOTHING_STORED
            continue
        if value in (None, ""):
            merged.pop(name, None)
        elif name == HEADERS and isinstance(value, Mapping):
            kept = {key.lower(): item for key, item in (stored.get(HEADERS) or {}).items()}
            merged[name] = {
                key: kept.get(str(key).lower(), item) if is_mask(item) else item for key, item in value.items()
            }
        else:
            merged[name] = value
    if unknown:
        raise ConfigurationError(unknown)
    clean = checked_settings(connector, merged, stored)
    refuse_to_send_secrets_elsewhere(connector, stored, clean, changes)
    columns = apply_settings(integration, clean)
    if {"headers_encrypted", "credentials_encrypted"} & set(columns):
        integration.credentials_rotated_at = clock.now()
        columns.append("credentials_rotated_at")
    return columns


def checked_settings(
    connector: type[BaseConnector], settings: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return `settings` in their types, and refuse what a page would ask a person about, too.

    Args:
        stored: those in whose place they come; None: they are new.

    Raises:
        ConfigurationError: naming what is wrong.
    """
    clean, problems = checked_change(connector, settings, stored or {})
    if problems := problems or doubts(connector.manifest, clean, stored):
        raise ConfigurationError(problems)
    return clean


def save_settings(integration: TenantIntegration, columns: list[str]) -> None:
    """Save `columns` of `integration`; one active integration of its group too many is a ConfigurationError."""
    problem = False
    try:
        with transaction.atomic():
            if integration.pk is None:
                integration.save()
            elif columns:
                integration.save(update_fields=[*columns, "updated_at"])
    except IntegrityError:
        problem = True
    if problem:
        raise ConfigurationError(
            {"type": "the tenant has an active integration of this kind; switch that one off first"}
        )


def refuse_to_send_secrets_elsewhere(
    connector: type[BaseConnector], stored: Mapping[str, Any], clean: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    """Refuse `clean` settings that lead to another server than the `stored` ones with secrets that nobody entered anew.

    Raises:
        ConfigurationError: naming those secrets.
    """
    if kept := kept_elsewhere(connector, stored, clean, changes):
        advice = "the address leads to another server: enter this again, or remove it"
        raise ConfigurationError(dict.fromkeys(kept, advice))
