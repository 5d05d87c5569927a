"""Where a time lies among the primary keys of a table whose rows are only ever added: found by halving."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connections, models, router


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
