"""The Celery tasks around pulls: documented signatures, only what may be named, nothing for who is switched off."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery.beat import Scheduler
from celery.schedules import crontab
from django.db import connection as database
from django.test import override_settings
from django.utils import timezone

from app.celery import app
from integrations import tasks
from integrations.checks import pulls_have_a_provider
from integrations.connectors.base import BaseConnector
from integrations.connectors.exported import exported
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.page import Page
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import hints
from integrations.delivery.schedule import ensure_schedule
from integrations.errors import IntegrationAuthError, IntegrationPermanentError
from integrations.models import SyncState, TenantIntegration
from integrations.pull import due
from integrations.pull.due import pull_one, request_pulls
from integrations.pull.handlers import forget, handles
from integrations.services import SyncService
from integrations.signals import sync_completed
from integrations.tests.factories import make_tenant
from integrations.tests.pull_world import (
    CornerShop,
    OrderBook,
    allowed,
    make_shop,
    orders_are_handled,
    shop_is_registered,
    state_of,
    store_orders,
    stored,
)
from integrations.tests.receiver import Receiver
from integrations.tests.services import CeleryProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

POOL = "prefork" if database.vendor == "postgresql" else "threads"
MODELS = {"app_label": "integrations", "model_name": "TenantIntegration"}
STATES = {**MODELS, "sync_state_app": "integrations", "sync_state_model": "SyncState"}


@pytest.fixture
def book(receiver: Receiver) -> Iterator[OrderBook]:
    """Five orders, two a page; whoever pulls them by a task stores them."""
    book = OrderBook(5)
    receiver.answer_with(book)
    with shop_is_registered(), orders_are_handled(), override_settings(INTEGRATIONS=allowed(receiver)):
        yield book


@pytest.fixture
def shop(book: OrderBook, receiver: Receiver) -> TenantIntegration:
    return make_shop(receiver)


@pytest.fixture
def worker(celery_worker: Callable[..., CeleryProcess], receiver: Receiver) -> Callable[..., CeleryProcess]:
    """``worker(PULL_SECONDS=1)`` starts one that knows the shop."""

    def start(**settings: Any) -> CeleryProcess:
        values = {"ALLOWED_HOSTS": receiver.netloc, "HTTP_MAX_ATTEMPTS": 1, "RETRY_JITTER": 0, **settings}
        env = {f"INTEGRATIONS_{name}": str(value) for name, value in values.items()}
        return celery_worker(pool=POOL, args=("-I", "integrations.tests.pull_process"), env=env)

    return start


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The scheduled states that a worker was asked to pull."""
    found: list[int] = []

    def send(task: str, kwargs: dict[str, Any], queue: str) -> bool:
        assert (task, queue) == ("integrations.tasks.pull_one", "slow")
        found.append(kwargs["sync_state_id"])
        return True

    monkeypatch.setattr(due, "send_hint", send)
    return found


def pull(shop: TenantIntegration, resource_type: str = "orders", task: Any = tasks.incremental_sync) -> dict[str, Any]:
    return task(connection_id=shop.pk, resource_type=resource_type, **STATES)


def call(shop: TenantIntegration, method: str, **more: Any) -> Any:
    return tasks.execute_adapter_method(connection_id=shop.pk, method_name=method, **{**MODELS, **more})


# -- pulls --------------------------------------------------------------------------------------------


@pytest.mark.integration
def test_a_pull_reads_to_the_end_and_makes_its_state(shop: TenantIntegration, book: OrderBook) -> None:
    assert pull(shop) == {"pages": 3, "items": 5, "outcome": "done"}
    assert stored() == book.rows
    assert SyncState.objects.get(connection=shop, resource_type="orders").cursor == "5"
    assert pull(shop) == {"pages": 1, "items": 0, "outcome": "done"}


@pytest.mark.integration
def test_a_full_resync_reads_everything_again(shop: TenantIntegration, book: OrderBook) -> None:
    told = []

    def hear(is_full_resync: bool, **_: Any) -> None:
        told.append(is_full_resync)

    sync_completed.connect(hear)
    pull(shop)
    assert pull(shop, task=tasks.full_resync)["items"] == 5
    sync_completed.disconnect(hear)
    assert book.asked == ["", "2", "4"] * 2
    assert told == [False] * 3 + [True] * 3


@pytest.mark.integration
def test_a_failing_provider_is_left_alone_by_tasks(shop: TenantIntegration, book: OrderBook) -> None:
    pull(shop)
    book.outage = 503
    assert pull(shop)["outcome"] == "failed"
    asked = len(book.asked)
    assert pull(shop)["outcome"] == "waits after a failure"
    assert pull(shop, task=tasks.full_resync)["outcome"] == "waits after a failure"
    assert len(book.asked) == asked
    state = SyncState.objects.get()
    assert (state.cursor, state.error_count) == ("", 1)  # the full resync is not forgotten
    book.outage = None
    SyncState.objects.update(next_sync_at=timezone.now() - timedelta(seconds=1))
    assert pull(shop) == {"pages": 3, "items": 5, "outcome": "done"}


@pytest.mark.integration
def test_refused_credentials_count_and_stop_the_tasks(shop: TenantIntegration, book: OrderBook) -> None:
    book.outage = 401
    for count in (1, 2, 3):
        TenantIntegration.objects.filter(pk=shop.pk).update(is_connected=True)
        SyncState.objects.update(next_sync_at=None)
        pull(shop)
        shop.refresh_from_db()
        assert shop.auth_failure_count == count
    assert not shop.is_enabled and len(book.asked) == 3
    assert pull(shop)["outcome"] == "the connection is not operational" and len(book.asked) == 3


@pytest.mark.integration
@pytest.mark.parametrize("switch", ["is_active", "is_enabled", "is_connected"])
def test_nothing_is_asked_of_who_is_not_operational(shop: TenantIntegration, book: OrderBook, switch: str) -> None:
    TenantIntegration.objects.filter(pk=shop.pk).update(**{switch: False})
    SyncState.objects.create(connection=shop, resource_type="orders", interval_minutes=5)
    assert pull(shop)["outcome"] == pull(shop, task=tasks.full_resync)["outcome"] == "the connection is not operational"
    assert call(shop, "get_orders") is None
    assert request_pulls() == {"due": 0, "asked": 0}
    assert pull_one(SyncState.objects.get().pk).outcome == "not due"
    assert book.asked == []


@pytest.mark.integration
def test_who_is_switched_off_meanwhile_is_asked_no_further(shop: TenantIntegration, book: OrderBook) -> None:
    def switch_off(**_: Any) -> None:
        TenantIntegration.objects.filter(pk=shop.pk).update(is_active=False)

    sync_completed.connect(switch_off)
    assert pull(shop) == {"pages": 1, "items": 2, "outcome": "the connection is not operational"}
    sync_completed.disconnect(switch_off)
    assert book.asked == [""]


@pytest.mark.integration
def test_who_is_deleted_meanwhile_is_asked_no_further(shop: TenantIntegration, book: OrderBook) -> None:
    def delete(**_: Any) -> None:
        TenantIntegration.objects.filter(pk=shop.pk).delete()

    sync_completed.connect(delete)
    assert pull(shop) == {"pages": 1, "items": 2, "outcome": "unknown connection"}
    sync_completed.disconnect(delete)
    assert book.asked == [""]


@pytest.mark.integration
def test_a_circle_ends(shop: TenantIntegration, book: OrderBook, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = {None: "a", "a": "b", "b": "c", "c": "a"}

    def get_orders(self: Any, since: Any = None, cursor: str | None = None) -> Page[str]:
        return Page(["x"], circle[cursor], True)

    monkeypatch.setattr(CornerShop, "get_orders", exported(get_orders))
    assert pull(shop) == {"pages": 3, "items": 3, "outcome": "failed"}
    assert "reading on would never end" in SyncState.objects.get().last_error


@pytest.mark.integration
@pytest.mark.parametrize("task", [tasks.incremental_sync, tasks.full_resync])
def test_items_that_nobody_takes_are_left_where_they_are(
    shop: TenantIntegration, book: OrderBook, caplog: Any, task: Any
) -> None:
    """Whoever registers a handler later finds all of them."""
    pull(shop)
    forget("shop", "orders")
    book.rows += ["order-6"]
    asked, before = len(book.asked), SyncState.objects.values().get()
    assert pull(shop, task=task) == {"pages": 0, "items": 0, "outcome": "nobody takes the items"}
    assert pull(shop, "prices", task)["outcome"] == "nobody takes the items"
    assert len(book.asked) == asked and SyncState.objects.values().get(resource_type="orders") == before
    made = SyncState.objects.get(resource_type="prices")  # the admin says what it waits for
    assert (made.status, made.cursor, made.has_taker) == ("idle", "", False)
    assert "no handler for the orders of shop" in caplog.text
    handles("shop", "orders")(store_orders)
    assert pull(shop)["items"] == 1 and stored() == book.rows


@pytest.mark.integration
def test_a_receiver_takes_the_items_too(shop: TenantIntegration, book: OrderBook, caplog: Any) -> None:
    """The printed tasks, in a project that has receivers of sync_completed and no handler."""
    forget("shop", "orders")
    found: list[str] = []

    def hear(sync_result: Any, **_: Any) -> None:
        found.extend(sync_result.items)

    sync_completed.connect(hear, sender=TenantIntegration)
    try:
        with caplog.at_level("INFO", "integrations.pull"):
            assert pull(shop)["items"] == 5
            assert found == book.rows
            book.rows += ["order-6"]
            assert pull_one(state_of(make_shop_beside(shop), interval_minutes=5).pk).items == 6
    finally:
        sync_completed.disconnect(hear, sender=TenantIntegration)
    assert caplog.text.count("no handler for the orders of shop") == 2


def test_unknown_connections_are_no_error(shop: TenantIntegration, caplog: Any) -> None:
    for pk in (999_999, "abc", None, 10**30):
        named = {"connection_id": pk, "resource_type": "orders", **STATES}
        assert tasks.incremental_sync(**named)["outcome"] == "unknown connection"
        assert tasks.execute_adapter_method(pk, "get_orders", **MODELS) is None
    assert "no row with the given connection_id" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"app_label": "auth", "model_name": "User"},
        {"app_label": "integrations", "model_name": "AbstractConnection"},
        {"app_label": "..", "model_name": "__class__"},
        {"sync_state_app": "auth", "sync_state_model": "User"},
        {"sync_state_model": "TenantIntegration"},
    ],
)
def test_other_models_are_refused(shop: TenantIntegration, book: OrderBook, wrong: dict[str, str]) -> None:
    with pytest.raises(IntegrationPermanentError, match="not an installed model derived from"):
        tasks.incremental_sync(connection_id=shop.pk, resource_type="orders", **{**STATES, **wrong})
    assert book.asked == []


@pytest.mark.parametrize("resource_type", ["everything", "_class__", "customers", "o" * 60])
def test_other_resources_are_refused(shop: TenantIntegration, resource_type: str) -> None:
    with pytest.raises(IntegrationPermanentError, match="method not exported"):
        pull(shop, resource_type)
    assert not SyncState.objects.exists()


# -- one method ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["__class__", "_private", "delete_everything", "http", "", None, "get_orders.__call__"]
)
def test_only_exported_methods_are_called(
    shop: TenantIntegration, book: OrderBook, receiver: Receiver, method: Any
) -> None:
    with pytest.raises(IntegrationPermanentError, match="method not exported"):
        call(shop, method)
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"method_args": "ab"}, "method_args: must be a list"),
        ({"method_args": {"cursor": "4"}}, "method_args: must be a list"),
        ({"method_args": 5}, "method_args: must be a list"),
        ({"method_args": [None, "4", "x"]}, "get_orders takes other arguments: since, cursor"),
        ({"method_kwargs": ["cursor"]}, "method_kwargs: must be an object"),
        ({"method_kwargs": {"canary": "canary"}}, "get_orders takes other arguments: since, cursor"),
        ({"method_args": [None, "4"], "method_kwargs": {"cursor": "4"}}, "get_orders takes other arguments"),
    ],
)
def test_arguments_that_a_method_does_not_take(
    shop: TenantIntegration, receiver: Receiver, arguments: dict[str, Any], problem: str
) -> None:
    """The same message will never be right: no temporary error, and no provider is asked."""
    with pytest.raises(IntegrationPermanentError, match=problem) as caught:
        call(shop, "get_orders", **arguments)
    assert "canary" not in str(caught.value) and receiver.requests == []


def test_another_model_is_refused(shop: TenantIntegration) -> None:
    with pytest.raises(IntegrationPermanentError, match=r"auth\.User is not an installed model derived from"):
        call(shop, "get_orders", app_label="auth", model_name="User")


def test_a_method_answers_in_json(shop: TenantIntegration) -> None:
    assert call(shop, "get_orders") == {"items": ["order-1", "order-2"], "cursor": "2", "has_more": True}
    assert call(shop, "get_orders", method_kwargs={"cursor": "4"})["items"] == ["order-5"]
    assert call(shop, "get_prices") == [{"sku": "A", "price": "9.50", "at": "2025-11-05T20:30:00Z"}]
    assert call(shop, "rename", method_args=[7], method_kwargs={"name": "x"}) == {"number": 7, "name": "x"}


@pytest.mark.integration
def test_a_methods_refusal_counts(shop: TenantIntegration, book: OrderBook) -> None:
    book.outage = 401
    with pytest.raises(IntegrationAuthError):
        call(shop, "get_orders")
    shop.refresh_from_db()
    assert shop.auth_failure_count == 1


def test_the_documented_signatures() -> None:
    named = ["connection_id", "resource_type", "app_label", "model_name", "sync_state_app", "sync_state_model"]
    assert list(inspect.signature(tasks.incremental_sync.run).parameters) == named
    assert list(inspect.signature(tasks.full_resync.run).parameters)[:6] == named
    method = list(inspect.signature(tasks.execute_adapter_method.run).parameters)
    assert method[:4] == ["connection_id", "method_name", "app_label", "model_name"]
    for task in (
        tasks.incremental_sync,
        tasks.full_resync,
        tasks.execute_adapter_method,
        tasks.pull_due,
        tasks.pull_one,
    ):
        assert task.time_limit and task.ignore_result


# -- scheduled ----------------------------------------------------------------------------------------


@pytest.mark.integration
def test_what_is_due_is_asked_for(shop: TenantIntegration, asked: list[int]) -> None:
    now = timezone.now()
    late = state_of(shop, "late", interval_minutes=5, next_sync_at=now - timedelta(minutes=1))
    new = state_of(shop, "orders", interval_minutes=5)
    state_of(shop, "early", interval_minutes=5, next_sync_at=now + timedelta(minutes=1))
    state_of(shop, "on demand", next_sync_at=now - timedelta(minutes=1))
    state_of(shop, "read now", interval_minutes=5, lease_token="x", lease_expires_at=now + timedelta(minutes=1))
    assert tasks.pull_due() == {"due": 2, "asked": 2}
    assert asked == [new.pk, late.pk]


@pytest.mark.integration
def test_a_scheduled_pull_comes_again_after_its_interval(shop: TenantIntegration, book: OrderBook) -> None:
    state = state_of(shop, interval_minutes=15)
    assert tasks.pull_one(state.pk) == {"pages": 3, "items": 5, "outcome": "done"}
    assert stored() == book.rows
    state.refresh_from_db()
    assert state.next_sync_at is not None
    assert state.next_sync_at - timezone.now() == pytest.approx(timedelta(minutes=15), abs=timedelta(seconds=5))
    assert tasks.pull_one(state.pk)["outcome"] == "not due"  # the same message again


def test_a_doubled_message_reads_no_page_that_was_not_due(
    shop: TenantIntegration, book: OrderBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw that it is due; whoever came second, or waited to be alone, finds that it has been read."""
    state = state_of(shop, interval_minutes=5)
    heard = due.is_heard
    others: list[Any] = []

    def after_somebody_else(*args: Any) -> bool:
        monkeypatch.setattr(due, "is_heard", heard)
        others.append(pull_one(state.pk))
        return heard(*args)

    for unfinished in (0, 1):
        SyncState.objects.update(unfinished=unfinished, lease_token="", lease_expires_at=None, next_sync_at=None)
        monkeypatch.setattr(due, "is_heard", after_somebody_else)
        run = pull_one(state.pk)
        assert (run.outcome, run.pages, others.pop().outcome) == ("busy", 0, "done")
    state.refresh_from_db()
    assert state.status == "completed" and state.unfinished == 0


@pytest.mark.integration
def test_a_scheduled_pull_waits_after_a_failure_and_goes_on(shop: TenantIntegration, book: OrderBook) -> None:
    state, book.outage = state_of(shop, interval_minutes=15), 503
    assert tasks.pull_one(state.pk)["outcome"] == "failed"
    assert request_pulls() == {"due": 0, "asked": 0}
    book.outage = None
    SyncState.objects.update(next_sync_at=timezone.now() - timedelta(seconds=1))
    assert tasks.pull_one(state.pk)["items"] == 5


@pytest.mark.integration
def test_a_scheduled_pull_whose_items_nobody_takes_is_not_begun(shop: TenantIntegration, caplog: Any) -> None:
    state = state_of(shop, "prices", interval_minutes=15)
    assert tasks.pull_one(state.pk) == {"pages": 0, "items": 0, "outcome": "nobody takes the items"}
    assert "no handler for the prices of shop" in caplog.text


@pytest.mark.integration
def test_beat_looks_every_minute() -> None:
    from django_celery_beat.models import PeriodicTask

    ensure_schedule()
    assert PeriodicTask.objects.get(task="integrations.tasks.pull_due").interval.every == 60


@pytest.mark.integration
def test_without_a_broker_the_worker_goes_on_by_itself(
    shop: TenantIntegration, book: OrderBook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_rest_until", float("inf"))
    with override_settings(INTEGRATIONS=allowed(receiver, PULL_SECONDS=0.0001)):
        pull(shop, task=tasks.full_resync)
    assert book.asked == ["", "2", "4"] and stored() == book.rows


# -- with a real worker -------------------------------------------------------------------------------


@pytest.mark.integration
def test_a_long_pull_sends_itself_on(
    worker: Callable[..., CeleryProcess], shop: TenantIntegration, book: OrderBook
) -> None:
    started = worker(PULL_SECONDS=0.0001)
    tasks.full_resync.delay(connection_id=shop.pk, resource_type="orders", **STATES)
    wait_until(lambda: SyncState.objects.filter(cursor="5").exists())
    assert book.asked == ["", "2", "4"] and stored() == book.rows
    wait_until(lambda: started.log.count("full_resync[") >= 6)  # three messages, each received and done
    scheduled = state_of(make_shop_beside(shop), interval_minutes=5)
    tasks.pull_due.delay()
    wait_until(lambda: SyncState.objects.filter(pk=scheduled.pk, cursor="5").exists())
    assert stored() == book.rows * 2


def make_shop_beside(shop: TenantIntegration) -> TenantIntegration:
    fields = {"name": "Another", "integration_type": shop.integration_type, "config": shop.config}
    return TenantIntegration.objects.create(tenant=shop.tenant, is_connected=True, **fields)


@pytest.mark.integration
def test_the_printed_beat_entry_runs(
    worker: Callable[..., CeleryProcess], shop: TenantIntegration, book: OrderBook, tmp_path: Any
) -> None:
    schedule = {
        "sync-orders-every-15-min": {
            "task": "integrations.tasks.incremental_sync",
            "schedule": crontab(minute="*/15"),
            "kwargs": {"connection_id": shop.pk, "resource_type": "orders", **STATES},
        },
    }
    scheduler = Scheduler(app=app, lazy=True)
    scheduler.update_from_dict(schedule)
    entry = scheduler.schedule["sync-orders-every-15-min"]
    assert entry.schedule.minute == {0, 15, 30, 45}
    started = worker()
    scheduler.apply_async(entry, advance=False)
    wait_until(lambda: SyncState.objects.filter(cursor="5").exists())
    assert stored() == book.rows
    tasks.execute_adapter_method.delay(connection_id=shop.pk, method_name="get_orders", **MODELS)
    wait_until(lambda: "execute_adapter_method" in started.log and started.log.count(" succeeded in ") >= 2)
    for secret in ("order-1", "sync_state_model", "get_orders", "corner-shop"):
        assert secret not in started.log


@pytest.mark.integration
def test_a_success_without_http_ends_the_count_too() -> None:
    """A provider that no HTTPClient talks to."""
    outcomes = iter(["no", "no", "yes", "no", "no", "yes"])

    class Courier(BaseConnector):
        manifest = Manifest(key="courier-by-hand", label="Courier", family="courier", fields=(Field(name="depot"),))

        @exported
        def get_parcels(self) -> list[str]:
            if next(outcomes) == "no":
                raise IntegrationAuthError("refused")
            return ["parcel"]

    ConnectorRegistry.register(Courier)
    try:
        courier = TenantIntegration.objects.create(
            tenant=make_tenant("By hand"), name="Courier", integration_type="courier-by-hand", is_connected=True
        )
        state = SyncState.objects.create(connection=courier, resource_type="parcels")
        for _ in range(3):
            SyncService.incremental_sync(TenantIntegration.objects.get(pk=courier.pk), state, "parcels")
        for _ in range(2):
            with pytest.raises(IntegrationAuthError):
                tasks.execute_adapter_method(courier.pk, "get_parcels", "integrations", "TenantIntegration")
        assert tasks.execute_adapter_method(courier.pk, "get_parcels", "integrations", "TenantIntegration") == [
            "parcel"
        ]
    finally:
        ConnectorRegistry.unregister("courier-by-hand")
    courier.refresh_from_db()
    assert (courier.auth_failure_count, courier.is_enabled) == (0, True)


def test_a_handler_of_a_family_that_nobody_has_is_named() -> None:
    with pytest.raises(ValueError, match="small letters"):
        handles("Shop", "orders")
    handles("shops", "orders")(lambda items, connection: None)
    try:
        (found,) = pulls_have_a_provider(None)
        assert "'shops'" in found.msg and "shop" in found.hint and found.id == "integrations.W009"
    finally:
        forget("shops", "orders")
    assert pulls_have_a_provider(None) == []
