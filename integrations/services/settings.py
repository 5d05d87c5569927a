"""The settings of an integration as one flat dict: shown without secrets, changed only when the whole is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from integrations.connections.binding import SETTINGS_COLUMNS, apply_settings, settings_of
from integrations.connections.models import TenantIntegration
from integrations.connectors.config_check import checked
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK, is_mask, mask_values
from integrations.errors import ConfigurationError
from integrations.transport.redaction import mask_url


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
    manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    stored = settings_of(integration)
    merged = dict(stored)
    for name, value in changes.items():
        if is_mask(value) or (name == URL and value == mask_url(stored.get(URL, ""))):
            continue
        if value in (None, ""):
            merged.pop(name, None)
        elif name == HEADERS and isinstance(value, Mapping):
            kept = stored.get(HEADERS) or {}
            merged[name] = {key: kept.get(key, item) if is_mask(item) else item for key, item in value.items()}
        else:
            merged[name] = value
    clean = checked(manifest, merged)
    _refuse_to_send_secrets_elsewhere(manifest, stored, clean, changes)
    before = [getattr(integration, column) for column in SETTINGS_COLUMNS]
    secrets_before = integration.headers, integration.credentials
    apply_settings(integration, clean)
    columns = [
        column for column, old in zip(SETTINGS_COLUMNS, before, strict=True) if getattr(integration, column) != old
    ]
    if (integration.headers, integration.credentials) != secrets_before:
        integration.credentials_rotated_at = timezone.now()
        columns.append("credentials_rotated_at")
    return columns


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


def _refuse_to_send_secrets_elsewhere(
    manifest: Manifest, stored: Mapping[str, Any], clean: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    places = [field.name for field in manifest.fields if field.kind in ("url", "host")]
    moved = [name for name in places if stored.get(name) and _host(clean.get(name)) != _host(stored.get(name))]
    if not moved:
        return
    kept = [
        name
        for name in stored
        if name not in places
        and (name == HEADERS or manifest.is_open or name in manifest.secret_names)
        and clean.get(name) == stored[name]
        and (name not in changes or is_mask(changes[name]))
    ]
    if kept:
        advice = f"{moved[0]} leads to another server: enter this again, or remove it"
        raise ConfigurationError(dict.fromkeys(kept, advice))


def _host(value: Any) -> str:
    return mask_url(value) if isinstance(value, str) and "://" in value else str(value or "")
