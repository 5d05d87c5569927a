"""Authenticate callers of the API: ``Authorization: Bearer iok_…``, or a session of Django with its CSRF protection.

A key goes before a session: whoever sends one means it, and a wrong one is refused even where a person is signed in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase
from ninja.security import SessionAuth
from ninja.security.base import AuthBase

from integrations.acting import address_of
from integrations.api_keys.proof import (
    KeyRefused,
    Quota,
    TooManyRequests,
    note_use,
    presented,
    prove,
    take_quota,
    take_quota_of_person,
)

from .caller import Caller, Person, Program

_QUOTA = "_api_quota"


class KeyAuth(AuthBase):
    """A program that sends an API key."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Caller | None:
        text = presented(request)
        if text is None:
            return None
        request.user = AnonymousUser()  # whoever is signed in in the same browser has nothing to do with it
        key = prove(text)
        request.audit_actor = (key.actor, "")  # type: ignore[attr-defined]
        _note(request, take_quota(key), "this API key")
        note_use(key, address_of(request.META) or "")
        return Program(key)


class PersonAuth(SessionAuth):
    """Somebody who is signed in."""

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user = super().authenticate(request, key)
        if not user:
            return None
        _note(request, take_quota_of_person(user), "your account")
        return Person(user)


def _note(request: HttpRequest, quota: Quota, whose: str) -> None:
    """Keep what is left for the answer.

    Raises:
        TooManyRequests: it was one too many.
    """
    setattr(request, _QUOTA, quota)
    if quota.left < 0:
        raise TooManyRequests(f"The requests of {whose} are used up for this minute.")


def count_caller(request: HttpRequest) -> None:
    """Count a request that no operation answers, if one knows who calls: its answer says what is left, too."""
    with suppress(KeyRefused, TooManyRequests):
        KeyAuth()(request) or PersonAuth().authenticate(request, None)


class Anybody(AuthBase):
    """Nobody in particular, for what is public; comes last."""

    openapi_type = "http"

    def __call__(self, request: HttpRequest) -> str:
        return "anybody"


def tells_quota(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view of the API: a response says what the key, or the person, may still do in this minute."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        quota: Quota | None = getattr(request, _QUOTA, None)
        if quota is not None:
            for name, value in quota.headers.items():
                response.headers[name] = value
            if quota.left < 0:
                response.headers["Retry-After"] = str(quota.seconds)
        return response

    return answered
