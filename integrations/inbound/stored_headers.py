"""Which headers of a webhook are kept: what tells who sent what, never what lets somebody in (S0-81, S0-95)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from integrations.connectors.content import REPLACEMENT
from integrations.transport.redaction import is_secret_name, mask_known, redact

MAX_HEADERS = 100
MAX_VALUE = 2048  # characters
MAX_TOTAL = 32_768  # characters of all names and values

_COOKIES = frozenset({"cookie", "set-cookie", "x-csrftoken"})
_LOGIN = re.compile("auth", re.IGNORECASE)  # Authorization, X-Auth-…, X-Shop-Auth: whatever lets somebody in
# Kept, as the proof of the body that is kept; people are not shown all of it.
_SIGNATURES = re.compile(r"signature|hmac", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(headers: Mapping[str, str], secrets: Iterable[str] = (), limit: int = MAX_TOTAL) -> dict[str, str]:
    """Return what may be kept of `headers`: logins and everything named like a secret are left out.

    Args:
        secrets: what must not be in a value either, whatever its name: the integration's own.
        limit: characters in all; headers that do not fit any more are left out.
    """
    known = tuple(secrets)
    kept = {}
    for name, value in list(headers.items())[:MAX_HEADERS]:
        if not (isinstance(name, str) and isinstance(value, str) and _may_be_kept(name)):
            continue
        # Masked before it is cut, or half a secret would pass at the edge. A header called after a signature may hold
        # anything, in what is rejected above all; but what only looks like a secret there is the proof.
        start = value[: 2 * MAX_VALUE]
        text = _text(mask_known(start, known) if _SIGNATURES.search(name) else redact(start, known))
        limit -= len(name) + len(text)
        if limit >= 0:
            kept[_text(name)] = text
    return kept


def storable_start(body: bytes, secrets: Iterable[str], length: int) -> bytes:
    """Return the first bytes of a body that proved nothing, known secrets masked; one that is right stays as it is."""
    start = body[: 2 * length].decode("utf-8", "surrogateescape")
    return mask_known(start, secrets).encode("utf-8", "surrogateescape")[:length]


def _may_be_kept(name: str) -> bool:
    if name.lower() in _COOKIES or _LOGIN.search(name):
        return False
    return bool(_SIGNATURES.search(name)) or not is_secret_name(name)


def _text(value: str) -> str:
    return _UNSTORABLE.sub(REPLACEMENT, value[:MAX_VALUE])
