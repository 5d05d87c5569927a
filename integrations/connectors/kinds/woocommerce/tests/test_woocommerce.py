"""WooCommerce's rows, statuses, refusals and webhooks, on a shop that behaves as a real one."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from integrations.connectors.families.shop import Address, Customer, OrderItem, OrderStatus
from integrations.connectors.kinds.woocommerce import WooCommerceConnector
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.case_files import load
from integrations.tests.woocommerce_server import Shop, WooCommerceServer

from .conftest import connector_on

CREDENTIALS = {"consumer_key": "ck_x", "consumer_secret": "cs_x", "store_url": "https://myshop.com"}


def failure(call: Any, *args: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        call(*args)
    return caught.value


# -- over the wire ------------------------------------------------------------------------------------------


def test_the_printed_example(
    server: WooCommerceServer, on_server: WooCommerceConnector, capsys: pytest.CaptureFixture[str]
) -> None:
    server.add_order(id=12345, status="processing")
    server.add_product(name="Screen protector", price="12.50")
    adapter = on_server

    orders = adapter.get_orders(cursor="1")
    for order in orders.items:
        print(f"Order {order.order_id}: {order.status}")
    products = adapter.get_products()
    for product in products.items:
        print(f"{product.name} - {product.price} {product.currency}")
    updated = adapter.update_order_status("12345", OrderStatus.SHIPPED)

    assert capsys.readouterr().out == "Order 12345: processing\nScreen protector - 12.50 EUR\n"
    assert (updated.order_id, updated.status, updated.shop_status) == ("12345", "completed", "completed")
    assert server.orders[12345]["status"] == "completed"


def test_check(server: WooCommerceServer, on_server: WooCommerceConnector) -> None:
    server.add_order()
    result = on_server.test_connection()
    assert result.success and result.message == "The key may read orders; there are 1."
    assert server.requests == [("GET", "/wp-json/wc/v3/orders", {"per_page": "1", "_fields": "id"})]


# -- rows -------------------------------------------------------------------------------------------------------


def test_an_order(shop: Shop) -> None:
    shop.add_order(
        id=727,
        number="2026-727",
        date_created_gmt="2026-03-02T09:00:00",
        date_modified_gmt="2026-03-02T09:30:00",
        customer_id=4,
    )
    order = connector_on(shop).get_order("727")
    assert (order.order_id, order.number, order.currency) == ("727", "2026-727", "EUR")
    assert (order.status, order.shop_status) == (OrderStatus.PROCESSING, "processing")
    assert (order.total, order.tax) == (Decimal("29.35"), Decimal("4.69"))
    assert order.created_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert order.updated_at == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert order.customer == Customer("4", "Erika Mustermann", "erika@example.com", "+49 221 1234567")
    assert order.billing == Address(
        "Erika Mustermann", lines=("Heidestraße 17",), postcode="51147", city="Köln", country="DE"
    )
    assert order.raw["meta_data"] == [{"id": 1, "key": "_gift", "value": "yes"}]
    assert "Erika" not in repr(order) and "erika@" not in repr(order), "a repr ends in logs"


@pytest.mark.parametrize(("with_vat", "price", "total"), [(False, "12.33", "24.66"), (True, "14.675", "29.35")])
def test_prices_of_an_order_are_with_or_without_vat(shop: Shop, with_vat: bool, price: str, total: str) -> None:
    shop.add_order()
    (item,) = connector_on(shop, prices_include_vat=with_vat).get_order("1").items
    assert item == OrderItem(
        "93", "Screen protector", Decimal(2), Decimal(price), Decimal(total), Decimal("4.69"), "SP-1"
    )


@pytest.mark.parametrize(
    ("settings", "with_vat", "without"),
    [
        ({"prices_include_vat": True, "vat_rate": "0.19"}, "11.90", "10.00"),
        ({"prices_include_vat": False, "vat_rate": "0.19"}, "14.16", "11.90"),
        ({"prices_include_vat": True}, "11.90", None),
        ({"prices_include_vat": False}, None, "11.90"),
        ({"prices_include_vat": True, "vat_rate": "0"}, "11.90", "11.90"),
    ],
)
def test_prices_of_a_product(shop: Shop, settings: dict[str, Any], with_vat: str | None, without: str | None) -> None:
    shop.add_product(price="11.90")
    (product,) = connector_on(shop, **settings).get_products()
    assert product.price == Decimal("11.90")
    assert (_shown(product.price_with_vat), _shown(product.price_without_vat)) == (with_vat, without)


def _shown(price: Decimal | None) -> str | None:
    return None if price is None else str(price)


def test_a_product_that_is_not_taxed(shop: Shop) -> None:
    shop.add_product(price="10", tax_status="none")
    (product,) = connector_on(shop, vat_rate="0.19").get_products()
    assert product.price_with_vat == product.price == Decimal(10)


def test_what_may_be_missing(shop: Shop) -> None:
    """Plugins, old versions and PHP's empty objects leave out whatever they like."""
    shop.add_order(
        total="",
        total_tax=None,
        customer_id=0,
        billing=[],
        shipping=None,
        line_items=[{"product_id": 0, "name": None, "quantity": 0, "total": "free"}, "?"],
        date_created_gmt="0000-00-00T00:00:00",
        meta_data=None,
        number=7,
    )
    shop.add_product(price="", stock_quantity=3, status="draft")
    order = connector_on(shop).get_order("1")
    assert (order.total, order.tax, order.created_at, order.number) == (None, None, None, "7")
    assert order.customer == Customer() and order.billing == Address()
    assert [(item.quantity, item.price, item.total) for item in order.items] == [(Decimal(0), None, None)]
    (product,) = connector_on(shop).get_products()
    assert (product.price, product.price_with_vat, product.stock) == (None, None, Decimal(3))
    assert not product.is_available


@pytest.mark.parametrize("number", ["1e999999", "1E+400", "9" * 5000, 10**400, "1e-400", "NaN", "-Infinity"])
def test_a_number_that_no_price_has(shop: Shop, number: Any) -> None:
    """One row that a plugin spoilt stops neither its page nor who reckons with it."""
    shop.add_order(
        total=number, line_items=[{"quantity": number, "total": "1e999999"}, {"quantity": 2, "total": number}]
    )
    shop.add_product(price=number)
    connector = connector_on(shop, vat_rate="0.19")
    (order,), (product,) = connector.get_orders(), connector.get_products()
    assert order.total is None and [item.price for item in order.items] == [None, None]
    assert (product.price, product.price_with_vat, product.price_without_vat) == (None, None, None)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_utc_does_not_have(shop: Shop, time: str) -> None:
    shop.add_order(date_created_gmt=time)
    assert connector_on(shop).get_order("1").created_at is None


@pytest.mark.parametrize("body", [{"a": 1}, [1], [{"status": "x"}], "text", None])
def test_an_answer_of_something_else(shop: Shop, monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    monkeypatch.setattr(shop, "answer", lambda *request: (200, {"X-WP-Total": "1"}, json.dumps(body).encode()))
    error = failure(connector_on(shop).get_orders)
    assert type(error) is IntegrationTemporaryError and error.code == "bad_answer"


def test_the_currency_is_asked_for_once(shop: Shop) -> None:
    shop.add_product()
    connector = connector_on(shop)
    for _ in range(2):
        assert connector.get_products().items[0].currency == "EUR"
    assert [path for _, path, _ in shop.requests].count("/wp-json/wc/v3/data/currencies/current") == 1


def test_a_key_that_may_not_ask_for_the_currency_counts_as_no_refusal(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = shop.answer
    refused = (403, {}, b'{"code": "woocommerce_rest_cannot_view", "message": "no", "data": {"status": 403}}')
    monkeypatch.setattr(
        shop, "answer", lambda method, target, *rest: refused if "currenc" in target else answer(method, target, *rest)
    )
    shop.add_product()
    error = failure(connector_on(shop).get_products)
    assert isinstance(error, ConfigurationError) and set(error.problems) == {"currency"}
    assert connector_on(shop, currency="RON").get_products().items[0].currency == "RON"


# -- statuses ---------------------------------------------------------------------------------------------------


def test_the_maps_of_the_printed_example(shop: Shop) -> None:
    shop.statuses += ["custom-status", "custom-shipped"]
    shop.add_order(status="custom-status")
    connector = connector_on(
        shop,
        status_map_inbound={"wc-custom-status": "processing"},
        status_map_outbound={"shipped": "wc-custom-shipped"},
    )
    assert connector.get_order("1").status is OrderStatus.PROCESSING
    assert connector.update_order_status("1", OrderStatus.SHIPPED).shop_status == "custom-shipped"
    assert connector.update_order_status("1", "on_hold").status is OrderStatus.ON_HOLD


def test_a_status_that_nobody_mapped(shop: Shop) -> None:
    shop.statuses.append("in-the-oven")
    shop.add_order(status="in-the-oven")
    connector = connector_on(shop)
    assert connector.get_orders().items[0].status == "in-the-oven"
    assert connector.update_order_status("1", "wc-in-the-oven").status == "in-the-oven"


@pytest.mark.parametrize("status", ["", "a/b", "x" * 60, "shipped\n<script>", None, 5, True, ["shipped"]])
def test_what_is_no_status(shop: Shop, status: Any) -> None:
    assert failure(connector_on(shop).update_order_status, "1", status).code == "bad_status"
    assert shop.requests == []


@pytest.mark.parametrize("order_id", ["", "1/../2", "x", "1?a=b", "٣", None, "9" * 30])
def test_what_is_no_order_id(shop: Shop, order_id: Any) -> None:
    assert failure(connector_on(shop).get_order, order_id).code == "bad_order_id"
    assert shop.requests == []


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", ["not_a_number", "19", "1", "-0.1", "0.19 ", "0,19", "NaN", "٠.١٩", 0.19])
def test_a_vat_rate_that_is_none(rate: Any) -> None:
    problems = WooCommerceConnector.validate_config({**CREDENTIALS, "prices_include_vat": True, "vat_rate": rate})
    assert set(problems) == (set() if rate == "0.19 " else {"vat_rate"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status_map_inbound": {"wc-x": "sent"}}, "status_map_inbound"),
        ({"status_map_inbound": ["wc-x"]}, "status_map_inbound"),
        ({"status_map_inbound": {"wc-x": 5}}, "status_map_inbound"),
        ({"status_map_outbound": {"sent": "wc-x"}}, "status_map_outbound"),
        ({"status_map_outbound": '{"shipped": null}'}, "status_map_outbound"),
        ({"store_url": "http://myshop.com"}, "store_url"),
        ({"store_url": "https://10.0.0.1"}, "store_url"),
        ({"store_url": "https://myshop.com/?rest_route=/"}, "store_url"),
        ({"page_size": 101}, "page_size"),
        ({"currency": "euro"}, "currency"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], field: str) -> None:
    assert set(WooCommerceConnector.validate_config({**CREDENTIALS, **changes})) == {field}


def test_settings_of_the_printed_example_are_fine() -> None:
    config = {
        "prices_include_vat": True,
        "vat_rate": "0.19",
        "status_map_inbound": {"wc-custom-status": "processing"},
        "status_map_outbound": {"shipped": "wc-custom-shipped"},
    }
    assert WooCommerceConnector.validate_config({**CREDENTIALS, **config}) == {}


@pytest.mark.parametrize(
    "address",
    ["https://a.example/", "https://a.example", "https://a.example/wp-json", "https://a.example/wp-json/wc/v3/"],
)
def test_the_address_in_every_spelling(address: str) -> None:
    assert WooCommerceConnector.bound_to({**CREDENTIALS, "store_url": address}).base_url == (
        "https://a.example/wp-json/wc/v3"
    )


# -- refusals -----------------------------------------------------------------------------------------------------


def test_what_the_shop_s_troubles_become(shop: Shop) -> None:
    shop.add_order()
    get_orders = connector_on(shop).get_orders
    shop.mode = "unauthorized"
    error = failure(get_orders)
    assert isinstance(error, IntegrationAuthError) and error.code == "woocommerce_rest_cannot_view"
    assert "header Authorization" in error.message
    shop.mode = "rate_limited"
    error = failure(get_orders)
    assert isinstance(error, IntegrationRateLimited) and error.retry_after == 7
    shop.mode = "down"
    assert type(failure(get_orders)) is IntegrationTemporaryError
    shop.mode = "closed"
    error = failure(get_orders)
    assert isinstance(error, IntegrationPermanentError) and "Permalinks" in error.message
    shop.mode = ""
    assert "Read/Write" not in failure(connector_on(shop).get_order, "99").message
    shop.may_write = False
    error = failure(connector_on(shop).update_order_status, "1", "shipped")
    assert isinstance(error, IntegrationAuthError) and "Read/Write" in error.message


def test_a_status_that_the_shop_does_not_have(shop: Shop) -> None:
    shop.add_order()
    error = failure(connector_on(shop).update_order_status, "1", "lost-at-sea")
    assert isinstance(error, IntegrationPermanentError) and "no such order status" in error.message


def test_an_old_shop_is_told_to_update(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"code": "rest_invalid_param", "message": "…", "data": {"status": 400, "params": {"orderby": "no"}}}
    monkeypatch.setattr(shop, "answer", lambda *request: (400, {}, json.dumps(refusal).encode()))
    assert "5.8" in failure(connector_on(shop).get_orders).message


# -- webhooks -----------------------------------------------------------------------------------------------------

VECTORS = [each for each in load("signature-vectors")["vectors"] if each["scheme"] == "woocommerce"]


def test_a_webhook_of_the_vectors(shop: Shop) -> None:
    vector = next(each for each in VECTORS if each["id"] == "G069")
    found = connector_on(shop).parse_webhook(vector["headers"], vector["body"].encode())
    assert found.event_type == "order.created"
    assert found.payload == json.loads(vector["body"])
    digest = hashlib.sha256(b"order.created\0" + vector["body"].encode()).hexdigest()[:32]
    assert found.event_id == f"c2f6c0d8f7e0a5b1d3a1c1b0a9f8e7d6-{digest}"


def test_the_ping(server: WooCommerceServer, shop: Shop) -> None:
    vector = next(each for each in VECTORS if each["id"] == "G071")
    found = connector_on(shop).parse_webhook(vector["headers"], vector["body"].encode())
    assert (found.event_type, found.payload) == ("ping", {"webhook_id": "7"})
    headers, body = server.ping(secret="")
    assert connector_on(shop).parse_webhook(headers, body).event_type == "ping"


def test_two_orders_of_one_second_share_no_id(server: WooCommerceServer, shop: Shop) -> None:
    """WooCommerce makes the delivery's id of the webhook's number and the second."""
    ids = set()
    for topic, order in (("order.updated", 1), ("order.updated", 2), ("order.created", 1)):
        headers, body = server.webhook(topic, {"id": order}, secret="s3cret-7f3a91", delivery_id="same")
        ids.add(connector_on(shop).parse_webhook(headers, body).event_id)
    assert len(ids) == 3


def test_secrets_of_webhooks(shop: Shop) -> None:
    assert connector_on(shop).inbound_secrets() == ()
    assert connector_on(shop, webhook_secret="new-7f3a91-c0ffee\nold-7f3a91-c0ffee").inbound_secrets() == (
        "new-7f3a91-c0ffee",
        "old-7f3a91-c0ffee",
    )
