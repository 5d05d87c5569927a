"""Time as the database sees it, so that the clocks of web and worker hosts need not agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, Value
from django.db.models.functions import Now

from integrations.database import clock

# How far the machine's clock (the parameter, seconds since the epoch) is ahead. SQLite has no clock of its own.
SKEW = {
    "postgresql": "%s::double precision - extract(epoch from clock_timestamp())::double precision",
    "sqlite": "%s - (julianday('now') - 2440587.5) * 86400.0",
}
TOO_SLOW = 2.0  # an answer that took longer tells nothing


def after(seconds: float) -> Any:
    """Return a query expression for `seconds` from now (the start of the statement); before now, if negative."""
    delta = Value(timedelta(seconds=seconds), output_field=DurationField())
    return ExpressionWrapper(Now() + delta, output_field=DateTimeField())


def compare(using: str = "default") -> float | None:
    """Compare this machine's clock with the database's; return how far it is ahead, None if that cannot be told.

    Raises:
        DatabaseError: it did not answer.
    """
    return compare_in(using, f"SELECT {SKEW.get(connections[using].vendor, '0 * %s')}")


def now(using: str = "default") -> datetime:
    """Ask the database what time it is: for what is destroyed by it, by whatever process."""
    compare(using)
    return clock.now()


def compare_in(using: str, sql: str, before: Sequence[Any] = ()) -> float | None:
    """Run a statement whose last parameter is our clock and whose answer is the skew; see `compare`.

    Args:
        before: the parameters before the last one.
    """
    connection = connections[using]
    connection.ensure_connection()  # a login takes a while
    started, local = clock.elapsed(), time.time()
    with connection.cursor() as cursor:
        cursor.execute(sql, [*before, local])
        skew = float(cursor.fetchone()[0])
    took = clock.elapsed() - started
    if took > TOO_SLOW or connection.vendor not in SKEW:
        return None
    clock.measured(skew, local=local, at=started + took / 2)
    return skew
