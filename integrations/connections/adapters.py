"""An adapter for a call that somebody waits for: what its answers say about the credentials is counted.

Deliveries, pulls and calls share one destination, and so they share what is known of it: `GateOf` brings its circuit
breaker and its pace (delivery/call_gate.py), which are the lane's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Client
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IntegrationError
from integrations.transport.port import Gate

from . import health
from .binding import bind, request_seconds
from .row import ConnectionRow

PATIENCE_SECONDS = 10.0  # for one request where nobody says otherwise (DEFAULT_TIMEOUT)

GateOf = Callable[[ConnectionRow, Manifest, float], Gate | None]  # the longest request, in seconds
_gate_of: GateOf = lambda connection, manifest, longest: None  # noqa: E731 - set when Django starts


def share_gates(gate_of: GateOf) -> None:
    """Let the requests of adapters pass what `gate_of` returns for their connection."""
    global _gate_of
    _gate_of = gate_of


def adapter_of(connection: ConnectionRow, client: Client | None = None, *, attempts: int) -> BaseConnector:
    """Return the connector of `connection` with its settings; see AbstractConnection.get_adapter."""
    manifest = ConnectorRegistry.type_of(connection.connector_key).manifest
    timeout = _timeout(connection, manifest)
    adapter = bind(connection, client, attempts=attempts, timeout=timeout)
    if connection.pk is not None:
        adapter.gate = _gate_of(connection, manifest, timeout)
        if adapter.base_url:
            adapter.http.middleware.add_on_outcome(partial(_count, connection))
    return adapter


def _timeout(connection: ConnectionRow, manifest: Manifest) -> float:
    """The connection's own, else the settings, else the kind's, else ten seconds."""
    own = connection.request_timeout or conf.ADAPTER_TIMEOUT_SECONDS
    return own or request_seconds(connection, manifest) or PATIENCE_SECONDS


def _count(connection: ConnectionRow, error: IntegrationError | None) -> None:
    """Count one call, not its attempts, and not its status: some systems refuse credentials with a 200."""
    if error is None:
        health.record_success(connection)
    else:
        health.count_refusal(connection, error)
