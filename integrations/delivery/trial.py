"""Is it set up right? Send one event now, or have the connector prove its credentials; show and log the answer."""

from __future__ import annotations

import time
from typing import Any

from integrations import clock, conf
from integrations.audit.models import ExecutionLog
from integrations.audit.trail import record
from integrations.connections import health
from integrations.connections.binding import bind
from integrations.connections.destinations import shown_target
from integrations.connections.health import check_connection
from integrations.connections.models import TenantIntegration
from integrations.connectors.port import Client, Envelope, TestResult
from integrations.errors import (
    EncryptionError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.outbox.canonical_json import encode
from integrations.outbox.models import new_idempotency_key
from integrations.tenancy.tenant import name_of

EVENT_TYPE = "test"
__all__ = ["check_connection", "log_trial", "send_test_event"]


def send_test_event(integration: TenantIntegration, client: Client) -> TestResult:
    """Send ``{"event_type": "test", "test": true, …}`` and return the answer; never raises for a failure.

    Sets ``is_connected``, and ``last_test_at`` if it was taken; nothing for a kind that takes no events, or
    that has a check and does not want this event. No outbox row, no attempt, no figure and no
    failure count is touched: a destination may refuse test events only.
    """
    body = encode(
        {
            "event_type": EVENT_TYPE,
            "test": True,
            "timestamp": clock.now(),
            "tenant": {"id": integration.tenant_id, "name": name_of(integration.tenant)},
        }
    ).encode()
    envelope = Envelope(event_type=EVENT_TYPE, idempotency_key=new_idempotency_key(), body=body)
    started = time.perf_counter()
    proves_nothing = False
    try:
        with bind(integration, client, timeout=conf.TEST_TIMEOUT_SECONDS) as connector:
            if "deliver" not in connector.manifest.does:
                words = f"{connector.manifest.label} takes no test event; check the connection instead"
                return TestResult(False, words, message=words)
            proves_nothing = connector.can_check
            receipt = connector.deliver(envelope)
    except Exception as error:
        failure = (
            error
            if isinstance(error, IntegrationError)
            else IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
        )
        result = TestResult(False, failure.message, _since(started), failure.message, failure.status, failure.excerpt)
        if proves_nothing and isinstance(failure, IntegrationPermanentError):
            return result  # it is this event that is not taken; whether the connection works, the check says
    else:
        words = "The destination took it."
        result = TestResult(True, None, _since(started), words, receipt.status, receipt.excerpt)
    values: dict[str, Any] = {"is_connected": result.success}
    if result.success:
        values["last_test_at"] = clock.now()
    health.write(integration, **values)
    return result


def log_trial(integration: TenantIntegration, action: str, result: TestResult, *, actor: str) -> None:
    """Leave a line about a trial in the execution log, and an entry in the audit trail.

    Args:
        action: ``test`` (an event was sent) or ``check``.
    """
    try:
        url = shown_target(integration)
    except EncryptionError:
        url = ""
    ExecutionLog.objects.create(
        integration=integration,
        action=action,
        actor=actor,
        attempt=1,
        method="POST" if action == "test" else "",
        url=url[:500],
        response_status=result.status,
        response_payload=result.excerpt or None,
        duration_ms=round(result.latency_ms),
        error="" if result.success else result.message,
    )
    said = {"result": "it worked" if result.success else result.message}
    record("tested" if action == "test" else "checked", integration, actor=actor, details=said)


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
