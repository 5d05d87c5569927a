"""OAuth2: an access token in a header, always a fresh one, obtained by exactly one of those who need it.

In: the manifest's `OAuth`, the settings, a token store, the guarded client. Out: headers, or the errors of
token_endpoint.py. A token is renewed a little before it ends, and once after a 401. Whoever renews holds the store's
lock and reads again inside it: the others find the new token there and ask nobody. A rotated refresh token is durable
before the access token that came with it is used.

One window stays (docs/oauth.md): a crash after the provider's answer and before the save loses a rotated refresh token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from integrations.database import clock
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationNotConnected,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.transport.port import HttpClient

from .scheme import Auth
from .spec import OAuth
from .token import LockedTokens, Token, TokenStore
from .token_endpoint import TokenEndpoint

MARGIN_SECONDS = 60.0
IDENTITY = ("client_id", "issuer", "subject", "refresh_token")  # another one of these is another grant
DESTINATIONS = ("base_url", "url")  # tokens do not follow an address to another server (docs/adr/0012)
SECRETS = ("client_secret", "private_key", "key_id")  # rotated without asking anybody to agree again


class OAuth2(Auth):
    """Bearer tokens by one of the grants of `OAuth`.

    Args:
        tokens: where the grant lives; shared by all processes that use it.
        client: the guarded client (``request``).
        now: the clock, seconds since the epoch.
        margin: how many seconds before its end a token is renewed.
        allowed_hosts, timeout: see `TokenEndpoint`.
    """

    def __init__(
        self,
        oauth: OAuth,
        settings: Mapping[str, Any],
        tokens: TokenStore,
        client: HttpClient,
        *,
        now: Callable[[], float] = clock.timestamp,
        margin: float = MARGIN_SECONDS,
        allowed_hosts: Iterable[str] = (),
        timeout: float | None = None,
    ) -> None:
        self._endpoint = TokenEndpoint(oauth, settings, client, allowed_hosts=allowed_hosts, timeout=timeout, now=now)
        self._settings = settings
        self._tokens = tokens
        self._now = now
        self._margin = margin
        self._made_with = fingerprint(oauth, settings)
        self._lock = threading.Lock()  # of this process's threads, so that they do not crowd the store's
        self._current: Token | None = None
        self._failure: IntegrationError | None = None
        self._failed_at = 0.0
        self._seen: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.oauth.grant})"

    def headers(self) -> Mapping[str, str]:
        current = self._current
        if current is None or not self._is_fresh(current):
            current = self._renewed(rejected="")
        return {"Authorization": f"Bearer {current.access_token}"}

    def require_connection(self) -> None:
        if self._endpoint.oauth.grant != "authorization_code" or self._current is not None:
            return
        stored = self._tokens.load()
        token = self._usable(stored)
        if not (self._kept(token, rejected="") or self._refresh_token(token)):
            raise _not_connected(stored)

    def renew(self, rejected: Mapping[str, str]) -> bool:
        old = rejected.get("Authorization", "").removeprefix("Bearer ")
        if self._endpoint.oauth.grant == "authorization_code" and not self._refresh_token(self._load()):
            return False  # nothing to renew it with: the 401 stands
        return self._renewed(rejected=old).access_token != old

    def secrets(self) -> tuple[str, ...]:
        own = (str(self._settings.get(name) or "") for name in (*SECRETS, "refresh_token") if name != "key_id")
        return tuple(value for value in (*own, *self._seen) if value)

    def _renewed(self, *, rejected: str) -> Token:
        """Return a fresh token that is not `rejected`: the one that somebody else got meanwhile, or a new one."""
        began = time.monotonic()
        with self._lock:
            if self._failure is not None and self._failed_at >= began:
                raise copy(self._failure)  # it came while we waited: one question is enough for all of us
            try:
                token = self._found_or_new(rejected)
            except (IntegrationAuthError, IntegrationRateLimited, IntegrationTemporaryError) as error:
                self._failure, self._failed_at = copy(error), time.monotonic()
                raise
            self._current = token
            self._seen = tuple(dict.fromkeys((*self._seen[-4:], token.access_token, token.refresh_token)))
            return token

    def _found_or_new(self, rejected: str) -> Token:
        if token := self._kept(self._load(), rejected):
            return token
        with self._tokens.exclusive() as locked:
            found = locked.load()
            stored = self._usable(found)
            if token := self._kept(stored, rejected):
                return token
            token = self._asked(stored, locked, found)
            locked.save(token)
            return token

    def _kept(self, token: Token | None, rejected: str) -> Token | None:
        return token if token and self._is_fresh(token) and token.access_token != rejected else None

    def _asked(self, stored: Token | None, locked: LockedTokens, found: Token | None) -> Token:
        try:
            return self._new(stored, found)
        except IntegrationError as error:
            failure = error.with_traceback(None)  # the frames below hold secrets, which reporters would show
        if isinstance(failure, IntegrationAuthError) and (failure.is_refusal or found is not None):
            locked.refuse(failure.message)
        raise failure

    def _new(self, stored: Token | None, found: Token | None) -> Token:
        endpoint = self._endpoint
        if endpoint.oauth.grant == "client_credentials":
            token = endpoint.client_credentials()
        elif endpoint.oauth.grant == "jwt_bearer":
            token = endpoint.jwt_bearer()
        else:
            refresh_token = self._refresh_token(stored)
            if not refresh_token:
                raise _not_connected(found)
            token = endpoint.refresh(refresh_token)
            # No new one: the old one stays valid (RFC 6749 §6). No scope: as before (§5.1).
            token = replace(
                token,
                refresh_token=token.refresh_token or refresh_token,
                scope=token.scope or (stored.scope if stored else ""),
            )
        return replace(token, made_with=self._made_with)

    def _refresh_token(self, stored: Token | None) -> str:
        return (stored.refresh_token if stored else "") or str(self._settings.get("refresh_token") or "")

    def _load(self) -> Token | None:
        return self._usable(self._tokens.load())

    def _usable(self, token: Token | None) -> Token | None:
        """Return what `token` is still good for: nothing for another client, its refresh token after a new secret."""
        if token is None or token.made_with == self._made_with:
            return token
        if token.made_with.partition(".")[0] == self._made_with.partition(".")[0]:
            return replace(token, access_token="")
        return None

    def _is_fresh(self, token: Token) -> bool:
        return token.is_fresh(self._now(), self._margin)


def _not_connected(found: Token | None) -> IntegrationNotConnected:
    if found is None:
        return IntegrationNotConnected("not connected yet; press Connect on its page", was_sent=False)
    return IntegrationNotConnected("the access has ended; press Connect on its page again", was_sent=False)


def fingerprint(oauth: OAuth, settings: Mapping[str, Any]) -> str:
    """Return ``identity.everything``: which grant `settings` mean, and the same with the secrets that prove it."""
    places = sorted((name, str(value)) for name, value in settings.items() if f"{{{name}}}" in oauth.token_url)
    places += [(name, _origin(str(settings.get(name) or ""))) for name in DESTINATIONS]
    identity = [oauth.grant, oauth.token_url, places, [str(settings.get(name) or "") for name in IDENTITY]]
    everything = [identity, oauth.scope, oauth.audience, [str(settings.get(name) or "") for name in SECRETS]]
    return ".".join(sha256(repr(part).encode("utf-8", "surrogatepass")).hexdigest() for part in (identity, everything))


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.netloc}".lower()
