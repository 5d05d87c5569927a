"""Send one event now and show the answer: "is it set up right?", without touching data."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from django.utils import timezone

from integrations import conf
from integrations.connections.binding import bind
from integrations.connections.models import TenantIntegration
from integrations.connectors.port import Client, Envelope
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.outbox.canonical_json import encode
from integrations.outbox.models import new_idempotency_key

EVENT_TYPE = "test"


@dataclass(frozen=True, slots=True)
class TestResult:
    """The answer to a test event.

    Attributes:
        message: what happened, for people, without secrets.
        excerpt: at most 500 characters of the redacted answer.
    """

    __test__ = False  # not a test case, whatever its name suggests to pytest

    success: bool
    message: str
    latency_ms: int
    status: int | None = None
    excerpt: str = ""


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
        connector = bind(integration, client)
        connector.binding = replace(connector.binding, timeout=conf.TEST_TIMEOUT_SECONDS)
        receipt = connector.deliver(envelope)
    except Exception as error:
        failure = (
            error
            if isinstance(error, IntegrationError)
            else IntegrationTemporaryError(f"unexpected {type(error).__name__}", code="unexpected")
        )
        result = TestResult(False, failure.message, _since(started), failure.status, failure.excerpt)
    else:
        result = TestResult(True, "The destination took it.", _since(started), receipt.status, receipt.excerpt)
    TenantIntegration.unannounced.filter(pk=integration.pk).update(is_connected=result.success)
    integration.is_connected = result.success
    return result


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
