"""An order as connectors see it: an id and JSON, whatever class the host's orders have.

``draft_order`` may be a dataclass, a dict, or any object with an ``id`` (a Django model too). It is turned into JSON
once, when it is pushed (order_values.py says how); what a worker sends later is that JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .order_values import OrderReader, refused


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
    if found is None and hasattr(order, "_meta"):  # a model whose key has another name
        found = getattr(order, "pk", None)
    if found is None or found == "":
        raise refused("has no id")
    return found


def order_key(order: Any) -> str:
    """Return a key that depends on the order's id alone."""
    return f"ord_{hashlib.sha256(str(order_id(order)).encode()).hexdigest()[:40]}"


def order_dict(order: Any, tenant_id: Any = None) -> dict[str, Any]:
    """Return the order as JSON values; exact for decimals, which become text.

    Args:
        tenant_id: whose order it is; a row of another tenant in it is refused.

    Raises:
        ConfigurationError: it has no id, contains itself or a value that JSON cannot represent; it names the place.
    """
    try:
        values = OrderReader(tenant_id).read(order)
        if not isinstance(order, Mapping):
            values.setdefault("id", OrderReader().value(order_id(order), "id"))
        return values
    except RecursionError:
        pass
    raise refused("contains itself")


def order_body(order: Any) -> bytes:
    """Return the UTF-8 JSON of ``{"event_type": "order_push", "order": …}``."""
    payload = {"event_type": "order_push", "order": order_dict(order)}
    # Half a surrogate pair cannot be sent: it becomes a question mark.
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
