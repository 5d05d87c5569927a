"""Where a time lies among the primary keys of a table whose rows are only ever added: found by halving."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connections, models, router

from .stretches import MAX_KEY

SLACK = timedelta(minutes=1)  # between the order of keys and that of times: how long most transactions are open


def first_key(model: type[models.Model], moment: datetime, column: str = "created_at") -> int:
    """Return the smallest key whose row was made at `moment` or later, one more than the largest if there is none.

    One statement, whose cost hardly grows with the table. Keys and times may be out of step by a transaction: allow
    for it.

    Args:
        model: its keys are numbers that ascend with `column`.
    """
    connection = connections[router.db_for_read(model)]
    pk: Any = model._meta.pk
    made: Any = model._meta.get_field(column)
    name = connection.ops.quote_name
    table, key, when = name(model._meta.db_table), name(pk.column), name(made.column)
    at = connection.ops.adapt_datetimefield_value(moment)
    mid = "(lo + hi) / 2"
    is_early = f"(SELECT {when} FROM {table} WHERE {key} >= {mid} ORDER BY {key} LIMIT 1) < %s"  # noqa: S608
    sql = (
        "WITH RECURSIVE halved(lo, hi) AS ("  # noqa: S608 - our own names
        f"SELECT COALESCE(MIN({key}), 0), COALESCE(MAX({key}), 0) + 1 FROM {table} UNION ALL "
        f"SELECT CASE WHEN {is_early} THEN {mid} + 1 ELSE lo END, CASE WHEN {is_early} THEN hi ELSE {mid} END "
        "FROM halved WHERE lo < hi) SELECT MIN(hi) FROM halved"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [at, at])
        return int(cursor.fetchone()[0])


def keys_between(
    model: type[models.Model], since: datetime | None, until: datetime | None, *, slack: timedelta = SLACK
) -> tuple[int, int]:
    """Return the first key of rows of that time, and the one behind the last: no other need be looked at.

    Args:
        since, until: None: from the first on, to the last.
        slack: by how much keys and times may be out of step.
    """
    return (
        first_key(model, since - slack) if since is not None else 0,
        first_key(model, until + slack) if until is not None else MAX_KEY,
    )
