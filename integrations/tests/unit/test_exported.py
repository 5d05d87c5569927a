"""Only what a port marks can be called by name (B226)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import pytest

from integrations.connectors.exported import exported, exported_methods
from integrations.connectors.families.shop import ShopPort
from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.kinds.woocommerce import WooCommerceConnector


class Port(ABC):
    @exported
    @abstractmethod
    def get_orders(self) -> Any: ...

    @exported
    def get_order(self) -> Any:
        return 1

    def helper(self) -> Any:
        return 2


class Adapter(Port):
    def get_orders(self) -> Any:
        return []

    def delete_everything(self) -> None: ...


class WithoutOrder(Adapter):
    get_order = None  # type: ignore[assignment]


class Mixin:
    def get_orders(self) -> Any:
        return ["mixed in"]


class Mixed(Mixin, Port): ...


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Port, {"get_orders", "get_order"}),
        (Adapter, {"get_orders", "get_order"}),
        (WithoutOrder, {"get_orders"}),
        (Mixed, {"get_orders", "get_order"}),
        (object, set()),
        (WebhookConnector, set()),
        (WooCommerceConnector, {"get_orders", "get_order", "get_products", "update_order_status"}),
    ],
)
def test_what_is_exported(kind: type, names: set[str]) -> None:
    assert exported_methods(kind) == names


@pytest.mark.parametrize(
    "name",
    ["__class__", "_read", "settings", "http", "delete_everything", "helper", "bound_to", "check", "deliver", ""],
)
def test_what_is_not(name: str) -> None:
    assert name not in exported_methods(WooCommerceConnector) | exported_methods(Adapter) | exported_methods(ShopPort)
