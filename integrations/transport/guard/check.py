"""May we call this address? The only answer to that question in this project.

Two stages, both needed: ``check_url`` reads the URL (when it is saved, and again at every request; ``check_endpoint``
reads host and port of what is not HTTP), and ``check_addresses`` judges what its name resolves to (at every dial). The
caller must then connect to one of the returned addresses and to nothing else, or a second lookup could answer
differently (DNS rebinding).

We split the URL ourselves: ``http://127.0.0.1\\@example.com/`` fools ``urlsplit``, which also deletes
newlines and takes Arabic digits for a port. The order of the rules decides which reason is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote

from integrations.errors import IntegrationBlocked
from integrations.transport.guard.deny_lists import (
    ALLOWED_LOW_PORTS,
    BAD_PORTS,
    DENIED_NAMES,
    DENIED_SUFFIXES,
    IPV4_DENIED,
    IPV6_ALLOWED,
    IPV6_DENIED,
    METADATA_IPV4,
    METADATA_IPV6,
    METADATA_NAMES,
    NEVER_OPENED_IPV4,
    NEVER_OPENED_IPV6,
)
from integrations.transport.guard.hosts import Host, canonical_host
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.guard.rejected import UrlRejected

__all__ = ["Target", "UrlRejected", "cached_check", "check_addresses", "check_endpoint", "check_url", "place_of"]

# C0, space, DEL, C1; a lone surrogate cannot be sent at all.
_CONTROL = re.compile("[\x00-\x20\x7f-\x9f\ud800-\udfff]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_AUTHORITY_END = re.compile(r"[/?#]")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URI_CHARACTERS = "%/?:@!$&'()*+,;=~[]"  # RFC 3986: what may stand in a path and query as it is


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed. Its repr holds no path or query, which may be secret.

    Attributes:
        scheme: ``http`` or ``https``; ``tcp`` for what is not HTTP.
        host: ASCII, lower case, no trailing dot, no brackets: for SNI and the certificate check.
        port: 1 to 65535.
        is_literal: `host` is an IP address, so nothing is resolved.
        allow_listed: the operator named this host:port; it may be private.
        host_header: value of ``Host``: brackets for IPv6, the port unless it is the scheme's own.
        path_and_query: what is requested, percent-encoded, beginning with ``/``.
    """

    scheme: str
    host: str
    port: int
    is_literal: bool
    allow_listed: bool
    host_header: str = field(repr=False)
    path_and_query: str = field(repr=False)


def check_url(url: object, policy: AddressPolicy) -> Target:
    """Return what `url` leads to, or raise.

    Raises:
        UrlRejected: with ``.reason`` and a message for the person who typed it.
    """
    if not isinstance(url, str):
        raise UrlRejected("url_type")
    if _CONTROL.search(url):
        raise UrlRejected("url_control_char")
    if "\\" in url:
        raise UrlRejected("url_backslash")
    if len(url) > policy.max_url:
        raise UrlRejected("url_too_long", str(policy.max_url))
    match = _SCHEME.match(url)
    if not match:
        raise UrlRejected("scheme_missing")
    scheme = match[1].lower()
    if scheme not in _DEFAULT_PORTS:
        raise UrlRejected("scheme")
    if scheme == "https" or policy.allow_http:
        return _check_rest(scheme, url[match.end() :], policy)
    # Plain http is refused before anything else is said about the address, but an operator's own target may
    # use it, and only the remaining rules tell whether this is one.
    try:
        target = _check_rest(scheme, url[match.end() :], policy)
    except UrlRejected as rejected:
        if rejected.reason == "ip_metadata" and policy.host_ports:
            raise
        place = rejected.place
    else:
        if target.allow_listed:
            return target
        place = _openable(
            Host(target.host, ip_address(target.host) if target.is_literal else None), target.port, policy
        )
    raise UrlRejected("scheme_http_not_allowed", place=place)


def _check_rest(scheme: str, rest: str, policy: AddressPolicy) -> Target:
    if not rest.startswith("//"):
        raise UrlRejected("host_missing")
    rest = rest[2:]
    end = _AUTHORITY_END.search(rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    if not authority:
        raise UrlRejected("host_missing")
    if "@" in authority:
        raise UrlRejected("userinfo")
    if "%" in authority:
        raise UrlRejected("host_percent")
    if "#" in tail:
        raise UrlRejected("fragment")
    host, port = _split_authority(authority, _DEFAULT_PORTS[scheme])
    refusal = UrlRejected("port_blocked", str(port), place=_openable(host, port, policy))
    allow_listed = _check_host(host, port, policy, ALLOWED_LOW_PORTS, refusal)
    shown = f"[{host.name}]" if ":" in host.name else host.name
    return Target(
        scheme=scheme,
        host=host.name,
        port=port,
        is_literal=host.ip is not None,
        allow_listed=allow_listed,
        host_header=shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}",
        path_and_query=quote(tail if tail.startswith("/") else "/" + tail, safe=_URI_CHARACTERS),
    )


def check_endpoint(
    host: str, port: int, policy: AddressPolicy, *, ports: Collection[int], needs_listing: bool = False
) -> Target:
    """Return the target of a protocol that is not HTTP, by the same rules for names and addresses, or raise.

    Args:
        host: a name or an IP address, IPv6 with or without brackets.
        ports: the protocol's own; others are open above 1023, unless they are known to be something else's.
        needs_listing: only a host that the operator allow-listed will do, e.g. to speak without TLS.

    Raises:
        UrlRejected: with ``.reason`` and a message for the person who typed it.
    """
    bare = host.removeprefix("[").removesuffix("]")
    if not bare:
        raise UrlRejected("host_missing")
    if not 0 < port < 65536:
        raise UrlRejected("port_invalid")
    found = canonical_host(bare, bracketed=":" in bare)
    usual = ", ".join(map(str, sorted(ports)))
    said = f"{port} is not open to this kind of system; use {usual}"
    refusal = UrlRejected("port_unusual", said, place=_openable(found, port, policy))
    allow_listed = _check_host(found, port, policy, ports, refusal)
    if needs_listing and not allow_listed:
        raise UrlRejected("plain_not_allowed", place=_openable(found, port, policy))
    shown = f"[{found.name}]" if ":" in found.name else found.name
    return Target("tcp", found.name, port, found.ip is not None, allow_listed, f"{shown}:{port}", "")


def _check_host(
    host: Host, port: int, policy: AddressPolicy, ports: Collection[int], port_refusal: UrlRejected
) -> bool:
    """Raise if `host` may not be called on `port`; return whether the operator allow-listed the two."""
    allow_listed = (host.name, port) in policy.host_ports
    if not allow_listed:
        _check_name(host, policy, port)
        if port not in ports and (port < 1024 or port in BAD_PORTS):
            raise port_refusal
    if host.ip is not None:
        _check_ip(host.ip, policy, allow_listed=allow_listed, named=host.name, port=port)
    return allow_listed


def _split_authority(authority: str, default_port: int) -> tuple[Host, int]:
    bracketed = authority.startswith("[")
    if bracketed:
        raw, closed, after = authority[1:].partition("]")
        if not closed or (after and not after.startswith(":")):
            raise UrlRejected("host_invalid")
        host = canonical_host(raw, bracketed=True)
        colon, port_text = after[:1], after[1:]
    else:
        raw, colon, port_text = authority.partition(":")
        if ":" in port_text:
            raise UrlRejected("host_invalid")
        if not raw:
            raise UrlRejected("host_missing")
    port = default_port
    if colon:
        if not _PORT.fullmatch(port_text) or int(port_text) > 65535:
            raise UrlRejected("port_invalid")
        port = int(port_text)
    return (host if bracketed else canonical_host(raw)), port


def place_of(name: str, port: int) -> str:
    """Return ``host:port`` as an operator writes it into ALLOWED_HOSTS."""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _openable(host: Host, port: int, policy: AddressPolicy) -> str:
    """Return the place of `host` if an operator may open it, else ""."""
    if host.name in METADATA_NAMES or host.name in policy.own_names:
        return ""
    if host.ip is not None:
        try:
            _check_ip(host.ip, policy, allow_listed=True, named=host.name, port=port)
        except UrlRejected:
            return ""
    return place_of(host.name, port)


def _check_name(host: Host, policy: AddressPolicy, port: int) -> None:
    name = host.name
    if host.ip is None:
        place = _openable(host, port, policy)
        if name in DENIED_NAMES or name.endswith(DENIED_SUFFIXES):
            raise UrlRejected("host_blocked_name", name, place=place)
        if "." not in name:
            raise UrlRejected("host_single_label", name, place=place)
    if name in policy.own_names:
        raise UrlRejected("self_target", name)


def _check_ip(
    ip: IPv4Address | IPv6Address, policy: AddressPolicy, *, allow_listed: bool, named: str, port: int
) -> IPv4Address | IPv6Address:
    """Return `ip`, unwrapped if it is an IPv4 address in IPv6 clothes (::ffff:a.b.c.d), or raise."""
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    if isinstance(ip, IPv4Address):
        metadata = any(ip in network for network in METADATA_IPV4)
        opened = allow_listed or any(ip in network for network in policy.networks4)
        never = any(ip in network for network in NEVER_OPENED_IPV4)
        denied = any(ip in network for network in IPV4_DENIED)
    else:
        metadata = any(ip in network for network in METADATA_IPV6)
        opened = allow_listed or any(ip in network for network in policy.networks6)
        never = any(ip in network for network in NEVER_OPENED_IPV6)
        denied = ip not in IPV6_ALLOWED or any(ip in network for network in IPV6_DENIED)
    if metadata:
        raise UrlRejected("ip_metadata", named)
    if never or (denied and not opened):
        raise UrlRejected("ip_blocked", named, place="" if never else place_of(named, port))
    return ip


def check_addresses(target: Target, addresses: Iterable[str], policy: AddressPolicy) -> list[str]:
    """Return the addresses to dial, in the given order, if every single one may be called.

    One bad answer refuses the whole set: whoever controls the name also controls their order.

    Args:
        addresses: what the name resolved to, as text; a scope (``%eth0``) is dropped.

    Raises:
        UrlRejected: ip_blocked or ip_metadata. The message names the host, not the address: that would tell a
            tenant what our resolver sees inside our network.
    """
    checked = []
    for text in addresses:
        try:
            ip = ip_address(text.partition("%")[0])
        except ValueError:
            raise UrlRejected("ip_blocked", target.host) from None
        ip = _check_ip(ip, policy, allow_listed=target.allow_listed, named=target.host, port=target.port)
        checked.append(str(ip))
    return checked


@lru_cache(maxsize=64)
def cached_check(policy: AddressPolicy) -> Callable[[object], Target]:
    """Return ``check_url`` for one policy, remembering the URLs that passed (the hot path: 0.1 µs)."""
    return lru_cache(maxsize=4096)(partial(check_url, policy=policy))


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
