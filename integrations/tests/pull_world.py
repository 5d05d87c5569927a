"""A provider to pull from: a shop that tests alone register, and the list that its server hands out.

Another process knows the shop, and stores its orders, when it imports pull_process.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from integrations.connectors.base import BaseConnector
from integrations.connectors.exported import exported
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.page import Page
from integrations.connectors.registry import ConnectorRegistry
from integrations.models import SyncState, TenantIntegration
from integrations.pull.handlers import forget, handles
from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Answer, Receiver, Request
from tasks.models import Customer

KEY = "corner-shop"


class CornerShop(BaseConnector):
    """Orders with a cursor; prices without one."""

    manifest = Manifest(
        key=KEY,
        label="Corner shop",
        family="shop",
        fields=(Field(name="base_url", kind="url", required=True), Field(name="token", kind="secret")),
    )

    @exported
    def get_orders(self, since: datetime | None = None, cursor: str | None = None) -> Page[str]:
        found = self.http.get("/orders", params={"cursor": cursor} if cursor else None)
        return Page(found["items"], found["cursor"], found["has_more"])

    @exported
    def get_prices(self) -> list[dict[str, Any]]:
        self.http.get("/prices")
        return [{"sku": "A", "price": Decimal("9.5"), "at": datetime(2025, 11, 5, 20, 30)}]

    @exported
    def get_order(self, number: int, cursor: str | None = None) -> dict[str, Any]:
        return self.http.get(f"/orders/{number}")

    @exported
    def rename(self, number: int, name: str = "") -> dict[str, Any]:
        self.http.get(f"/rename/{number}")
        return {"number": number, "name": name}

    def delete_everything(self) -> None:
        self.http.get("/delete")


class OrderBook:
    """The provider's side: a growing list, read page by page; a responder for the Receiver.

    The cursor is the number of rows that were read; the last page's is where new rows will be.
    """

    def __init__(self, rows: int = 0, page_size: int = 2) -> None:
        self.rows = [f"order-{n}" for n in range(1, rows + 1)]
        self.page_size = page_size
        self.outage: Answer | int | None = None
        self.asked: list[str] = []  # the cursors, in the order of their requests

    def __call__(self, request: Request) -> Answer | int:
        query = parse_qs(urlsplit(request.path).query)
        (cursor,) = query.get("cursor", [""])
        self.asked.append(cursor)
        return self.outage if self.outage is not None else self.page(cursor)

    def page(self, cursor: str) -> Answer:
        start = int(cursor or 0)
        end = min(start + self.page_size, len(self.rows))
        page = {"items": self.rows[start:end], "cursor": str(end), "has_more": end < len(self.rows)}
        return Answer(body=json.dumps(page).encode())


def allowed(receiver: Receiver, **more: Any) -> dict[str, Any]:
    """The settings with which the shop's server may be called, once per request."""
    return {"ALLOWED_HOSTS": [receiver.netloc], "HTTP_MAX_ATTEMPTS": 1, "RETRY_JITTER": 0.0, **more}


def make_shop(receiver: Receiver, **fields: Any) -> TenantIntegration:
    values: dict[str, Any] = {"name": "Corner shop", "integration_type": KEY, "is_connected": True, **fields}
    values.setdefault("config", {"base_url": f"http://{receiver.netloc}"})
    if "tenant" not in values:
        values["tenant"] = make_tenant()
    return TenantIntegration.objects.create(**values)


def state_of(shop: TenantIntegration, resource_type: str = "orders", **fields: Any) -> SyncState:
    return SyncState.objects.create(connection=shop, resource_type=resource_type, **fields)


def store_orders(items: list[str], connection: TenantIntegration) -> None:
    """The effect of a page: a row for every copy of an order, so that tests see what was doubled."""
    for item in items:
        Customer.objects.create(tenant=connection.tenant, name=item)


def stored() -> list[str]:
    """What `store_orders` wrote, in order."""
    return list(Customer.objects.order_by("id").values_list("name", flat=True))


@contextmanager
def shop_is_registered() -> Iterator[None]:
    """Let this process know the shop."""
    ConnectorRegistry.register(KEY, CornerShop)
    try:
        yield
    finally:
        ConnectorRegistry.unregister(KEY)


@contextmanager
def orders_are_handled() -> Iterator[None]:
    """Let the tasks' items go to `store_orders`."""
    handles("shop", "orders")(store_orders)
    try:
        yield
    finally:
        forget("shop", "orders")
