"""Is a connection up? What a test, a refused credential or a success does to its row.

Counters change in the database, not in Python: two workers who are refused at once count as two (S0-74).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from integrations import conf
from integrations.connectors.port import Client, TestResult
from integrations.errors import IntegrationAuthError, IntegrationError

from .binding import bind
from .status_changes import Status, announce_change, announce_disabled, status_of

if TYPE_CHECKING:
    from .abstract import AbstractConnection


def check_connection(connection: AbstractConnection, client: Client | None = None) -> TestResult:
    """Have the connector prove its credentials, within TEST_TIMEOUT_SECONDS; write down what it says; never raises.

    A kind that offers no such check changes nothing here: send it a test event instead.
    """
    try:
        connector = bind(connection, client, timeout=conf.TEST_TIMEOUT_SECONDS)
    except IntegrationError as error:
        result = TestResult(False, error.message, message=error.message)
    else:
        result = connector.health_check()
        if not connector.can_check:
            return result
    if result.success:
        mark_connected(connection)
    elif result.is_auth_failure:
        record_auth_failure(connection)
    else:
        _write(connection, is_connected=False)
    return result


def mark_connected(connection: AbstractConnection) -> None:
    """A test passed. Whoever was disabled stays so until a person re-enables it (S0-73)."""
    _write(connection, is_connected=True, last_test_at=timezone.now(), auth_failure_count=0, disabled_reason="")


def record_success(connection: AbstractConnection) -> None:
    """A call was answered: refusals before it were not in a row with those after it (S0-70)."""
    if connection.auth_failure_count:
        silent_rows(connection).filter(is_enabled=True).update(auth_failure_count=0)
        connection.auth_failure_count = 0


def count_refusal(connection: AbstractConnection, error: BaseException) -> None:
    """Count `error` if it says that the credentials are wrong, and nobody has counted it yet."""
    if isinstance(error, IntegrationAuthError) and not error.is_counted:
        error.is_counted = True
        record_auth_failure(connection)


def record_auth_failure(connection: AbstractConnection) -> None:
    """The credentials were refused; after AUTH_FAILURES_TO_DISABLE times in a row the connection is disabled."""
    rows = silent_rows(connection)
    with transaction.atomic(using=rows.db):
        _write(
            connection,
            is_connected=False,
            auth_failure_count=F("auth_failure_count") + 1,
            last_auth_failure_at=timezone.now(),
        )
        count = rows.values_list("auth_failure_count", flat=True).first() or 0
        reason = refused_reason(count)
        before = status_of(connection)
        # The condition makes it once per trip, whoever comes first.
        if count >= conf.AUTH_FAILURES_TO_DISABLE and rows.filter(is_enabled=True).update(
            is_enabled=False, disabled_reason=reason
        ):
            connection.is_enabled = False
            announce_change(connection, Status(before.is_connected, True), Status(before.is_connected, False))
            announce_disabled(connection, auth_failure_count=count, reason=reason)
    connection.refresh_from_db(fields=["auth_failure_count", "is_enabled", "disabled_reason"])


def re_enable(connection: AbstractConnection) -> None:
    """A person has mended the credentials. Whether they are right, the next test says (S0-26)."""
    _write(connection, is_enabled=True, auth_failure_count=0, disabled_reason="")


def refused_reason(count: int) -> str:
    """Return why an integration is disabled, for people."""
    return (
        f"The destination refused our credentials {count} times in a row. "
        "Correct them, then re-enable the integration; what is pending is delivered then."
    )


def silent_rows(connection: AbstractConnection) -> models.QuerySet[Any]:
    """Return the row of `connection` as a queryset whose update() announces no event of a business object."""
    model = type(connection)
    manager = getattr(model, "unannounced", None) or model._base_manager
    queryset: models.QuerySet[Any] = manager.filter(pk=connection.pk)
    return queryset


def _write(connection: AbstractConnection, **values: Any) -> None:
    """Set columns of the row silently, and on the instance; ``updated_at`` stays, or open forms would be stale."""
    rows = silent_rows(connection)
    switches = {name: value for name, value in values.items() if name in Status._fields}
    with transaction.atomic(using=rows.db):
        # The row and not the instance says what was: two workers who see the same change announce it once.
        before = rows.select_for_update().values_list(*Status._fields).first() if switches else None
        rows.update(**values)
        for name, value in values.items():
            if not hasattr(value, "resolve_expression"):
                setattr(connection, name, value)
        if before is not None:
            was = Status(*before)
            announce_change(connection, was, was._replace(**switches))
            connection._stored_status = was._replace(**switches)
