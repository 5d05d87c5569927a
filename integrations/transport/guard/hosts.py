"""One spelling per host: names become lower-case ASCII without trailing dot, literals become IP objects.

In: the host as written in a URL or an operator's list. Out: ``Host``. Errors: ``UrlRejected``.
Strict IDNA2008 without UTS46 mapping: mapping turns ``loca\u217chost`` and ``127\u30020\u30020\u30021`` into
loopback only after a naive check has passed them.
Source: RFC 5891, RFC 1123 §2.1, WHATWG URL "ends in a number".
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import idna

from integrations.transport.guard.rejected import UrlRejected

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_DOT_LOOKALIKES = re.compile("[\u3002\uff0e\uff61]")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
_CANONICAL_IPV4 = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_MAX_NAME = 253


class Host(NamedTuple):
    """`name`: what goes into Host, SNI and the certificate check; `ip`: the same as an address, or None."""

    name: str
    ip: IPv4Address | IPv6Address | None


def canonical_host(raw: str, *, bracketed: bool = False) -> Host:
    """Return the one spelling of `raw`, which must not be empty.

    Args:
        raw: the host without brackets and port.
        bracketed: it stood in ``[]``, so only IPv6 is possible.
    """
    if bracketed:
        try:
            ip = IPv6Address(raw)
        except ValueError:
            raise UrlRejected("host_invalid") from None
        return Host(str(ip), ip)
    name = _to_ascii(raw.translate(_ASCII_LOWER))
    had_dot = name.endswith(".")
    name = name[:-1] if had_dot else name  # one trailing dot only says "absolute"
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # What a resolver may take for an address must be an address, in its only plain spelling.
        if not all(_NUMBER.fullmatch(label) for label in labels):
            raise UrlRejected("host_invalid")
        if had_dot or not _CANONICAL_IPV4.fullmatch(name):
            raise UrlRejected("host_noncanonical_ip")
        try:
            return Host(name, IPv4Address(name))
        except ValueError:
            raise UrlRejected("host_noncanonical_ip") from None
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRejected("host_invalid")
    return Host(name, None)


def _to_ascii(host: str) -> str:
    """Encode the labels that need it; a ready-made ``xn--`` label must survive the way back."""
    if _DOT_LOOKALIKES.search(host):
        raise UrlRejected("idna")
    if host.isascii() and "xn--" not in host:
        return host
    try:
        return ".".join(
            label if label.isascii() and not label.startswith("xn--") else idna.alabel(label).decode("ascii")
            for label in host.split(".")
        )
    except (ValueError, IndexError):  # IDNAError is a UnicodeError is a ValueError
        raise UrlRejected("idna") from None
