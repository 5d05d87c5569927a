"""WooCommerce on the conformance suite: it is read, and a status is set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from integrations.connectors.kinds.woocommerce import WooCommerceConnector
from integrations.connectors.port import Envelope
from integrations.errors import IntegrationPermanentError
from integrations.testing import Answer, ConnectorConformance, Request
from integrations.tests.woocommerce_server import Shop

CONFIG = {
    "store_url": "{server}/shop",
    "consumer_key": "ck_canary7f3a91c0ffee",
    "consumer_secret": "cs_canary7f3a91c0ffee",
    "webhook_secret": "canary-webhook-7f3a91",
}
NO_SUCH_STATUS = {410: IntegrationPermanentError}  # one order in the waste bin says nothing about the shop


def listing(count: int = 1, total: int | None = None) -> Answer:
    """Some orders as WooCommerce lists them."""
    shop = Shop()
    rows = [shop.add_order() for _ in range(count)]
    return Answer(200, json.dumps(rows).encode(), {"X-WP-Total": str(count if total is None else total)})


class TestWooCommerceReading(ConnectorConformance):
    connector = WooCommerceConnector
    config = CONFIG
    success = listing()
    statuses = NO_SUCH_STATUS
    repeated_page = listing(100, total=100_000)  # a shop that has always more, and says the same again

    def call(self, connector: Any, envelope: Envelope) -> Any:
        return connector.get_orders()

    def read_all(self, connector: Any) -> Any:
        """Not to the end, which is a thousand pages away: each answer names another page than it was asked for."""
        asked, cursor = set(), ""
        for _ in range(5):
            page = connector.get_orders(cursor=cursor)
            assert page.cursor not in asked, "the same page again"
            asked.add(page.cursor)
            cursor = page.cursor


class TestWooCommerceStatus(ConnectorConformance):
    """A status that is set twice is set once: PUT."""

    connector = WooCommerceConnector
    config = CONFIG
    success = Answer(200, json.dumps(Shop().add_order(status="completed")).encode())
    statuses = NO_SUCH_STATUS
    exempt = {
        "a_check_that_succeeds": "the check lists orders; see TestWooCommerceReading",
        "a_check_says_that_the_credentials_are_refused": "the check lists orders; see TestWooCommerceReading",
    }

    def call(self, connector: Any, envelope: Envelope) -> Any:
        return connector.update_order_status("1", "shipped")

    def refusal(self, status: int, headers: Mapping[str, str]) -> Answer:
        body = {"code": "woocommerce_rest_authentication_error", "message": "Leider nicht.", "data": {"status": status}}
        return Answer(status, json.dumps(body).encode(), headers)

    def test_the_request(self) -> None:
        self.call(self.bound(), self.envelope())
        (request,) = self.work
        assert (request.method, request.path) == ("PUT", "/shop/wp-json/wc/v3/orders/1")
        assert request.json == {"status": "completed"}
        assert _basic(request) == "ck_canary7f3a91c0ffee:cs_canary7f3a91c0ffee"


def _basic(request: Request) -> str:
    from base64 import b64decode

    return b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
