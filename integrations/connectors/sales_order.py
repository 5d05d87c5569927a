"""A sales order as SAP and EDI need it: read from the order's JSON, or refused with the name of what is wrong.

    {"id": "…", "number": "SO-1001", "customer": "0010100001", "currency": "EUR", "requested_on": "2026-12-01",
     "lines": [{"sku": "TG11", "quantity": "5", "unit": "PCE", "price": "12.50", "description": "Trading good"}]}

May be missing: `number` (then it is the id), `customer`, `currency`, `requested_on`, and a line's `unit`, `price`
and `description`.
Out: a `SalesOrder`. Errors: IntegrationPermanentError ``bad_order``; no message holds a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.errors import IntegrationPermanentError

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

MAX_LINES = 9999
MAX_DIGITS = 15  # SAP's quantities, and EDIFACT's


@dataclass(frozen=True, slots=True)
class Line:
    """One position. `price` is for one unit."""

    sku: str
    quantity: Decimal
    unit: str = ""
    price: Decimal | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class SalesOrder:
    """What is ordered. `customer` is the number that the receiver knows them by."""

    number: str
    lines: tuple[Line, ...]
    customer: str = ""
    currency: str = ""
    requested_on: date | None = None


def read_sales_order(order: Mapping[str, Any]) -> SalesOrder:
    """Return the sales order in `order`."""
    lines = order.get("lines")
    if not isinstance(lines, list) or not lines:
        raise bad_order("lines", "missing; an order has at least one")
    if len(lines) > MAX_LINES:
        raise bad_order("lines", f"more than {MAX_LINES}")
    return SalesOrder(
        number=_text(order, "number") or _without_dashes(_text(order, "id", required=True)),
        lines=tuple(_line(line, f"lines[{n}]") for n, line in enumerate(lines)),
        customer=_text(order, "customer"),
        currency=_currency(order),
        requested_on=_date(order, "requested_on"),
    )


def bad_order(name: str, problem: str) -> IntegrationPermanentError:
    """Return the error for the order's part `name`."""
    return IntegrationPermanentError(f"the order cannot be exported: {name}: {problem}", code="bad_order")


def plain(number: Decimal) -> str:
    """Return `number` without exponent and trailing zeros: ``12.5``, ``100``."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _line(line: Any, where: str) -> Line:
    if not isinstance(line, Mapping):
        raise bad_order(where, "must be an object")
    quantity = _number(line, "quantity", where)
    if quantity is None or quantity <= 0:
        raise bad_order(f"{where}.quantity", "must be greater than 0")
    return Line(
        sku=_text(line, "sku", where, required=True),
        quantity=quantity,
        unit=_text(line, "unit", where),
        price=_number(line, "price", where),
        description=_text(line, "description", where),
    )


def _text(values: Mapping[str, Any], name: str, where: str = "", *, required: bool = False) -> str:
    value = values.get(name)
    path = f"{where}.{name}" if where else name
    if value is None or value == "":
        if required:
            raise bad_order(path, "missing")
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise bad_order(path, "must be text")
    return " ".join(str(value).split())


def _without_dashes(text: str) -> str:
    """A UUID has 36 characters, and EDIFACT takes 35."""
    return text.replace("-", "") if _UUID.fullmatch(text) else text


def _number(values: Mapping[str, Any], name: str, where: str) -> Decimal | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    number = None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = None
    path = f"{where}.{name}"
    if number is None or not number.is_finite() or number < 0:
        raise bad_order(path, "must be a number, not below 0")
    if number.adjusted() >= MAX_DIGITS or len(plain(number).replace(".", "")) > MAX_DIGITS:
        raise bad_order(path, f"has more than {MAX_DIGITS} digits")
    return number


def _currency(order: Mapping[str, Any]) -> str:
    currency = _text(order, "currency")
    if currency and not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise bad_order("currency", "must be three capital letters (ISO 4217)")
    return currency


def _date(order: Mapping[str, Any], name: str) -> date | None:
    text = _text(order, name)
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        pass
    raise bad_order(name, "must be a date such as 2026-12-01")
