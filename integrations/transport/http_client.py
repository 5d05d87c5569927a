"""HTTPClient: calls that read like the provider's documentation, on the guarded transport (seeds/004 §3).

    client = HTTPClient(base_url="https://api.github.com", headers={"Authorization": f"Bearer {token}"})
    issue = client.get("/repos/owner/repo/issues/7")

It waits and tries again where that is safe (docs/http-client.md): 0.5, 1, 2 s, three attempts in all. A connector
inside a lane has ``max_retries=1``, since the lane retries. Errors are those of integrations/errors.py.
"""

from __future__ import annotations

import json as json_module
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urljoin, urlsplit

from integrations import conf, retry_policy
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.logs import logger_for

from .allowed_hosts import check_allowed
from .classify import error_for
from .client import GuardedClient
from .middleware import Call, Middleware
from .policy import AddressPolicy
from .process_client import client as process_client
from .redaction import mask_headers, shown_url
from .response import Response

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 §9.2.2
IDEMPOTENCY_HEADER = "idempotency-key"

_WORDS: tuple[tuple[type[IntegrationError], str], ...] = (
    (IntegrationAuthError, "Authentication failed"),
    (IntegrationRateLimited, "Rate limit exceeded"),
    (IntegrationTemporaryError, "Server error"),
    (IntegrationPermanentError, "Request refused"),
)


class Auth(Protocol):
    """What proves who we are (integrations/auth)."""

    def headers(self) -> Mapping[str, str]: ...

    def renew(self, rejected: Mapping[str, str]) -> bool: ...

    def secrets(self) -> tuple[str, ...]: ...


class HTTPClient:
    """Requests relative to one base address.

    Args:
        base_url: what a path is appended to. Its origin is the only one that gets `headers` and `auth`; without one
            every address does.
        headers: sent with every request to that origin.
        timeout: total seconds for one attempt, 1 to 60.
        max_retries: attempts *in all* (1: never again), as seeds/004 counts; None: the setting HTTP_MAX_ATTEMPTS.
        name: of the logger, ``<LOGGER_PREFIX>.<name>``.
        client: the guarded client; None: the process's own.
        auth: adds its headers, and may renew them once after a 401.
        allowed_hosts: patterns of hosts; empty: any public one.
        secrets: values that are masked wherever an answer echoes them.
        secret_path: paths are secrets and never logged.
        classify: what a response means; None: the default table of classify.py.
        sleep: for tests.
    """

    def __init__(
        self,
        base_url: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 30.0,
        max_retries: int | None = None,
        *,
        name: str = "http",
        client: Any = None,
        auth: Auth | None = None,
        allowed_hosts: Iterable[str] = (),
        secrets: Iterable[str] = (),
        secret_path: bool = False,
        classify: Callable[[Response], IntegrationError | None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url
        self.headers = dict(headers or {})
        self.timeout = timeout
        self.policy = retry_policy.http(max_retries)
        self.logger = logger_for(name)
        self.middleware = Middleware()
        self._client = client
        self._auth = auth
        self._allowed_hosts = tuple(allowed_hosts)
        self._secrets = tuple(secrets)
        self._secret_path = secret_path
        self._classify = classify
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown_url(self.base_url, secret_path=self._secret_path)})"

    # -- as seeds/004 names them --------------------------------------------------------------------

    def get(self, path: str, headers: Mapping[str, str] | None = None, params: Mapping[str, Any] | None = None) -> Any:
        """GET and return the parsed JSON, None for an empty answer."""
        return self.request_json("GET", path, headers=headers, params=params)

    def post(self, path: str, headers: Mapping[str, str] | None = None, json: Any = None, data: Any = None) -> Any:
        """POST `json`, or `data` as a form, and return the parsed JSON, None for an empty answer."""
        return self.parsed(self.send("POST", path, headers=headers, json=json, data=data))

    def patch(self, path: str, headers: Mapping[str, str] | None = None, json: Any = None) -> Any:
        return self.request_json("PATCH", path, headers=headers, json=json)

    def put(self, path: str, headers: Mapping[str, str] | None = None, json: Any = None) -> Any:
        return self.request_json("PUT", path, headers=headers, json=json)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        return self.request_json("DELETE", path, headers=headers)

    def request_json(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the parsed JSON of the answer, None if it is empty (204).

        Raises:
            IntegrationTemporaryError: also for a success whose body is cut or no JSON (code ``bad_json``).
            IntegrationPermanentError: the answer is larger than MAX_READ_BYTES (code ``too_large``).
        """
        return self.parsed(self.send(method, url, headers=headers, params=params, json=json, timeout=timeout))

    def request_bytes(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> bytes | None:
        """Return the body of the answer, None if it is empty; raises as `request_json` does for a cut one."""
        response = self.send(method, url, headers=headers, params=params, json=json, timeout=timeout)
        return self._whole(response).body or None

    # -- the call itself ------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Any = None,
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """Send, and send again where that is safe; return the successful response.

        Args:
            url: a path below `base_url`, or an absolute address; another origin gets no headers of ours.
            params: appended to the query; None values are left out.
            json: a JSON value. data: a mapping (sent as a form), text or bytes.
        """
        try:
            return self._send(method.upper(), url, headers, params, _body(json, data), timeout, max_bytes)
        except IntegrationError as error:
            failure = error
        # Reporters show the locals of every frame that an error has passed: what is secret must not be in one.
        del url, headers, params, json, data
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None) from None

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        params: Mapping[str, Any] | None,
        content: tuple[bytes, dict[str, str]],
        timeout: float | None,
        max_bytes: int | None,
    ) -> Response:
        full = with_query(self._absolute(url), params)
        check_allowed(full, self._allowed_hosts, self._policy)
        body, content_type = content
        is_ours = origin(full) == origin(self.base_url) if self.base_url else True
        ready = {**content_type, **(self.headers if is_ours else {}), **(headers or {})}
        is_safe = method in IDEMPOTENT or any(name.lower() == IDEMPOTENCY_HEADER for name in ready)
        shown = shown_url(full, secret_path=self._secret_path)
        attempt, renewed = 1, False
        while True:
            credentials = self._auth.headers() if self._auth is not None and is_ours else {}
            error, response = self._attempt(
                method, full, {**ready, **credentials}, body, shown, attempt, timeout, max_bytes
            )
            if error is None:
                assert response is not None  # noqa: S101 - one of the two is always there
                return response
            if error.status == 401 and credentials and not renewed and self._auth and self._auth.renew(credentials):
                renewed = True
                continue
            wait = self._wait(error, attempt, is_safe)
            if wait is None:
                self._log_failure(error)
                raise error
            self._log_retry(error, attempt, wait)
            self._sleep(wait)
            attempt += 1

    @property
    def _policy(self) -> AddressPolicy:
        policy = getattr(self._client, "policy", None)
        return policy if isinstance(policy, AddressPolicy) else AddressPolicy.from_conf()

    def _attempt(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes,
        shown: str,
        attempt: int,
        timeout: float | None,
        max_bytes: int | None,
    ) -> tuple[IntegrationError | None, Response | None]:
        client: GuardedClient = self._client or process_client()
        started = time.perf_counter()
        response = None
        try:
            response = client.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=timeout or self.timeout,
                max_bytes=max_bytes or conf.MAX_READ_BYTES,
            )
            error = self._meaning(response, url)
        except IntegrationError as failure:
            error = failure
        duration = round((time.perf_counter() - started) * 1000)
        if not self.middleware.is_empty:
            call = Call(method, shown, attempt, duration, mask_headers(headers))
            if response is not None:
                self.middleware.responded(call, response)
            if error is not None:
                self.middleware.failed(call, error)
        if error is None and response is not None:
            self.logger.debug("%s %s → %s in %s ms", method, shown, response.status, duration)
        else:
            self.logger.debug("%s %s failed after %s ms", method, shown, duration)
        return error, response

    def _meaning(self, response: Response, url: str) -> IntegrationError | None:
        if self._classify is not None:
            return self._classify(response)
        return error_for(response, host=urlsplit(url).hostname or "?", secrets=self.secrets())

    def secrets(self) -> tuple[str, ...]:
        """Everything that an answer might echo: what was given, what authenticates, and our header values."""
        own = self._auth.secrets() if self._auth is not None else ()
        values = (value for name, value in self.headers.items() if mask_headers({name: value})[name] != value)
        return (*self._secrets, *own, *values)

    def _wait(self, error: IntegrationError, attempt: int, is_safe: bool) -> float | None:
        """Return the seconds until the next attempt, None: there is none."""
        refused = isinstance(error, IntegrationRateLimited) or (error.status == 503 and error.retry_after is not None)
        if not isinstance(error, IntegrationTemporaryError | IntegrationRateLimited):
            return None
        if not (is_safe or refused or not error.was_sent):
            return None  # it may have arrived: once more could be one too many
        delay = self.policy.delay(attempt, error, 0.0)
        if delay is None or max(delay, error.retry_after or 0.0) > conf.HTTP_WAIT_CAP_SECONDS:
            return None
        return delay

    def _absolute(self, url: str) -> str:
        if urlsplit(url).scheme:
            return url
        if not self.base_url:
            raise IntegrationPermanentError("the address is no full URL, and there is no base address", code="url")
        return urljoin(self.base_url.rstrip("/") + "/", url.lstrip("/")) if url else self.base_url

    def parsed(self, response: Response) -> Any:
        """Return the JSON of a successful answer, None if it is empty; raises as `request_json` does."""
        body = self._whole(response).body
        if not body.strip():
            return None
        try:
            return json_module.loads(body)
        except (ValueError, RecursionError):
            pass
        raise IntegrationTemporaryError(
            "the answer is a success, but its body is no JSON", code="bad_json", status=response.status
        )

    @staticmethod
    def _whole(response: Response) -> Response:
        if not response.body_cut:
            return response
        if len(response.body) >= conf.MAX_READ_BYTES:
            raise IntegrationPermanentError(
                f"the answer is larger than {conf.MAX_READ_BYTES} bytes", code="too_large", status=response.status
            )
        raise IntegrationTemporaryError("the answer broke off", code="cut", status=response.status)

    # -- the log, in the form that seeds/004 prints -----------------------------------------------------

    def _log_retry(self, error: IntegrationError, attempt: int, wait: float) -> None:
        self.logger.warning(
            "Request failed (attempt %s/%s): %s. Retrying in %gs...",
            attempt,
            self.policy.max_attempts,
            described(error),
            wait,
        )

    def _log_failure(self, error: IntegrationError) -> None:
        excerpt = f": {error.excerpt}" if error.excerpt else ""
        self.logger.log(logging.ERROR, "%s%s", described(error), excerpt)


def described(error: IntegrationError) -> str:
    """Return ``IntegrationTemporaryError: Server error (HTTP 503)``: no host, no body."""
    words = error.message
    if error.status is not None:
        words = next((text for kind, text in _WORDS if isinstance(error, kind)), "Request failed")
        words = f"{words} (HTTP {error.status})"
    return f"{type(error).__name__}: {words}"


def with_query(url: str, params: Mapping[str, Any] | None) -> str:
    """Return `url` with `params` appended; a list gives its name several times, None is left out."""
    kept = {name: value for name, value in (params or {}).items() if value is not None}
    if not kept:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(kept, doseq=True)}"


def _body(json: Any, data: Any) -> tuple[bytes, dict[str, str]]:
    if json is not None:
        return json_module.dumps(json, separators=(",", ":"), allow_nan=False).encode(), {
            "Content-Type": "application/json"
        }
    if data is None:
        return b"", {}
    if isinstance(data, Mapping):
        return urlencode(data, doseq=True).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return data.encode() if isinstance(data, str) else data, {}


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return (scheme, host, port) of `url`: what may be told its credentials, and what may not."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None
