"""What a caller gives, as it goes out: address, query, headers, body; and what of it must never be shown.

Errors: ``IntegrationPermanentError`` with code ``url`` or ``body`` for what cannot be sent. No message quotes a value.
"""

from __future__ import annotations

import base64
import binascii
import json as json_module
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from integrations.errors import IntegrationPermanentError
from integrations.transport.redaction import is_secret_name, mask_headers

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
_TELLING = 8  # characters; a longer part of an address may be all that protects it, a shorter one is a word
_DEEP = 20  # levels of a body that are searched


def absolute(base_url: str, url: str) -> str:
    """Return `url` if it is a full address, else `base_url` and `url` put together.

    Not as RFC 3986 resolves: a path stays below the base, whatever it begins with, so ``//host``, ``/x`` and
    ``models:list`` are paths.
    """
    if _ABSOLUTE.match(url):
        return url
    if not base_url:
        raise IntegrationPermanentError(
            "the address is not a full URL, and there is no base address", code="url", was_sent=False
        )
    if not url:
        return base_url
    return f"{base_url.partition('?')[0].rstrip('/')}/{url.lstrip('/')}"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return (scheme, host, port) of `url`: what may be told its credentials, and what may not."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


Params = Mapping[str, Any] | Sequence[tuple[str, Any]]


def with_query(url: str, params: Params | None) -> str:
    """Return `url` with `params` appended; a list gives its name several times, None is left out.

    Args:
        params: a dict, or pairs of name and value in the order in which they are to be sent.

    Raises:
        TypeError: `params` is neither.
    """
    kept = [(name, _query_value(value)) for name, value in _pairs(params) if value is not None]
    if not kept:
        return url
    return f"{url}{'&' if '?' in url else '?'}{_form(kept)}"


def _pairs(params: Params | None) -> list[tuple[str, Any]]:
    if not params:
        return []
    if isinstance(params, Mapping):
        return list(params.items())
    if isinstance(params, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in params
    ):
        return [(name, value) for name, value in params]
    raise TypeError(f"params must be a dict or a list of (name, value) pairs, not {type(params).__name__}")


def _query_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()  # as JSON and every provider's documentation write it
    if isinstance(value, list | tuple):
        return [_query_value(item) for item in value]
    return value


def _form(values: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> str:
    try:
        return urlencode(values, doseq=True)
    except UnicodeEncodeError:
        pass
    raise _unsendable("a character that cannot be sent")


def merged(*sets: Mapping[str, str]) -> dict[str, str]:
    """Return all headers, the later ones before the earlier ones, however they are spelt: none goes out twice."""
    found: dict[str, tuple[str, str]] = {}
    for headers in sets:
        found.update((name.lower(), (name, value)) for name, value in headers.items())
    return dict(found.values())


def body_of(json: Any, data: Any) -> tuple[bytes, dict[str, str]]:
    """Return (body, Content-Type header) of a JSON value, or of a form, text or bytes."""
    if json is not None:
        return _dumped(json), {"Content-Type": "application/json"}
    if data is None:
        return b"", {}
    if isinstance(data, Mapping):
        return _form(data).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if isinstance(data, str):
        try:
            return data.encode(), {}
        except UnicodeEncodeError:
            raise _unsendable("a character that cannot be sent") from None
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), {}
    raise _unsendable(f"a {type(data).__name__}, where a mapping, text or bytes belong")


def _dumped(json: Any) -> bytes:
    problem = "something that JSON does not know"
    try:
        return json_module.dumps(json, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        problem = "NaN, an infinity, or itself"
    except (TypeError, RecursionError):
        pass
    raise _unsendable(problem)


def _unsendable(problem: str) -> IntegrationPermanentError:
    return IntegrationPermanentError(f"the request holds {problem}", code="body", was_sent=False)


# -- what an answer might echo --------------------------------------------------------------------------------


def header_secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of `headers` that are masked in logs, also without scheme or name, and what Basic hides."""
    masked = mask_headers(headers)
    for name, value in headers.items():
        if masked[name] == value or not isinstance(value, str):
            continue
        yield value
        if name.lower() == "cookie":
            yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
        scheme, _, rest = value.partition(" ")
        if rest:
            yield rest.strip()
        if scheme.lower() == "basic":
            yield from _basic_password(rest)


def _basic_password(encoded: str) -> Iterator[str]:
    try:
        yield base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return


def address_secrets(url: str, *, secret_path: bool) -> Iterator[str]:
    """Yield what an address may keep to itself: query values, and with `secret_path` the parts of its path."""
    _, _, rest = url.partition("://")
    path, _, query = rest.partition("?")
    values = [value for _, value in parse_qsl(query)]
    if secret_path:
        values += [*path.split("/")[1:], f"/{path.partition('/')[2]}"]
    yield from (value for value in values if len(value) > _TELLING)


def body_secrets(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts of a JSON value, or of a form, that have the name of a secret."""
    if depth > _DEEP:
        return
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, str):
                if is_secret_name(str(name)):
                    yield item
            else:
                yield from body_secrets(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from body_secrets(item, depth + 1)
