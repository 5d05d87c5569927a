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

# The problems that the API itself knows: code → statuses, meaning. What fails in a connector has its error's own code.
PROBLEM_TYPES: dict[str, tuple[tuple[int, ...], str]] = {
    "unauthenticated": ((401,), "no API key was sent, and nobody is signed in"),
    "wrong_api_key": ((401,), "the API key is unknown, revoked or expired; `detail` says which"),
    "forbidden": ((403,), "the key's scopes or the person's role do not allow it"),
    "not_found": ((404,), "there is no such thing, or it belongs to another tenant"),
    "nothing_done": ((409,), "the state of the thing does not allow it; `detail` says why"),
    "under_way": ((409,), "a request with this `Idempotency-Key` is still under way"),
    "wrong_idempotency_key": ((400,), "the header `Idempotency-Key` is too long or not printable"),
    "idempotency_key_reused": ((422,), "this `Idempotency-Key` belongs to another request"),
    "wrong_request": ((422,), "parameters or body are not as the document says; `fields` names them"),
    "wrong_filter": ((422,), "a filter of a list is wrong; `fields` names it"),
    "wrong_job": ((422,), "what a job is to do is wrong; `fields` names it where one field is"),
    "too_many_requests": ((429,), "the requests of this API key are used up; `Retry-After` says for how long"),
    "refused": ((400, 405), "the request cannot be read, or the address has no such method"),
}


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
