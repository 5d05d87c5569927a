"""What came back: status, headers, body, as plain data; and its content, whole or not at all.

Errors of `whole_body` and `parsed_json`:
    IntegrationPermanentError   ``too_large``: larger than MAX_READ_BYTES
    IntegrationTemporaryError   ``cut``: it broke off; ``bad_json``: it is no JSON (RFC 8259: NaN is none)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from integrations import conf
from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError


class Headers(Mapping[str, str]):
    """Response headers, found by name in any case; several of one name are joined with a comma.

    Its repr shows names only: a value may be a cookie.
    """

    __slots__ = ("_values",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        values: dict[str, str] = {}
        for name, value in items:
            lower = name.lower()
            values[lower] = f"{values[lower]}, {value}" if lower in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    # Mapping's own two raise and catch an error for what is missing, which is most of what is asked for.

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a header, `default` without one."""
        return self._values.get(name.lower(), default)

    def several(self, *names: str) -> tuple[str | None, ...]:
        """Return the values of these headers, named in lower case; None for one that is missing."""
        return tuple(map(self._values.get, names))

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Return all as (name in lower case, value), in the order in which they came."""
        return self._values.items()

    def same_as(self, other: Headers) -> bool:
        """Tell whether `other` has the same names and values."""
        return self._values == other._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    Attributes:
        status: 200 to 999; interim answers (1xx) are never returned.
        headers: case-insensitive.
        body: decompressed, at most the client's ``max_response_bytes``.
        elapsed_ms: from the call to the end of the body, in milliseconds.
        body_cut: the body is not the whole one: over the cap, broken, or too slow. The status stands.
        secrets: what its request held and it might echo; masked in every excerpt of it.
    """

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    elapsed_ms: int = 0
    body_cut: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is none. Bytes that are no UTF-8 are replaced: they may stand in a text."""
        try:
            return json.loads(self.body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            return None

    @property
    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; {} if it is none."""
        value = self.json
        return value if isinstance(value, dict) else {}


def whole_body(response: Response) -> bytes:
    """Return the body, decompressed."""
    if not response.body_cut:
        return response.body
    if len(response.body) >= conf.MAX_READ_BYTES:
        raise IntegrationPermanentError(
            f"the answer is larger than {conf.MAX_READ_BYTES} bytes", code="too_large", status=response.status
        )
    raise IntegrationTemporaryError("the answer broke off", code="cut", status=response.status)


def parsed_json(response: Response) -> Any:
    """Return the JSON value, None for an empty body."""
    body = whole_body(response)
    if not body.strip():
        return None
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):  # json's own words quote the body
        pass
    raise IntegrationTemporaryError(
        "the answer is a success, but its body is no JSON", code="bad_json", status=response.status
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
