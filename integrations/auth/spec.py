"""How a connector gets its access tokens, as its manifest says it (RFC 6749, RFC 7523, RFC 7636)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as _Field

from integrations.errors import ConfigurationError

_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


_NOT_REPEATED = frozenset({"openid", "profile", "email", "offline_access", "refresh_token", ".default"})


class OAuth(BaseModel):
    """How a connector gets its access tokens (RFC 6749, RFC 7523).

    Addresses may hold ``{field}``, filled from the configuration: a field at the very start is a base address
    (``{login_url}/token``), one anywhere else is a value and is percent-encoded, so that it cannot change the host.

    The configuration's fields have fixed names: ``client_id``, ``client_secret``, ``refresh_token`` (a first one, from
    elsewhere), and for assertions ``private_key`` (PEM), ``key_id``, ``issuer``, ``subject``.

    Attributes:
        grant: ``authorization_code`` (a person agrees, with PKCE), ``client_credentials``, or ``jwt_bearer`` (a
            signed assertion).
        scopes: exactly what is asked for, nothing more (least privilege).
        scope_separator: between scopes on the wire.
        client_auth: where client id and secret go: ``header`` (Basic) or ``body``.
        audience: the ``aud`` of an assertion; empty: the token address.
        lifetime: seconds an assertion is valid; providers set the limit.
        extra: further parameters of the authorize address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    grant: Literal["authorization_code", "client_credentials", "jwt_bearer"]
    token_url: str
    authorize_url: str = ""
    scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    client_auth: Literal["header", "body"] = "body"
    audience: str = ""
    lifetime: int = _Field(default=180, ge=30, le=3600)
    extra: dict[str, str] = {}

    @model_validator(mode="after")
    def _complete(self) -> OAuth:
        if self.grant == "authorization_code" and not self.authorize_url:
            raise ValueError("authorization_code needs an authorize_url")
        return self

    @property
    def scope(self) -> str:
        """The scopes as they go on the wire."""
        return self.scope_separator.join(self.scopes)

    def not_in(self, granted: str) -> tuple[str, ...]:
        """Return the scopes that were asked for and are not in `granted`, as the provider wrote it.

        A provider may leave out where a scope belongs (Microsoft), and need not repeat those of the sign-in itself.
        """
        found = {scope.rpartition("/")[2] for scope in re.split(r"[\s,]+", granted.replace(self.scope_separator, " "))}
        return tuple(
            scope
            for scope in self.scopes
            if (name := scope.rpartition("/")[2]) not in found and name not in _NOT_REPEATED
        )


def filled(template: str, settings: Mapping[str, Any]) -> str:
    """Return `template` with every ``{field}`` replaced.

    Raises:
        ConfigurationError: a field that the address needs is empty.
    """

    def value_of(place: re.Match[str]) -> str:
        value = str(settings.get(place[1]) or "").strip()
        if not value:
            raise ConfigurationError({place[1]: "missing; the provider's address needs it"})
        return value.rstrip("/") if place.start() == 0 else quote(value, safe="")

    return _PLACE.sub(value_of, template)


def host_is_configured(template: str) -> bool:
    """Tell whether a ``{field}`` decides which host `template` leads to."""
    scheme, _, rest = template.rpartition("://")
    return "{" in scheme + rest.partition("/")[0]
