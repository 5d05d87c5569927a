"""An order as connectors see it: an id and JSON, whatever class the host's orders have.

``draft_order`` of seeds/002 may be a dataclass, a dict, or any object with an ``id`` (a Django model too). It is turned
into JSON once, when it is pushed; what a worker sends later is that JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
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
    """Return the order as JSON values; exact for decimals, which become text."""
    if isinstance(order, Mapping):
        values: Mapping[str, Any] = order
    elif dataclasses.is_dataclass(order) and not isinstance(order, type):
        values = dataclasses.asdict(order)
    elif hasattr(order, "_meta"):  # a Django model, without importing Django's ORM here
        values = {field.attname: getattr(order, field.attname) for field in order._meta.concrete_fields}
    else:
        values = {name: value for name, value in vars(order).items() if not name.startswith("_")}
        values.setdefault("id", order_id(order))
    return {str(name): _plain(value) for name, value in values.items()}


def order_body(order: Any) -> bytes:
    """Return the UTF-8 JSON of ``{"event_type": "order_push", "order": …}``."""
    payload = {"event_type": "order_push", "order": order_dict(order)}
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=str).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
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
