"""An adapter for a call that somebody waits for: what its answers say about the credentials is counted."""

from __future__ import annotations

from functools import partial

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Client
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IntegrationError

from . import health
from .binding import bind
from .row import ConnectionRow

PATIENCE_SECONDS = 10.0  # for one request of a kind that says nothing (seeds/000, DEFAULT_TIMEOUT)


def adapter_of(connection: ConnectionRow, client: Client | None = None, *, attempts: int) -> BaseConnector:
    """Return the connector of `connection` with its settings; see AbstractConnection.get_adapter."""
    adapter = bind(connection, client, attempts=attempts, timeout=_timeout(connection))
    if adapter.base_url and connection.pk is not None:
        adapter.http.middleware.add_on_outcome(partial(_count, connection))
    return adapter


def _timeout(connection: ConnectionRow) -> float:
    """The connection's own, else the setting, else the kind's, else ten seconds (C12)."""
    manifest = ConnectorRegistry.type_of(connection.connector_key).manifest
    return connection.request_timeout or conf.ADAPTER_TIMEOUT_SECONDS or manifest.timeout or PATIENCE_SECONDS


def _count(connection: ConnectionRow, error: IntegrationError | None) -> None:
    """Count one call, not its attempts, and not its status: some systems refuse credentials with a 200."""
    if error is None:
        health.record_success(connection)
    else:
        health.count_refusal(connection, error)
