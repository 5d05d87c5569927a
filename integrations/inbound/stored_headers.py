"""Which headers of a webhook are kept: what tells who sent what, never what lets somebody in (S0-81, S0-95)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from integrations.outbox.canonical_json import REPLACEMENT
from integrations.transport.redaction import is_secret_name, redact

MAX_HEADERS = 100
MAX_VALUE = 2048  # characters
MAX_TOTAL = 32_768  # characters of all names and values

_LOGINS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-csrftoken"})
# Kept, as the proof of the body that is kept; people are not shown all of it.
_SIGNATURES = re.compile(r"signature|hmac", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(headers: Mapping[str, str], secrets: Iterable[str] = (), limit: int = MAX_TOTAL) -> dict[str, str]:
    """Return what may be kept of `headers`: logins and everything named like a secret are left out.

    Args:
        secrets: what must not be in a value either, e.g. the integration's own.
        limit: characters in all; headers that do not fit any more are left out.
    """
    known = tuple(secrets)
    kept = {}
    for name, value in list(headers.items())[:MAX_HEADERS]:
        if not (isinstance(name, str) and isinstance(value, str) and _may_be_kept(name)):
            continue
        text = _text(value) if _SIGNATURES.search(name) else redact(_text(value), known)
        limit -= len(name) + len(text)
        if limit >= 0:
            kept[_text(name)] = text
    return kept


def _may_be_kept(name: str) -> bool:
    return name.lower() not in _LOGINS and (bool(_SIGNATURES.search(name)) or not is_secret_name(name))


def _text(value: str) -> str:
    return _UNSTORABLE.sub(REPLACEMENT, value[:MAX_VALUE])
