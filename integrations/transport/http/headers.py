"""Which headers a tenant may add to our requests, and the complete headers of one.

In: a mapping, or the JSON text of the admin's form. Out: a plain dict. Errors: ``HeaderRejected`` with
``.reason`` and a message that names the header and never its value.

``Content-Type`` may be set: some receivers want ``application/vnd.…+json``; the body stays JSON. Values are
latin-1 on the wire (RFC 9110 §5.5), so ``café`` passes and ``日`` does not. `request_headers` checks once more, for a
row may have been written before a rule existed (RFC 9112 §2-§3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from integrations.transport.guard.check import Target

MAX_HEADERS = 50
MAX_VALUE = 4096  # characters

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")

# Framing, hop-by-hop and routing: a wrong value lets one request be read as another, or elsewhere.
CLIENT_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
    }
)
# What cloud metadata services ask for before they answer: the last fence if an address slips through.
_UNLOCKERS = frozenset({"metadata", "metadata-flavor", "x-google-metadata-request"})
_FORBIDDEN_PREFIXES = ("proxy-", "sec-", "webhook-", "x-aws-ec2-metadata", "x-metadata-")


class HeaderRejected(ValueError):
    """A header that we do not send; ``.reason`` is ``header_invalid`` or ``header_forbidden``."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


def is_client_header(lower_name: str) -> bool:
    """Is this a header that only the HTTP client itself, or nobody, may set?"""
    return (
        lower_name in CLIENT_HEADERS
        or lower_name in _UNLOCKERS
        or lower_name.startswith(("proxy-", "sec-", "x-aws-ec2-metadata", "x-metadata-"))
    )


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` as a dict if each of them may be sent.

    Raises:
        HeaderRejected: not a mapping, too many, a bad name or value, the same name twice, a forbidden name.
    """
    if not isinstance(headers, Mapping):
        raise HeaderRejected("header_invalid", 'Headers must be an object such as {"X-API-Key": "…"}.')
    if len(headers) > MAX_HEADERS:
        raise HeaderRejected("header_invalid", f"{len(headers)} headers are too many; at most {MAX_HEADERS}.")
    seen: set[str] = set()
    for name, value in headers.items():
        lower = _check_name(name)
        _check_value(name, value)
        if lower in seen:
            raise HeaderRejected("header_invalid", f"The header {name} is given twice; case does not matter.")
        seen.add(lower)
    return dict(headers)


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        shown = ascii(name)[:60]  # ascii(): a name with a line break must not break a log line
        raise HeaderRejected(
            "header_invalid", f"The header name {shown} is not allowed; use letters, digits and hyphens."
        )
    lower = name.lower()
    if is_client_header(lower) or lower.startswith(_FORBIDDEN_PREFIXES):
        raise HeaderRejected("header_forbidden", f"The header {name} may not be set here; remove it.")
    return lower


def _check_value(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise HeaderRejected("header_invalid", f"The value of {name} must be text in quotes.")
    if len(value) > MAX_VALUE:
        raise HeaderRejected("header_invalid", f"The value of {name} is longer than {MAX_VALUE} characters.")
    if value != value.strip():
        raise HeaderRejected("header_invalid", f"The value of {name} begins or ends with a space; remove it.")
    if _BAD_VALUE.search(value):
        raise HeaderRejected(
            "header_invalid",
            f"The value of {name} holds a line break, a control character or non-latin-1 text.",
        )


def parse_headers_json(text: str | None) -> dict[str, str]:
    """Return the checked headers of a form field; empty text, ``null`` and ``{}`` mean none.

    Raises:
        HeaderRejected: not JSON, not an object, a key twice, or anything that ``check_headers`` refuses.
    """
    if text is None or not text.strip():
        return {}
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except HeaderRejected:
        raise
    except (ValueError, RecursionError):  # the decoder's words would quote the text
        found = HeaderRejected("header_invalid", 'Headers must be JSON such as {"X-API-Key": "…"}.')
    if isinstance(found, HeaderRejected):
        raise found
    return check_headers({} if found is None else found)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        # json.loads keeps the last one silently; a person who typed two keys meant something else.
        raise HeaderRejected("header_invalid", "The same header is given twice.")
    return result


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
