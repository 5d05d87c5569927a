"""Anything in, JSON text out: never an exception, always the same bytes for the same value.

A NaN, a NUL or half a surrogate pair in a payload would make PostgreSQL refuse the row, and with it the
user's whole transaction. What JSON cannot say is replaced, not refused; the limits keep one careless field
from filling the outbox.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db.models import Model
from django.utils import timezone
from django.utils.functional import Promise

MAX_STRING = 32_768  # characters
MAX_DEPTH = 32
MAX_ITEMS = 10_000  # of one list or object
MAX_INTEGER_BITS = 256  # longer ones are identifiers or mistakes: sent as text
REPLACEMENT = "\ufffd"
_MODEL_FIELDS = ("id", "name", "email")
_UNSENDABLE = {0: REPLACEMENT} | dict.fromkeys(range(55296, 57344), REPLACEMENT)


# Sanitised values have no circles.
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def encode(payload: Mapping[str, Any]) -> str:
    """Return `payload` as compact JSON in its own key order, sanitised."""
    return encode_sanitised(sanitise(payload))


def encode_sanitised(value: Any) -> str:
    """Return what `sanitise` made as compact JSON in its own key order."""
    return _encoder.encode(value)


def sanitise_object(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return `payload` sanitised, as JSON object."""
    sanitised: dict[str, Any] = _sanitise(payload, 0, ())
    return sanitised


def sanitise(value: Any) -> Any:
    """Return `value` made of dict, list, str, int, float, bool and None only (seed 001's formats).

    Times become UTC ``2025-11-05T20:30:00Z`` (naive ones are read in TIME_ZONE), decimals strings with at
    least two places, bytes base64, a model instance its id, name and email.
    """
    return _sanitise(value, 0, ())


def _sanitise(value: Any, depth: int, parents: tuple[int, ...]) -> Any:
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if (plain := _PLAIN.get(kind)) is not None:  # nearly all there is; the rest are subclasses and strangers
        return plain(value)
    if kind is dict or kind is list:
        return _container(value, depth, parents)
    if isinstance(value, Enum):
        return _text(str(value))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        return _datetime(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _text(b64encode(bytes(value)).decode())
    if isinstance(value, Promise):
        return _text(str(value))
    if isinstance(value, (Model, Mapping, list, tuple, set, frozenset)):
        return _container(value, depth, parents)
    return _stranger(value)


def _container(value: Any, depth: int, parents: tuple[int, ...]) -> Any:
    if id(value) in parents:
        return "[circular]"
    if depth >= MAX_DEPTH:
        return "[truncated]"
    path = (*parents, id(value))
    if isinstance(value, Model):
        names = [name for name in _MODEL_FIELDS if hasattr(value, name)]
        return {name: _sanitise(getattr(value, name), depth + 1, path) for name in names}
    if isinstance(value, Mapping):
        items = value.items() if len(value) <= MAX_ITEMS else list(value.items())[:MAX_ITEMS]
        # Most values are short texts that may stay as they are; a call for each would double the time.
        return {
            _key(key): item
            if item is None or (type(item) is str and item.isascii() and len(item) <= MAX_STRING and "\0" not in item)
            else _sanitise(item, depth + 1, path)
            for key, item in items
        }
    if isinstance(value, (set, frozenset)):
        return sorted((_sanitise(item, depth + 1, path) for item in value), key=repr)[:MAX_ITEMS]
    return [_sanitise(item, depth + 1, path) for item in value[:MAX_ITEMS]]


def _key(key: Any) -> str:
    if type(key) is str and key.isidentifier() and len(key) < MAX_STRING:  # no NUL, no half of a pair
        return key
    if isinstance(key, str) and not isinstance(key, Enum):
        return _text(key)
    return str(_sanitise(key, MAX_DEPTH, ()))


def _text(value: str) -> str:
    if type(value) is str and value.isascii() and len(value) <= MAX_STRING and "\0" not in value:
        return value
    value = str(value[: MAX_STRING + 1])
    if len(value) > MAX_STRING:
        value = value[: MAX_STRING - 1] + "…"
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.translate(_UNSENDABLE)
    return value.replace("\0", REPLACEMENT)


def _integer(value: int) -> int | str:
    if value.bit_length() <= MAX_INTEGER_BITS:
        return int(value)
    # Python refuses to print more than 4300 digits in decimal; hexadecimal has no such limit.
    return _text(str(value) if value.bit_length() < 14_000 else hex(value))


def _float(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


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


def _stranger(value: Any) -> str:
    try:
        return _text(str(value))
    except Exception:  # a broken __str__ must not cost the user's transaction
        return f"[{type(value).__name__}]"


_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
    date: date.isoformat,
    time: time.isoformat,
}
