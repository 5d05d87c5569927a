"""One page and many: cursor and effect commit together, failures keep the cursor, nobody reads twice at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from integrations.acting import origin
from integrations.alone import shared
from integrations.connectors.page import Page
from integrations.errors import IntegrationAuthError, IntegrationRateLimited
from integrations.models import IntegrationSync, Lane, SyncState, TenantIntegration
from integrations.pull import lease as leases
from integrations.pull import page_run
from integrations.pull.lease import claim
from integrations.services import SyncService
from integrations.services.sync import SyncService as TheSame
from integrations.signals import sync_completed
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.pull_world import (
    OrderBook,
    allowed,
    make_shop,
    shop_is_registered,
    state_of,
    store_orders,
    stored,
)
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

sync, resync = TheSame.incremental_sync, TheSame.full_resync


@pytest.fixture
def book(receiver: Receiver) -> Iterator[OrderBook]:
    """Five orders, two a page."""
    book = OrderBook(5)
    receiver.answer_with(book)
    with shop_is_registered(), override_settings(INTEGRATIONS=allowed(receiver)):
        yield book


@pytest.fixture
def shop(book: OrderBook, receiver: Receiver) -> TenantIntegration:
    return make_shop(receiver)


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What receivers of sync_completed are told."""
    told: list[dict[str, Any]] = []

    def hear(**values: Any) -> None:
        told.append(values)

    sync_completed.connect(hear)
    yield told
    sync_completed.disconnect(hear)


def in_database(state: SyncState) -> SyncState:
    return SyncState.objects.get(pk=state.pk)


def seconds_to_wait(state: SyncState) -> float:
    due = in_database(state).next_sync_at
    assert due is not None
    return (due - timezone.now()).total_seconds()


# -- a page after the other ---------------------------------------------------------------------------


def test_the_service_is_where_the_guide_imports_it() -> None:
    assert SyncService is TheSame


def test_pages_follow_each_other(book: OrderBook, shop: TenantIntegration, heard: list[dict[str, Any]]) -> None:
    state = state_of(shop)
    first = sync(shop, state, "orders", process_fn=store_orders)
    assert (first.items, first.items_fetched, first.pages) == (["order-1", "order-2"], 2, 1)
    assert (first.has_more, first.cursor, first.errors, first.is_skipped) == (True, "2", [], False)
    assert (state.cursor, state.status, state.pages_in_run) == ("2", "completed", 1)  # the caller's own instance
    sync(shop, state, "orders", process_fn=store_orders)
    last = sync(shop, state, "orders", process_fn=store_orders)
    assert (last.items, last.has_more, last.cursor) == (["order-5"], False, "5")
    state = in_database(state)
    assert (state.cursor, state.pages_in_run, state.error_count, state.lease_token) == ("5", 0, 0, "")
    assert state.last_sync_at is not None and state.lease_expires_at is None and state.next_sync_at is None
    assert book.asked == ["", "2", "4"]
    assert stored() == book.rows
    assert [told["sync_result"].items_fetched for told in heard] == [2, 2, 1]


def test_a_later_run_sees_what_is_new(book: OrderBook, shop: TenantIntegration) -> None:
    state = state_of(shop)
    while sync(shop, state, "orders").has_more:
        pass
    assert sync(shop, state, "orders").items == []
    book.rows.append("order-6")
    assert sync(shop, state, "orders").items == ["order-6"]


def test_a_custom_fetch_gets_the_adapter_and_the_cursor(shop: TenantIntegration) -> None:
    asked = []

    def fetch(adapter: Any, cursor: str | None = None) -> Page[int]:
        asked.append((adapter.name, cursor))
        return Page([1], "next")

    state = state_of(shop)
    sync(shop, state, "orders", fetch_fn=fetch)
    assert sync(shop, state, "orders", fetch_fn=fetch).items == [1]
    assert asked == [("corner-shop", None), ("corner-shop", "next")]


def test_a_method_without_a_cursor_is_one_page(shop: TenantIntegration) -> None:
    result = sync(shop, state_of(shop, "prices"), "prices")
    assert (result.items_fetched, result.has_more, result.cursor, result.errors) == (1, False, "", [])


def test_no_page_without_items_is_processed(shop: TenantIntegration, book: OrderBook) -> None:
    book.rows.clear()
    assert sync(shop, state_of(shop), "orders", process_fn=lambda *_: pytest.fail("called")).errors == []


def test_what_receivers_are_told(shop: TenantIntegration, heard: list[dict[str, Any]]) -> None:
    state = state_of(shop)
    result = resync(shop, state, "orders")
    (told,) = heard
    assert told.pop("signal") is sync_completed and told.pop("sender") is TenantIntegration
    assert told == {
        "connection": shop,
        "sync_state": state,
        "sync_result": result,
        "resource_type": "orders",
        "is_full_resync": True,
    }


def test_a_receiver_that_raises_breaks_nothing(shop: TenantIntegration, caplog: Any) -> None:
    def break_down(**_: Any) -> None:
        raise RuntimeError("token-of-a-customer")

    sync_completed.connect(break_down)
    try:
        assert sync(shop, state_of(shop), "orders").errors == []
    finally:
        sync_completed.disconnect(break_down)
    assert "break_down failed: RuntimeError" in caplog.text and "token-of-a-customer" not in caplog.text


def test_what_a_pull_writes_is_no_news_to_its_provider(shop: TenantIntegration) -> None:
    causes = []
    sync(shop, state_of(shop), "orders", process_fn=lambda items, shop: causes.append(origin()))
    assert causes == [shop.pk] and origin() is None


# -- the full resync ----------------------------------------------------------------------------------


def test_a_full_resync_begins_at_the_beginning(book: OrderBook, shop: TenantIntegration) -> None:
    state = state_of(shop, cursor="4", pages_in_run=7)
    assert resync(shop, state, "orders").items == ["order-1", "order-2"]
    assert book.asked == [""]
    assert (in_database(state).cursor, in_database(state).pages_in_run) == ("2", 1)


def test_a_full_resync_that_fails_is_not_forgotten(book: OrderBook, shop: TenantIntegration) -> None:
    state = state_of(shop, cursor="4")
    book.outage = 503
    assert resync(shop, state, "orders").errors
    book.outage = None
    assert sync(shop, state, "orders").items == ["order-1", "order-2"]


# -- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_failure_keeps_the_cursor(
    book: OrderBook, shop: TenantIntegration, heard: list[dict[str, Any]], status: int
) -> None:
    state = state_of(shop, cursor="2")
    book.outage = status
    result = sync(shop, state, "orders", process_fn=store_orders)
    assert result.errors and not result.has_more and result.cursor == "2" and result.items == []
    state = in_database(state)
    assert (state.status, state.cursor, state.error_count, state.lease_token) == ("failed", "2", 1, "")
    assert state.last_error == result.errors[0] and str(status) in state.last_error
    assert heard == [] and stored() == []
    shop.refresh_from_db()
    assert shop.auth_failure_count == 0


def test_refused_credentials_count_once_each_and_disable(book: OrderBook, shop: TenantIntegration) -> None:
    book.outage, state = 401, state_of(shop)
    for count in (1, 2, 3):
        assert sync(shop, state, "orders").errors
        shop.refresh_from_db()
        assert shop.auth_failure_count == count
    assert not shop.is_enabled


def test_a_refusal_outside_of_the_adapter_counts_too(shop: TenantIntegration) -> None:
    def refuse(adapter: Any, cursor: str | None) -> None:
        raise IntegrationAuthError("the token is no longer valid", status=401)

    assert sync(shop, state_of(shop), "orders", refuse).errors == ["the token is no longer valid"]
    shop.refresh_from_db()
    assert shop.auth_failure_count == 1


@pytest.mark.parametrize("cursor", ["c" * 501, 17, "half \ud83d"])
def test_a_cursor_that_cannot_be_kept_fails_loudly(shop: TenantIntegration, cursor: Any) -> None:
    state = state_of(shop, cursor="2")
    result = sync(shop, state, "orders", lambda adapter, cursor_=cursor, **_: Page([1], cursor_), store_orders)
    assert "cursor" in result.errors[0]
    assert (in_database(state).status, in_database(state).cursor) == ("failed", "2")
    assert stored() == []


def test_the_effect_and_the_cursor_commit_together(shop: TenantIntegration, caplog: Any) -> None:
    def store_half(items: list[str], shop: TenantIntegration) -> None:
        store_orders(items[:1], shop)
        raise KeyError("Jane Doe")

    state = state_of(shop)
    result = sync(shop, state, "orders", process_fn=store_half)
    assert result.errors == ["the processing failed: unexpected KeyError"]
    assert stored() == [] and in_database(state).cursor == ""
    assert "KeyError at test_pull.py" in caplog.text and "Jane Doe" not in caplog.text


def test_a_processing_that_swallows_its_database_error_fails(shop: TenantIntegration) -> None:
    def swallow(items: list[str], shop: TenantIntegration) -> None:
        store_orders(items, shop)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM no_such_table")
        except DatabaseError:
            transaction.set_rollback(True)

    state = state_of(shop)
    assert sync(shop, state, "orders", process_fn=swallow).errors == ["the processing rolled its transaction back"]
    assert stored() == [] and in_database(state).cursor == ""


def test_a_callback_that_fails_after_the_commit_fails_nothing(
    shop: TenantIntegration, heard: list[dict[str, Any]], caplog: Any
) -> None:
    def call_back_badly(items: list[str], shop: TenantIntegration) -> None:
        store_orders(items, shop)
        transaction.on_commit(lambda: {}["token"])

    state = state_of(shop)
    result = sync(shop, state, "orders", process_fn=call_back_badly)
    assert (result.errors, result.items_fetched, result.has_more) == ([], 2, True)
    assert in_database(state).cursor == "2" and len(heard) == 1
    assert "a callback after the commit failed: KeyError" in caplog.text


def test_an_interrupted_pull_gives_the_state_back(shop: TenantIntegration) -> None:
    def interrupt(adapter: Any, cursor: Any) -> None:
        raise KeyboardInterrupt

    state = state_of(shop)
    with pytest.raises(KeyboardInterrupt):
        sync(shop, state, "orders", fetch_fn=interrupt)
    assert (in_database(state).status, in_database(state).lease_token) == ("idle", "")
    assert not sync(shop, state, "orders").is_skipped


def test_a_handler_that_ends_the_process_is_written_down(shop: TenantIntegration) -> None:
    """Given back without a word, it would be due at once, for ever."""
    state = state_of(shop)
    with pytest.raises(SystemExit):
        sync(shop, state, "orders", process_fn=lambda items, connection: sys.exit(3))
    found = in_database(state)
    assert (found.status, found.lease_token, found.unfinished) == ("failed", "", 0)
    assert found.last_error == "the page failed: unexpected SystemExit" and seconds_to_wait(state) > 5


@pytest.mark.parametrize("message", ["a NUL \0 and half a \ud800", None, 7])
def test_an_error_of_any_making_is_stored(shop: TenantIntegration, message: Any) -> None:
    class Odd(IntegrationRateLimited):
        def __init__(self) -> None:
            super().__init__("x", retry_after=float("nan"))
            self.message = message

    def refuse(items: Any, connection: Any) -> None:
        raise Odd

    state = state_of(shop)
    assert sync(shop, state, "orders", process_fn=refuse).errors
    words = {None: "the processing failed: rate_limited", 7: "7"}.get(message, "a NUL   and half a  ")
    assert in_database(state).last_error == words and seconds_to_wait(state) > 5


def test_every_line_says_what_is_pulled_and_for_whom(shop: TenantIntegration, caplog: Any) -> None:
    state = state_of(shop)
    sync(shop, state, "orders", process_fn=lambda items, connection: [][len(items)])
    (line,) = (record for record in caplog.records if record.name == "integrations.pull")
    assert (line.tenant_id, line.integration_id, line.connector) == (shop.tenant_id, shop.pk, shop.integration_type)
    assert (line.sync_state_id, line.resource_type) == (state.pk, "orders")


def test_a_worker_that_died_counts_and_a_success_takes_it_back(shop: TenantIntegration) -> None:
    state = state_of(shop)
    for deaths in (1, 2, 3, 4):
        assert claim(state) is not None  # and no more is heard of it
        SyncState.objects.update(lease_expires_at=Now())
        assert in_database(state).unfinished == deaths
    state.refresh_from_db()
    assert sync(shop, state, "orders").items_fetched == 2
    assert in_database(state).unfinished == 0


@pytest.mark.parametrize("died", ["since it was read", "and its lease ran out after a look"])
def test_one_whose_worker_died_is_never_read_beside_others(
    book: OrderBook, shop: TenantIntegration, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    """Whoever else is under way in this process would die with it, and be begun with once more."""
    state = state_of(shop)
    SyncState.objects.update(unfinished=1, lease_token="dead", lease_expires_at=Now())
    if died != "since it was read":
        state.refresh_from_db()
        looks = iter([False])
        suspect = leases.is_suspect
        monkeypatch.setattr(leases, "is_suspect", lambda state: next(looks, None) is None and suspect(state))
    monkeypatch.setattr(page_run, "PATIENCE", 0.05)
    begun, is_over = threading.Event(), threading.Event()

    def work() -> None:
        with shared():
            begun.set()
            is_over.wait(30)

    beside = threading.Thread(target=work)
    beside.start()
    try:
        assert begun.wait(30)
        assert sync(shop, state, "orders").is_skipped and book.asked == []
    finally:
        is_over.set()
        beside.join()
    assert sync(shop, state, "orders").items_fetched == 2


def test_five_of_them_are_the_end(book: OrderBook, shop: TenantIntegration, caplog: Any) -> None:
    state = state_of(shop, unfinished=5, lease_token="dead", lease_expires_at=timezone.now(), interval_minutes=1)
    found = sync(shop, state, "orders")
    assert found.errors[0].startswith("given up: its worker died 5 times") and book.asked == []
    assert in_database(state).is_given_up and in_database(state).last_error == found.errors[0]
    assert caplog.text.count("its worker died 5 times") == 1
    assert sync(shop, state, "orders").errors == found.errors  # and nothing more is written
    assert caplog.text.count("its worker died 5 times") == 1
    assert resync(shop, state, "orders").items_fetched == 2  # whoever says so begins anew
    assert in_database(state).unfinished == 0


def test_the_pause_doubles_up_to_its_cap(book: OrderBook, shop: TenantIntegration) -> None:
    book.outage, state = 503, state_of(shop)
    for wait in (15, 30, 60):
        sync(shop, state, "orders")
        assert seconds_to_wait(state) == pytest.approx(wait, abs=5)
    SyncState.objects.update(error_count=50)
    sync(shop, state, "orders")
    assert seconds_to_wait(state) == pytest.approx(900, abs=5)
    book.outage = None
    assert sync(shop, state, "orders").items_fetched == 2  # who calls by hand does not wait
    assert (in_database(state).error_count, in_database(state).last_error) == (0, "")


def test_a_provider_is_not_asked_earlier_than_it_wants(book: OrderBook, shop: TenantIntegration) -> None:
    book.outage, state = Answer(429, headers={"Retry-After": "7200"}), state_of(shop)
    sync(shop, state, "orders")
    assert seconds_to_wait(state) == pytest.approx(7200, abs=5)

    def wait(adapter: Any, cursor: Any) -> None:
        raise IntegrationRateLimited("slow down", retry_after=60)

    sync(shop, state, "orders", fetch_fn=wait)
    assert seconds_to_wait(state) == pytest.approx(60, abs=5)


def test_an_hour_of_outage_skips_nothing(book: OrderBook, shop: TenantIntegration) -> None:
    state = state_of(shop)
    sync(shop, state, "orders", process_fn=store_orders)
    book.outage, waited = 503, 0.0
    while waited < 3600:
        assert sync(shop, state, "orders", process_fn=store_orders).cursor == "2"
        waited += seconds_to_wait(state)
        SyncState.objects.update(next_sync_at=timezone.now())
        Lane.objects.update(paused_until=None)  # the circuit breaker's rest is over by then, too
    assert in_database(state).error_count > 5
    book.outage = None
    while sync(shop, state, "orders", process_fn=store_orders).has_more:
        pass
    assert stored() == book.rows
    assert in_database(state).error_count == 0


# -- lists that never end -----------------------------------------------------------------------------


def test_the_same_cursor_again_is_an_error(shop: TenantIntegration) -> None:
    state = state_of(shop)
    fetches = []

    def stand_still(adapter: Any, cursor: str | None) -> Page[str]:
        fetches.append(cursor)
        return Page(["x"], "same", True)

    result = sync(shop, state, "orders", stand_still, store_orders)
    while result.has_more and not result.errors:
        result = sync(shop, state, "orders", stand_still, store_orders)
    assert fetches == [None, "same"] and "never end" in result.errors[0]
    assert stored() == ["x"] and in_database(state).cursor == "same"


def test_a_circle_ends_with_the_page_cap(shop: TenantIntegration, receiver: Receiver) -> None:
    following = {None: "a", "a": "b", "b": "a"}
    fetches = []

    def go_round(adapter: Any, cursor: str | None) -> Page[str]:
        fetches.append(cursor)
        return Page(["x"], following[cursor], True)

    with override_settings(INTEGRATIONS=allowed(receiver, PULL_MAX_PAGES=20)):
        state = state_of(shop)
        result = sync(shop, state, "orders", go_round)
        while result.has_more and not result.errors:
            result = sync(shop, state, "orders", go_round)
        assert len(fetches) == 20
        assert "INTEGRATIONS_PULL_MAX_PAGES" in result.errors[0]
        assert in_database(state).status == "failed"
        assert sync(shop, state, "orders", go_round).errors == []  # a long list goes on where it was


# -- two at once --------------------------------------------------------------------------------------


def test_who_comes_second_is_skipped(book: OrderBook, shop: TenantIntegration) -> None:
    state, others = state_of(shop), []

    def meanwhile(items: list[str], shop: TenantIntegration) -> None:
        store_orders(items, shop)

    def fetch(adapter: Any, cursor: str | None) -> Any:
        others.append(sync(shop, SyncState.objects.get(), "orders", process_fn=store_orders))
        return adapter.get_orders(cursor=cursor)

    assert sync(shop, state, "orders", fetch, meanwhile).items_fetched == 2
    (other,) = others
    assert other.is_skipped and (other.errors, other.has_more, other.items) == ([], False, [])
    assert book.asked == [""] and stored() == ["order-1", "order-2"]


def expire_lease() -> None:
    SyncState.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_who_was_too_slow_fetching_commits_nothing(shop: TenantIntegration) -> None:
    state = state_of(shop)

    def fetch(adapter: Any, cursor: str | None) -> Any:
        expire_lease()
        assert sync(shop, SyncState.objects.get(), "orders", process_fn=store_orders).items_fetched == 2
        return adapter.get_orders(cursor=cursor)

    result = sync(shop, state, "orders", fetch, store_orders)
    assert "took over" in result.errors[0] and not result.has_more
    assert stored() == ["order-1", "order-2"]  # once
    assert (in_database(state).cursor, in_database(state).status) == ("2", "completed")
    assert (in_database(state).error_count, state.cursor) == (0, "2")


def test_who_was_too_slow_processing_is_rolled_back(shop: TenantIntegration) -> None:
    state = state_of(shop)

    def process(items: list[str], shop: TenantIntegration) -> None:
        store_orders(items, shop)
        # What another run's claim writes, in this very transaction: SQLite has but one writer at a time.
        SyncState.objects.update(lease_token="another", lease_expires_at=timezone.now() + timedelta(seconds=60))

    result = sync(shop, state, "orders", process_fn=process)
    assert "took over" in result.errors[0]
    assert stored() == [] and in_database(state).cursor == ""


def test_a_full_resync_takes_over_from_whoever_reads(book: OrderBook, shop: TenantIntegration) -> None:
    state = state_of(shop, cursor="4")

    def fetch(adapter: Any, cursor: str | None) -> Any:
        page = adapter.get_orders(cursor=cursor)
        assert resync(shop, SyncState.objects.get(), "orders", process_fn=store_orders).items_fetched == 2
        return page

    assert "took over" in sync(shop, state, "orders", fetch, store_orders).errors[0]
    assert stored() == ["order-1", "order-2"] and in_database(state).cursor == "2"


def test_a_slow_fetch_that_nobody_minded_leaves_time_for_the_processing(shop: TenantIntegration) -> None:
    def fetch(adapter: Any, cursor: str | None) -> list[str]:
        expire_lease()
        return ["order-1"]

    def process(items: list[str], shop: TenantIntegration) -> None:
        expires = SyncState.objects.get().lease_expires_at
        assert expires is not None and expires > timezone.now() + timedelta(seconds=100)

    assert sync(shop, state_of(shop), "orders", fetch, process).errors == []


def test_the_lease_outlasts_a_slow_adapter(shop: TenantIntegration, receiver: Receiver) -> None:
    seen = []

    def fetch(adapter: Any, cursor: str | None) -> list[Any]:
        expires = SyncState.objects.get().lease_expires_at
        assert expires is not None
        seen.append((expires - timezone.now()).total_seconds())
        return []

    state = state_of(shop)
    sync(shop, state, "orders", fetch)
    shop.timeout_seconds = 60
    with override_settings(INTEGRATIONS=allowed(receiver, HTTP_MAX_ATTEMPTS=3)):
        sync(shop, state, "orders", fetch)
    assert seen == [pytest.approx(120, abs=5), pytest.approx(380, abs=5)]


# -- called wrongly -----------------------------------------------------------------------------------


def test_a_cursor_of_something_else_is_refused(shop: TenantIntegration, book: OrderBook) -> None:
    with pytest.raises(ValueError, match="is of 'products'"):
        sync(shop, state_of(shop, "products"), "orders")
    other = TenantIntegration.objects.create(tenant=make_tenant("Other"), name="Other", integration_type="corner-shop")
    with pytest.raises(ValueError, match="another connection"):
        sync(shop, state_of(other), "orders")
    assert book.asked == []


def test_a_resource_that_is_not_exported_is_an_error(shop: TenantIntegration) -> None:
    result = sync(shop, state_of(shop, "customers"), "customers")
    assert "method not exported" in result.errors[0]


def test_no_transaction_is_kept_open_while_the_provider_is_asked(shop: TenantIntegration, book: OrderBook) -> None:
    state = state_of(shop)
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"outside of transaction\.atomic"):
        sync(shop, state, "orders")
    assert book.asked == []

    def fetch(adapter: Any, cursor: str | None) -> list[Any]:
        assert not connection.in_atomic_block
        return []

    assert sync(shop, state, "orders", fetch).errors == []


def test_a_new_state_needs_no_saving(shop: TenantIntegration) -> None:
    assert sync(shop, SyncState(connection=shop, resource_type="orders"), "orders").items_fetched == 2
    assert SyncState.objects.get().cursor == "2"


def test_a_state_that_is_gone_reads_nothing(shop: TenantIntegration, book: OrderBook) -> None:
    state = state_of(shop)
    SyncState.objects.all().delete()
    assert "was deleted meanwhile" in sync(shop, state, "orders").errors[0]
    assert book.asked == []


@pytest.mark.parametrize("deleted", [SyncState, TenantIntegration])
@pytest.mark.parametrize("is_page", [True, False])
def test_a_state_that_is_deleted_while_it_is_read(shop: TenantIntegration, deleted: Any, is_page: bool) -> None:
    """With its connection or alone, before a page came or before a failure was written down."""

    def fetch(adapter: Any, cursor: str | None = None) -> Page[str]:
        deleted.objects.all().delete()
        if not is_page:
            raise ValueError
        return Page(["order-1"], "2", True)

    result = sync(shop, state_of(shop), "orders", fetch, store_orders)
    assert "was deleted meanwhile" in result.errors[0] and not result.has_more
    assert not stored() and not SyncState.objects.exists()


def test_a_broken_configuration_is_a_failure_like_any_other(shop: TenantIntegration) -> None:
    shop.config = {}
    assert "base_url" in sync(shop, state_of(shop), "orders").errors[0]
    assert SyncState.objects.get().status == "failed"


def test_a_page_is_no_loop_however_often_it_changes_an_object(book: OrderBook, shop: TenantIntegration) -> None:
    """What one page says of one object is not two integrations that answer each other."""
    item = make_item(shop.tenant)
    shop.subscribe("workitem_updated")
    other = make_integration(shop.tenant, name="Elsewhere")

    def follow(items: list[Any], connection: TenantIntegration) -> None:
        for number in range(40):
            item.description = f"order {number}"
            item.save()

    assert sync(shop, state_of(shop), "orders", process_fn=follow).errors == []
    assert set(IntegrationSync.objects.values_list("integration", flat=True)) == {other.pk}
    assert IntegrationSync.objects.filter(event__event_type="workitem_updated").count() == 40
