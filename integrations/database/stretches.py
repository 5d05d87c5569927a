"""Read a list by key in bounded stretches: a page of rows that may be rare among those of others (docs/adr/0042)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

STRETCHES = (20_000, 200_000)  # ids that are looked at, one after the other, until a page is full
MAX_KEY = 2**63 - 1  # SQLite and PostgreSQL know no larger one


@dataclass(slots=True)
class KeyPage:
    """One page of a list, newest first.

    Attributes:
        older: the key below which the next page goes on; None: that was all.
        looked_at: how many ids were looked at, if the page is not full because no more were.
    """

    rows: list[Any]
    older: int | None = None
    looked_at: int = 0


def newest(
    rows: QuerySet[Any],
    size: int,
    *,
    is_sparse: bool,
    before: int | None = None,
    keys: tuple[int, int] = (0, MAX_KEY),
) -> KeyPage:
    """Return a page of `rows` by their keys.

    Args:
        is_sparse: they may be rare among those of others, so that the search must be bounded.
        before: only keys below this one.
        keys: the first key that comes into question, and the one behind the last.
    """
    low, top = keys[0], min(keys[1], MAX_KEY if before is None else before)
    older, looked_at = None, 0
    if is_sparse:
        found, older, looked_at = _bounded(rows, low, top, size)
    else:
        direct = _below(rows, top)
        found = list((direct.filter(pk__gte=low) if low else direct)[: size + 1])
    if len(found) > size:
        return KeyPage(found[:size], found[size - 1].pk)
    return KeyPage(found, older, looked_at if older is not None else 0)


def _below(rows: QuerySet[Any], top: int) -> QuerySet[Any]:
    """Return the rows whose key is below `top`, newest first."""
    ordered = rows.order_by("-pk")
    return ordered if top == MAX_KEY else ordered.filter(pk__lt=top)


def _bounded(rows: QuerySet[Any], low: int, top: int, size: int) -> tuple[list[Any], int | None, int]:
    """Look at the ids below `top` and not below `low`, in STRETCHES, until there are more than `size` rows.

    Returns:
        The rows, where the next stretch begins (None: that was all), and how many ids were looked at.
    """
    newest_key = _below(rows.model._base_manager.all(), top).values_list("pk", flat=True).first() or 0
    begin = top = min(top, newest_key + 1)
    found: list[Any] = []
    for stretch in STRETCHES:
        end = max(low, top - stretch)
        found += _below(rows, top).filter(pk__gte=end)[: size + 1 - len(found)]
        top = end
        if end <= max(low, 1):
            return found, None, begin - end
        if len(found) > size:
            break
    return found, top, begin - top
