"""The token endpoint: one grant in, one `Token` out (RFC 6749 §4.1.3, §4.4, §5, §6; RFC 7523 §2.1).

oauthlib writes the requests and reads the answers; the bytes travel through the guarded client. No message repeats
anything of an answer: they hold secrets. Where a provider does not answer with JSON, as the RFC has it, a form
(``error=invalid_grant``) or the bare word says as much: a grant that is dead must not look like a provider in trouble.

    Token                       200 with an access token that a header can carry
    ConfigurationError          a setting is missing or unusable; nothing was sent
    IntegrationAuthError        it refuses: ``code`` is the OAuth error word; a person must act
    IntegrationRateLimited      429
    IntegrationTemporaryError   5xx, redirects, timeouts, anything that is no OAuth answer: the grant may be fine
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

from oauthlib.oauth2 import BackendApplicationClient, WebApplicationClient
from oauthlib.oauth2.rfc6749.errors import OAuth2Error
from oauthlib.oauth2.rfc6749.parameters import parse_token_response, prepare_token_request

from integrations.database import clock
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.transport.classify import error_for
from integrations.transport.guard.check import check_allowed
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.port import HttpClient
from integrations.transport.recording import bodies_hidden
from integrations.transport.response import Response

from .assertion import GRANT_TYPE, assertion
from .spec import OAuth, filled, host_is_configured
from .token import Token

# A token endpoint is quick or in trouble; the lane's lease must outlast it and the request that waits for it.
TIMEOUT_SECONDS = 10.0

MAX_FIELDS = 50
_FORM = re.compile(r"[A-Za-z_.]+=\S*")
LONGEST_LIFE = 10 * 365 * 86400.0  # seconds; a provider that says more means "for ever"

# What a person can do about each word of RFC 6749 §5.2 and OpenID Connect Core §3.1.2.6.
ADVICE = {
    "invalid_grant": "the grant has expired or was withdrawn; connect again",
    "invalid_client": "client id or client secret are wrong",
    "unauthorized_client": "this client may not use this grant; change that at the provider",
    "invalid_scope": "the provider does not know a scope, or does not allow it",
    "unsupported_grant_type": "the provider does not offer this grant",
    "invalid_request": "the provider does not understand the request; check the settings",
    "access_denied": "the provider denied access",
    "consent_required": "a person must agree; connect again",
    "interaction_required": "a person must agree; connect again",
    "login_required": "a person must log in; connect again",
}
PASSING = frozenset({"server_error", "temporarily_unavailable", "slow_down"})


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
            problem: IntegrationError | Token = _read(response, host, started)
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


def _read(response: Response, host: str, started: float) -> Token | IntegrationError:
    """Return the token in `response`, or the error that it stands for."""
    if response.status == 429 or response.status >= 500:
        return _in_trouble(response, host)
    answer = _object(response)
    word = _error_word(answer)
    if word in PASSING:
        return IntegrationTemporaryError(f"no access token: {host} is in trouble ({word})", code=word)
    if word in ADVICE or response.status == 401 or (word and response.status in (200, 400)):
        word = word if word in ADVICE else "token_refused"  # theirs may be anything
        advice = ADVICE.get(word, "check the settings, or connect again")
        return IntegrationAuthError(f"no access token from {host}: {advice}", code=word)
    token = None
    if 200 <= response.status < 300 and answer is not None and not response.body_cut:
        token = _token(answer, started)
    return token or IntegrationTemporaryError(
        f"no access token: {host} answered {response.status} with something else", code="token_garbage"
    )


def _in_trouble(response: Response, host: str) -> IntegrationError:
    error = error_for(Response(response.status, response.headers, b""), host=host)
    kind = IntegrationRateLimited if isinstance(error, IntegrationRateLimited) else IntegrationTemporaryError
    return kind(
        f"no access token: {host} answered {response.status}",
        code=error.code if error else None,
        retry_after=error.retry_after if error else None,
    )


def _object(response: Response) -> dict[str, Any] | None:
    """Return what the answer says: a JSON object, a form, or one of the words alone."""
    text = response.body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if not isinstance(value, str):
        return value if isinstance(value, dict) else None
    word = value.strip().rstrip(".").lower()
    if word in ADVICE or word in PASSING:
        return {"error": word}
    is_form = _FORM.fullmatch(value) and value.count("&") < MAX_FIELDS
    fields = dict(parse_qsl(value)) if is_form else {}
    return fields if fields.keys() & {"error", "access_token"} else None


def _error_word(answer: dict[str, Any] | None) -> str:
    """Return the OAuth error word of `answer`; some providers send it with a status of 200."""
    said = answer.get("error") if answer else None
    if isinstance(said, dict):  # some put it one level deeper
        known = [word for word in said.values() if isinstance(word, str) and (word in ADVICE or word in PASSING)]
        said = known[0] if known else said
    if not said:
        return ""
    try:
        parse_token_response(json.dumps({"error": said}))
    except OAuth2Error as error:
        return str(error.error)
    return ""


def _token(answer: dict[str, Any], started: float) -> Token | None:
    """Return the token of a successful `answer`, None if there is none that a header could carry."""
    life = _seconds(answer.get("expires_in"))
    wanted = ("access_token", "token_type", "refresh_token", "scope")
    texts = {name: answer[name] for name in wanted if isinstance(answer.get(name), str)}
    if isinstance(scopes := answer.get("scope"), list):
        texts["scope"] = " ".join(scope for scope in scopes if isinstance(scope, str))
    try:
        found = parse_token_response(json.dumps(texts))
    except OAuth2Error:
        return None
    access, refresh = found["access_token"], found.get("refresh_token", "")
    if not access or not all(text.isascii() and text.isprintable() for text in (access, refresh)) or " " in access:
        return None
    return Token(
        access_token=access,
        token_type=found.get("token_type") or "Bearer",
        expires_at=None if life is None else started + life,
        refresh_token=refresh,
        scope=texts.get("scope", ""),
        issued_at=started,
    )


def _seconds(value: Any) -> float | None:
    """Return a usable ``expires_in``: a number or one written as text; 0, less, and nonsense mean "not said"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return LONGEST_LIFE if isinstance(value, int) and value > 0 else None
    if math.isnan(seconds) or seconds <= 0:
        return None
    return min(seconds, LONGEST_LIFE)
