"""Dialling: name → checked addresses → socket → TLS. The only place in this project that opens a connection.

The name is resolved once and the socket goes to one of the very addresses that were checked; TLS and the
``Host`` header stay on the name. Proxy variables of the environment are never read.
In: a ``Target`` that passed the guard, and a deadline. Out: an open urllib3 connection (`dial`), or the bare socket
(`open_socket`, for tcp.py).
Errors: ``UrlRejected`` (an answer is not allowed), ``IntegrationTemporaryError`` with code dns_failed,
connect_failed, tls_failed or timeout.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from time import monotonic

import certifi
from django.core.exceptions import ImproperlyConfigured
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from integrations.errors import IntegrationTemporaryError

from .guard import Target, check_addresses
from .policy import AddressPolicy

Resolve = Callable[[str, int, float], list[str]]

MAX_DIALLED = 8  # addresses of one name that are tried
_MIN_TRY = 0.25  # seconds for one address, however many there are


class _Dialled:
    """Makes a urllib3 connection use the socket that we dialled, instead of resolving again."""

    dialled: socket.socket
    born: float  # time.monotonic

    def _new_conn(self) -> socket.socket:
        return self.dialled


class PlainConnection(_Dialled, HTTPConnection):
    """http://"""


class TlsConnection(_Dialled, HTTPSConnection):
    """https://; urllib3 checks the certificate against the name."""


Connection = PlainConnection | TlsConnection


@lru_cache(maxsize=8)
def tls_context(ca_bundle: str, use: str = "http") -> ssl.SSLContext:
    """Return the TLS settings of a CA file ("" = certifi's); made once, for it costs 16 ms of CPU.

    Args:
        use: each has its own, since urllib3 writes into the one it uses that it speaks HTTP (ALPN).

    Raises:
        ImproperlyConfigured: the file cannot be read.
    """
    context = create_urllib3_context()
    try:
        context.load_verify_locations(ca_bundle or certifi.where())
    except OSError:  # ssl.SSLError included
        problem = f"INTEGRATIONS['CA_BUNDLE']: {ca_bundle!r} is not a readable PEM file"
        raise ImproperlyConfigured(problem) from None
    return context


def dial(
    target: Target,
    policy: AddressPolicy,
    *,
    resolve: Resolve,
    ca_bundle: str,
    dns_timeout: float,
    connect_timeout: float,
    deadline: float,
) -> Connection:
    """Return an open connection to `target`. Timeouts are seconds, `deadline` is ``time.monotonic``."""
    sock = open_socket(
        target, policy, resolve=resolve, dns_timeout=dns_timeout, connect_timeout=connect_timeout, deadline=deadline
    )
    connection: Connection
    if target.scheme == "https":
        connection = TlsConnection(target.host, target.port, ssl_context=tls_context(ca_bundle))
    else:
        connection = PlainConnection(target.host, target.port)
    connection.dialled, connection.born = sock, monotonic()
    failure = None
    try:
        sock.settimeout(max(min(connect_timeout, deadline - monotonic()), 0.001))
        connection.connect()
    except OSError as error:
        failure = tls_failure(error, target.host)
    except BaseException:
        connection.close()
        sock.close()
        raise
    if failure is not None:
        connection.close()
        sock.close()
        raise failure
    return connection


def tls_failure(error: OSError, host: str) -> IntegrationTemporaryError:
    """Return what went wrong in a TLS handshake with `host`."""
    code = "tls_failed"
    if isinstance(error, TimeoutError):
        problem, code = "did not finish the TLS handshake in time", "timeout"
    elif isinstance(error, ssl.SSLCertVerificationError):
        problem = f"has a certificate that cannot be trusted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        problem = "does not speak TLS on this port, or no version of it that we accept"
    else:
        problem = "closed the connection during the TLS handshake"
    return IntegrationTemporaryError(f"{host} {problem}", code=code, was_sent=False)


def open_socket(
    target: Target,
    policy: AddressPolicy,
    *,
    resolve: Resolve,
    dns_timeout: float,
    connect_timeout: float,
    deadline: float,
) -> socket.socket:
    """Resolve the name once, check every answer, and return a socket to one of the very addresses checked."""
    addresses = [target.host] if target.is_literal else _resolved(target, resolve, dns_timeout, deadline)
    return _connect(target, check_addresses(target, addresses, policy), connect_timeout, deadline)


def _resolved(target: Target, resolve: Resolve, dns_timeout: float, deadline: float) -> list[str]:
    try:
        addresses = resolve(target.host, target.port, min(dns_timeout, max(deadline - monotonic(), 0.001)))
    except IntegrationTemporaryError:
        raise
    except Exception:
        addresses = []
    if not addresses:
        raise IntegrationTemporaryError(f"{target.host} was not found in DNS", code="dns_failed", was_sent=False)
    return addresses


def _connect(target: Target, addresses: list[str], connect_timeout: float, deadline: float) -> socket.socket:
    """Try the addresses in turn; each gets its share of the time, so that a dead first one costs not all."""
    addresses = addresses[:MAX_DIALLED]
    end = min(monotonic() + connect_timeout, deadline)
    timed_out = False
    for index, address in enumerate(addresses):
        remaining = end - monotonic()
        if remaining <= 0:
            timed_out = True
            break
        share = min(max(remaining / (len(addresses) - index), _MIN_TRY), remaining)
        sock = None
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(share)
            sock.connect((address, target.port))
        except TimeoutError:
            timed_out = True
        except OSError:
            pass
        else:
            return sock
        if sock is not None:
            sock.close()
    where = f"{target.host} port {target.port}"
    if timed_out:
        raise IntegrationTemporaryError(f"{where} did not accept a connection in time", code="timeout", was_sent=False)
    raise IntegrationTemporaryError(
        f"{where} refuses connections or is unreachable", code="connect_failed", was_sent=False
    )
