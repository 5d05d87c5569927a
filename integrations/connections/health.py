"""Record on a connection's row what a test, a refused credential or a success says about it.

Counters change in the database, not in Python: two workers that are refused at the same time count as two. Only the
third refusal in a row changes `is_connected`: callers that skip connections which are not operational would otherwise
never reach the third.

A lane may deliver to another endpoint than calls use, with other rights. So the success of a call, pull or test resets
the refusals that calls have counted (`refused_calls`), but not those of deliveries. A delivered event resets both.
"""

from __future__ import annotations

from typing import Any

from django.db import models, router, transaction
from django.db.models import F
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest

from integrations import conf
from integrations.connectors.port import Client, TestResult
from integrations.counted import counted
from integrations.database import clock
from integrations.errors import IntegrationAuthError, IntegrationError

from .binding import bind
from .row import ConnectionRow
from .status_changes import RUN_TIME, Status, announce_change, announce_disabled

SET_UP_AT_FAULT = "correct the settings or the account"  # in the reason where the credentials are not
_THEN = "then re-enable the integration; pending events are delivered then."
_CREDENTIALS_ADVICE, _SET_UP_ADVICE = f". Correct them, {_THEN}", f": {SET_UP_AT_FAULT}, {_THEN}"
MAX_REASON = 500  # characters of `disabled_reason`


def check_connection(connection: ConnectionRow, client: Client | None = None) -> TestResult:
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
    record_test(connection, result)
    return result


def record_test(connection: ConnectionRow, result: TestResult) -> None:
    """Write down what a test said; of failures, only refused credentials count against the connection."""
    if result.success:
        mark_connected(connection)
        return
    write(connection, is_connected=False)
    if result.is_auth_failure:
        record_auth_failure(connection)


def mark_connected(connection: ConnectionRow) -> None:
    """Record that a test passed; a disabled connection stays disabled until a person re-enables it."""
    write(connection, is_connected=True, last_test_at=clock.now(), disabled_reason="")
    _end_refusals_of_calls(connection, silent_rows(connection))


def record_success(connection: ConnectionRow) -> None:
    """Record that a call succeeded: it ends the row of refused calls."""
    _end_refusals_of_calls(connection, silent_rows(connection).filter(is_enabled=True))


def _end_refusals_of_calls(connection: ConnectionRow, rows: models.QuerySet[Any]) -> None:
    # The row says, not the instance: it may have been read before the refusals. It is asked first: on SQLite even an
    # UPDATE of no row waits for other writers.
    if not connection.has_lane:
        counted = rows.filter(auth_failure_count__gt=0)
        if (counted.exists() and counted.update(auth_failure_count=0)) or connection.auth_failure_count:
            _show(connection, {"auth_failure_count": 0})
        return
    counted, left = rows.filter(refused_calls__gt=0), F("auth_failure_count") - F("refused_calls")
    if counted.exists():
        counted.update(auth_failure_count=Greatest(left, 0), refused_calls=0)
    columns = ("auth_failure_count", "refused_calls")
    if any(getattr(connection, name) for name in columns) and (found := rows.values(*columns).first()) is not None:
        _show(connection, found)


def count_refusal(connection: ConnectionRow, error: BaseException) -> None:
    """Count `error` if it says that the credentials are wrong and has not been counted yet."""
    if isinstance(error, IntegrationAuthError) and error.is_refusal and not error.is_counted:
        error.is_counted = True
        record_auth_failure(connection)


def count_call(connection: ConnectionRow, error: IntegrationError | None) -> None:
    """Count one call, not its attempts, and not its status: some systems refuse credentials with a 200."""
    if error is None:
        record_success(connection)
    else:
        count_refusal(connection, error)


def record_auth_failure(connection: ConnectionRow) -> None:
    """Count refused credentials; AUTH_FAILURES_TO_DISABLE in a row disable the connection."""
    write_refusals(connection, F("auth_failure_count") + 1, of_calls=1)


def write_refusals(connection: ConnectionRow, count: int | Combinable, why: str = "", *, of_calls: int = 0) -> None:
    """Make `count` the number of refusals in a row, and disable the connection if they are too many.

    Does nothing if the row is gone.

    Args:
        count: a number replaces what calls have counted, too; an expression adds to it.
        of_calls: how many of what is added were refused calls.
        why: what a person must mend; "": the credentials.
    """
    rows = silent_rows(connection)
    values: dict[str, Any] = {"auth_failure_count": count}
    if connection.has_lane:
        values["refused_calls"] = 0 if isinstance(count, int) else F("refused_calls") + of_calls
    if count != 0:
        values["last_auth_failure_at"] = clock.now()
    with transaction.atomic(using=rows.db):
        rows.update(**values)  # first: it takes the row's lock, so that what is read below is true until the end
        counts = ("auth_failure_count", *(("refused_calls",) if connection.has_lane else ()))
        found = rows.values(*counts, *Status._fields).first()
        if found is None:
            return
        values |= {name: found[name] for name in counts}
        refused, before = found["auth_failure_count"], Status(**{name: found[name] for name in Status._fields})
        # What deliveries found wrong with the set-up says nothing about the credentials that calls were refused with.
        alike = refused - found.get("refused_calls", 0) if why else refused
        if before.is_enabled and alike >= conf.AUTH_FAILURES_TO_DISABLE:
            values |= _switch_off(connection, rows, before, refused, refused_reason(alike, why))
        _show(connection, values)


def disable(connection: ConnectionRow, reason: str) -> None:
    """Switch the connection off because the provider says that it is no more (410); `reason` is for people."""
    rows = silent_rows(connection)
    with transaction.atomic(using=rows.db):
        found = rows.select_for_update().values_list("auth_failure_count", *Status._fields).first()
        if found is None or not found[2]:
            return
        _show(connection, _switch_off(connection, rows, Status(*found[1:]), found[0], reason))


def _switch_off(
    connection: ConnectionRow, rows: models.QuerySet[Any], before: Status, count: int, reason: str
) -> dict[str, Any]:
    """Disable the locked row and announce it; only for a row that was enabled, so that it is announced once."""
    values: dict[str, Any] = {"is_enabled": False, "is_connected": False, "disabled_reason": reason[:MAX_REASON]}
    rows.update(**values)
    announce_change(connection, before, Status(False, False))
    announce_disabled(connection, auth_failure_count=count, reason=values["disabled_reason"])
    return values


def re_enable(connection: ConnectionRow) -> None:
    """Enable the connection after a person corrected it; whether it works, the next test says."""
    calls = {"refused_calls": 0} if connection.has_lane else {}
    write(connection, is_enabled=True, auth_failure_count=0, disabled_reason="", **calls)


def refused_reason(count: int, why: str = "") -> str:
    """Return why an integration is disabled, for people."""
    times = f"{counted(count, 'time')} in a row"
    if why:
        return f"{why.removesuffix('.')[:300]}. This happened {times}{_SET_UP_ADVICE}"
    return f"The destination refused our credentials {times}{_CREDENTIALS_ADVICE}"


def without_advice(reason: str) -> str:
    """Return why an integration is disabled, where the page itself says what to do about it.

    Args:
        reason: of `refused_reason`, or any other, which is returned as it is.
    """
    cause = reason.removesuffix(_SET_UP_ADVICE).removesuffix(_CREDENTIALS_ADVICE)
    return reason if cause == reason else f"{cause}."


def silent_rows(connection: ConnectionRow) -> models.QuerySet[Any]:
    """Return the row of `connection` as a queryset whose update() announces no event of a business object."""
    model = type(connection)
    manager = getattr(model, "unannounced", None) or model._base_manager
    queryset: models.QuerySet[Any] = manager.using(router.db_for_write(model, instance=connection))
    return queryset.filter(pk=connection.pk)


def write(connection: ConnectionRow, **values: Any) -> None:
    """Set columns of the row silently, and on the instance; ``updated_at`` stays, or open forms would be stale."""
    rows = silent_rows(connection)
    switches = {name: value for name, value in values.items() if name in Status._fields}
    with transaction.atomic(using=rows.db):
        # The row and not the instance says what was: two workers who see the same change announce it once.
        before = rows.select_for_update().values_list(*Status._fields).first() if switches else None
        rows.update(**values)
        if before is not None:
            was = Status(*before)
            announce_change(connection, was, was._replace(**switches))
        _show(connection, values)


def _show(connection: ConnectionRow, values: dict[str, Any]) -> None:
    """Let the instance say what its row says, before receivers get it; a later save() announces none of it again."""
    for name, value in values.items():
        setattr(connection, name, value)
    written = {name: value for name, value in values.items() if name in RUN_TIME}
    connection.remember(written)
