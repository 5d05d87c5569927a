"""What docs/pull.md prints, run: against a shop that only tests know, and a WooCommerce that answers on loopback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from integrations.connectors.exported import exported
from integrations.connectors.page import Page
from integrations.models import SyncState, TenantIntegration
from integrations.pull.handlers import forget, handler_for
from integrations.signals import sync_completed
from integrations.tests.factories import make_tenant
from integrations.tests.pull_world import CornerShop, OrderBook, allowed, make_shop, shop_is_registered
from integrations.tests.receiver import Receiver
from integrations.tests.woocommerce_server import WooCommerceServer

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True), pytest.mark.portable]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pull.md"


def printed(word: str) -> dict[str, Any]:
    """Run the example that holds `word`; return its names."""
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if word in code]
    names: dict[str, Any] = {}
    exec(code, names)  # our own documentation
    return names


@pytest.fixture
def sync_all_shop_orders() -> Callable[[], None]:
    return printed("def sync_all_shop_orders")["sync_all_shop_orders"]


@pytest.fixture
def items() -> Iterator[list[Any]]:
    """What receivers of sync_completed got, oldest first."""
    found: list[Any] = []

    def hear(sync_result: Any, **_: Any) -> None:
        found.extend(sync_result.items)

    sync_completed.connect(hear)
    yield found
    sync_completed.disconnect(hear)


@pytest.fixture
def book(receiver: Receiver) -> Iterator[OrderBook]:
    book = OrderBook(5)
    receiver.answer_with(book)
    with shop_is_registered(), override_settings(INTEGRATIONS=allowed(receiver)):
        yield book


def test_all_orders_of_all_active_shops(
    sync_all_shop_orders: Callable[[], None], book: OrderBook, receiver: Receiver, items: list[Any], capsys: Any
) -> None:
    shop = make_shop(receiver)
    make_shop(receiver, tenant=shop.tenant, name="Closed", is_connected=False)
    make_shop(receiver, tenant=shop.tenant, name="Off", is_enabled=False)
    sync_all_shop_orders()
    assert capsys.readouterr().out == "[Corner shop] Fetched 2 orders\n"
    assert items == book.rows and book.asked == ["", "2", "4"]
    book.outage = 503
    sync_all_shop_orders()
    assert capsys.readouterr().out.startswith("[Corner shop] Sync failed: ['")


@pytest.mark.parametrize("cursors", [{None: "a", "a": "a"}, {None: "a", "a": "b", "b": "a"}, {None: None}, {None: ""}])
def test_the_printed_loop_ends_always(
    sync_all_shop_orders: Callable[[], None],
    book: OrderBook,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    cursors: dict[str | None, str | None],
) -> None:
    def get_orders(self: Any, since: Any = None, cursor: str | None = None) -> Page[str]:
        return Page(["x"], cursors[cursor], True)

    monkeypatch.setattr(CornerShop, "get_orders", exported(get_orders))
    make_shop(receiver)
    with override_settings(INTEGRATIONS=allowed(receiver, PULL_MAX_PAGES=10)):
        sync_all_shop_orders()
    assert SyncState.objects.get().status == "failed"


def test_the_same_for_a_woocommerce_shop(
    sync_all_shop_orders: Callable[[], None], items: list[Any], capsys: Any
) -> None:
    with WooCommerceServer() as server:
        for _ in range(120):
            server.add_order()
        shop = TenantIntegration(tenant=make_tenant(), name="Woo", integration_type="woocommerce", is_connected=True)
        shop.credentials = server.credentials
        shop.save()
        with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [server.netloc]}):
            sync_all_shop_orders()
            assert "failed" not in capsys.readouterr().out
            assert len({order.order_id for order in items}) == 120
            server.add_order()
            sync_all_shop_orders()
        assert len({order.order_id for order in items}) == 121


def test_the_other_examples(book: OrderBook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make_shop(receiver, name="Main WooCommerce Store")
    monkeypatch.setattr("builtins.print", lambda *_: None)
    book.rows.clear()
    assert printed('name="Main WooCommerce Store"')["result"].errors == []
    book.rows += ["order-1"]
    result = printed("def fetch_recent_orders")["pull_recent"](shop, SyncState.objects.get())
    assert result.items == ["order-1"]
    try:
        taker = printed("@handles")["store_shop_orders"]
        assert handler_for(shop, "orders") is taker
    finally:
        forget("shop", "orders")
    (entry,) = printed("CELERY_BEAT_SCHEDULE")["CELERY_BEAT_SCHEDULE"].values()
    assert entry["task"] == "integrations.tasks.incremental_sync"
