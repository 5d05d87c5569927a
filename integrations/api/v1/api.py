"""The API itself: its routers, who may call it, and how problems are told (RFC 9457)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError
from ninja.errors import ValidationError as WrongRequest

from integrations.api.authentication import KeyAuth, PersonAuth, tells_quota
from integrations.api.body import StorableJSON
from integrations.api_keys.proof import KeyRefused, TooManyRequests
from integrations.credentials.error_reports import hides_secrets
from integrations.errors import ConfigurationError, IntegrationError

from . import audit, deliveries, events, integrations, jobs, received, statistics
from .idempotency import remembers
from .problems import CONTENT_TYPE, Refused, by_field, problem

DESCRIPTION = """
What the console does, for programs. Send an API key as `Authorization: Bearer iok_…`, or use a session with its CSRF
protection. What belongs to another tenant is answered as what does not exist (404).

Lists are read by cursor: follow `next` until it is null. A write with the header `Idempotency-Key` is done once: the
same request again gets the same answer for a day. What goes wrong is `application/problem+json` (RFC 9457), with the
wrong fields in `fields`.
"""


class ProblemAPI(NinjaAPI):
    """An API whose document says that problems are ``application/problem+json``."""

    def get_openapi_schema(self, **options: Any) -> Any:
        schema = super().get_openapi_schema(**options)
        for item in schema["paths"].values():
            for operation in item.values():
                for status, response in operation["responses"].items():
                    content = response.get("content", {})
                    if int(status) >= 400 and "application/json" in content:
                        content[CONTENT_TYPE] = content.pop("application/json")
        return schema


api = ProblemAPI(
    title="Integrations",
    version="v1",
    description=DESCRIPTION,
    urls_namespace="integrations-api-v1",
    auth=[KeyAuth(), PersonAuth()],
    parser=StorableJSON(),
)
api.add_decorator(hides_secrets, mode="view")
api.add_decorator(tells_quota, mode="view")
api.add_decorator(remembers, mode="view")
api.add_router("/deliveries", deliveries.router)
api.add_router("", events.router)
api.add_router("/integrations", integrations.router)
api.add_router("/jobs", jobs.router)
api.add_router("", received.router)
api.add_router("/statistics", statistics.router)
api.add_router("/audit", audit.router)


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> Any:
    raise error  # Django's business, whose reports are filtered


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> Any:
    return problem(error.status, error.code, error.detail, error.fields)


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
    return problem(429, "too_many_requests", "The requests of this API key are used up for this minute.")


@api.exception_handler(HttpError)
def _other(request: HttpRequest, error: HttpError) -> Any:
    return problem(error.status_code, "refused", str(error))
