"""Lists by cursor, newest first: ``{"data": […], "next": "https://…?before=812"}``; null: this is the last page."""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Schema
from pydantic import Field

LARGEST = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=200, description="rows of a page")]
Before = Annotated[
    int | None, Query(ge=0, le=LARGEST, description="rows before this id: as the address of the next page has it")
]


class Page(Schema):
    """One page of a list."""

    next: str | None = Field(None, description="the address of the next page, null after the last")


def page_of(request: HttpRequest, rows: QuerySet[Any], shown: Any, *, limit: int, before: int | None) -> dict[str, Any]:
    """Return one page of `rows` by their ids, each made by `shown`."""
    wanted = rows.order_by("-pk") if before is None else rows.filter(pk__lt=before).order_by("-pk")
    found = list(wanted[: limit + 1])
    older = found[limit - 1].pk if len(found) > limit else None
    return {"data": [shown(row) for row in found[:limit]], "next": next_url(request, older)}


def next_url(request: HttpRequest, before: int | None) -> str | None:
    """Return the address of the page before the id `before`, None if there is none."""
    if before is None:
        return None
    query = request.GET.copy()
    query["before"] = str(before)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
