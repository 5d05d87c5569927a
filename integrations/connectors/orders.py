"""An order as connectors see it: an id and JSON, whatever class the host's orders have.

``draft_order`` of seeds/002 may be a dataclass, a dict, or any object with an ``id`` (a Django model too). It is turned
into JSON once, when it is pushed; what a worker sends later is that JSON.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from integrations.errors import ConfigurationError


class Order(dict[str, Any]):
    """An order read back from its JSON: keys as attributes too, ``order.id`` and ``order["id"]``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the order has no {name!r}") from None

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], key: str) -> Order:
        """Return the order in a payload: its ``order``, or else the payload itself under the event's key."""
        found = payload.get("order")
        order = cls(found if isinstance(found, Mapping) else payload)
        order.setdefault("id", key)
        return order


def order_id(order: Any) -> Any:
    """Return the order's id.

    Raises:
        ConfigurationError: it has none; without one nothing tells two pushes of it from two orders.
    """
    found = order.get("id") if isinstance(order, Mapping) else getattr(order, "id", None)
    if found in (None, ""):
        raise ConfigurationError({"draft_order": "has no id"})
    return found


def order_key(order: Any) -> str:
    """Return a key that depends on the order's id alone."""
    return f"ord_{hashlib.sha256(str(order_id(order)).encode()).hexdigest()[:40]}"


def order_dict(order: Any) -> dict[str, Any]:
    """Return the order as JSON values; exact for decimals, which become text.

    Raises:
        ConfigurationError: it has no id, contains itself, or holds what JSON cannot say.
    """
    if isinstance(order, Mapping):
        values: Mapping[str, Any] = order
    elif dataclasses.is_dataclass(order) and not isinstance(order, type):
        values = dataclasses.asdict(order)
    elif hasattr(order, "_meta"):  # a Django model, without importing Django's ORM here
        values = {field.attname: getattr(order, field.attname) for field in order._meta.concrete_fields}
    else:
        values = _attributes(order)
        values.setdefault("id", order_id(order))
    try:
        return {str(name): _plain(value) for name, value in values.items()}
    except RecursionError:
        pass
    raise ConfigurationError({"draft_order": "contains itself"})


def _attributes(order: Any) -> dict[str, Any]:
    names = [name for kind in type(order).__mro__ for name in _names(vars(kind).get("__slots__", ()))]
    names += getattr(order, "_fields", ()) if isinstance(order, tuple) else getattr(order, "__dict__", ())
    return {name: getattr(order, name) for name in names if not name.startswith("_") and hasattr(order, name)}


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def order_body(order: Any) -> bytes:
    """Return the UTF-8 JSON of ``{"event_type": "order_push", "order": …}``."""
    payload = {"event_type": "order_push", "order": order_dict(order)}
    # Half a surrogate pair cannot be sent: it becomes a question mark.
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        # Sent as null or as text it would be another order.
        raise ConfigurationError({"draft_order": "holds what JSON cannot say: NaN or infinity"})
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
