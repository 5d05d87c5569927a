"""Problems of the API, as RFC 9457 has them: ``application/problem+json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import Schema
from pydantic import Field

from integrations.api.authentication import count_caller, tells_quota
from integrations.credentials.error_reports import hides_secrets

from .document import CONTENT_TYPE, example

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
    "too_many_jobs": ((409,), "the tenant has as many jobs as it may; wait until one is over, or cancel one"),
    "too_many_requests": (
        (429,),
        "the requests of this key or person are used up; `Retry-After` says for how long",
    ),
    "too_many_trials": ((429,), "a test or a check of the tenant is under way; `Retry-After` says when to try again"),
    "method_not_allowed": ((405,), "the address has no such method; the header `Allow` names those it has"),
    "refused": ((400,), "the request cannot be read"),
    "changed_meanwhile": ((412,), "somebody was faster: the `ETag` is another one by now"),
    "answer_lost": ((409,), "a write with this `Idempotency-Key` was done, but its answer cannot be read any more"),
    "wrong_subscription": ((422,), "a condition or a payload is wrong; `fields` says why"),
    "wrong_event_type": ((422,), "the integration cannot want this event type"),
    "wrong_secret": ((422,), "a signing secret of your own cannot sign"),
    "not_signed": ((409,), "requests of this integration are not signed, so there is no secret to rotate"),
    "nothing_to_reveal": ((409,), "there is no signing secret that nobody has seen"),
    "broker_away": ((503,), "no worker can be told now; `Retry-After` says when to try again"),
}


class ProblemDetails(Schema):
    """A problem."""

    model_config = example(
        {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "Some of the request is wrong.",
            "code": "configuration",
            "fields": {"settings.url": "is missing"},
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field("", description="what is wrong and what to do, for people")
    code: str = Field("", description="a short stable word for programs")
    fields: dict[str, str] = Field({}, description="what is wrong with which field of the request")


# What any call may be answered.
PROBLEMS: dict[int, Any] = dict.fromkeys((400, 401, 403, 422, 429), ProblemDetails)
ROW_PROBLEMS: dict[int, Any] = {404: ProblemDetails, **PROBLEMS}  # what any call about one row may be
WRITE_PROBLEMS: dict[int, Any] = {409: ProblemDetails, **ROW_PROBLEMS}


class Refused(Exception):
    """The request cannot be done; `code` is a stable word, the text is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        fields: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.fields = status, code, detail, dict(fields or {})
        self.headers = dict(headers or {})


def problem(
    status: int,
    code: str,
    detail: str = "",
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return the answer that says so."""
    title = HTTPStatus(status).phrase
    details = ProblemDetails(title=title, status=status, detail=detail, code=code, fields=dict(fields or {}))
    text = json.dumps(details.dict())
    return HttpResponse(text, content_type=CONTENT_TYPE, status=status, headers=dict(headers or {}))


@csrf_exempt
@hides_secrets
@tells_quota
def no_such_call(request: HttpRequest, rest: str) -> HttpResponse:
    """Answer an address that no operation has, in the form of all problems."""
    count_caller(request)
    return problem(
        404, "not_found", f"There is no {request.method} {request.path[:200]}; /api/v1/docs lists what there is."
    )


def not_allowed(view: Any) -> Callable[..., HttpResponse]:
    """Decorate a view of an address: a method that it does not have is answered in the form of all problems, too.

    Whatever the address is, no error report repeats the key that was sent.
    """

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if response.status_code != 405:
            return response
        count_caller(request)
        words = f"{request.path[:200]} takes no {request.method}, but {response['Allow']}."
        return problem(405, "method_not_allowed", words, headers={"Allow": response["Allow"]})

    return hides_secrets(tells_quota(answered))  # type: ignore[return-value]


def by_field(errors: list[dict[str, Any]]) -> dict[str, str]:
    """Return {field: what is wrong} of ninja's or pydantic's list of errors; never the value that was sent."""
    found: dict[str, str] = {}
    for each in errors:
        place = [str(part) for part in each.get("loc", ()) if part not in ("body", "data", "query", "path", "filters")]
        found.setdefault(".".join(place)[:200] or "body", str(each.get("msg", "")).removeprefix("Value error, ")[:300])
    return found
