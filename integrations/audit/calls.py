"""Calls through a connector that somebody waits for, in the execution log: one row per attempt.

Hooks of the HTTPClient's middleware. What they see is masked already; that a row cannot be written breaks no call.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, transaction

from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.errors import IntegrationError
from integrations.transport.middleware import Call, OnError, OnResponse
from integrations.transport.response import Response

from .models import ExecutionLog

logger = logging.getLogger("integrations.audit")


def log_calls(adapter: BaseConnector, integration: TenantIntegration, *, actor: str) -> None:
    """Make `adapter` write its calls to the log of `integration`."""
    on_response, on_error = execution_log_hooks(integration, actor=actor)
    adapter.http.middleware.add_on_response(on_response)
    adapter.http.middleware.add_on_error(on_error)


def execution_log_hooks(integration: TenantIntegration, *, actor: str = "system") -> tuple[OnResponse, OnError]:
    """Return (on_response, on_error) for a middleware; a refused attempt gives one row, not two."""

    def on_response(call: Call, response: Response) -> None:
        if response.status < 400:
            _write(integration, actor, call, status=response.status)

    def on_error(call: Call, error: IntegrationError) -> None:
        _write(integration, actor, call, status=error.status, error=error.message, excerpt=error.excerpt)

    return on_response, on_error


def _write(
    integration: TenantIntegration,
    actor: str,
    call: Call,
    *,
    status: int | None,
    error: str = "",
    excerpt: str = "",
) -> None:
    try:
        with transaction.atomic():
            ExecutionLog.objects.create(
                integration=integration,
                action=f"{call.method} {call.url}"[:100],
                actor=actor[:150],
                attempt=call.attempt,
                method=call.method,
                url=call.url[:500],
                response_status=status,
                response_payload=excerpt or None,
                duration_ms=call.duration_ms,
                error=error,
            )
    except DatabaseError as problem:
        logger.error("a call of %s is missing from the execution log: %s", integration.pk, type(problem).__name__)
