"""Anything in, JSON text out: always the same bytes for the same value.

A NaN, a NUL or half a surrogate pair in a payload would make PostgreSQL refuse the row, and with it the user's whole
transaction. What JSON cannot say is replaced, not refused. What does not fit is cut, and the body names it:
``"truncated": ["workitem.description"]``. The one exception that leaves this module is one that a value raises when it
is read, or `TooLarge`; whoever records an event then records a minimal one.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager
from django.utils import timezone
from django.utils.functional import Promise

from integrations.tenancy.boundary import is_kept_out

MAX_DEPTH = 32
MAX_INTEGER_BITS = 256  # longer ones are identifiers or mistakes: sent as text
ENDLESS = 1_000_000  # items of something that does not say how many it has, where there is no body limit
MOST_PARTS, MOST_CHARACTERS = 2, 16  # times the limit; a user waits for it
SHORTEST = 64  # characters; shorter texts are not cut
CLOSE = 32  # a body that is cut leaves at most this part of its room empty, where its parts are as fine as that
NAMED = 20  # of what was cut
TRUNCATED = "truncated"
REPLACEMENT = "\ufffd"
_MODEL_FIELDS = ("id", "name", "email")
_UNSENDABLE = {0: REPLACEMENT} | dict.fromkeys(range(55296, 57344), REPLACEMENT)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")  # how Python shows what has no words of its own

At = tuple[tuple[int, Any], ...]  # the containers around a value, from the outside in: id, and its own key


class TooLarge(ValueError):
    """A payload has many times more in it than a body may have."""


# Sanitised values have no circles.
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def encode(payload: Mapping[str, Any]) -> str:
    """Return `payload` as compact JSON in its own key order, sanitised."""
    return encode_sanitised(sanitise(payload))


def encode_sanitised(value: Any) -> str:
    """Return what `sanitise` made as compact JSON in its own key order."""
    return _encoder.encode(value)


def encode_within(payload: dict[str, Any], limit: int) -> tuple[str | None, list[str]]:
    """Return what `sanitise_object` made as JSON of at most `limit` bytes, and the paths of what is cut in it.

    If it is larger, its longest texts and lists are cut, no more than is needed: how long they may be is searched by
    halves, until at most one part in CLOSE of the body is empty, or the next item of a list is one too many. None: that
    is not enough.
    """
    text = encode_sanitised(payload)
    if _size(text) <= limit:
        return text, []
    found: tuple[str | None, list[str]] = None, []
    fits, over = 1, limit  # characters of one part: what is known to fit, and what does not
    while over - fits > fits // CLOSE and (longest := (fits + over) // 2) > 1:
        walk = _Walk(limit, max(longest, SHORTEST), longest // 2)
        text = encode_sanitised(walk.named(payload))
        size = _size(text)
        if size > limit:
            over = longest
            continue
        found, fits = (text, walk.cut), longest
        if limit - size <= limit // CLOSE:
            break
    return found


def sanitise_object(payload: Mapping[str, Any], *, limit: int) -> dict[str, Any]:
    """Return `payload` sanitised, as JSON object; what no body of `limit` bytes has room for is cut, and named.

    Raises:
        TooLarge: nobody would wait until all of it is read.
    """
    return _Walk(limit).named(payload)


def sanitise(value: Any) -> Any:
    """Return `value` made of dict, list, str, int, float, bool and None only (seed 001's formats).

    Times become UTC ``2025-11-05T20:30:00Z`` (naive ones are read in TIME_ZONE), decimals strings with at least two
    places, bytes base64, a model instance its id, name and email, a dataclass its fields, whatever can be gone through
    a list. What has no words of its own becomes ``[Its class]``.
    """
    return _Walk(sys.maxsize).value(value, "", ())


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class _Walk:
    """One walk through a payload.

    Args:
        limit: bytes of the body that it is for.
        longest: characters of one text. None: what a body has room for.
        most: items of a list or object. None: what a body has room for; each takes two bytes at least.

    Attributes:
        cut: the paths of what did not fit.
    """

    def __init__(self, limit: int, longest: int | None = None, most: int | None = None) -> None:
        self._limit = limit
        self._longest = limit if longest is None else longest
        self._most = limit // 2 if most is None else most
        self._parts = self._characters = 0
        self.cut: list[str] = []

    def named(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return `payload` as JSON object that names what was cut in it."""
        found: dict[str, Any] = self._container(payload, "", ())
        self._refuse_endless()
        if self.cut:
            before = found.get(TRUNCATED)
            names = list(dict.fromkeys([*(before if isinstance(before, list) else ()), *self.cut]))
            more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
            found[TRUNCATED] = names[:NAMED] + more
        return found

    def value(self, value: Any, key: str | int, at: At) -> Any:
        """Return one value, which stands at `key` of the innermost container of `at`."""
        self._parts += 1
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if kind is str:
            return self._text(value, key, at)
        if (plain := _PLAIN.get(kind)) is not None:  # nearly all there is; the rest are subclasses and strangers
            return plain(value)
        if kind is dict or kind is list:
            return self._container(value, key, at)
        if isinstance(value, (Enum, Promise)):
            return self._text(str(value), key, at)
        if isinstance(value, str):
            return self._text(str.__str__(value), key, at)
        for base, plain in _BASES:
            if isinstance(value, base):
                return plain(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._text(b64encode(bytes(value)).decode(), key, at)
        if isinstance(value, BaseManager):  # ``obj.lines`` is meant as ``obj.lines.all()``
            value = value.all()
        if isinstance(value, Model) and is_kept_out(value, _path(key, at)):
            return None
        if _has_parts(value):
            return self._container(value, key, at)
        return self._text(_words(value), key, at)

    def _container(self, value: Any, key: str | int, at: At) -> Any:
        own = id(value)
        for around, _ in at:
            if own == around:
                return "[circular]"
        if len(at) >= MAX_DEPTH:
            self.cut.append(_path(key, at))
            return "[truncated]"
        self._refuse_endless()
        inside = (*at, (own, key))
        if type(value) is dict or isinstance(value, Mapping):
            pairs: Iterable[tuple[Any, Any]] = value.items()
            if len(value) > self._most:
                self.cut.append(_path(key, at))
                pairs = itertools.islice(pairs, self._most)
            return self._object(pairs, inside)
        if isinstance(value, Model):
            return self._object(
                ((name, getattr(value, name)) for name in _MODEL_FIELDS if hasattr(value, name)), inside
            )
        if dataclasses.is_dataclass(value):
            fields = [field.name for field in dataclasses.fields(value)]
            return self._object(((name, getattr(value, name)) for name in fields), inside)
        found = self._list(value, key, at, inside)
        if isinstance(value, (set, frozenset)):
            found.sort(key=repr)  # a set has another order in each process
        return found

    def _refuse_endless(self) -> None:
        """Lists within lists that are one and the same double with each level, in time and in bytes."""
        if self._parts > MOST_PARTS * self._limit or self._characters > MOST_CHARACTERS * self._limit:
            raise TooLarge(f"a payload is many times larger than {self._limit} bytes")

    def _object(self, pairs: Iterable[tuple[Any, Any]], at: At) -> dict[str, Any]:
        found: dict[str, Any] = {}
        longest, characters = self._longest, 0
        for key, item in pairs:
            # An identifier has no NUL and no half of a pair.
            name = key if type(key) is str and key.isidentifier() and len(key) <= longest else self._key(key, at)
            if name in found:  # 1 and "1": neither may hide the other
                name = next(other for n in itertools.count(2) if (other := f"{name} ({n})") not in found)
            # Most values are short texts that may stay as they are; a call for each would double the time.
            if item is None:
                found[name] = None
            elif type(item) is str and item.isascii() and (length := len(item)) <= longest and "\0" not in item:
                found[name] = item
                characters += length
            else:
                found[name] = self.value(item, name, at)
        self._parts += len(found)
        self._characters += characters
        return found

    def _list(self, value: Any, key: str | int, at: At, inside: At) -> list[Any]:
        has_length = isinstance(value, (list, tuple, set, frozenset, Sequence))
        most = self._most if has_length else min(self._most, ENDLESS)
        end = self._characters + self._longest
        if isinstance(value, QuerySet):
            value = value[: most + 1]  # it would read all of its rows
        found: list[Any] = []
        for index, item in enumerate(value):
            if index >= most or (not has_length and self._characters > end):
                self.cut.append(_path(key, at))
                break
            found.append(self.value(item, index, inside))
        return found

    def _key(self, key: Any, at: At) -> str:
        found = self.value(key, "", at)
        if isinstance(found, str):
            return found
        return str(found) if found is None or isinstance(found, (bool, int, float)) else encode_sanitised(found)

    def _text(self, value: str, key: str | int, at: At) -> str:
        if len(value) > self._longest:
            self.cut.append(_path(key, at))
            value = value[: self._longest - 1] + "…"
        self._characters += len(value)
        if value.isascii() and "\0" not in value:
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.translate(_UNSENDABLE)
        return value.replace("\0", REPLACEMENT)


def _path(key: str | int, at: At) -> str:
    """Return where a value stands: ``workitem.lines[3].text``."""
    path = ""
    for name in (*(name for _, name in at), key):
        path += f"[{name}]" if isinstance(name, int) else f".{name}" if name and path else str(name)
    return path


def _has_parts(value: Any) -> bool:
    if isinstance(value, (Model, Mapping, Sequence, set, frozenset, QuerySet)):
        return True
    kind = type(value)
    if isinstance(value, type):
        return False
    # What can be gone through and has words of its own (a file's name, a network's address) is said in these.
    return dataclasses.is_dataclass(value) or (hasattr(kind, "__iter__") and kind.__str__ is object.__str__)


def _words(value: Any) -> str:
    """Return what `value` says of itself, or a marker if it would say something else each time."""
    try:
        text = str(value)
    except Exception:  # a broken __str__ must not cost the rest of the event
        text = ""
    if not text or _ADDRESS.search(text) or str(id(value)) in text:
        return f"[{type(value).__name__}]"
    return text


def _integer(value: int) -> int | str:
    value = int.__pos__(value)
    if value.bit_length() <= MAX_INTEGER_BITS:
        return value
    # Python refuses to print more than 4300 digits in decimal; hexadecimal has no such limit.
    return str(value) if value.bit_length() < 14_000 else hex(value)


def _float(value: float) -> float | None:
    return float.__pos__(value) if math.isfinite(value) else None


def _decimal(value: Decimal) -> str | None:
    if not value.is_finite():
        return None
    _, _, exponent = value.as_tuple()
    if value.adjusted() > 1000 or exponent < -1000:  # type: ignore[operator]
        return str(value)
    places = max(2, -int(exponent))
    return f"{value:.{places}f}"


def _datetime(value: datetime) -> str:
    try:
        if timezone.is_naive(value):
            value = timezone.make_aware(value)
        value = value.astimezone(UTC)
    except (OverflowError, ValueError):
        # The first and last days of the calendar have no UTC in some zones.
        return value.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    return value.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


_PLAIN: dict[type, Callable[[Any], Any]] = {
    int: _integer,
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: timedelta.total_seconds,
}
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = tuple(_PLAIN.items())  # a datetime is a date, so it comes first
