"""The settings of an integration as one flat dict: shown without secrets, changed only when the whole is right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from integrations.connections.binding import SETTINGS_COLUMNS, apply_settings, settings_of
from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK, is_mask, mask_values
from integrations.errors import ConfigurationError
from integrations.transport.redaction import mask_url

_PLACE_NAME = re.compile(r"url|uri|host|server|domain|endpoint|address", re.IGNORECASE)


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
    manifest = connector.manifest
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
    clean = connector.checked_config(merged)
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
    # A field that was never stored has led to its default all the time.
    before = {**manifest.defaults(), **stored}
    places = _places(manifest, {**before, **clean})
    moved = [name for name in places if before.get(name) and _host(clean.get(name)) != _host(before[name])]
    if not moved:
        return
    kept = [
        name
        for name, value in stored.items()
        if name not in places
        and (name == HEADERS or manifest.is_open or name in manifest.secret_names)
        and _is_kept(value, clean.get(name), changes.get(name, MASK))
    ]
    if kept:
        advice = f"{moved[0]} leads to another server: enter this again, or remove it"
        raise ConfigurationError(dict.fromkeys(kept, advice))


def _places(manifest: Manifest, settings: Mapping[str, Any]) -> set[str]:
    """Return the names of the settings that say which server is talked to."""
    if manifest.is_open:  # nobody says what its settings mean, so whatever looks like a place is one
        return {name for name, value in settings.items() if "://" in str(value) or _PLACE_NAME.search(name)}
    return {field.name for field in manifest.fields if field.kind in ("url", "host")}


def _is_kept(old: Any, new: Any, entered: Any) -> bool:
    """Tell whether something of the secret `old` is still in `new` without having been `entered` again."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        told = entered if isinstance(entered, Mapping) else dict.fromkeys(old, entered)
        return any(_is_kept(old[key], new[key], told.get(key, MASK)) for key in old.keys() & new.keys())
    return bool(new == old and is_mask(entered))


def _host(value: Any) -> str:
    return mask_url(value) if isinstance(value, str) and "://" in value else str(value or "")
