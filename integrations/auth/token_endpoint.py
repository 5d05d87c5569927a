"""The token endpoint: one grant in, one `Token` out (RFC 6749 §4.1.3, §4.4, §5, §6; RFC 7523 §2.1).

oauthlib writes the requests; the bytes travel through the guarded client. Errors: those of token_answer.py, timeouts
and the like as IntegrationTemporaryError, and ConfigurationError when a setting is missing or unusable: then nothing
was sent.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

from oauthlib.oauth2 import BackendApplicationClient, WebApplicationClient
from oauthlib.oauth2.rfc6749.parameters import prepare_token_request

from integrations.database import clock
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    IntegrationTemporaryError,
)
from integrations.transport.guard.check import check_allowed
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.port import HttpClient
from integrations.transport.recording import bodies_hidden

from .assertion import GRANT_TYPE, assertion
from .spec import OAuth, filled, host_is_configured
from .token import Token
from .token_answer import read

# A token endpoint is quick or in trouble; the lane's lease must outlast it and the request that waits for it.
TIMEOUT_SECONDS = 10.0


class TokenEndpoint:
    """Asks one provider for tokens, for one set of settings.

    Args:
        allowed_hosts: bounds a host that comes from the settings; one that the manifest spells out needs no bounds.
        timeout: seconds for one request; TIMEOUT_SECONDS at most.
    """

    def __init__(
        self,
        oauth: OAuth,
        settings: Mapping[str, Any],
        client: HttpClient,
        *,
        allowed_hosts: Iterable[str] = (),
        timeout: float | None = None,
        now: Callable[[], float] = clock.timestamp,
    ) -> None:
        self.oauth = oauth
        self._settings = settings
        self._client = client
        self._allowed_hosts = tuple(allowed_hosts)
        self._timeout = min(timeout or TIMEOUT_SECONDS, TIMEOUT_SECONDS)
        self._now = now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.oauth.grant})"

    @property
    def client_id(self) -> str:
        return str(self._settings.get("client_id") or "")

    @property
    def client_secret(self) -> str:
        return str(self._settings.get("client_secret") or "")

    def exchange(self, code: str, redirect_uri: str, verifier: str) -> Token:
        """Turn an authorization code into a token (with PKCE)."""
        client = WebApplicationClient(self._needed("client_id"))
        return self._ask(
            client.prepare_request_body(
                code=code, redirect_uri=redirect_uri, code_verifier=verifier, include_client_id=False
            )
        )

    def refresh(self, refresh_token: str) -> Token:
        """Turn a refresh token into a new access token, and perhaps a new refresh token."""
        client = WebApplicationClient(self._needed("client_id"))
        # No scope: that of the grant, exactly (RFC 6749 §6).
        return self._ask(client.prepare_refresh_body(refresh_token=refresh_token, scope=""))

    def client_credentials(self) -> Token:
        """Ask with client id and secret alone."""
        self._needed("client_secret")
        client = BackendApplicationClient(self._needed("client_id"))
        return self._ask(client.prepare_request_body(scope=self.oauth.scope))

    def jwt_bearer(self) -> Token:
        """Ask with a signed assertion, which proves the client too."""
        signed = assertion(self.oauth, self._settings, self.url, self._now())
        body = prepare_token_request(GRANT_TYPE, include_client_id=False, assertion=signed, scope=self.oauth.scope)
        return self._ask(body, identify=False)

    @property
    def url(self) -> str:
        url = filled(self.oauth.token_url, self._settings)
        if host_is_configured(self.oauth.token_url):
            policy = getattr(self._client, "policy", None)
            check_allowed(url, self._allowed_hosts, policy or AddressPolicy.from_conf())
        return url

    def _needed(self, name: str) -> str:
        value = str(self._settings.get(name) or "")
        if not value:
            raise ConfigurationError({name: "missing; the provider wants it for an access token"})
        return value

    def _ask(self, body: str, *, identify: bool = True) -> Token:
        url = self.url
        host = urlsplit(url).hostname or "the provider"
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if identify:
            headers, body = self._identified(headers, body)
        started = self._now()
        try:
            with bodies_hidden():
                response = self._client.request("POST", url, headers=headers, body=body.encode(), timeout=self._timeout)
            problem: IntegrationError | Token = read(response, host, started)
        except IntegrationTemporaryError as error:
            problem = IntegrationTemporaryError(
                f"no access token: {error.message}", code=error.code, retry_after=error.retry_after
            )
        except IntegrationError as error:
            problem = error.with_traceback(None)  # raised below, where no local is secret
        del headers, body
        if isinstance(problem, Token):
            return problem
        raise problem

    def _identified(self, headers: dict[str, str], body: str) -> tuple[dict[str, str], str]:
        """Say which client asks, the way the provider wants it (RFC 6749 §2.3.1)."""
        if self.oauth.client_auth == "header" and self.client_secret:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode()
            return {**headers, "Authorization": f"Basic {b64encode(pair).decode()}"}, body
        body = f"{body}&client_id={quote_plus(self.client_id)}"
        if self.client_secret:
            body = f"{body}&client_secret={quote_plus(self.client_secret)}"
        return headers, body
