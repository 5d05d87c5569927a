"""Read a list by key in bounded stretches: a page of rows that may be rare among those of others (docs/adr/0042)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

STRETCHES = (20_000, 200_000)  # ids that are looked at, one after the other, until a page is full
MAX_KEY = 2**63 - 1  # SQLite and PostgreSQL know no larger one


@dataclass(slots=True)
class Stretch:
    """What was found, newest first; up to one row more than a page.

    Attributes:
        looked_at: how many ids were looked at.
        goes_on_below: where the next stretch begins; None: that was all.
    """

    rows: list[Any]
    looked_at: int = 0
    goes_on_below: int | None = None


def below(queryset: QuerySet[Any], top: int) -> QuerySet[Any]:
    """Return the rows whose key is below `top`, newest first."""
    ordered = queryset.order_by("-pk")
    return ordered if top == MAX_KEY else ordered.filter(pk__lt=top)


def bounded(queryset: QuerySet[Any], low: int, top: int, size: int) -> Stretch:
    """Look at the ids below `top` and not below `low`, in STRETCHES, until there are more than `size` rows."""
    newest = below(queryset.model._base_manager.all(), top).values_list("pk", flat=True).first() or 0
    top = min(top, newest + 1)
    found = Stretch([])
    for stretch in STRETCHES:
        end = max(low, top - stretch)
        found.rows += below(queryset, top).filter(pk__gte=end)[: size + 1 - len(found.rows)]
        found.looked_at += top - end
        if end <= max(low, 1):
            found.goes_on_below = None
            break
        found.goes_on_below = top = end
        if len(found.rows) > size:
            break
    return found
