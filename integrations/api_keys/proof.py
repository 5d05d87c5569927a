"""Find the API key that a request proves by its header, and count its use.

A key that nobody has costs what a key costs: one look by the prefix, one comparison of digests. What is wrong with a
key is told only to who presented the right one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Q
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from integrations import conf, per_minute
from integrations.database import clock
from integrations.tenancy.tenant import present

from .models import APIKey
from .token import is_same, read_token

_NOBODYS = "0" * 64
NOTED_SECONDS = 60  # between two notes of the last use


class KeyRefused(Exception):
    """The key proves nothing; the message says what its holder may know."""


class TooManyRequests(Exception):
    """The requests of this minute are used up; the message says whose."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key, or a person, may still do in this minute.

    Attributes:
        seconds: until the next minute.
    """

    limit: int
    left: int
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """As the response says it."""
        values = {"Limit": self.limit, "Remaining": max(self.left, 0), "Reset": self.seconds}
        return {f"RateLimit-{name}": str(value) for name, value in values.items()}


def presented(request: HttpRequest) -> str | None:
    """Return the key that `request` brings as ``Authorization: Bearer …``; None: it brings no such header.

    A header of another scheme is for somebody else, such as a proxy that asks for a password.
    """
    scheme, _, value = request.headers.get("Authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


@sensitive_variables()
def prove(text: str) -> APIKey:
    """Return the key that `text` is.

    Raises:
        KeyRefused: it is none, or not taken any more.
    """
    token = read_token(text)
    # A queryset of its own: what is said of one tenant meanwhile must not hide whose key it is.
    key = APIKey.unannounced.filter(prefix=token.prefix).select_related("tenant").first()
    if not is_same(token.digest, key.digest if key is not None else _NOBODYS) or key is None:
        raise KeyRefused("There is no such API key.")
    if problem := key.why_not():
        raise KeyRefused(f"This API key was {problem}." if key.revoked_at else f"This API key {problem}.")
    if not present().filter(pk=key.tenant_id).exists():
        raise KeyRefused("The tenant of this API key is being deleted.")
    return key


def take_quota(key: APIKey) -> Quota:
    """Count one request of `key` and return what is left; `left` is below 0 if it was one too many."""
    return _taken(f"api-key:{key.pk}", conf.API_KEY_PER_MINUTE)


def take_quota_of_person(user: Any) -> Quota:
    """Count one request of somebody who is signed in, whichever session it comes with; as `take_quota`."""
    return _taken(f"api-person:{user.pk}", conf.API_PERSON_PER_MINUTE)


def _taken(whose: str, limit: int) -> Quota:
    return Quota(limit, limit - (per_minute.count(whose) or 0), per_minute.seconds_left())


def note_use(key: APIKey, address: str) -> None:
    """Write down when and from where `key` was used; at most once a minute, whoever asks."""
    now = clock.now()
    before = now - timedelta(seconds=NOTED_SECONDS)
    if key.last_used_at is not None and key.last_used_at > before:
        return
    if not _is_first(key):
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=before)
    APIKey.unannounced.filter(stale, pk=key.pk).update(last_used_at=now, last_used_from=address[:45])


def _is_first(key: APIKey) -> bool:
    """Tell whether nobody else is about to write it: a hundred requests at once must not queue for one row."""
    try:
        return bool(cache.add(f"integrations:api-key-used:{key.pk}", 1, NOTED_SECONDS // 2))
    except Exception:  # whatever a cache's client library throws
        return True
