"""The API itself: its routers, who may call it, and how problems are told (RFC 9457)."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError
from ninja.errors import ValidationError as WrongRequest

from integrations.api.authentication import KeyAuth, PersonAuth, tells_quota
from integrations.api.body import StorableJSON, Unreadable
from integrations.api.docs_page import DocsPage
from integrations.api_keys.proof import KeyRefused, TooManyRequests
from integrations.errors import ConfigurationError, IntegrationError

from . import (
    audit,
    connector_types,
    deliveries,
    events,
    inbound,
    jobs,
    me,
    pulls,
    pushes,
    settings,
    statistics,
    subscriptions,
)
from .document import completed
from .extend import discovered
from .idempotency import once, remembers
from .problems import Refused, by_field, not_allowed, problem

DESCRIPTION = """
What the console does, for programs. Send an API key as `Authorization: Bearer iok_…`, or use a session with its CSRF
protection. What belongs to another tenant is answered as what does not exist (404).

Lists are read by cursor: follow `next` until it is null. A write with the header `Idempotency-Key` is done once: the
same request again gets the same answer for a day. Settings have an `ETag`. What goes wrong is
`application/problem+json` (RFC 9457), with the wrong fields in `fields`. Every answer to a key or a person says what
is left of their requests (`RateLimit-Remaining`), and where it pays to wait, for how long (`Retry-After`).
"""


class ProblemAPI(NinjaAPI):
    """An API that answers whatever goes wrong with ``application/problem+json``, and whose document says so."""

    def get_openapi_schema(self, **options: Any) -> Any:
        return completed(super().get_openapi_schema(**options))

    @property
    def urls(self) -> Any:
        patterns, *names = super().urls
        for pattern in patterns:
            pattern.callback = not_allowed(pattern.callback)
        return patterns, *names


api = ProblemAPI(
    title="Integrations",
    version="v1",
    description=DESCRIPTION,
    urls_namespace="integrations-api-v1",
    auth=[KeyAuth(), PersonAuth()],
    parser=StorableJSON(),
    docs=DocsPage(),
)
api.add_decorator(tells_quota, mode="view")
api.add_decorator(remembers, mode="view")
api.add_decorator(once, mode="operation")
for prefix, router in (
    ("/integrations", settings.router),  # with what integrations.py has put on it
    ("/integrations", subscriptions.router),
    ("/connector-types", connector_types.router),
    ("", events.router),
    ("/deliveries", deliveries.router),
    ("/jobs", jobs.router),
    ("/inbound", inbound.router),
    ("/pulls", pulls.router),
    ("", pushes.router),
    ("/statistics", statistics.router),
    ("/audit", audit.router),
    ("/me", me.router),
    *discovered(),
):
    api.add_router(prefix, router)


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> Any:
    raise error  # Django's business, whose reports are filtered


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> Any:
    return problem(error.status, error.code, error.detail, error.fields, error.headers)


@api.exception_handler(WrongRequest)
def _wrong(request: HttpRequest, error: WrongRequest) -> Any:
    return problem(422, "wrong_request", "Some of the request is wrong.", by_field(error.errors))


@api.exception_handler(ConfigurationError)
def _wrong_settings(request: HttpRequest, error: ConfigurationError) -> Any:
    return problem(422, error.code, "Some of the request is wrong.", error.problems)


@api.exception_handler(IntegrationError)
def _failed(request: HttpRequest, error: IntegrationError) -> Any:
    return problem(409, error.code, error.message)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> Any:
    return problem(404, "not_found", "There is no such thing, or it belongs to a tenant that is not yours.")


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: PermissionDenied) -> Any:
    return problem(403, "forbidden", str(error) or "You may not do this.")


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> Any:
    response = problem(401, "unauthenticated", "Send an API key, or sign in.")
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(KeyRefused)
def _wrong_key(request: HttpRequest, error: KeyRefused) -> Any:
    response = problem(401, "wrong_api_key", str(error))
    response["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return response


@api.exception_handler(TooManyRequests)
def _too_many(request: HttpRequest, error: TooManyRequests) -> Any:
    return problem(429, "too_many_requests", str(error))


@api.exception_handler(HttpError)
def _other(request: HttpRequest, error: HttpError) -> Any:
    if isinstance(error.__cause__, Unreadable):
        return problem(400, "refused", f"The body cannot be read. {error.__cause__}")
    if error.status_code == 403:  # the one that ninja raises
        words = "A write with a session takes its CSRF token in the header X-CSRFToken. Programs send an API key."
        return problem(403, "forbidden", words)
    return problem(error.status_code, "refused", str(error))


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: RequestDataTooBig) -> Any:
    return problem(400, "refused", f"A body has at most {django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")
