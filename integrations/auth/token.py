"""An OAuth access token, and where tokens are kept between two requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """What a token endpoint gave us.

    Attributes:
        expires_at: seconds since the epoch; None: the provider did not say.
        refresh_token: "" if there is none.
        scope: what was granted, as the provider wrote it.
        issued_at: when it was asked for, seconds since the epoch.
        made_with: a fingerprint of the settings that it was obtained with (oauth2.py).
    """

    access_token: str = field(repr=False)
    token_type: str = "Bearer"  # noqa: S105 - the type's name (RFC 6750)
    expires_at: float | None = None
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    issued_at: float | None = None
    made_with: str = field(default="", repr=False)

    def is_fresh(self, now: float, margin: float) -> bool:
        """Tell whether it may still be used for `margin` seconds from `now`; of a short life, a quarter is enough."""
        if not self.access_token:
            return False
        if self.expires_at is None:
            return True
        if self.issued_at is not None:
            margin = min(margin, (self.expires_at - self.issued_at) / 4)
        return self.expires_at - margin > now


class LockedTokens(Protocol):
    """The store while nobody else may change it."""

    def load(self) -> Token | None: ...

    def save(self, token: Token) -> None:
        """Make `token` durable: after this returns it survives a crash, and only then may it be used."""

    def refuse(self, reason: str) -> None:
        """Note that the provider refuses the grant, for the people who must renew it; nothing is deleted."""


class TokenStore(Protocol):
    """Where one grant lives. Reading needs no lock; changing does, or two would spend one refresh token."""

    def load(self) -> Token | None: ...

    def exclusive(self) -> AbstractContextManager[LockedTokens]: ...


class MemoryTokens:
    """A store for one process: tests, and connectors without an integration behind them."""

    def __init__(self, token: Token | None = None) -> None:
        self._token = token
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def load(self) -> Token | None:
        return self._token

    def save(self, token: Token) -> None:
        self._token = token

    def refuse(self, reason: str) -> None:
        """Nobody looks here."""

    @contextmanager
    def exclusive(self) -> Iterator[MemoryTokens]:
        with self._lock:
            yield self


@lru_cache(maxsize=256)
def process_tokens(fingerprint: str) -> MemoryTokens:
    """Return this process's store for the settings with `fingerprint`: who has other secrets gets another one."""
    return MemoryTokens()
