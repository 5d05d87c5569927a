"""A family is data: a shop that only a test knows works like any other; docs/shops.md as printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from integrations.connectors.exported import exported_methods
from integrations.connectors.families.shop import OrderStatus
from integrations.connectors.registry import ConnectorRegistry
from integrations.models import TenantIntegration
from integrations.services.lookup import get_connector, list_available_providers
from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.woocommerce_server import WooCommerceServer
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "shops.md"
PORT = {"get_orders", "get_order", "get_products", "update_order_status"}
ORDER = {"id": 7, "status": "paid", "total": "29.35", "currency": "EUR"}


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def basalt(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    """The connector that the page prints, as a module of its own, registered by its own decorator."""
    ConnectorRegistry.all()
    blocks = re.findall(r"^```python\n(# integrations/\S+\n.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    module = ModuleType("integrations_guide_basalt")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(blocks[0], "docs/shops.md", "exec"), module.__dict__)
    yield module.__dict__["BasaltConnector"]
    ConnectorRegistry.unregister("basalt")


def answer(request: Request) -> Answer:
    if request.method == "PUT":
        return Answer(body=json.dumps({**ORDER, "id": 7, "status": request.json["status"]}).encode())
    if request.path.startswith("/orders/"):
        return Answer(body=json.dumps(ORDER).encode())
    if request.path.startswith("/products"):
        rows = [{"id": 1, "name": "Slab", "price": "12.50", "currency": "EUR"}]
        return Answer(body=json.dumps({"rows": rows, "token": "p1", "more": False}).encode())
    is_second = "token=t1" in request.path
    row = {**ORDER, "status": "lost"} if is_second else ORDER
    return Answer(
        body=json.dumps({"rows": [row], "token": "t2" if is_second else "t1", "more": not is_second}).encode()
    )


def test_a_shop_that_nobody_else_knows(basalt: type, tenant: Tenant, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    receiver.answer_with(answer)
    connection = TenantIntegration(tenant=tenant, integration_type="basalt", name="Quarry")
    connection.config = {"base_url": f"http://{receiver.netloc}", "status_map_outbound": {"shipped": "gone"}}
    connection.credentials = {"token": "canary-token-7f3a91"}
    connection.save()
    assert connection.test_connection().success
    assert connection.is_operational and connection.provider_family == "shop"

    adapter = get_connector("basalt", tenant)
    first = adapter.get_orders()
    second = adapter.get_orders(cursor=first.cursor)
    assert [(order.order_id, order.status) for order in (*first, *second)] == [("7", "processing"), ("7", "lost")]
    assert (first.has_more, second.has_more, second.cursor) == (True, False, "t2")
    assert [product.price for product in adapter.get_products()] == [Decimal("12.50")]
    assert adapter.get_order("7").status is OrderStatus.PROCESSING
    assert adapter.update_order_status("7", OrderStatus.SHIPPED).shop_status == "gone"

    assert "basalt" in [manifest.key for manifest in list_available_providers(family="shop")]
    assert exported_methods(basalt) == PORT
    assert adapter.inbound is not None and adapter.inbound.event_path == "type"


def test_the_printed_connection(tenant: Tenant, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Created as django-bapp-connectors creates it, with the shop's address among the credentials."""
    with WooCommerceServer() as shop:
        settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [shop.netloc]}
        shop.statuses += ["custom-status", "custom-shipped"]
        shop.add_order(id=12345, status="custom-status")
        connection = TenantIntegration(
            tenant=tenant,
            provider_family="shop",
            provider_name="woocommerce",
            display_name="Main WooCommerce Store",
            config={
                "prices_include_vat": True,
                "vat_rate": "0.19",
                "status_map_inbound": {"wc-custom-status": "processing"},
                "status_map_outbound": {"shipped": "wc-custom-shipped"},
            },
        )
        connection.credentials = shop.credentials
        connection.save()
        connection = TenantIntegration.objects.get(pk=connection.pk)
        assert connection.config["vat_rate"] == "0.19" and connection.config["prices_include_vat"] is True
        result = connection.test_connection()
        assert result.success, result.message
        assert connection.is_connected

        orders = connection.get_adapter().get_orders(cursor="1")
        for order in orders.items:
            print(f"Order {order.order_id}: {order.status}")
        assert capsys.readouterr().out == "Order 12345: processing\n"
        assert (
            connection.get_adapter().update_order_status("12345", OrderStatus.SHIPPED).shop_status == "custom-shipped"
        )


def test_refused_three_times_it_is_disabled(tenant: Tenant, settings: Any) -> None:
    """The shop's 401 counts, its outage does not."""
    with WooCommerceServer() as shop:
        settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [shop.netloc]}
        connection = TenantIntegration(tenant=tenant, integration_type="woocommerce", name="Shop", is_connected=True)
        connection.credentials = shop.credentials
        connection.save()
        adapter = connection.get_adapter(attempts=1)
        for mode in ("down", "down", "down", "unauthorized", "unauthorized", "unauthorized"):
            shop.mode = mode
            with pytest.raises(Exception, match="answered"):
                adapter.get_orders()
        connection.refresh_from_db()
        assert (connection.is_enabled, connection.is_connected) == (False, False)
        assert connection.auth_failure_count == 3 and connection.disabled_reason

        connection.credentials = shop.credentials
        connection.save()
        assert not connection.is_enabled, "new credentials alone switch nothing on"
        shop.mode = ""
        connection.re_enable()
        assert connection.test_connection().success
        connection.refresh_from_db()
        assert connection.is_operational and connection.auth_failure_count == 0
