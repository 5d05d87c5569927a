"""Send one event now and show the answer: "is it set up right?", without touching data."""

from __future__ import annotations

import time

from django.utils import timezone

from integrations import conf
from integrations.connections.binding import bind
from integrations.connections.models import TenantIntegration
from integrations.connectors.port import Client, Envelope, TestResult
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.outbox.canonical_json import encode
from integrations.outbox.models import new_idempotency_key

EVENT_TYPE = "test"


def send_test_event(integration: TenantIntegration, client: Client) -> TestResult:
    """Send ``{"event_type": "test", "test": true, …}`` and return the answer; never raises for a failure.

    Sets ``is_connected``. No outbox row, no attempt, no figure and no failure count is touched.
    """
    body = encode(
        {
            "event_type": EVENT_TYPE,
            "test": True,
            "timestamp": timezone.now(),
            "tenant": {"id": integration.tenant_id, "name": integration.tenant.name},
        }
    ).encode()
    envelope = Envelope(event_type=EVENT_TYPE, idempotency_key=new_idempotency_key(), body=body)
    started = time.perf_counter()
    try:
        with bind(integration, client, timeout=conf.TEST_TIMEOUT_SECONDS) as connector:
            receipt = connector.deliver(envelope)
    except Exception as error:
        failure = (
            error
            if isinstance(error, IntegrationError)
            else IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
        )
        result = TestResult(False, failure.message, _since(started), failure.message, failure.status, failure.excerpt)
    else:
        words = "The destination took it."
        result = TestResult(True, None, _since(started), words, receipt.status, receipt.excerpt)
    TenantIntegration.unannounced.filter(pk=integration.pk).update(is_connected=result.success)
    integration.is_connected = result.success
    return result


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
