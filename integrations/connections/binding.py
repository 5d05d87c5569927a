"""Bind a connector to the stored settings of a connection, so that it can send."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.utils.crypto import salted_hmac

from integrations import conf
from integrations.auth.token import TokenStore
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import HEADERS, Manifest
from integrations.connectors.port import Binding, Client
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.versions import check_stored
from integrations.credentials import secret_refs
from integrations.database import clock
from integrations.errors import (
    ConfigurationError,
    IncompatibleConnector,
    IntegrationError,
    IntegrationNotConfigured,
    UnknownConnector,
    forgets_locals,
)
from integrations.tenancy.tenant import slug_of

from .row import ConnectionRow

SETTINGS_COLUMNS = ("webhook_url_encrypted", "headers_encrypted", "credentials_encrypted", "config")  # of the row


@forgets_locals
def bind(
    connection: ConnectionRow,
    client: Client | None = None,
    *,
    attempts: int = 1,
    timeout: float | None = None,
    tokens: TokenStore | None = None,
    may_be_incomplete: bool = False,
    stored: Binding | None = None,
) -> BaseConnector:
    """Return the connector of `connection` with its decrypted settings.

    Args:
        client: the guarded HTTP client; None: the process's own.
        attempts: how often a call may be tried: 1 where the lane retries, more where somebody waits.
        timeout: seconds for one request; None: see `request_seconds`.
        tokens: where OAuth tokens are kept; None: where the connection keeps its own.
        may_be_incomplete: a missing field is no reason to fail: for what it sends us, its secret is enough.
        stored: its `stored_binding()`, if that was read already.

    Raises:
        EncryptionError: a stored credential does not open with our keys.
        IntegrationNotConfigured: the kind is unknown, a required field is missing, or another version stored it.
    """
    connector = ConnectorRegistry.type_of(connection.connector_key)
    manifest = connector.manifest
    if tokens is None and manifest.oauth is not None and connection.pk is not None:
        tokens = connection.token_store()
    stored = connection.stored_binding() if stored is None else stored
    if conf.SECRETS_DIR or conf.SECRETS_ENV_PREFIX:
        tenant = getattr(connection, "tenant", None)
        if tenant is not None:  # some only refer to a file or a variable of the operator
            stored = replace(stored, credentials=secret_refs.resolved(dict(stored.credentials), slug_of(tenant)))
    more: dict[str, Any] = {
        "signing_keys": stored.signing_keys,
        "signing_secrets": signing_secrets(stored.signing_keys) if connection.is_signed else (),
        "timeout": timeout or request_seconds(connection, manifest),
        "attempts": attempts,
        "tokens": tokens,
        "ids": connection.log_ids(),
    }
    settings = stored.settings
    migrated = _migrated(connector, connection, settings)
    is_as_stored = migrated is settings
    binding = replace(stored, **more) if is_as_stored else Binding.from_settings(manifest, migrated, **more)
    if not may_be_incomplete:
        _refuse_incomplete(manifest, settings if is_as_stored else binding.settings)
    return connector(binding, client)


def request_seconds(connection: ConnectionRow, manifest: Manifest) -> float | None:
    """Return the seconds for one request, whoever sends it: the connection's own, else the setting, else the kind's.

    None: none of them has one.
    """
    setting: float | None = conf.TIMEOUT_SECONDS if conf.is_set("TIMEOUT_SECONDS") else None
    return connection.request_timeout or setting or manifest.timeout


def signing_secrets(keys: Sequence[Any]) -> tuple[str, ...]:
    """Return those secrets of the stored `keys` that sign now, newest first.

    Raises:
        IntegrationNotConfigured: they are not as we store them.
    """
    try:
        now = clock.now()
        found = [key["secret"] for key in keys if not (end := key.get("until")) or datetime.fromisoformat(end) > now]
    except (KeyError, TypeError, ValueError):
        raise IntegrationNotConfigured("the signing keys are unreadable; rotate the signing secret") from None
    return tuple(found)


def fingerprint(connection: ConnectionRow, stored: Binding | None = None) -> str:
    """Return a fingerprint of the settings: what a lane has learnt with other settings is stale.

    It is of the settings' values, not of how they are stored: sealed with another key they are the same. It is keyed,
    so that secrets cannot be guessed by trying them against a lane's row.

    Args:
        stored: its `stored_binding()`, if that was read already.
    """
    try:
        found = connection.stored_binding() if stored is None else stored
        keys = [key.get("secret") for key in found.signing_keys]
        sealed: Sequence[Any] = (found.url, found.headers, found.credentials, keys)
    except (IntegrationError, AttributeError, TypeError):  # nothing is sent with unreadable settings
        sealed = [getattr(connection, name) for name in SETTINGS_COLUMNS]
    parts = json.dumps([connection.connector_key, connection.config, sealed], sort_keys=True, default=str)
    return salted_hmac("integrations.delivery.settle", parts, algorithm="sha256").hexdigest()[:16]


def settings_of(connection: ConnectionRow) -> dict[str, Any]:
    """Return the settings in one flat dict, decrypted, as the present connector wants them.

    As they were stored, if the kind is unknown or does not read what that version stored: a person must check them.
    """
    return as_now(connection, connection.stored_binding().settings)


def as_now(connection: ConnectionRow, settings: dict[str, Any]) -> dict[str, Any]:
    """Return stored `settings` as the present connector wants them; as they are, if it cannot read them."""
    try:
        return _migrated(ConnectorRegistry.type_of(connection.connector_key), connection, settings)
    except (UnknownConnector, IncompatibleConnector):
        return settings


def _migrated(connector: type[BaseConnector], connection: ConnectionRow, settings: dict[str, Any]) -> dict[str, Any]:
    """Return `settings`, which the row's version stored, as the present version wants them; the same dict if it does.

    Raises:
        IncompatibleConnector: nothing reads them, or the code that should fails.
    """
    before, manifest = connection.connector_version, connector.manifest
    if before == manifest.version or not check_stored(manifest.key, before, manifest.version, connector.can_migrate):
        return settings
    try:
        return connector.migrate_config(settings, before)
    except Exception as error:  # anybody's code; the lane must rest and not fall over
        problem = type(error).__name__
    raise IncompatibleConnector(
        f"the settings of version {before} could not be read: {problem}; save the integration again"
    )


def _refuse_incomplete(manifest: Manifest, settings: Mapping[str, Any]) -> None:
    missing = {
        field.name: f"{field.title} is empty; set it on the integration"
        for field in manifest.fields
        if field.required and field.default is None and field.name != HEADERS and settings.get(field.name) in (None, "")
    }
    if missing:
        raise ConfigurationError(missing)
