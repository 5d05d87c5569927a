"""Read figures: of one integration, of some tenants or of all, since when, in steps of how many minutes.

What is not summed up yet (rolling.py) is read from what is finer, up to the minute that is running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connections

from integrations.database import clock

from .figures import COLUMNS, Figures, total
from .models import DAY, HOUR, MINUTE, RollUp, TenantFigures
from .rolling import INTEGRATION, OF_ALL, OF_INTEGRATIONS, OF_TENANTS, SUMMED

USING = "default"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose figures are wanted: one integration's, these tenants', or everybody's.

    Attributes:
        tenants: their keys; None: not limited to some.
    """

    tenants: tuple[Any, ...] | None = None
    integration: int | None = None


EVERYBODY = Whose()


@dataclass(frozen=True, slots=True)
class Range:
    """How far back, and how finely.

    Attributes:
        name: in addresses.
        minutes: how long.
        step: minutes of one point.
        source: the resolution it is read from.
    """

    name: str
    minutes: int
    step: int
    source: int

    def first(self, now: datetime | None = None) -> int:
        """Return the first minute: the step that is running is the last of ``minutes / step`` steps."""
        minute = int((now or clock.now()).timestamp() // 60)
        return (minute // self.step + 1) * self.step - self.minutes


HOUR_LONG = Range("1h", 60, 1, MINUTE)
DAY_LONG = Range("24h", DAY, 10, MINUTE)
WEEK_LONG = Range("7d", 7 * DAY, HOUR, HOUR)
MONTH_LONG = Range("30d", 30 * DAY, 6 * HOUR, HOUR)
YEAR_LONG = Range("13m", 396 * DAY, DAY, DAY)
RANGES = (HOUR_LONG, DAY_LONG, WEEK_LONG, MONTH_LONG, YEAR_LONG)
SPARK = Range("spark", DAY, HOUR, HOUR)


def coarser(span: Range) -> Range:
    """Return `span` read from hours, if it is one that is long enough for that."""
    return replace(span, step=HOUR, source=HOUR) if span.source == MINUTE and span.minutes > HOUR else span


class Point(NamedTuple):
    """One step of a series: when it began, how many minutes of it have passed, and its figures."""

    at: datetime
    minutes: float
    figures: Figures

    def a_minute(self, count: int) -> float:
        """Return `count` of this step as so many a minute."""
        return count / self.minutes


def series(whose: Whose, span: Range, *, now: datetime | None = None, upto: Rolled | None = None) -> list[Point]:
    """Return a point for each step of `span`, oldest first; the last is the step that is running.

    Args:
        upto: `rolled`, where the caller has asked.
    """
    now = now or clock.now()
    first = span.first(now)
    parts = _parts(whose, span.source, first, upto or rolled())
    found = {at: Figures.from_values(values) for at, *values in _grouped(parts, f"f.start / {span.step} * {span.step}")}
    return [
        Point(
            datetime.fromtimestamp(at * 60, UTC),
            min(span.step, max(1 / 60, now.timestamp() / 60 - at)),
            found.get(at) or Figures(),
        )
        for at in range(first, first + span.minutes, span.step)
    ]


def totals(whose: Whose, span: Range, *, now: datetime | None = None) -> Figures:
    """Return the sum of `series`."""
    return total(point.figures for point in series(whose, span, now=now))


def sparklines(
    integration_ids: Sequence[int], span: Range = SPARK, *, upto: Rolled | None = None
) -> dict[int, list[Figures]]:
    """Return the figures of each step of `span` for each of these integrations; by default of 24 hours."""
    if not integration_ids:
        return {}
    first = span.first()
    steps = range(first, first + span.minutes, span.step)
    found: dict[int, dict[int, Figures]] = {pk: {} for pk in integration_ids}
    parts = _of_integrations(list(integration_ids), span.source, first, upto or rolled())
    by = f"f.integration_id, f.start / {span.step} * {span.step}"
    for pk, at, *values in _grouped(parts, by, key="integration_id, "):
        found[pk][at] = Figures.from_values(values)
    return {pk: [of.get(at) or Figures() for at in steps] for pk, of in found.items()}


# -- which rows -----------------------------------------------------------------------------------------------

Part = tuple[str, list[Any]]  # a SELECT's FROM and WHERE about rows `f`, its parameters


def _grouped(parts: list[Part], by: str, key: str = "") -> list[tuple[Any, ...]]:
    of_key = f"f.{key}" if key else ""
    columns = ", ".join(f"f.{name}" for name in COLUMNS)
    rows = " UNION ALL ".join(f"SELECT {of_key}f.start, {columns} FROM {source}" for source, _ in parts)  # noqa: S608
    with connections[USING].cursor() as cursor:
        cursor.execute(
            f"SELECT {by}, {SUMMED} FROM ({rows}) f GROUP BY {by}",  # noqa: S608 - our own names
            [parameter for _, parameters in parts for parameter in parameters],
        )
        return [tuple(map(int, row)) for row in cursor.fetchall()]  # PostgreSQL's sums of 64 bits are Decimal


@dataclass(frozen=True, slots=True)
class Rolled:
    """Up to which minute it is summed up; 0: not at all."""

    tenants: int = 0
    hours: int = 0
    days: int = 0


def rolled() -> Rolled:
    """Return up to which minute everything is summed up."""
    return Rolled(**dict(RollUp.objects.using(USING).values_list("name", "until")))


def _bands(source: int, first: int, upto: Rolled) -> Iterator[tuple[int, int, int | None]]:
    """Yield (resolution, from, to): the longest stretches as far as they go, then finer ones; None: to the end."""
    at = first
    for resolution, until in ((DAY, upto.days), (HOUR, upto.hours)):
        if source >= resolution and until > at:
            yield resolution, at, until
            at = until
    yield MINUTE, at, None


def _of_integrations(ids: list[int], source: int, first: int, upto: Rolled) -> list[Part]:
    mine = f"f.integration_id IN ({_marks(ids)}) AND "
    return [_part(f"{OF_INTEGRATIONS} f", mine, ids, *band) for band in _bands(source, first, upto)]


def _parts(whose: Whose, source: int, first: int, upto: Rolled) -> list[Part]:
    if whose.integration is not None:
        return _of_integrations([whose.integration], source, first, upto)
    table, mine, keys = f"{OF_ALL} f", "", []
    if whose.tenants is not None:
        table, keys = f"{OF_TENANTS} f", stored_keys(whose.tenants)
        mine = f"f.tenant_id IN ({_marks(keys)}) AND " if keys else "1 = 0 AND "
    parts = []
    for resolution, start, end in _bands(source, first, upto):
        last = max(start, upto.tenants) if end is None else end
        parts.append(_part(table, mine, keys, resolution, start, last))
    # The last minutes, which only integrations have.
    newest = f"{OF_INTEGRATIONS} f JOIN {INTEGRATION} i ON i.id = f.integration_id"
    of_mine = mine.replace("f.tenant_id", "i.tenant_id")
    return [*parts, _part(newest, of_mine, keys, MINUTE, last, None)]


def _part(source: str, mine: str, keys: list[Any], resolution: int, start: int, end: int | None) -> Part:
    before = "" if end is None else " AND f.start < %s"
    condition = f"{source} WHERE {mine}f.resolution = %s AND f.start >= %s{before}"
    return condition, [*keys, resolution, start, *([] if end is None else [end])]


def _marks(keys: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(keys))


def stored_keys(tenants: Sequence[Any]) -> list[Any]:
    """Return the keys of `tenants` as the database has them, as parameters of SQL."""
    connection, field = connections[USING], TenantFigures._meta.get_field("tenant")
    return [field.get_db_prep_value(key, connection) for key in tenants]
