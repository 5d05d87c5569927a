"""A connector talks to its own system and to nothing else: the hosts its manifest names.

In: a URL and patterns such as ``slack.com`` or ``*.salesforce.com``. Errors: ``IntegrationBlocked``. A host:port that
the operator allow-listed (ALLOWED_HOSTS) may always stand in: a mock, a proxy, a self-hosted edition.
"""

from __future__ import annotations

from collections.abc import Iterable

from integrations.errors import IntegrationBlocked

from .guard import Target, cached_check, place_of
from .policy import AddressPolicy
from .rejected import UrlRejected


def matches(host: str, patterns: Iterable[str]) -> bool:
    """Tell whether `host` (lower case) is one of `patterns`; ``*.example.com`` means any name below it."""
    return any(host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])) for pattern in patterns)


def check_allowed(url: str, patterns: Iterable[str], policy: AddressPolicy) -> Target:
    """Return what `url` leads to, or raise IntegrationBlocked if that is none of `patterns`; no patterns: anywhere is
    right."""
    wanted = tuple(patterns)
    problem: UrlRejected | None = None
    try:
        target = cached_check(policy)(url)
        if wanted and not target.allow_listed and not matches(target.host, wanted):
            problem = UrlRejected("host_not_allowed", target.host, place=place_of(target.host, target.port))
    except UrlRejected as rejected:
        problem = rejected
    if problem is not None:
        raise IntegrationBlocked(problem.message, reason=problem.reason)
    return target


def leads_to(url: str, target: Target, policy: AddressPolicy) -> bool:
    """Tell whether `url` has the scheme, host and port of `target`; read by the guard, which nobody fools."""
    try:
        other = cached_check(policy)(url)
    except UrlRejected:
        return False
    return (other.scheme, other.host, other.port) == (target.scheme, target.host, target.port)
