"""The HTTP client: every outgoing request of this project, one deadline, no redirects, no surprises.

``request`` returns a ``Response`` for any final answer, whatever its status (``classify.py`` says what that
means), and raises only ``IntegrationError``s:

    IntegrationBlocked          the guard refuses the address; nothing was sent; ``.reason`` says why
    IntegrationPermanentError   header_invalid, header_forbidden: nothing was sent
    IntegrationTemporaryError   dns_failed, connect_failed, tls_failed, timeout, connection_reset,
                                bad_response, unexpected; after the last four it may have arrived

No message names more than the host, and no exception keeps the one it came from: str(), args, __cause__ and
__context__ of the stack below hold URLs and headers. Nothing is sent twice from here; the outbox retries.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Collection, Mapping, Sequence
from math import isnan
from time import monotonic
from typing import Any

from integrations import conf
from integrations.errors import (
    IntegrationBlocked,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.telemetry.counters import CONNECTIONS
from integrations.transport import recording
from integrations.transport.connection import Resolve, open_socket, tls_context
from integrations.transport.deadline import ends_at
from integrations.transport.guard.check import Target, UrlRejected, cached_check
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.guard.resolver import resolve as resolve_name
from integrations.transport.http.curl_handle import CurlHandle
from integrations.transport.http.exchange import Answer, BadAnswer, NotSent, exchange
from integrations.transport.http.headers import HeaderRejected, request_headers
from integrations.transport.http.idle_pool import IdlePool
from integrations.transport.response import Headers, Response
from integrations.transport.tcp import Conversation, Security, open_conversation

__all__ = ["GuardedClient", "Headers", "Response", "clamp_timeout"]

MIN_TIMEOUT, MAX_TIMEOUT, DEFAULT_TIMEOUT = 1.0, 60.0, 30.0  # seconds


def clamp_timeout(value: object, default: float = DEFAULT_TIMEOUT) -> float:
    """Return seconds from 1 to 60: ``"5"`` is 5, 0 and -1 are 1, inf is 60, nan and words are `default`."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = default
    return min(max(default if isnan(seconds) else seconds, MIN_TIMEOUT), MAX_TIMEOUT)


class GuardedClient:
    """Sends requests, keeps connections, may be shared by many threads: one per process, not per request.

    Args:
        policy: which addresses may be called, checked at every request and every dial.
        connect_timeout: seconds for TCP, and again for TLS.
        timeout: seconds for a whole request, from name lookup to the last byte of the body; 1 to 60.
        max_response_bytes: how much of a (decompressed) body is read.
        ca_bundle: PEM file of trusted authorities, "" for certifi's.
        resolve: (host, port, seconds) → addresses; for tests.
        dns_timeout: seconds for the name lookup.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        connect_timeout: float = 5.0,
        timeout: float = DEFAULT_TIMEOUT,
        max_response_bytes: int = 65536,
        ca_bundle: str = "",
        resolve: Resolve = resolve_name,
        dns_timeout: float = 5.0,
    ) -> None:
        tls_context(ca_bundle)  # fails now, when an operator looks, and not with the first event
        self.policy = policy
        self._check = cached_check(policy)
        self._timeout = clamp_timeout(timeout)
        self._connect_timeout = clamp_timeout(connect_timeout, 5.0)
        self._dns_timeout = clamp_timeout(dns_timeout, 5.0)
        self._max_body = max_response_bytes
        self._ca_bundle = ca_bundle
        self._resolve = resolve
        self._idle = IdlePool()

    @classmethod
    def from_conf(cls) -> GuardedClient:
        """Return a client for the current settings."""
        return cls(
            AddressPolicy.from_conf(),
            connect_timeout=conf.CONNECT_TIMEOUT_SECONDS,
            timeout=conf.TIMEOUT_SECONDS,
            max_response_bytes=conf.MAX_RESPONSE_BYTES,
            ca_bundle=conf.CA_BUNDLE,
            dns_timeout=conf.DNS_TIMEOUT_SECONDS,
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        """Send one request and return the answer.

        Args:
            headers: ours and the tenant's; framing headers are refused, a User-Agent is added if missing.
            timeout: seconds for everything, 1 to 60; the client's own if None.
            max_bytes: how much of a (decompressed) body is read; the client's own if None.
        """
        host, ready, recorder = "", None, recording.current.get()
        try:
            started = monotonic()
            deadline = started + (self._timeout if timeout is None else clamp_timeout(timeout, self._timeout))
            deadline = min(deadline, ends_at())
            target = self._check(url)
            host = target.host
            if deadline <= started:
                raise IntegrationTemporaryError(f"no time was left to ask {host}", code="timeout", was_sent=False)
            if not isinstance(body, bytes):
                raise TypeError
            ready = request_headers(method, target, headers or {})
            response = self._exchange(method, target, ready, body, started, deadline, max_bytes or self._max_body)
            if recorder is not None:
                recorder.add(method, url, ready, body, response)
            return response
        except Exception as error:
            failure = _failure(error, host)
        if recorder is not None:
            recorder.add(method, url, ready, body, failure)
        # Here, outside of the except block, nothing is chained; and reporters show locals, so away with them.
        del url, headers, ready, body
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None) from None

    def open_tcp(
        self, host: str, port: int, *, ports: Collection[int], security: Security, timeout: float | None = None
    ) -> Conversation:
        """Open a connection for what is not HTTP, under the same rules (tcp.py).

        Args:
            ports: the protocol's own ports; others are open above 1023.
            timeout: seconds for the whole conversation, 1 to 60; the client's own if None.
        """
        seconds = self._timeout if timeout is None else clamp_timeout(timeout, self._timeout)
        return open_conversation(
            host,
            port,
            ports=ports,
            security=security,
            policy=self.policy,
            resolve=self._resolve,
            ca_bundle=self._ca_bundle,
            dns_timeout=self._dns_timeout,
            connect_timeout=self._connect_timeout,
            deadline=monotonic() + seconds,
        )

    def _exchange(
        self,
        method: str,
        target: Target,
        headers: Sequence[str | bytes],
        body: bytes,
        started: float,
        deadline: float,
        max_body: int,
    ) -> Response:
        key = (target.scheme, target.host, target.port)
        handle = self._idle.take(key)
        answer: Answer | None = None
        if handle is not None:
            try:
                answer = self._sent(handle, method, target, headers, body, deadline, max_body)
            except NotSent:  # it was closed in this very moment, and nothing left: this is still the first time
                handle = None
        CONNECTIONS.labels("opened" if answer is None else "kept").inc()
        if answer is None or handle is None:
            handle = self._dialled(target, deadline)
            answer = self._sent(handle, method, target, headers, body, deadline, max_body)
        if answer.idle_seconds > 0:
            self._idle.give(key, handle, answer.idle_seconds)
        else:
            self._idle.discard(handle)
        return Response(
            answer.status,
            answer.headers,
            answer.body,
            round((monotonic() - started) * 1000),
            answer.body_cut,
        )

    def _dialled(self, target: Target, deadline: float) -> CurlHandle:
        """Return a handle with a new connection to a checked address of `target`."""
        sock = open_socket(
            target,
            self.policy,
            resolve=self._resolve,
            dns_timeout=self._dns_timeout,
            connect_timeout=self._connect_timeout,
            deadline=deadline,
        )
        try:
            handle = self._idle.spare() or CurlHandle(self._ca_bundle)
            handle.connect(target, sock, self._connect_timeout)
        except BaseException:
            sock.close()
            raise
        return handle

    def _sent(
        self,
        handle: CurlHandle,
        method: str,
        target: Target,
        headers: Sequence[str | bytes],
        body: bytes,
        deadline: float,
        max_body: int,
    ) -> Answer:
        try:
            return exchange(handle, method, target, headers, body, deadline=deadline, max_body=max_body)
        except BaseException:
            handle.close()
            raise

    def close(self) -> None:
        """Close the connections at rest; requests under way end normally."""
        self._idle.close()


def _failure(error: Exception, host: str) -> IntegrationError:
    """Say it in our own words; anything unforeseen is temporary."""
    if isinstance(error, IntegrationError):
        return error
    if isinstance(error, UrlRejected):
        return IntegrationBlocked(error.message, reason=error.reason)
    if isinstance(error, HeaderRejected):
        return IntegrationPermanentError(error.message, code=error.reason)
    if isinstance(error, TimeoutError):
        problem, code = f"{host} did not answer in time", "timeout"
    elif isinstance(error, BadAnswer):
        problem, code = f"{host} {error}", "bad_response"
    elif isinstance(error, OSError):
        problem, code = f"{host} closed the connection without an answer", "connection_reset"
    else:
        problem, code = f"the request to {host or 'the target'} failed: {type(error).__name__}", "unexpected"
    return IntegrationTemporaryError(problem, code=code)


_lock = threading.Lock()
_current: GuardedClient | None = None
_made_for: list[Any] = []  # the settings of its address policy


def client() -> GuardedClient:
    """Return the client for today's address policy; a changed policy gets a new one."""
    global _current, _made_for
    settings = [conf.ALLOW_HTTP, [*conf.ALLOWED_HOSTS], [*conf.ALLOWED_NETWORKS], [*conf.OWN_HOSTS]]
    with _lock:
        if _current is None or settings != _made_for:
            _forget()
            _current, _made_for = GuardedClient.from_conf(), settings
        return _current


def close_client() -> None:
    """Close the idle connections; the next `client()` starts afresh."""
    with _lock:
        _forget()


def _forget() -> None:
    global _current
    if _current is not None:
        _current.close()
    _current = None


atexit.register(close_client)
