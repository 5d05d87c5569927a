"""A WooCommerce connector on a shop that needs no network, and one on the loopback server."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from integrations.connectors.kinds.woocommerce import WooCommerceConnector
from integrations.connectors.port import Binding
from integrations.tests.woocommerce_server import CONSUMER_KEY, CONSUMER_SECRET, Shop, WooCommerceServer
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.response import Headers, Response

STORE = "https://shop.example.com"


class ShopClient:
    """The guarded client's port, answered by a `Shop` in this process."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.policy = shop, AddressPolicy()

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", **options: Any
    ) -> Response:
        lower = {name.lower(): value for name, value in headers.items()}
        status, more, text = self.shop.answer(method, url.removeprefix(STORE), lower, body)
        return Response(status, Headers(more.items()), text)

    def open_tcp(self, host: str, port: int, *, ports: Collection[int], **options: Any) -> Any:
        raise AssertionError("a shop speaks HTTP")


def connector_on(shop: Shop, **settings: Any) -> WooCommerceConnector:
    """Return the connector for `shop`, with `settings` checked as a form would."""
    config = {
        "store_url": STORE,
        "consumer_key": CONSUMER_KEY,
        "consumer_secret": CONSUMER_SECRET,
        **settings,
    }
    return WooCommerceConnector.bound_to(config, ShopClient(shop))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def server() -> Iterator[WooCommerceServer]:
    with WooCommerceServer() as found:
        yield found


@pytest.fixture
def on_server(server: WooCommerceServer) -> Iterator[WooCommerceConnector]:
    """A connector that reaches the server through the guarded client, bound as the printed example stores it."""
    client = GuardedClient(AddressPolicy(allowed_hosts=(server.netloc,)), timeout=5)
    config = {"prices_include_vat": True, "vat_rate": "0.19"}
    yield WooCommerceConnector(Binding(credentials=server.credentials, config=config), client)
    client.close()
