"""Does an integration work? The gentlest way to find out that its connector offers."""

from __future__ import annotations

from integrations.audit.models import ExecutionLog
from integrations.connections.models import TenantIntegration
from integrations.connectors.port import TestResult
from integrations.delivery.trial import send_test_event
from integrations.errors import IntegrationError
from integrations.transport.process_client import client


def try_connection(integration: TenantIntegration, *, actor: str = "system") -> TestResult:
    """Check the credentials with a call that changes nothing; where there is none, send a test event. Never raises.

    Sets `is_connected` and leaves a line in the log.
    """
    try:
        can_check = integration.get_adapter().can_check
    except IntegrationError:
        can_check = True  # the check says what is missing
    result = integration.test_connection() if can_check else send_test_event(integration, client())
    ExecutionLog.objects.create(
        integration=integration,
        action="check" if can_check else "test",
        actor=actor[:150],
        attempt=1,
        response_status=result.status,
        response_payload=result.excerpt or None,
        duration_ms=round(result.latency_ms),
        error="" if result.success else result.message,
    )
    return result
