"""Is an integration connected? What a test, a refused credential or a success does to its row.

Counters change in the database, not in Python: two workers who are refused at once count as two (S0-74).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import F
from django.utils import timezone

from integrations import conf
from integrations.connectors.port import Client, TestResult
from integrations.errors import IntegrationError

from .binding import bind

if TYPE_CHECKING:
    from .models import TenantIntegration


def check_connection(integration: TenantIntegration, client: Client | None = None) -> TestResult:
    """Have the connector prove its credentials, within TEST_TIMEOUT_SECONDS; write down what it says; never raises.

    A kind that offers no such check changes nothing here: send it a test event instead.
    """
    try:
        connector = bind(integration, client, timeout=conf.TEST_TIMEOUT_SECONDS)
    except IntegrationError as error:
        result = TestResult(False, error.message, message=error.message)
    else:
        result = connector.health_check()
        if not connector.can_check:
            return result
    if result.success:
        mark_connected(integration)
    elif result.is_auth_failure:
        record_auth_failure(integration)
    else:
        _write(integration, is_connected=False)
    return result


def mark_connected(integration: TenantIntegration) -> None:
    """A test passed. Whoever was disabled stays so until a person re-enables it (S0-73)."""
    _write(integration, is_connected=True, last_test_at=timezone.now(), auth_failure_count=0, disabled_reason="")


def record_auth_failure(integration: TenantIntegration) -> None:
    """The credentials were refused; after AUTH_FAILURES_TO_DISABLE times in a row the integration is disabled."""
    rows = type(integration).unannounced.filter(pk=integration.pk)
    _write(
        integration,
        is_connected=False,
        auth_failure_count=F("auth_failure_count") + 1,
        last_auth_failure_at=timezone.now(),
    )
    count = rows.values_list("auth_failure_count", flat=True).first() or 0
    if count >= conf.AUTH_FAILURES_TO_DISABLE:
        rows.filter(is_enabled=True).update(is_enabled=False, disabled_reason=refused_reason(count))
    integration.refresh_from_db(fields=["auth_failure_count", "is_enabled", "disabled_reason"])


def refused_reason(count: int) -> str:
    """Return why an integration is disabled, for people."""
    return (
        f"The destination refused our credentials {count} times in a row. "
        "Correct them, then re-enable the integration; what is pending is delivered then."
    )


def _write(integration: TenantIntegration, **values: Any) -> None:
    """Set columns of the row silently, and on the instance; ``updated_at`` stays, or open forms would be stale."""
    type(integration).unannounced.filter(pk=integration.pk).update(**values)
    for name, value in values.items():
        if not hasattr(value, "resolve_expression"):
            setattr(integration, name, value)
