"""HTTPClient: calls that read like the provider's documentation, on the guarded transport.

    client = HTTPClient(base_url="https://api.github.com", headers={"Authorization": f"Bearer {token}"})
    issue = client.get("/repos/owner/repo/issues/7")

It waits and tries again where that is safe (docs/http-client.md): 0.5, 1, 2 s, three attempts in all. A connector
inside a lane has ``max_retries=1``, since the lane retries. Errors are those of integrations/errors.py. Its log, with
addresses masked and excerpts redacted:

    DEBUG    GET https://api.github.com/repos/owner/repo → 200 in 81 ms
    WARNING  Request failed (attempt 1/3): IntegrationTemporaryError: Server error (HTTP 503). Retrying in 0.5s...
    ERROR    IntegrationAuthError: Authentication failed (HTTP 401): {"message": "Bad credentials"}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from integrations import conf, retry_policy
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
    forgets_locals,
)
from integrations.telemetry import tracing
from integrations.telemetry.logs import Ids, logger_for
from integrations.transport import recording
from integrations.transport.classify import ASKS_TO_WAIT, error_for
from integrations.transport.guard.check import check_allowed, leads_to
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import client as process_client
from integrations.transport.http.middleware import Call, Middleware
from integrations.transport.http.outgoing import (
    Params,
    absolute,
    address_secrets,
    body_of,
    body_secrets,
    header_secrets,
    merged,
    origin,
    with_query,
)
from integrations.transport.port import Gate
from integrations.transport.redaction import mask_headers, redact, shown_url
from integrations.transport.response import Response, parsed_json, whole_body

__all__ = ["Auth", "HTTPClient", "origin", "with_query"]

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 §9.2.2
IDEMPOTENCY_HEADER = "idempotency-key"

Classify = Callable[[Response], IntegrationError | None]
Headers = Mapping[str, str]


class Auth(Protocol):
    """What proves who we are (integrations/auth)."""

    def headers(self) -> Headers: ...

    def renew(self, rejected: Headers) -> bool: ...

    def secrets(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class _Request:
    """One call, ready to be sent as often as it takes."""

    method: str
    url: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    timeout: float | None
    max_bytes: int
    classify: Classify | None
    is_ours: bool  # it goes to the base address's origin, so it gets what authenticates
    shown: str  # the address, masked

    @property
    def is_repeatable(self) -> bool:
        """True if a second copy does no harm: the method says so, or the receiver knows the key."""
        return self.method in IDEMPOTENT or any(
            name.lower() == IDEMPOTENCY_HEADER and value for name, value in self.headers.items()
        )


class HTTPClient:
    """Requests relative to one base address; may be shared by threads.

    Args:
        base_url: what a path is appended to. Its origin (scheme, host, port) is the only one that gets `headers` and
            `auth`; without a base address, nobody does.
        headers: sent with every request to that origin.
        timeout: total seconds for one attempt, 1 to 60; None: the setting TIMEOUT_SECONDS (30).
        max_retries: attempts *in all* (1: never again); None: the setting HTTP_MAX_ATTEMPTS (3).
        name: of the logger, ``<LOGGER_PREFIX>.<name>``.
        client: the guarded client; None: the process's own.
        auth: adds its headers, and may renew them once after a 401.
        allowed_hosts: patterns of hosts; empty: any public one.
        secrets: values that are masked wherever an answer echoes them.
        secret_path: paths are secrets and never logged.
        classify: what a response means; None: the default table of classify.py.
        ids: whose calls they are, for the log.
        gate: what each attempt must pass, and is told of; None: nothing is in the way.
        sleep: for tests.
    """

    def __init__(
        self,
        base_url: str = "",
        headers: Headers | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        *,
        name: str = "http",
        client: Any = None,
        auth: Auth | None = None,
        allowed_hosts: Iterable[str] = (),
        secrets: Iterable[str] = (),
        secret_path: bool = False,
        classify: Classify | None = None,
        ids: Ids | None = None,
        gate: Gate | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url
        self.headers = dict(headers or {})
        self.timeout = timeout
        self.policy = retry_policy.http(max_retries)
        self.logger = logger_for(name, ids)
        self.middleware = Middleware()
        self._client = client
        self._auth = auth
        self._allowed_hosts = tuple(allowed_hosts)
        self._secrets = tuple(secrets)
        self._secret_path = secret_path
        self._classify = classify
        self._gate = gate
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown_url(self.base_url, secret_path=self._secret_path)})"

    # -- calls --------------------------------------------------------------------------------------

    @forgets_locals
    def get(self, path: str, headers: Headers | None = None, params: Params | None = None) -> Any:
        """GET and return the parsed JSON, None for an empty answer."""
        return self.request_json("GET", path, headers=headers, params=params)

    @forgets_locals
    def post(self, path: str, headers: Headers | None = None, json: Any = None, data: Any = None) -> Any:
        """POST `json`, or `data` as a form, and return the parsed JSON, None for an empty answer."""
        return self.parsed(self.send("POST", path, headers=headers, json=json, data=data))

    @forgets_locals
    def patch(self, path: str, headers: Headers | None = None, json: Any = None) -> Any:
        return self.request_json("PATCH", path, headers=headers, json=json)

    @forgets_locals
    def put(self, path: str, headers: Headers | None = None, json: Any = None) -> Any:
        return self.request_json("PUT", path, headers=headers, json=json)

    @forgets_locals
    def delete(self, path: str, headers: Headers | None = None) -> Any:
        return self.request_json("DELETE", path, headers=headers)

    @forgets_locals
    def request_json(
        self,
        method: str,
        url: str,
        *,
        headers: Headers | None = None,
        params: Params | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the parsed JSON of the answer, None if it is empty (204).

        Raises:
            IntegrationTemporaryError: also for a success whose body is cut or no JSON (code ``bad_json``).
            IntegrationPermanentError: the answer is larger than MAX_READ_BYTES (code ``too_large``).
        """
        return self.parsed(self.send(method, url, headers=headers, params=params, json=json, timeout=timeout))

    @forgets_locals
    def request_bytes(
        self,
        method: str,
        url: str,
        *,
        headers: Headers | None = None,
        params: Params | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> bytes | None:
        """Return the body of the answer, None if it is empty; raises as `request_json` does for a cut one."""
        response = self.send(method, url, headers=headers, params=params, json=json, timeout=timeout)
        return whole_body(response) or None

    @staticmethod
    @forgets_locals
    def parsed(response: Response) -> Any:
        """Return the JSON of a successful answer, None if it is empty; raises as `request_json` does."""
        return parsed_json(response)

    # -- the call itself ------------------------------------------------------------------------------

    @forgets_locals
    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Headers | None = None,
        params: Params | None = None,
        json: Any = None,
        data: Any = None,
        timeout: float | None = None,
        max_bytes: int | None = None,
        classify: Classify | None = None,
    ) -> Response:
        """Send, and send again where that is safe; return the successful response.

        Args:
            url: a path below `base_url`, or an absolute address; another origin gets no headers of ours.
            headers: of this call alone; they go where it goes.
            params: appended to the query; None values are left out.
            json: a JSON value. data: a mapping (sent as a form), text or bytes.
            classify: what the answer to this very call means; None: the client's own.
        """
        full = with_query(absolute(self.base_url, url), params)
        target = check_allowed(full, self._allowed_hosts, self._policy)
        body, content_type = body_of(json, data)
        is_ours = leads_to(self.base_url, target, self._policy)
        given = headers or {}
        request = _Request(
            method=method.upper(),
            url=full,
            headers=merged(content_type, {**tracing.header(), **self.headers} if is_ours else {}, given),
            body=body,
            secrets=(
                *header_secrets(given),
                *address_secrets(full, secret_path=self._secret_path),
                *body_secrets(data if json is None else json),
            ),
            timeout=timeout or self.timeout,
            max_bytes=max_bytes or conf.MAX_READ_BYTES,
            classify=classify or self._classify,
            is_ours=is_ours,
            shown=redact(shown_url(full, secret_path=self._secret_path), self.secrets()),
        )
        try:
            response = self._sent(request)
        except IntegrationError as error:
            self.middleware.ended(error)
            raise
        self.middleware.ended(None)
        return response

    def _sent(self, request: _Request) -> Response:
        attempt = 1
        auth = self._auth if request.is_ours else None
        while True:
            result, may_repeat = self._admitted(request, auth, attempt)
            if isinstance(result, Response):
                return result
            wait = self._wait(result, attempt, request) if may_repeat else None
            if wait is None:
                self.logger.error("%s%s", _described(result), f": {result.excerpt}" if result.excerpt else "")
                raise result
            self.logger.warning(
                "Request failed (attempt %s/%s): %s. Retrying in %gs...",
                attempt,
                self.policy.max_attempts,
                _described(result),
                wait,
            )
            self._sleep(wait)
            attempt += 1

    def _admitted(self, request: _Request, auth: Auth | None, attempt: int) -> tuple[Response | IntegrationError, bool]:
        """Try once, if the gate lets us, and once more with renewed credentials; return whether we may try again."""
        if self._gate is None:
            return self._authenticated(request, auth, attempt), True
        try:
            ticket = self._gate.enter()
        except IntegrationError as refusal:
            return refusal, True
        try:
            result = self._authenticated(request, auth, attempt)
        except IntegrationError as error:  # no token was to be had
            self._gate.note(ticket, error)
            raise
        return result, self._gate.note(ticket, result if isinstance(result, IntegrationError) else None)

    def _authenticated(self, request: _Request, auth: Auth | None, attempt: int) -> Response | IntegrationError:
        """Try once, and once more if credentials were refused that can be renewed."""
        credentials = auth.headers() if auth is not None else {}
        result = self._attempt(replace(request, headers=merged(request.headers, credentials)), attempt)
        is_refused = isinstance(result, IntegrationError) and result.status == 401
        if is_refused and auth is not None and credentials and auth.renew(credentials):
            return self._attempt(replace(request, headers=merged(request.headers, auth.headers())), attempt)
        return result

    def _attempt(self, request: _Request, attempt: int) -> Response | IntegrationError:
        started = time.perf_counter()
        if (recorder := recording.current.get()) is not None:
            recorder.secrets += request.secrets
        response: Response | None = None
        result: Response | IntegrationError
        try:
            response = (self._client or process_client()).request(
                request.method,
                request.url,
                headers=request.headers,
                body=request.body,
                timeout=request.timeout,
                max_bytes=request.max_bytes,
            )
            response = replace(response, secrets=(*request.secrets, *self.secrets()))
            if request.classify is not None:
                error = request.classify(response)
            else:
                error = error_for(response, host=urlsplit(request.url).hostname or "?")
            result = error or response
        except IntegrationError as failure:
            result = failure
        duration = round((time.perf_counter() - started) * 1000)
        if response is None:
            self.logger.debug("%s %s got no answer in %s ms", request.method, request.shown, duration)
        else:
            self.logger.debug("%s %s → %s in %s ms", request.method, request.shown, response.status, duration)
        if not self.middleware.is_empty:
            call = Call(request.method, request.shown, attempt, duration, mask_headers(request.headers))
            if response is not None:
                self.middleware.responded(call, response)
            if isinstance(result, IntegrationError):
                self.middleware.failed(call, result)
        return result

    def secrets(self) -> tuple[str, ...]:
        """Everything that any answer might echo: what was given, what authenticates, and our header values."""
        own = self._auth.secrets() if self._auth is not None else ()
        return (*self._secrets, *own, *header_secrets(self.headers))

    def _wait(self, error: IntegrationError, attempt: int, request: _Request) -> float | None:
        """Return the seconds until the next attempt, None: there is none."""
        if not isinstance(error, IntegrationTemporaryError | IntegrationRateLimited):
            return None
        was_refused = isinstance(error, IntegrationRateLimited) or (
            error.status in ASKS_TO_WAIT and error.retry_after is not None
        )
        if not (request.is_repeatable or was_refused or not error.was_sent):
            return None  # it may have arrived: once more could be one too many
        if retry_policy.wished_seconds(error) > conf.HTTP_WAIT_CAP_SECONDS:
            return None  # somebody waits for us: they shall decide
        return self.policy.delay(attempt, error, 0.0)

    @property
    def _policy(self) -> AddressPolicy:
        policy = getattr(self._client, "policy", None)
        return policy if isinstance(policy, AddressPolicy) else AddressPolicy.from_conf()


_WORDS: tuple[tuple[type[IntegrationError], str], ...] = (
    (IntegrationAuthError, "Authentication failed"),
    (IntegrationRateLimited, "Rate limit exceeded"),
    (IntegrationTemporaryError, "Server error"),
    (IntegrationPermanentError, "Request refused"),
)


def _described(error: IntegrationError) -> str:
    """Return ``IntegrationTemporaryError: Server error (HTTP 503)``: no host, no body."""
    words = error.message
    if error.status is not None:
        words = next((text for kind, text in _WORDS if isinstance(error, kind)), "Request failed")
        words = f"{words} (HTTP {error.status})"
    return f"{type(error).__name__}: {words}"
