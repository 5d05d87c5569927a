"""Does an integration work? The gentlest way to find out that its connector offers."""

from __future__ import annotations

from integrations.connections.models import TenantIntegration
from integrations.connectors.port import TestResult
from integrations.delivery.trial import log_trial, send_test_event
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
    log_trial(integration, "check" if can_check else "test", result, actor=actor[:150])
    return result
