"""What counts as a page, and where one leads; no database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from integrations.connectors.page import Page
from integrations.errors import IntegrationPermanentError
from integrations.pull.fetch import BadPage, Fetched, fetch, method_for, next_cursor, read_page, resources_of
from integrations.pull.handlers import forget, handler_for, handles
from integrations.pull.page_run import SyncResult
from integrations.tests.pull_world import CornerShop


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Page([1, 2], "c", True), Fetched([1, 2], "c", True)),
        (Page([]), Fetched([], None, False)),
        (SimpleNamespace(items=(1,), cursor="c", has_more=False), Fetched([1], "c", False)),
        (SimpleNamespace(items=[1]), Fetched([1], None, False)),
        ({"items": [1], "cursor": "c", "has_more": True}, Fetched([1], "c", True)),
        ({"items": []}, Fetched([], None, False)),
        ([1, 2], Fetched([1, 2], None, False)),
        (({"id": n} for n in range(2)), Fetched([{"id": 0}, {"id": 1}], None, False)),
    ],
)
def test_what_counts_as_a_page(answer: Any, expected: Fetched) -> None:
    assert read_page(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [None, 7, "text", b"bytes", {"rows": []}, {"items": {"a": 1}}, {"items": None}, {"items": "abc"}]
    + [Page([], cursor) for cursor in (7, b"c", "c" * 501, "nul\0", "half \ud800")]  # type: ignore[arg-type]
    + [Page([], "c", has_more) for has_more in ("false", 7, [])],  # type: ignore[arg-type]
)
def test_what_is_none(answer: Any) -> None:
    with pytest.raises(BadPage):
        read_page(answer)


def test_a_cursor_of_500_characters_fits() -> None:
    assert read_page(Page([], "ü" * 500)).cursor == "ü" * 500


def test_a_generator_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.pull.fetch.MAX_ITEMS", 10)
    with pytest.raises(BadPage, match="more than 10"):
        read_page(iter(int, 1))


@pytest.mark.parametrize(
    ("page", "sent", "expected"),
    [
        (Page([], "b", True), "a", "b"),
        (Page([], "b"), "a", "b"),
        (Page([], "a"), "a", "a"),  # the last page may stay where it is
        (Page([]), "a", "a"),
        (Page([], ""), "a", ""),
    ],
)
def test_where_a_page_leads(page: Page[Any], sent: str, expected: str) -> None:
    assert next_cursor(read_page(page), sent) == expected


@pytest.mark.parametrize("cursor", [None, "", "a", "seen before"])
def test_a_page_that_leads_nowhere_new_is_refused(cursor: str | None) -> None:
    with pytest.raises(BadPage):
        next_cursor(Fetched([1], cursor, True), "a", {"seen before"})


# -- which method -------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource_type", ["everything", "_class__", "", "orders()", "x" * 600, None, 7])
def test_only_exported_methods_are_called(resource_type: Any) -> None:
    with pytest.raises(IntegrationPermanentError, match="method not exported"):
        method_for(CornerShop, resource_type)


def test_what_wants_an_id_is_no_list() -> None:
    with pytest.raises(IntegrationPermanentError, match="get_order wants more than a cursor"):
        method_for(CornerShop, "order")
    assert resources_of(CornerShop) == ["orders", "prices"]


def test_a_method_is_found_by_its_resource() -> None:
    assert method_for(CornerShop, "orders") == "get_orders"


def test_the_beginning_is_none_to_a_connector() -> None:
    asked: list[Any] = []

    def fetch_fn(adapter: Any, cursor: Any = "unset") -> list[Any]:
        asked.append((adapter, cursor))
        return []

    adapter = CornerShop()
    fetch(adapter, "orders", "", fetch_fn)
    fetch(adapter, "orders", "7", fetch_fn)
    assert asked == [(adapter, None), (adapter, "7")]


# -- handlers -----------------------------------------------------------------------------------------


def test_a_handler_is_found_by_family_and_resource() -> None:
    def take(items: list[Any], connection: Any) -> None: ...

    shop: Any = SimpleNamespace(provider_family="shop")
    try:
        assert handles("shop", "unit-orders")(take) is take
        handles("shop", "unit-orders")(take)  # imported twice: no news
        assert handler_for(shop, "unit-orders") is take
        assert handler_for(shop, "products") is None
        with pytest.raises(ValueError, match=r"take handles shop/unit-orders already"):
            handles("shop", "unit-orders")(lambda items, connection: None)
    finally:
        forget("shop", "unit-orders")
    assert handler_for(shop, "unit-orders") is None


def test_a_result_shows_no_customers() -> None:
    assert "Jane" not in repr(SyncResult(["Jane Doe"], 1, cursor="Jane"))
