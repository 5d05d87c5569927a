"""ConnectionService: what application code does with a connection, ours or a host's.

    ConnectionService.test_connection(connection)
    ConnectionService.rotate_credentials(connection, {"token": "…"})
    ConnectionService.update_settings(connection, {"vat_rate": "0.19"})

Credentials and settings are each given whole: what is not mentioned is gone, or falls back to its default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from functools import singledispatch
from typing import Any

from django.db import transaction

from integrations.acting import doing
from integrations.audit.calls import log_action
from integrations.connections import health
from integrations.connections.abstract import AbstractConnection
from integrations.connections.binding import settings_of
from integrations.connections.models import TenantIntegration
from integrations.connections.row import SIGNING_KEYS
from integrations.connections.settings import (
    change_settings,
    checked_settings,
    refuse_to_send_secrets_elsewhere,
    save_settings,
)
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check_inbound_secret
from integrations.connectors.inbound_secret import INBOUND_SECRET
from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.connectors.port import Client, TestResult
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.credentials.masking import is_mask
from integrations.delivery.lanes import lock_lanes
from integrations.errors import ConfigurationError, IncompatibleConnector, UnknownConnector, forgets_locals


class ConnectionService:
    """All methods are the class's own; each takes any subclass of AbstractConnection."""

    @staticmethod
    def test_connection(connection: AbstractConnection, client: Client | None = None) -> TestResult:
        """Have the connector prove the stored credentials, as ``connection.test_connection()`` does. Never raises."""
        return connection.test_connection(client)

    @staticmethod
    def list_available_providers(family: str | None = None) -> list[Manifest]:
        """Return the manifests of everything that can be connected (of `family`), sorted by key."""
        return manifests(family)

    @staticmethod
    @forgets_locals
    def rotate_credentials(
        connection: AbstractConnection, credentials: Mapping[str, Any], *, actor: str = "system"
    ) -> None:
        """Store `credentials` in the place of all that were there; the audit trail and a host's own log say so.

        A call that has begun ends with the old ones; the next one reads the new ones. A disabled connection stays so:
        ``connection.re_enable()`` and a test follow.

        Args:
            actor: who did it, for the log.

        Raises:
            TypeError: they are no mapping.
            ConfigurationError: they are not what the kind needs; nothing was stored.
        """
        if not isinstance(credentials, Mapping):
            raise TypeError(f"credentials must be a dict of names and values, not {type(credentials).__name__}")
        if dots := [name for name, value in credentials.items() if is_mask(value)]:
            raise ConfigurationError(dict.fromkeys(dots, "enter the new value"))
        with transaction.atomic(using=health.silent_rows(connection).db):
            row = _locked(connection)
            columns = _put_credentials(row, credentials)
            with doing("rotated", actor):
                _save(row, columns)
            log_action(row, "rotate", actor=actor)
        connection.refresh_from_db(fields=columns)

    @staticmethod
    @forgets_locals
    def validate_settings(connection: AbstractConnection, settings: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with `settings` as new settings, ``vat_rate: must be …``; [] when they are fine.

        Credentials that are missing are named too, so that a new connection can be checked before it is saved.
        """
        try:
            _put_settings(copy(connection), settings)
        except ConfigurationError as error:
            return [f"{name}: {problem}" for name, problem in error.problems.items()]
        except (UnknownConnector, IncompatibleConnector) as error:
            return [f"provider_name: {error.message}"]
        return []

    @staticmethod
    @forgets_locals
    def update_settings(connection: AbstractConnection, settings: Mapping[str, Any]) -> None:
        """Store `settings` in the place of those that were there, all but the credentials.

        Raises:
            ConfigurationError: `validate_settings` finds something; nothing was stored.
        """
        with transaction.atomic(using=health.silent_rows(connection).db):
            row = _locked(connection)
            columns = _put_settings(row, settings)
            _save(row, columns)
        connection.refresh_from_db(fields=columns)


# -- how the two kinds of rows are stored: a host's own model has two columns, a tenant's integration its address and
# headers beside them, and a lane. Each function does it for a host's; what an integration does instead stands below it.


def _locked(connection: AbstractConnection) -> Any:
    """Return the row anew, locked: what somebody else has changed meanwhile is not undone."""
    if connection.has_lane:
        lock_lanes([connection.pk])  # as settle does: the lane first, then the integration
    return health.silent_rows(connection).select_for_update().get()


@singledispatch
def _put_credentials(row: AbstractConnection, credentials: Mapping[str, Any]) -> list[str]:
    """Put `credentials` on `row` (not saved) and return the columns to save."""
    connector = ConnectorRegistry.type_of(row.connector_key)
    signing_keys = {name: value for name, value in row.credentials.items() if name == SIGNING_KEYS}
    stored = settings_of(row)
    own = {INBOUND_SECRET} if _keeps_inbound_secret(connector) else set()
    config = {name: value for name, value in row.config.items() if name not in own}
    clean = checked_settings(connector, {**config, **credentials}, stored)
    row.credentials = {**signing_keys, **{name: clean[name] for name in credentials if name in clean}}
    return ["credentials_encrypted"]


@_put_credentials.register
def _(row: TenantIntegration, credentials: Mapping[str, Any]) -> list[str]:
    manifest = ConnectorRegistry.type_of(row.connector_key).manifest
    stored = settings_of(row)
    old = stored if manifest.is_open else manifest.secret_names & stored.keys()
    return change_settings(row, {**dict.fromkeys(old), **credentials})


@singledispatch
def _put_settings(row: AbstractConnection, settings: Mapping[str, Any]) -> list[str]:
    """Put `settings` on `row` (not saved) and return the columns to save."""
    connector = ConnectorRegistry.type_of(row.connector_key)
    _refuse_credentials(connector, settings, row.credentials)  # what was stored there is read from there
    stored = settings_of(row)
    kept = {name: value for name, value in row.credentials.items() if name != SIGNING_KEYS}
    inbound = _inbound_secret(connector, settings, row.config)
    settings = {name: value for name, value in settings.items() if name not in inbound}
    clean = checked_settings(connector, {**settings, **kept}, None if row._state.adding else stored)
    if not row._state.adding:  # for a new one they have just been entered
        refuse_to_send_secrets_elsewhere(connector, stored, clean, settings)
    row.config = {**{name: clean[name] for name in settings if name in clean}, **inbound}
    return ["config"]


@_put_settings.register
def _(row: TenantIntegration, settings: Mapping[str, Any]) -> list[str]:
    _refuse_credentials(ConnectorRegistry.type_of(row.connector_key), settings)
    gone = row.config.keys() & settings_of(row).keys() - settings.keys() - {URL, HEADERS}
    return change_settings(row, {**dict.fromkeys(gone), **settings})


@singledispatch
def _save(row: AbstractConnection, columns: list[str]) -> None:
    """Save `columns` of `row`."""
    row.save(update_fields=columns)


_save.register(TenantIntegration, save_settings)


def _refuse_credentials(
    connector: type[BaseConnector], settings: Mapping[str, Any], stored: Collection[str] = ()
) -> None:
    """Raise ConfigurationError if `settings` are no mapping, or name a credential of the kind's or one of `stored`."""
    if not isinstance(settings, Mapping):
        raise ConfigurationError({"config": "must be an object of names and values"})
    if secrets := settings.keys() & {*connector.manifest.secret_names, *stored}:
        raise ConfigurationError(dict.fromkeys(sorted(secrets), "belongs to the credentials: rotate_credentials"))


def _inbound_secret(
    connector: type[BaseConnector], settings: Mapping[str, Any], before: Mapping[str, Any]
) -> dict[str, str]:
    """Return {"webhook_secret": …} if a host keeps it beside its settings, as django-bapp-connectors had it."""
    if not _keeps_inbound_secret(connector) or INBOUND_SECRET not in settings:
        return {}
    value = settings[INBOUND_SECRET]
    if problem := check_inbound_secret(value, before.get(INBOUND_SECRET)):
        raise ConfigurationError({INBOUND_SECRET: problem})
    return {INBOUND_SECRET: value}


def _keeps_inbound_secret(connector: type[BaseConnector]) -> bool:
    """Tell whether the secret of a host's webhooks is none of the kind's own settings."""
    return not connector.manifest.is_open and connector.manifest.field(INBOUND_SECRET) is None
