"""Lists that are read by key, newest first: "before this one", never "page 812 of 20,000".

A list of one tenant, or with a filter, may have to pass over very many rows of others to fill a page. So it looks at a
bounded stretch of ids at a time, and says how far it has looked: the next address goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.database import stretches
from integrations.database.stretches import MAX_KEY, newest

SIZE = 50  # rows of a page


@dataclass(slots=True)
class Listing:
    """One page of a list.

    Attributes:
        rows: newest first.
        newer, older: addresses of the pages before and behind, "" for none.
        looked_at: how many ids were looked at, if the page is not full because no more were; `older` then goes on.
    """

    rows: list[Any] = field(default_factory=list)
    newer: str = ""
    older: str = ""
    looked_at: int = 0


def listing(
    request: HttpRequest,
    queryset: QuerySet[Any],
    *,
    size: int = SIZE,
    is_sparse: bool = True,
    keys: tuple[int, int] = (0, MAX_KEY),
) -> Listing:
    """Return the page of `queryset` that the request's ``before`` or ``after`` (a primary key) names.

    Args:
        queryset: any order; with what templates need joined.
        is_sparse: rows may be rare among those of others, so that the search must be bounded.
        keys: the first key that comes into question, and the one behind the last.
    """
    before, after = key_in(request, "before"), key_in(request, "after")
    if after is not None:
        return _newer(request, queryset, after, size, is_sparse)
    page = newest(queryset, size, is_sparse=is_sparse, before=before, keys=keys)
    found = Listing(page.rows, looked_at=page.looked_at)
    if before is not None:
        found.newer = _address(request, after=page.rows[0].pk if page.rows else before - 1)
    if page.older is not None:
        found.older = _address(request, before=page.older)
    return found


def _newer(request: HttpRequest, queryset: QuerySet[Any], after: int, size: int, is_sparse: bool) -> Listing:
    """Return the page just above `after`; it looks at no more ids than one below would."""
    end = min(MAX_KEY, after + sum(stretches.STRETCHES)) if is_sparse else MAX_KEY
    above = list(queryset.filter(pk__gt=after, pk__lte=end).order_by("pk")[: size + 1])
    rows = above[:size][::-1]
    found = Listing(rows, older=_address(request, before=rows[-1].pk if rows else after + 1))
    if len(above) > size:
        found.newer = _address(request, after=rows[0].pk)
    elif end < MAX_KEY and queryset.model._base_manager.filter(pk__gt=end).exists():
        found.newer = _address(request, after=end)
    return found


def key_in(request: HttpRequest, name: str) -> int | None:
    """Return the primary key that the address names as `name`, None for anything else."""
    text = request.GET.get(name, "")
    return min(int(text), MAX_KEY) if text.isascii() and text.isdigit() and len(text) < 20 else None


def keys_of(texts: Iterable[str]) -> list[int]:
    """Return those of `texts` that are primary keys."""
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _address(request: HttpRequest, **keys: int) -> str:
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    for name, value in keys.items():
        query[name] = str(value)
    return f"{request.path}?{query.urlencode()}"


def chosen(request: HttpRequest, name: str, offered: Iterable[str]) -> str:
    """Return the filter `name` of the request, "" if it is none of those that are `offered`."""
    value = request.GET.get(name, "")
    return value if value in set(offered) else ""
