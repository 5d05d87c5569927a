"""Calls through a connector that somebody waits for, in the execution log: one row per attempt.

Hooks of the HTTPClient's middleware. What they see is masked already; that a row cannot be written breaks no call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.db import router

from integrations.connections.abstract import AbstractConnection
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.errors import IntegrationError
from integrations.transport.http.middleware import Call, OnError, OnResponse
from integrations.transport.response import Response

from .models import AbstractExecutionLog, ExecutionLog, key_to, log_models
from .patience import briefly

logger = logging.getLogger("integrations.audit")


def log_calls(adapter: BaseConnector, integration: TenantIntegration, *, actor: str) -> None:
    """Make `adapter` write its calls to the log of `integration`."""
    on_response, on_error = execution_log_hooks(integration, actor=actor)
    adapter.http.middleware.add_on_response(on_response)
    adapter.http.middleware.add_on_error(on_error)


def execution_log_hooks(integration: TenantIntegration, *, actor: str = "system") -> tuple[OnResponse, OnError]:
    """Return (on_response, on_error) that write to our own log; see `log_hooks`."""
    return log_hooks(ExecutionLog, {"integration": integration, "actor": actor[:150]})


def log_hooks(model: type[AbstractExecutionLog], whose: Mapping[str, Any]) -> tuple[OnResponse, OnError]:
    """Return (on_response, on_error) for a middleware; a refused attempt gives one row, not two.

    Args:
        model: the table of the log.
        whose: the columns that every row has alike.
    """

    def on_response(call: Call, response: Response) -> None:
        if response.status < 400:
            _write(model, whose, call, status=response.status)

    def on_error(call: Call, error: IntegrationError) -> None:
        _write(model, whose, call, status=error.status, error=error.message, excerpt=error.excerpt)

    return on_response, on_error


def log_action(connection: AbstractConnection, action: str, *, actor: str = "system") -> None:
    """Leave a line about what a person or a service did, in every log of a host that tells of such connections.

    Of an integration the audit trail tells.
    """
    for model in log_models():
        if model is not ExecutionLog and (key := key_to(connection, model)):
            _insert(model, {key: connection, "actor": actor[:150], "action": action})


def _write(
    model: type[AbstractExecutionLog],
    whose: Mapping[str, Any],
    call: Call,
    *,
    status: int | None,
    error: str = "",
    excerpt: str = "",
) -> None:
    values = {
        # Masked as a whole before anything is cut: half a secret would not be known as one.
        "action": f"{call.method} {call.url}"[:100],
        "attempt": call.attempt,
        "method": call.method[:10],
        "url": call.url[:500],
        "response_status": status,
        "response_payload": excerpt or None,
        "duration_ms": call.duration_ms,
        "error": error,
    }
    _insert(model, {**whose, **values})


def _insert(model: type[AbstractExecutionLog], values: Mapping[str, Any]) -> None:
    """Insert one row; what only our own log has (`actor`, `attempt`) is left out of a host's."""
    try:
        row = model(**{name: value for name, value in values.items() if hasattr(model, name)})
        with briefly(router.db_for_write(model, instance=row)):
            row.save(force_insert=True)
    except Exception as problem:  # a host's save() may raise anything
        logger.error("a line is missing from %s: %s", model._meta.label, type(problem).__name__)
