"""What a test was answered, on its way to the page that shows it: once, to who made it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from integrations.connections.models import TenantIntegration
from integrations.connectors.port import TestResult

KEY = "integrations_test_answer"  # in the session; what is in it is redacted


def answer_of(integration: TenantIntegration, action: str, result: TestResult) -> dict[str, Any]:
    """Return the answer as a session keeps it and a page shows it."""
    return {
        "integration": integration.pk,
        "action": action,
        "success": result.success,
        "message": result.message,
        "event_type": result.event_type,
        "remark": result.remark,
        "status": result.status,
        "latency_ms": round(result.latency_ms),
        "excerpt": result.excerpt,
    }


def keep_answer(request: HttpRequest, integration: TenantIntegration, action: str, result: TestResult) -> None:
    """Keep the answer for the next page."""
    request.session[KEY] = answer_of(integration, action, result)


def take_answer(request: HttpRequest, integration: TenantIntegration) -> dict[str, Any] | None:
    """Return the answer to the test that was just made of this integration, once."""
    kept: dict[str, Any] | None = request.session.get(KEY)
    if not kept or kept["integration"] != integration.pk:
        return None
    del request.session[KEY]
    return kept
