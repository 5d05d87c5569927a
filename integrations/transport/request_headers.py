"""The headers of one request, checked once more: a row may have been written before a rule existed.

In: a checked target and headers, the tenant's and ours. Out: what goes over the wire.
Errors: ``HeaderRejected``. Source: RFC 9112 §2-§3.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from .guard import Target
from .headers import MAX_VALUE, TOKEN, HeaderRejected, is_client_header

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
USER_AGENT = "workitem-outbox/0.1"


def request_headers(method: str, target: Target, headers: Mapping[str, str], length: int) -> dict[str, str]:
    """Return the complete headers of a request to `target` with `length` bytes of body."""
    if method not in METHODS:
        raise HeaderRejected("header_invalid", "This request method is not supported.")
    # Answers are small, and with "identity" a decompression bomb comes uninvited.
    ready = {"Host": target.host_header, "Accept-Encoding": "identity"}
    has_agent = False
    for name, value in headers.items():
        has_agent = _sendable_name(name) == "user-agent" or has_agent
        # Ours may be longer than a tenant's (tokens, signatures), but not endless.
        if not isinstance(value, str) or len(value) > 2 * MAX_VALUE:
            raise HeaderRejected("header_invalid", f"The value of {name} is no text, or too long.")
        if "\r" in value or "\n" in value or "\0" in value:
            raise HeaderRejected("header_invalid", f"The value of {name} contains a line break or NUL.")
        if not value.isascii() and not _is_latin_1(value):
            raise HeaderRejected("header_invalid", f"The value of {name} contains text that is not latin-1.")
        ready[name] = value
    if not has_agent:
        ready["User-Agent"] = USER_AGENT
    if length or method in ("POST", "PUT", "PATCH"):
        ready["Content-Length"] = str(length)
    return ready


def _is_latin_1(value: str) -> bool:
    return max(value) <= "\xff"


@lru_cache(maxsize=1024)
def _sendable_name(name: str) -> str:
    """Return the name in lower case, or raise; names repeat, so this costs one dictionary lookup."""
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise HeaderRejected("header_invalid", "A header name is not allowed.")
    lower = name.lower()
    if is_client_header(lower):
        raise HeaderRejected("header_forbidden", f"The header {name} is set by the client alone.")
    return lower
