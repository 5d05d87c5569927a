"""How a request proves who we are: headers in, and perhaps a second chance after a 401.

An `Auth` is made for one binding and may be used by several threads.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field


class Auth:
    """No authentication; the base of all schemes."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers of one request; may fetch a token first.

        Raises:
            IntegrationAuthError: the grant is refused: a person must renew it.
            IntegrationTemporaryError, IntegrationRateLimited: the token endpoint is in trouble; the grant is kept.
        """
        return {}

    def require_connection(self) -> None:
        """Do nothing, unless a person must connect it first.

        Raises:
            IntegrationNotConnected: nobody has, or not for these settings; the provider is not asked.
        """

    def renew(self, rejected: Mapping[str, str]) -> bool:
        """After a 401: get something newer than `rejected` (what `headers` gave), and say whether there is."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """Everything that an answer might echo back at us."""
        return ()


@dataclass(frozen=True, slots=True)
class ApiKeyAuth(Auth):
    """A key in a header; never in the address, which everybody logs."""

    key: str = field(repr=False)
    header: str = "X-API-Key"
    prefix: str = ""

    def headers(self) -> Mapping[str, str]:
        return {self.header: f"{self.prefix}{self.key}"}

    def secrets(self) -> tuple[str, ...]:
        return (self.key,)


@dataclass(frozen=True, slots=True)
class BearerAuth(Auth):
    """``Authorization: Bearer …`` (RFC 6750) with a token that does not change by itself."""

    token: str = field(repr=False)
    scheme: str = "Bearer"

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"{self.scheme} {self.token}"}

    def secrets(self) -> tuple[str, ...]:
        return (self.token,)


@dataclass(frozen=True, slots=True)
class BasicAuth(Auth):
    """``Authorization: Basic …`` (RFC 7617), UTF-8."""

    username: str
    password: str = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        pair = f"{self.username}:{self.password}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode()}"}

    def secrets(self) -> tuple[str, ...]:
        return (self.password, f"{self.username}:{self.password}")
