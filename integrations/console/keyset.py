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

SIZE = 50  # rows of a page
STRETCHES = (20_000, 200_000)  # ids that are looked at, one after the other, until a page is full
MAX_KEY = 2**63 - 1


@dataclass(slots=True)
class Listing:
    """One page of a list.

    Attributes:
        rows: newest first.
        newer, older: addresses of the pages before and behind, "" for none.
        is_cut: the page is not full because only so far was looked; the address `older` then goes on.
    """

    rows: list[Any] = field(default_factory=list)
    newer: str = ""
    older: str = ""
    is_cut: bool = False


def listing(request: HttpRequest, queryset: QuerySet[Any], *, size: int = SIZE, is_sparse: bool = True) -> Listing:
    """Return the page of `queryset` that the request's ``before`` or ``after`` (a primary key) names.

    Args:
        queryset: any order; with what templates need joined.
        is_sparse: rows may be rare among those of others, so that the search must be bounded.
    """
    before, after = _key(request, "before"), _key(request, "after")
    if after is not None:
        found = list(queryset.filter(pk__gt=after).order_by("pk")[: size + 1])
        rows, has_newer = found[:size][::-1], len(found) > size
        return Listing(
            rows, _address(request, after=rows[0].pk) if rows and has_newer else "", _older(request, rows, after + 1)
        )
    rows, end = _older_rows(queryset, before, size, is_sparse)
    is_full = len(rows) > size
    rows = rows[:size]
    page = Listing(rows, is_cut=not is_full and end > 0)
    if before is not None:
        page.newer = _address(request, after=rows[0].pk if rows else before - 1)
    if is_full:
        page.older = _address(request, before=rows[-1].pk)
    elif end > 0:
        page.older = _address(request, before=end + 1)
    return page


def _older(request: HttpRequest, rows: list[Any], otherwise: int) -> str:
    return _address(request, before=rows[-1].pk if rows else otherwise)


def _older_rows(queryset: QuerySet[Any], before: int | None, size: int, is_sparse: bool) -> tuple[list[Any], int]:
    """Return up to one row more than a page, and the id down to which was looked; 0: to the end."""
    ordered = queryset.order_by("-pk")
    if not is_sparse:
        return list((ordered if before is None else ordered.filter(pk__lt=before))[: size + 1]), 0
    top = before
    if top is None:
        newest = queryset.model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
        top = (newest or 0) + 1
    rows: list[Any] = []
    for stretch in STRETCHES:
        end = max(0, top - 1 - stretch)
        rows += ordered.filter(pk__lt=top, pk__gt=end)[: size + 1 - len(rows)]
        if len(rows) > size or end == 0:
            return rows, end
        top = end + 1
    return rows, end


def _key(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return min(int(text), MAX_KEY) if text.isascii() and text.isdigit() and len(text) < 20 else None


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
