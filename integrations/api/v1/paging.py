"""Lists by cursor, newest first: ``{"data": […], "next": "https://…?before=812"}``; null: this is the last page.

Where the wanted rows may be rare among very many others, a page looks at a bounded stretch of ids, as in the console.
"""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Schema
from pydantic import Field

from integrations.database.stretches import MAX_KEY, newest

Limit = Annotated[int, Query(ge=1, le=200, description="rows of a page")]
Before = Annotated[
    int | None, Query(ge=0, le=MAX_KEY, description="rows before this id: as the address of the next page has it")
]


class Page(Schema):
    """One page of a list."""

    next: str | None = Field(None, description="the address of the next page, null after the last")


class SearchedPage(Page):
    """One page of a list in which the wanted rows may be rare."""

    looked_at: int = Field(
        0,
        description="how many were looked at, if the page is not full because no more were; `next` goes on from there",
    )


def page_of(
    request: HttpRequest,
    rows: QuerySet[Any],
    shown: Any,
    *,
    limit: int,
    before: int | None,
    is_sparse: bool = False,
    keys: tuple[int, int] = (0, MAX_KEY),
) -> dict[str, Any]:
    """Return one page of `rows` by their ids, each made by `shown`.

    Args:
        is_sparse: no index has these rows in this order, so the search must be bounded; answer a `SearchedPage`.
        keys: the first id that comes into question, and the one behind the last.
    """
    page = newest(rows, limit, is_sparse=is_sparse, before=before, keys=keys)
    data = [shown(row) for row in page.rows]
    return {"data": data, "next": next_url(request, page.older), "looked_at": page.looked_at}


def next_url(request: HttpRequest, before: int | None) -> str | None:
    """Return the address of the page before the id `before`, None if there is none."""
    if before is None:
        return None
    query = request.GET.copy()
    query["before"] = str(before)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
