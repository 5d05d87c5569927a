"""How PostgreSQL and SQLite say the same thing: the time now, a time from now, a list of rows in one parameter.

For statements that are written out because they are asked for every row; everything else goes through the ORM.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

_cached = lru_cache(maxsize=256)  # the same few texts, for every slice


def quoted(table: str) -> str:
    """Return the name of a host's table as SQL has it; one with a quotation mark of its own is taken as it is."""
    return table if '"' in table else f'"{table}"'


@_cached
def now(vendor: str) -> str:
    """Return the database's time, as a timestamp column holds it."""
    return "statement_timestamp()" if vendor == "postgresql" else "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


@_cached
def shifted(vendor: str, seconds: str) -> str:
    """Return the time that is `seconds` (an SQL expression, may be negative) from now."""
    if vendor == "postgresql":
        return f"(statement_timestamp() + ({seconds}) * interval '1 second')"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', ({seconds}) || ' seconds')"


@_cached
def seconds_until(vendor: str, column: str) -> str:
    """Return how far ahead `column` is, in seconds; negative: it has passed."""
    if vendor == "postgresql":
        return f"EXTRACT(EPOCH FROM {column} - statement_timestamp())::float8"
    return f"((julianday({column}) - julianday('now')) * 86400.0)"


@_cached
def epoch(vendor: str, moment: str) -> str:
    """Return `moment` in seconds since 1970; 0: it is NULL."""
    if vendor == "postgresql":
        return f"COALESCE(EXTRACT(EPOCH FROM {moment})::float8, 0.0)"
    return f"COALESCE((julianday({moment}) - 2440587.5) * 86400.0, 0.0)"


@_cached
def greatest(vendor: str, *values: str) -> str:
    """Return the greatest of `values`, none of which may be NULL."""
    return f"{'GREATEST' if vendor == 'postgresql' else 'MAX'}({', '.join(values)})"


def listed(vendor: str, columns: Mapping[str, str]) -> str:
    """Return a table source `v` that reads one parameter, a JSON list of objects with these columns and types."""
    if vendor == "postgresql":
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        return f"json_to_recordset(%s::json) AS v({typed})"
    read = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {read} FROM json_each(%s)) AS v"  # noqa: S608 - our own names


@_cached
def looked_up(vendor: str, table: str, alias: str, condition: str) -> str:
    """Return a join that reads at most one row of `table` for each row before it, whatever the planner believes.

    A plain join is planned once, perhaps while the tables were empty, and kept: read the wrong way round, it goes
    through all of `table` for every slice.
    """
    if vendor == "postgresql":
        return f"CROSS JOIN LATERAL (SELECT * FROM {table} {alias} WHERE {condition} LIMIT 1) {alias}"  # noqa: S608
    return f"JOIN {table} {alias} ON {condition}"
