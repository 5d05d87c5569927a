"""An order as connectors see it: an id and JSON, whatever class the host's orders have.

``draft_order`` is turned into JSON once, when it is pushed; what a worker sends later is that JSON. Its values are
converted as a person would write them down, or refused with their place:

    dataclass, pydantic model, attrs class, named tuple, any object     its public fields, attributes and properties
    Django model                                                        its columns and properties; an order that is
                                                                        stored also its parts: the rows that would be
                                                                        deleted with it, as ``lines``
    list, tuple, set, generator, QuerySet, related manager              a list
    Enum, date, Decimal, UUID, bytes                                    its value, ISO 8601, text, text, base64

Never a repr: what has nothing that can be read (a function, a lock, a class) is refused. Errors: ``ConfigurationError``
for ``draft_order``; no message holds a value.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django.utils.duration import duration_iso_string
from django.utils.functional import Promise

from integrations.errors import ConfigurationError

MAX_DEPTH = 64
MAX_ITEMS = 10_000  # of one list; one that never ends is refused and not read for ever
MAX_DIGITS_BITS = 14_000  # Python prints no longer number
_FRAMEWORKS = sys.stdlib_module_names | {"django", "pydantic"}
_AS_TEXT = (Decimal, UUID, PurePath, IPv4Address, IPv6Address, Promise)
_NOTHING = object()


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


class OrderReader:
    """Reads one order.

    Args:
        tenant_id: whose order it is; a row of another tenant in it is refused. None: nobody's.
    """

    def __init__(self, tenant_id: Any = None) -> None:
        self._tenant_id = tenant_id
        self._above: list[int] = []  # ids of what is being read, from the order down

    def read(self, order: Any) -> dict[str, Any]:
        """Return the order as a JSON object."""
        found = self.value(order, "")
        if not isinstance(found, dict):
            raise refused("is not an object; pass a dict, a dataclass or a model")
        return found

    def value(self, value: Any, path: str) -> Any:
        """Return the JSON value of `value`, which stands at `path`."""
        if isinstance(value, Enum):
            return self.value(value.value, path)
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, int):
            if value.bit_length() > MAX_DIGITS_BITS:
                raise unsayable(path, "a number of thousands of digits")
            return value
        if isinstance(value, float):
            if not math.isfinite(value):  # sent as null or as text it would be another order
                raise unsayable(path, "NaN or infinity")
            return value
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return duration_iso_string(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return base64.b64encode(value).decode()
        if isinstance(value, _AS_TEXT):
            return str(value)
        if id(value) in self._above:
            raise refused(f"contains itself at {path or 'the top'}")
        if len(self._above) == MAX_DEPTH:
            raise refused(f"is nested deeper than {MAX_DEPTH} levels at {path}")
        self._above.append(id(value))
        try:
            return self._parts(value, path)
        finally:
            self._above.pop()

    def _parts(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return self._object(((self._key(key, path), item) for key, item in value.items()), path)
        if callable(getattr(value, "model_dump", None)) and hasattr(type(value), "model_fields"):  # pydantic
            return self.value(_read(value, "model_dump", path, call=True), path)
        if callable(getattr(value, "all", None)) and hasattr(value, "get_queryset"):  # Django's managers
            value = value.all()
        if _is_list(value):
            return self._list(value, path)
        return self._record(value, path)

    def _record(self, value: Any, path: str) -> dict[str, Any]:
        is_row = hasattr(value, "_meta") and hasattr(value._meta, "concrete_fields") and not isinstance(value, type)
        tenant_id = getattr(value, "tenant_id", None) if is_row else None
        if None not in (tenant_id, self._tenant_id) and tenant_id != self._tenant_id:
            raise refused(f"holds a row of another tenant at {path}" if path else "belongs to another tenant")
        found = _columns(value) if is_row else _attributes(value, path)
        for name in _properties(value):
            if name not in found and (item := _read(value, name, path)) is not _NOTHING:
                found[name] = item
        if is_row and not path:
            found |= _parts_of(value)
        if not found:
            raise unsayable(path, f"{_named(value)}, which has no fields; pass a dict, a dataclass or a model")
        return self._object(found.items(), path)

    def _object(self, items: Iterable[tuple[str, Any]], path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, item in items:
            if name in found:
                raise unsayable(_below(path, name), "two keys that are the same in JSON")
            found[name] = self.value(item, _below(path, name))
        return found

    def _key(self, key: Any, path: str) -> str:
        if isinstance(key, Enum):
            return self._key(key.value, path)
        if isinstance(key, datetime | date | time):
            return key.isoformat()
        if key is None or isinstance(key, str | int | float | UUID | Decimal | Promise):
            return str(key)
        raise unsayable(path, f"{_named(key)} as a key")

    def _list(self, value: Iterable[Any], path: str) -> list[Any]:
        found: list[Any] = []
        problem = ""
        try:
            for number, item in enumerate(value):
                if number == MAX_ITEMS:
                    raise unsayable(path, f"a list over {MAX_ITEMS:,} items")
                found.append(self.value(item, f"{path}[{number}]"))
        except (ConfigurationError, RecursionError):
            raise
        except Exception as error:  # a generator's own
            problem = type(error).__name__
        if problem:
            raise unreadable(path, problem)
        # A set has no order, and the same order must be the same bytes.
        return sorted(found, key=json.dumps) if isinstance(value, set | frozenset) else found


def refused(problem: str) -> ConfigurationError:
    """Return the error for an order that cannot be sent."""
    return ConfigurationError({"draft_order": problem})


def unsayable(path: str, what: str) -> ConfigurationError:
    """Return the error for the value at `path`, which has no form in JSON."""
    return refused(f"contains a value that JSON cannot represent at {path or 'the top'}: {what}")


def unreadable(path: str, error: str) -> ConfigurationError:
    return refused(f"could not be read at {path or 'the top'}: {error}")


def _below(path: str, name: str) -> str:
    return f"{path}.{name[:50]}" if path else name[:50]


def _named(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _is_list(value: Any) -> bool:
    """Tell whether `value` is a list of things, and no object that can also be gone through."""
    is_record = isinstance(value, tuple) and hasattr(value, "_fields")
    if isinstance(value, type) or not isinstance(value, Iterable) or is_record:
        return False
    is_query = hasattr(value, "query") and hasattr(value, "model")
    is_known = is_query or isinstance(value, list | tuple | set | frozenset | Iterator)
    return is_known or not _names_of(value)


def _columns(row: Any) -> dict[str, Any]:
    columns = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        columns[field.attname] = str(value) if hasattr(field, "upload_to") else value  # a file by its name
    return columns


def _parts_of(order: Any) -> dict[str, Any]:
    """Return the rows that are parts of a stored order, those that are deleted with it; and which rows it points to."""
    if order._state.adding:
        return {}
    found: dict[str, Any] = {}
    for relation in order._meta.related_objects:
        is_part = getattr(relation.on_delete, "__name__", "") in ("CASCADE", "DB_CASCADE")
        if not is_part or relation.many_to_many or getattr(relation, "parent_link", False):
            continue
        name = relation.get_accessor_name()
        if relation.one_to_many:
            rows = getattr(order, name).all()
            found[name] = rows if rows.ordered else rows.order_by("pk")
        elif (row := getattr(order, name, None)) is not None:
            found[name] = row
    for field in order._meta.many_to_many:
        found[field.name] = getattr(order, field.name).order_by("pk").values_list("pk", flat=True)
    return found


def _names_of(value: Any) -> list[str]:
    """Return the names of the public attributes that `value` itself has; none for what is the language's own."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [name for name in value._fields if _is_public(name)]
    if not (list(_own_classes(value)) or isinstance(value, SimpleNamespace)):
        return []
    slots = (vars(kind).get("__slots__", ()) for kind in type(value).__mro__)
    names = [name for each in slots for name in ((each,) if isinstance(each, str) else each)]
    return [name for name in dict.fromkeys([*names, *getattr(value, "__dict__", ())]) if _is_public(name)]


def _attributes(value: Any, path: str) -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if _is_public(field.name)]
    else:
        names = _names_of(value)
    found = {name: item for name in names if (item := _read(value, name, path)) is not _NOTHING}
    for kind in _own_classes(value):  # class Order: currency = "EUR"
        for name, item in vars(kind).items():
            is_data = _is_public(name) and not name.isupper() and not hasattr(item, "__get__")
            if is_data and not isinstance(item, type):
                found.setdefault(name, item)
    return found


def _properties(value: Any) -> list[str]:
    kinds = (property, functools.cached_property)
    return [
        name
        for kind in _own_classes(value)
        for name, item in vars(kind).items()
        if _is_public(name) and (isinstance(item, kinds) or type(item).__name__ == "cached_property")
    ]


def _own_classes(value: Any) -> Iterator[type]:
    """Yield the classes of `value` that somebody wrote, and not a framework."""
    if not isinstance(value, type):
        yield from (kind for kind in type(value).__mro__ if kind.__module__.partition(".")[0] not in _FRAMEWORKS)


def _read(value: Any, name: str, path: str, *, call: bool = False) -> Any:
    try:
        found = getattr(value, name)
        return found() if call else found
    except AttributeError:  # an empty slot, a relation to nothing
        return _NOTHING
    except Exception as error:
        problem = type(error).__name__
    raise unreadable(_below(path, name), problem)


def _is_public(name: str) -> bool:
    return not name.startswith("_")
