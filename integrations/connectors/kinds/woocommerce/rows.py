"""WooCommerce's JSON as orders and products.

In: one row of the REST API v3. Out: an Order or a Product. Prices are texts there ("29.35"), and "" for none; times
are UTC without saying so (``…_gmt``); whatever may be missing or null is. Only a row without an id is refused.
Source: https://woocommerce.github.io/woocommerce-rest-api-docs/ (order properties, product properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.connectors.families.shop import Address, Customer, Order, OrderItem, Product
from integrations.connectors.families.status_map import StatusMap
from integrations.errors import IntegrationTemporaryError

MAX_POWER = 20  # of ten; a number beyond that is no price and no quantity, and cannot be reckoned with


def order(row: Mapping[str, Any], statuses: StatusMap, *, with_vat: bool) -> Order:
    """Return the order in `row`; with_vat: prices of its items include VAT."""
    billing, shipping = _part(row, "billing"), _part(row, "shipping")
    word = _text(row, "status")
    return Order(
        order_id=_id(row),
        status=statuses.ours(word),
        shop_status=word,
        total=_number(row, "total"),
        tax=_number(row, "total_tax"),
        currency=_text(row, "currency"),
        prices_include_vat=with_vat,
        number=_text(row, "number"),
        created_at=_time(row, "date_created_gmt"),
        updated_at=_time(row, "date_modified_gmt"),
        customer=_customer(row, billing, shipping),
        items=tuple(_item(line, with_vat) for line in _rows(row, "line_items")),
        billing=_address(billing),
        shipping=_address(shipping),
        note=_text(row, "customer_note"),
        raw=row,
    )


def product(row: Mapping[str, Any], currency: str, *, with_vat: bool, vat_rate: Decimal | None) -> Product:
    """Return the product in `row`. A variable product's price is that of its cheapest variation."""
    taxable = _text(row, "tax_status") != "none"
    return Product(
        product_id=_id(row),
        name=_text(row, "name"),
        price=_number(row, "price"),
        currency=currency,
        sku=_text(row, "sku"),
        stock=_number(row, "stock_quantity"),
        is_available=_text(row, "stock_status") != "outofstock" and _text(row, "status") in ("publish", ""),
        price_includes_vat=with_vat,
        vat_rate=vat_rate if taxable else Decimal(0),
        updated_at=_time(row, "date_modified_gmt"),
        raw=row,
    )


def _item(line: Mapping[str, Any], with_vat: bool) -> OrderItem:
    quantity = _number(line, "quantity") or Decimal(0)
    net, tax = _number(line, "total"), _number(line, "total_tax")  # `total` is without tax, whatever the shop shows
    total = net + tax if with_vat and net is not None and tax is not None else net
    return OrderItem(
        product_id=_text(line, "product_id"),
        variant_id=_text(line, "variation_id") if line.get("variation_id") else "",
        name=_text(line, "name"),
        sku=_text(line, "sku"),
        quantity=quantity,
        total=total,
        tax=tax,
        price=total / quantity if total is not None and quantity else None,
    )


def _customer(row: Mapping[str, Any], billing: Mapping[str, Any], shipping: Mapping[str, Any]) -> Customer:
    return Customer(
        customer_id=_text(row, "customer_id") if row.get("customer_id") else "",  # 0: a guest
        name=_name(billing) or _name(shipping),
        email=_text(billing, "email"),
        phone=_text(billing, "phone") or _text(shipping, "phone"),
    )


def _address(part: Mapping[str, Any]) -> Address:
    return Address(
        name=_name(part),
        company=_text(part, "company"),
        lines=tuple(filter(None, (_text(part, "address_1"), _text(part, "address_2")))),
        postcode=_text(part, "postcode"),
        city=_text(part, "city"),
        state=_text(part, "state"),
        country=_text(part, "country"),
    )


def _name(part: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (_text(part, "first_name"), _text(part, "last_name"))))


def _id(row: Mapping[str, Any]) -> str:
    found = _text(row, "id")
    if not found:
        raise IntegrationTemporaryError("the shop sent a row without an id", code="bad_answer")
    return found


def _part(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}  # PHP writes an empty object as []


def _rows(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = row.get(name)
    return [line for line in value if isinstance(line, Mapping)] if isinstance(value, list) else []


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _number(row: Mapping[str, Any], name: str) -> Decimal | None:
    value = row.get(name)
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MAX_POWER else None


def _time(row: Mapping[str, Any], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(row, name))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # also what is before the year 1 or after 9999 in UTC
        return None
