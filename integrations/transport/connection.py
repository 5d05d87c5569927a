"""Dialling: name → checked addresses → socket. The only place in this project that opens a connection.

The name is resolved once and the socket goes to one of the very addresses that were checked; TLS and the
``Host`` header stay on the name. HTTP goes over it by way of libcurl (curl_handle.py), the rest by tcp.py.
In: a ``Target`` that passed the guard, and a deadline. Out: a connected socket.
Errors: ``UrlRejected`` (an answer is not allowed), ``IntegrationTemporaryError`` with code dns_failed,
connect_failed or timeout; `tls_error` makes those of what follows.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Literal

import certifi
from django.core.exceptions import ImproperlyConfigured

from integrations.errors import IntegrationTemporaryError
from integrations.transport.guard.check import Target, check_addresses
from integrations.transport.guard.policy import AddressPolicy

Resolve = Callable[[str, int, float], list[str]]

MAX_DIALLED = 8  # addresses of one name that are tried
_MIN_TRY = 0.25  # seconds for one address, however many there are


@lru_cache(maxsize=8)
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Return the TLS settings of a CA file ("" = certifi's) for what is not HTTP; made once, for it costs 16 ms of CPU.

    Raises:
        ImproperlyConfigured: the file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    try:
        context.load_verify_locations(ca_bundle or certifi.where())
    except OSError:  # ssl.SSLError included
        problem = f"INTEGRATIONS['CA_BUNDLE']: {ca_bundle!r} is not a readable PEM file"
        raise ImproperlyConfigured(problem) from None
    return context


def tls_failure(error: OSError, host: str) -> IntegrationTemporaryError:
    """Return what went wrong in a TLS handshake of Python's with `host`."""
    if isinstance(error, TimeoutError):
        return tls_error(host, "slow")
    if isinstance(error, ssl.SSLCertVerificationError):
        return tls_error(host, "untrusted", error.verify_message)
    return tls_error(host, "unknown" if isinstance(error, ssl.SSLError) else "closed")


def tls_error(
    host: str, problem: Literal["slow", "untrusted", "unknown", "closed"], why: str = ""
) -> IntegrationTemporaryError:
    """Return the error of a TLS handshake with `host` that failed: nothing of the request was sent."""
    words = {
        "slow": "did not finish the TLS handshake in time",
        "untrusted": f"has a certificate that cannot be trusted: {why}",
        "unknown": "does not speak TLS on this port, or no version of it that we accept",
        "closed": "closed the connection during the TLS handshake",
    }
    code = "timeout" if problem == "slow" else "tls_failed"
    return IntegrationTemporaryError(f"{host} {words[problem]}", code=code, was_sent=False)


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
