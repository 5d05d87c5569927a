"""Parse the bodies of requests: unambiguous JSON, of which every value can be stored and sent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

DEEPEST = 100  # lists and objects in one another: whatever walks through them calls itself for each
_TOO_DEEP = f"It is nested more than {DEEPEST} levels deep."


class Unreadable(ValueError):
    """A body cannot be taken; the message says why, and quotes no value of it."""


class ShallowJSON(Parser):
    """Refuses (400) bodies that are nested too deeply; for the older calls, whose fields say what else is wrong."""

    def parse_body(self, request: HttpRequest) -> Any:
        found = json.loads(request.body)
        for _ in _parts(found):
            pass
        return found


class StorableJSON(Parser):
    """Refuses (400) bodies that databases, answers or readers do not take.

    That is: a text with a NUL or half a character, a number that is none (RFC 8259 has no NaN), a name that stands
    twice in one object (which of the two is meant?), and what is nested too deeply.
    """

    def parse_body(self, request: HttpRequest) -> Any:
        found = _parsed(request.body)
        for each in _parts(found):
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, float) and not math.isfinite(each):
                raise Unreadable("It has a number that is too large.")
        return found


def _parts(value: Any) -> Iterator[Any]:
    """Yield everything in `value`, names of fields included.

    Raises:
        Unreadable: it is nested more than DEEPEST levels.
    """
    waiting = [(value, 1)]
    while waiting:
        each, depth = waiting.pop()
        yield each
        if isinstance(each, dict | list):
            if depth > DEEPEST:
                raise Unreadable(_TOO_DEEP)
            inner = [*each.keys(), *each.values()] if isinstance(each, dict) else each
            waiting += [(part, depth + 1) for part in inner]


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_object, parse_constant=_no_number)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable(_TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"It is no JSON: {error}.") from None
    except UnicodeDecodeError:
        raise Unreadable("It is no text in UTF-8.") from None
    except ValueError:  # Python reads no number of thousands of digits
        raise Unreadable("It has a number that is too large.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("A name stands twice in one object.")
    return found


def _no_number(name: str) -> Any:
    raise Unreadable(f"{name} is no number of JSON.")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Unreadable("A text has a NUL in it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable("A text has half a character in it: one part of a surrogate pair.") from None
