"""Which SSH host keys a person has pinned, whatever tool they copied them from.

In: lines of ``ssh-keygen -lf`` (``256 SHA256:… root@host (ED25519)``), bare fingerprints (``SHA256:…``), or lines of
``ssh-keyscan`` and known_hosts (``host ssh-ed25519 AAAA…``). Out: `HostKeys`. Errors: ``ValueError`` for a line that is
none of these. Source: RFC 4253 §6.6, ssh-keygen(1), sshd(8).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_ALGORITHMS = {
    "ED25519": ("ssh-ed25519",),
    "ECDSA": _ECDSA,
    "RSA": _RSA,
    "ssh-ed25519": ("ssh-ed25519",),
    "ssh-rsa": _RSA,
    **{name: (name,) for name in _ECDSA},
}
_FINGERPRINT = re.compile(r"(?:^|\s)(SHA256:[A-Za-z0-9+/]{43})(?:\s|$)")
_KIND = re.compile(r"\(([A-Z0-9-]{1,20})\)\s*$")
_PUBLIC_KEY = re.compile(r"(?:^|\s)(ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9]+) (AAAA[A-Za-z0-9+/]{30,}={0,2})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class HostKeys:
    """`fingerprints` of the keys that are trusted; `algorithms` to ask the server for, () if any of them may be it.

    A server has several keys and shows the one that the client likes best: knowing what was pinned, we ask for that.
    """

    fingerprints: frozenset[str]
    algorithms: tuple[str, ...] = ()


def parse_host_keys(lines: Iterable[str]) -> HostKeys:
    """Return what `lines` pin."""
    fingerprints: list[str] = []
    algorithms: list[str] = []
    is_known = True
    for line in filter(None, map(str.strip, lines)):
        if found := _PUBLIC_KEY.search(line):
            digits = found[2].rstrip("=")
            kind, fingerprint = found[1], fingerprint_of(base64.b64decode(digits + "=" * (-len(digits) % 4)))
        elif found := _FINGERPRINT.search(line):
            kind, fingerprint = (named[1] if (named := _KIND.search(line)) else ""), found[1]
        else:
            raise ValueError("must be a fingerprint (SHA256:…) or a line that ssh-keygen -lf or ssh-keyscan prints")
        fingerprints.append(fingerprint)
        algorithms += _ALGORITHMS.get(kind, ())
        is_known = is_known and kind in _ALGORITHMS
    return HostKeys(frozenset(fingerprints), tuple(dict.fromkeys(algorithms)) if is_known else ())


def fingerprint_of(key: bytes) -> str:
    """Return the fingerprint of a public key in its wire form, as ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
