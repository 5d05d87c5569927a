"""The settings of an integration as one flat dict: shown without secrets, checked, changed only as a whole.

The one check of forms, of the API and of code. The manifest says what a value may be (connectors/config_check.py); here
is what depends on what was stored before. A stored secret goes only to the server that it was entered for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check, doubts
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.versions import check_stored
from integrations.credentials.masking import MASK, is_mask, mask_values
from integrations.database import clock
from integrations.errors import ConfigurationError, EncryptionError, IncompatibleConnector, IntegrationNotConfigured
from integrations.transport.redaction import mask_url

from .binding import as_now, settings_of
from .destinations import destinations
from .models import TenantIntegration
from .row import SIGNING_KEYS

NOTHING_STORED = "the dots stand for a stored value, but none is stored: enter the value"
_PLACE_NAME = re.compile(r"url|uri|host|server|domain|endpoint|address", re.IGNORECASE)


# -- reading -----------------------------------------------------------------------------------------


def shown_settings(integration: TenantIntegration) -> dict[str, Any]:
    """Return the settings with dots for what is secret, header values and the path of the address included.

    {}: the connector type is not installed, or no key of ours opens the secrets.
    """
    try:
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
        settings = settings_of(integration)
    except IntegrationNotConfigured:
        return {}
    return {name: _shown(manifest, name, value) for name, value in settings.items()}


def _shown(manifest: Manifest, name: str, value: Any) -> Any:
    if name == URL:
        return mask_url(value)
    if name == HEADERS:
        return mask_values(value)
    field = manifest.field(name)
    return value if field is not None and not field.is_secret else MASK


def settings_to_edit(integration: TenantIntegration) -> dict[str, Any]:
    """Return the stored settings for a form: as the present version of the connector reads them.

    What no key of ours opens is left out, so that it can be set anew; what an incompatible version stored is left as
    it is, so that a person can check it and save it again.
    """
    credentials = dict(_readable(integration, "credentials") or {})
    credentials.pop(SIGNING_KEYS, None)
    address, headers = _readable(integration, "webhook_url") or "", _readable(integration, "headers") or {}
    return as_now(integration, Binding(address, headers, credentials, integration.config).settings)


# -- checking ----------------------------------------------------------------------------------------


def checked_change(
    connector: type[BaseConnector], settings: Mapping[str, Any], stored: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (settings with defaults and in their types, {field: what is wrong}).

    An address that stays as it is may stay although an operator's rule refuses it now: people must be able to change
    what is beside it. Nothing is sent there (transport/guard/check.py).

    Args:
        stored: those in whose place they come; {}: they are new.
    """
    manifest = connector.manifest
    clean, problems = check(manifest, settings, stored)
    problems = dict(problems or connector.validate_change(clean, stored))
    for name in problems.keys() & settings.keys() & stored.keys():
        field = manifest.field(name)
        if field is not None and field.kind == "url" and settings[name] == stored[name]:
            del problems[name]
            clean[name] = settings[name]
    return clean, problems


def kept_elsewhere(
    connector: type[BaseConnector], stored: Mapping[str, Any], clean: Mapping[str, Any], entered: Mapping[str, Any]
) -> list[str]:
    """Return the stored secrets that `clean` settings would send to another server without anybody entering them anew.

    A secret goes only to the server that it was entered for. Otherwise a person who may edit the settings could read
    every masked secret by having it sent to their own server.

    Args:
        entered: what the person gave; dots, or nothing, for what they left as it is.
    """
    manifest = connector.manifest
    if manifest.is_open:  # its settings have no meaning here, so every value that looks like an address is one
        is_moved = any(stored[name] != clean.get(name) for name in stored if _is_place(name, stored[name]))
    else:
        is_moved = bool(destinations(connector, clean) - destinations(connector, stored))
    if not (stored and is_moved):
        return []
    return [
        name
        for name, value in stored.items()
        if not (manifest.is_open and _is_place(name, value))
        and (name == HEADERS or manifest.is_open or name in manifest.secret_names)
        and _is_kept(value, clean.get(name), entered.get(name, MASK))
    ]


def _is_place(name: str, value: Any) -> bool:
    return "://" in str(value) or bool(_PLACE_NAME.search(name))


def _is_kept(old: Any, new: Any, entered: Any) -> bool:
    """Tell whether something of the secret `old` is still in `new` without having been `entered` again."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        told = entered if isinstance(entered, Mapping) else dict.fromkeys(old, entered)
        return any(_is_kept(old[key], new[key], told.get(key, MASK)) for key in old.keys() & new.keys())
    return bool(new == old and is_mask(entered))


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


def refuse_to_send_secrets_elsewhere(
    connector: type[BaseConnector], stored: Mapping[str, Any], clean: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    """Refuse `clean` settings that would send stored secrets to another server than before, unless entered again.

    Raises:
        ConfigurationError: naming those secrets.
    """
    if kept := kept_elsewhere(connector, stored, clean, changes):
        advice = "the address leads to another server: enter this again, or remove it"
        raise ConfigurationError(dict.fromkeys(kept, advice))


# -- changing ----------------------------------------------------------------------------------------


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
    # `settings_of` returns them too; only where they are stored says that they are secret.
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
