"""Say how many of something there are: "1 event", "1000+"; a page must not wait for a million rows to be counted."""

from __future__ import annotations

from typing import Any

from django.db.models import IntegerField, QuerySet, Subquery


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `number` with `noun` in the form that fits.

    Args:
        plural: the noun's plural where that is not its singular and an "s".
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


def count_up_to(queryset: QuerySet[Any], cap: int) -> str:
    """Return how many rows there are as text, ``"1000+"`` for more than `cap`.

    Order `queryset` by the index to walk: left alone, the planner may hope to meet `cap` rows by chance.
    """
    count = queryset[: cap + 1].count()
    return f"{cap}+" if count > cap else str(count)


class BoundedCount(Subquery):
    """The number of rows of a sliced subquery, as a column: one short index walk per row.

    The subquery must be ordered as an index is. Without that PostgreSQL scans a table of a million rows for each
    integration that has none pending (measured: 4 s for the list instead of 0.03 s).
    """

    template = "(SELECT COUNT(*) FROM (%(subquery)s) bounded)"
    output_field = IntegerField()
