"""What went wrong, as RFC 9457 has it: ``application/problem+json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import Schema

CONTENT_TYPE = "application/problem+json"


class ProblemDetails(Schema):
    """A problem.

    Attributes:
        code: a short stable word for programs.
        fields: what is wrong with which field of the request.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    fields: dict[str, str] = {}


# What any call may be answered.
PROBLEMS: dict[int, type[Schema]] = dict.fromkeys((400, 401, 403, 422, 429), ProblemDetails)
ROW_PROBLEMS: dict[int, type[Schema]] = {404: ProblemDetails, **PROBLEMS}  # what any call about one row may be
WRITE_PROBLEMS: dict[int, type[Schema]] = {409: ProblemDetails, **ROW_PROBLEMS}


class Refused(Exception):
    """The request cannot be done; `code` is a stable word, the text is for people."""

    def __init__(self, status: int, code: str, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.fields = status, code, detail, dict(fields or {})


def problem(status: int, code: str, detail: str = "", fields: Mapping[str, str] | None = None) -> HttpResponse:
    """Return the answer that says so."""
    title = HTTPStatus(status).phrase
    details = ProblemDetails(title=title, status=status, detail=detail, code=code, fields=dict(fields or {}))
    return HttpResponse(json.dumps(details.dict()), content_type=CONTENT_TYPE, status=status)


@csrf_exempt
def no_such_call(request: HttpRequest, rest: str) -> HttpResponse:
    """Answer an address that no operation has, in the form of all problems."""
    return problem(
        404, "not_found", f"There is no {request.method} {request.path[:200]}; /api/v1/docs lists what there is."
    )


def by_field(errors: list[dict[str, Any]]) -> dict[str, str]:
    """Return {field: what is wrong} of ninja's or pydantic's list of errors; never the value that was sent."""
    found: dict[str, str] = {}
    for each in errors:
        place = [str(part) for part in each.get("loc", ()) if part not in ("body", "data", "query", "path", "filters")]
        found.setdefault(".".join(place)[:200] or "body", str(each.get("msg", "")).removeprefix("Value error, ")[:300])
    return found
