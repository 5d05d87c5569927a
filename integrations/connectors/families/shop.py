"""Shops: the port that a shop's connector implements, and the orders and products that it speaks of.

Code written for ``bapp_connectors.core.dto`` imports from here:

    from integrations.connectors.families.shop import OrderStatus     (or: from integrations import OrderStatus)

    adapter = connection.get_adapter()
    for order in adapter.get_orders().items:
        print(f"Order {order.order_id}: {order.status}")
    updated = adapter.update_order_status("12345", OrderStatus.SHIPPED)

Money is a Decimal, never a float; times are aware, in UTC. How to add a shop: docs/shops.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from integrations.connectors.exported import exported
from integrations.connectors.page import Page

FAMILY = "shop"
_CENT = Decimal("0.01")


class OrderStatus(StrEnum):
    """Where an order stands, whatever the shop calls it. Its text is its value: ``f"{OrderStatus.SHIPPED}"``."""

    PENDING = "pending"  # not paid yet
    ON_HOLD = "on_hold"  # waits for a person, or for a transfer to arrive
    PROCESSING = "processing"  # paid; to be sent
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"  # nothing is left to do
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    FAILED = "failed"  # the payment did


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bill or a parcel goes; what the shop does not know is "" (`country`: ISO 3166, two letters)."""

    name: str = ""
    company: str = ""
    lines: tuple[str, ...] = ()
    postcode: str = ""
    city: str = ""
    state: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who ordered. `customer_id` is "" for a guest."""

    customer_id: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One line of an order.

    Attributes:
        price: of one piece, after discounts; with VAT if the shop's prices include it (`Order.prices_include_vat`).
        total: of the line, in the same way. tax: the VAT of the line, as the shop reckoned it.
    """

    product_id: str
    name: str
    quantity: Decimal
    price: Decimal | None = None
    total: Decimal | None = None
    tax: Decimal | None = None
    sku: str = ""
    variant_id: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One order as it stood when it was read.

    Attributes:
        status: an OrderStatus; or the shop's own word, as a plain text, for one that no map knows.
        shop_status: what the shop calls it, always.
        total: what the customer pays, VAT and delivery included; None if the shop sent no number.
        number: what people call the order; often, not always, its id.
        raw: what the shop sent, for whatever has no place here.
    """

    order_id: str
    status: OrderStatus | str
    total: Decimal | None
    currency: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    customer: Customer = field(default_factory=Customer, repr=False)
    items: tuple[OrderItem, ...] = field(default=(), repr=False)
    number: str = ""
    shop_status: str = ""
    tax: Decimal | None = None
    prices_include_vat: bool = False
    billing: Address = field(default_factory=Address, repr=False)
    shipping: Address = field(default_factory=Address, repr=False)
    note: str = field(default="", repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Product:
    """One product.

    Attributes:
        price: as the shop lists it; None for one without a price. Whether VAT is in it says `price_includes_vat`.
        vat_rate: 0.19 for 19 %; None if nobody said.
    """

    product_id: str
    name: str
    price: Decimal | None
    currency: str
    sku: str = ""
    stock: Decimal | None = None
    is_available: bool = True
    price_includes_vat: bool = False
    vat_rate: Decimal | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def price_with_vat(self) -> Decimal | None:
        """What a customer pays, in cents; None without a price, or if VAT is not in it and nobody gave a rate."""
        if self.price is None or self.price_includes_vat:
            return self.price
        return None if self.vat_rate is None else _cents(self.price * (1 + self.vat_rate))

    @property
    def price_without_vat(self) -> Decimal | None:
        """The net price, in cents; None without a price, or if VAT is in it and nobody gave a rate."""
        if self.price is None or not self.price_includes_vat:
            return self.price
        return None if self.vat_rate is None else _cents(self.price / (1 + self.vat_rate))


class ShopPort(ABC):
    """What a shop's connector can do. Each method may be called by name (tasks).

    Errors are those of integrations/errors.py. A page never leaves out a row that was there when its run began; one
    that changes meanwhile, or on the border of two runs, may come twice.
    """

    @exported
    @abstractmethod
    def get_orders(self, since: datetime | None = None, cursor: str | None = None) -> Page[Order]:
        """Return the orders that changed: all at first, later those since the run that left `cursor`.

        Args:
            since: only those that changed at that time or later; a run that has begun keeps what it began with.
            cursor: of the page before, or of the last run; None or "": from the beginning.
        """

    @exported
    @abstractmethod
    def get_order(self, order_id: str) -> Order:
        """Return one order; IntegrationPermanentError if there is none."""

    @exported
    @abstractmethod
    def get_products(self, cursor: str | None = None) -> Page[Product]:
        """Return the products that changed, as `get_orders` does orders."""

    @exported
    @abstractmethod
    def update_order_status(self, order_id: str, status: OrderStatus | str) -> Order:
        """Set an order's status, translated to the shop's word, and return the order; harmless a second time."""


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)
