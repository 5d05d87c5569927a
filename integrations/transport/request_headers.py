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


def request_headers(method: str, target: Target, headers: Mapping[str, str]) -> list[str | bytes]:
    """Return the complete headers of a request to `target`, as lines for libcurl, which adds the length of the body."""
    if method not in METHODS:
        raise HeaderRejected("header_invalid", "This request method is not supported.")
    # Answers are small, and with "identity" a decompression bomb comes uninvited.
    lines: list[str | bytes] = [
        f"Host: {target.host_header}",
        "Accept-Encoding: identity",
        "Expect:",
    ]  # a name alone: libcurl leaves it out
    names = set()
    for name, value in headers.items():
        names.add(_sendable_name(name))
        text = value if type(value) is str else ""
        if text[:1] > " " and text.isascii() and text.isprintable() and len(text) <= MAX_VALUE:
            lines.append(f"{name}: {value}")  # nearly all of them: nothing else needs a look
        else:
            lines.append(_unusual(name, value))
    if "user-agent" not in names:
        lines.append(f"User-Agent: {USER_AGENT}")
    # A name alone, for what libcurl would add by itself.
    lines.append("Expect:")
    if "accept" not in names:
        lines.append("Accept:")
    if "content-type" not in names:
        lines.append("Content-Type:")
    return lines


def _unusual(name: str, value: object) -> str | bytes:
    """Return the line of a header whose value is long, empty, begins with a space or is not plain ASCII, or raise."""
    # Ours may be longer than a tenant's (tokens, signatures), but not endless.
    if not isinstance(value, str) or len(value) > 2 * MAX_VALUE:
        raise HeaderRejected("header_invalid", f"The value of {name} is not text, or is too long.")
    if "\r" in value or "\n" in value or "\0" in value:
        raise HeaderRejected("header_invalid", f"The value of {name} contains a line break or NUL.")
    if not value.strip(" \t"):
        return f"{name};"  # libcurl's way to send a header without a value
    try:
        return f"{name}: {value}".encode("latin-1")
    except UnicodeEncodeError:  # it would quote the value
        pass
    raise HeaderRejected("header_invalid", f"The value of {name} contains text that is not latin-1.")


@lru_cache(maxsize=1024)
def _sendable_name(name: str) -> str:
    """Return the name in lower case, or raise; names repeat, so this costs one dictionary lookup."""
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise HeaderRejected("header_invalid", "A header name is not allowed.")
    lower = name.lower()
    if is_client_header(lower):
        raise HeaderRejected("header_forbidden", f"The header {name} is set by the client alone.")
    return lower
