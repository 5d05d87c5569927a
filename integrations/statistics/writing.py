"""Add to an integration's figures of the present minute, in the transaction of what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.db import connections, transaction

from integrations.database.sql import epoch, now

from .figures import COLUMNS, Figures
from .models import DAY, HOUR, MINUTE, IntegrationFigures, RollUp

TABLE = IntegrationFigures._meta.db_table
LISTED = ", ".join(COLUMNS)
ADDED = ", ".join(f"{name} = {TABLE}.{name} + excluded.{name}" for name in COLUMNS)


@lru_cache(maxsize=2)
def this_minute(vendor: str) -> str:
    """Return the minute that is running, by the database's clock, as `start` has it."""
    if vendor == "postgresql":
        return f"floor({epoch(vendor, now(vendor))} / 60)::integer"
    return "(CAST(strftime('%%s', 'now') AS integer) / 60)"


def packed(figures: Figures) -> str:
    """Return `figures` as the one parameter of `adding`: as text, so that PostgreSQL keeps one plan for all numbers."""
    return "{" + ",".join(map(str, figures.values())) + "}"


@lru_cache(maxsize=2)
def adding(source: str) -> str:
    """Return PostgreSQL's statement that adds figures to the minute of the integration that `source` (id) yields.

    Parameter: `packed` figures.
    """
    values = ", ".join(f"n.a[{place}]" for place in range(1, len(COLUMNS) + 1))
    return (
        f"INSERT INTO {TABLE} (integration_id, resolution, start, {LISTED}) "  # noqa: S608 - our own names
        f"SELECT {source}.id, {MINUTE}, {this_minute('postgresql')}, {values} "
        f"FROM {source}, (SELECT %s::bigint[] AS a) n "
        f"ON CONFLICT (integration_id, resolution, start) DO UPDATE SET {ADDED}"
    )


@lru_cache(maxsize=4)
def _adding_one(minute: str) -> str:
    marks = ", ".join(["%s"] * len(COLUMNS))
    return (
        f"INSERT INTO {TABLE} (integration_id, resolution, start, {LISTED}) "  # noqa: S608 - our own names
        f"VALUES (%s, {MINUTE}, {minute}, {marks}) "
        f"ON CONFLICT (integration_id, resolution, start) DO UPDATE SET {ADDED}"
    )


def add(found: Mapping[int, Figures], *, using: str = "default") -> None:
    """Add figures to the present minute of these integrations, whose lanes the caller has locked."""
    statement = _adding_one(this_minute(connections[using].vendor))
    with connections[using].cursor() as cursor:
        for integration_id, figures in sorted(found.items()):
            cursor.execute(statement, [integration_id, *figures.values()])


def add_past(found: Mapping[tuple[int, int], Figures], *, using: str = "default") -> None:
    """Add figures to minutes that are over, by (integration, minute): what is made up, or brought from elsewhere.

    What was summed up before is summed up again from the first of these minutes on.
    """
    if not found:
        return
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            for (integration_id, minute), figures in sorted(found.items()):
                cursor.execute(_adding_one("%s"), [integration_id, minute, *figures.values()])
        first = min(minute for _, minute in found)
        for name, resolution in (("tenants", MINUTE), ("hours", HOUR), ("days", DAY)):
            start = first // resolution * resolution
            RollUp.objects.using(using).filter(pk=name, until__gt=start).update(until=start)
