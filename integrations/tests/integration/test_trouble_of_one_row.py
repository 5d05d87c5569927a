"""One row's trouble is its own; what a person does stands; a slice is settled whatever happens. With real workers."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connections

from integrations.connectors.port import Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import operator_actions, send, wakeup
from integrations.delivery.drain import drain
from integrations.delivery.sweep import sweep
from integrations.errors import IntegrationTemporaryError
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.statistics.reading import HOUR_LONG, Whose, totals
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.services import Broker, CeleryProcess, wait_until
from tasks.models import WorkItem

pytestmark = pytest.mark.integration
real = pytest.mark.django_db(transaction=True)
StartWorker = Callable[..., CeleryProcess]


@pytest.fixture
def worker(celery_worker: StartWorker, receiver: Receiver) -> StartWorker:
    def start(pool: str = "threads", concurrency: int = 4, **settings: Any) -> CeleryProcess:
        values = {"ALLOWED_HOSTS": receiver.netloc, "RETRY_JITTER": 0, "HINT_SECONDS": 1, **settings}
        env = {f"INTEGRATIONS_{name}": str(value) for name, value in values.items()}
        return celery_worker(pool=pool, concurrency=concurrency, env=env)

    return start


def synced(prefix: str) -> int:
    """How many items with such a reference have arrived."""
    rows = IntegrationSync.objects.filter(status="synced").values_list("event__body", flat=True)
    return sum(json.loads(body)["workitem"]["reference_id"].startswith(prefix) for body in rows)


def create(tenant: Any, *names: str) -> None:
    WorkItem.objects.bulk_create([WorkItem(tenant=tenant, reference_id=name) for name in names])  # one transaction


@real
@pytest.mark.slow
@pytest.mark.parametrize("bad", [6, 20, 40])
def test_good_rows_arrive_though_bad_ones_stand_before_them(worker: StartWorker, receiver: Receiver, bad: int) -> None:
    receiver.answer_with(default=lambda r: 500 if r.json["workitem"]["reference_id"].startswith("BAD") else 200)
    target = make_integration(make_tenant(), receiver.url)
    worker()
    create(target.tenant, *(f"BAD-{n}" for n in range(bad)), *(f"GOOD-{n}" for n in range(20)))

    def all_good() -> bool:
        sweep()
        return synced("GOOD") == 20

    wait_until(all_good, 60, "good rows wait for bad ones", interval=0.5)
    bad_rows = IntegrationSync.objects.exclude(status="synced")
    assert bad_rows.count() == bad
    assert set(bad_rows.values_list("status", flat=True)) == {"pending"}


@pytest.mark.django_db
def test_one_drain_finds_the_good_rows_wherever_the_others_are_asked(receiver: Receiver, settings: Any) -> None:
    """Eight doubts on the way to the good rows: one that ends in a pause by bad luck, and they wait for minutes."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "PARALLEL_SECONDS": 60.0, "SLICE_SECONDS": 20.0}
    receiver.answer_with(default=lambda r: 500 if r.json["workitem"]["reference_id"].startswith("BAD") else 200)
    for seed in range(10):
        random.seed(seed)
        target = make_integration(make_tenant(f"T{seed}"), receiver.url)
        create(target.tenant, *(f"BAD-{n}" for n in range(40)), *(f"GOOD-{n}" for n in range(20)))
        assert drain(target.pk).outcome == "sent"
        assert synced("GOOD") == 20 * (seed + 1)


@real
def test_a_destination_that_is_down_is_left_alone(worker: StartWorker, receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    target = make_integration(make_tenant(), receiver.url)
    worker()
    create(target.tenant, *(f"RMA-{n}" for n in range(50)))
    wait_until(lambda: Lane.objects.get().paused_until, 20)
    assert len(receiver.requests) == 10  # five in a row, and five others that were asked


@real
def test_retries_get_their_share_while_fresh_rows_never_end(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "SLICE_ROWS": 20, "PARALLEL_SECONDS": 60.0}
    target = make_integration(make_tenant(), receiver.url)
    seen: list[str] = []

    def endless(request: Request) -> int:
        name = request.json["workitem"]["reference_id"]
        seen.append(name)
        return 500 if name == "OLD" and seen.count("OLD") == 1 else 200

    receiver.answer_with(default=endless)
    create(target.tenant, "OLD")
    drain(target.pk)
    IntegrationSync.objects.update(next_attempt_at="2020-01-01T00:00:00Z")
    create(target.tenant, *(f"RMA-{n}" for n in range(100)))
    drain(target.pk)
    assert seen.index("OLD", 1) == 5  # the fifth start


# -- what a person does stands ---------------------------------------------------------------------------------


class Held:
    """A request that is under way until `release`, and what it will be answered then."""

    def __init__(self, receiver: Receiver, status: int) -> None:
        self.under_way, self._go = threading.Event(), threading.Event()
        self._receiver, self._status = receiver, status
        receiver.answer_with(self._answer)

    def _answer(self, request: Request) -> int:
        self.under_way.set()
        self._go.wait(20)
        return self._status

    def release(self) -> None:
        self._receiver.answer_with(default=200)
        self._go.set()


def settled_once() -> bool:
    return not Lane.objects.exclude(lease_token="").exists()


@real
@pytest.mark.parametrize("status", [410, 401, 500])
def test_new_settings_are_not_judged_by_an_answer_to_the_old_ones(
    worker: StartWorker, receiver: Receiver, status: int
) -> None:
    target = make_integration(make_tenant(), receiver.url)
    TenantIntegration.objects.filter(pk=target.pk).update(auth_failure_count=2)
    Lane.objects.update(consecutive_failures=9, times_opened=3)
    held = Held(receiver, status)
    worker()
    make_item(target.tenant)
    assert held.under_way.wait(20)
    mended = TenantIntegration.objects.get(pk=target.pk)
    mended.headers = {"X-API-Key": "the right one"}
    mended.save()
    operator_actions.re_enable(mended, actor="alice")
    held.release()
    wait_until(settled_once, 20)
    mended.refresh_from_db()
    lane = Lane.objects.get()
    assert mended.is_enabled and mended.auth_failure_count == 0
    assert (lane.paused_until, lane.times_opened) == (None, 0)


@real
def test_a_retry_of_a_row_under_way_is_due_at_once(worker: StartWorker, receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    held = Held(receiver, 500)
    worker()
    make_item(target.tenant)
    assert held.under_way.wait(20)
    operator_actions.retry(IntegrationSync.objects.values_list("pk", flat=True), actor="alice")
    held.release()
    wait_until(lambda: statuses() == ["synced"], 20, "the old failure put the retry off")


@real
def test_a_cancelled_row_under_way_stays_cancelled(worker: StartWorker, receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    held = Held(receiver, 500)
    worker()
    make_item(target.tenant)
    assert held.under_way.wait(20)
    operator_actions.cancel(IntegrationSync.objects.values_list("pk", flat=True), actor="alice")
    held.release()
    wait_until(settled_once, 20)
    assert statuses() == ["cancelled"]


# -- settled whatever happens ----------------------------------------------------------------------------------

Broken = Callable[[Any, Any], Any]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("cannot be said")


def returns_nothing(connector: Any, envelope: Any) -> Any:
    return None


def returns_a_word(connector: Any, envelope: Any) -> Any:
    return Receipt(status="fine")  # type: ignore[arg-type]


def returns_what_cannot_be_masked(connector: Any, envelope: Any) -> Any:
    return Receipt(status=200, details={"x": Unprintable()})


def raises_something_odd(connector: Any, envelope: Any) -> Any:
    raise UnicodeEncodeError("ascii", "ü", 0, 1, "no")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "broken", [returns_nothing, returns_a_word, returns_what_cannot_be_masked, raises_something_odd]
)
def test_a_connector_that_misbehaves_for_one_row_costs_that_row_one_attempt(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    kind = ConnectorRegistry.type_of("webhook")
    deliver = kind.deliver

    def sometimes(self: Any, envelope: Any) -> Any:
        is_odd = envelope.payload["workitem"]["reference_id"] == "ODD"
        return broken(self, envelope) if is_odd else deliver(self, envelope)

    monkeypatch.setattr(kind, "deliver", sometimes)
    target = make_integration(make_tenant(), receiver.url)
    for name in ("A", "ODD", "B"):
        make_item(target.tenant, reference_id=name)
    drain(target.pk)
    assert statuses() == ["synced", "pending", "synced"]
    odd = IntegrationSync.objects.get(status="pending")
    assert odd.attempts == 1 and "unexpected" in odd.last_error
    drain(target.pk)
    assert len(receiver.requests) == 2  # nothing went out again


@pytest.mark.django_db
def test_a_status_that_is_none_costs_no_delivery(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}

    def taken(*_: Any) -> Receipt:
        return Receipt(status=-1)

    monkeypatch.setattr(ConnectorRegistry.type_of("webhook"), "deliver", taken)
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    drain(target.pk)
    row = IntegrationSync.objects.get()
    assert (row.status, row.response_status, row.attempts) == ("synced", None, 1)


@pytest.mark.django_db
def test_a_row_that_cannot_be_stored_changes_nothing_of_how_the_others_are_settled(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person resumes while the slice is under way: its wish to rest does not come back with the second row."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    kind = ConnectorRegistry.type_of("webhook")
    deliver = kind.deliver
    target = make_integration(make_tenant(), receiver.url)

    def sometimes(self: Any, envelope: Any) -> Any:
        if envelope.payload["workitem"]["reference_id"] != "ODD":
            return deliver(self, envelope)
        operator_actions.resume(target, actor="ann")
        raise IntegrationTemporaryError("half of it", progress={"not": Unprintable()})

    monkeypatch.setattr(kind, "deliver", sometimes)
    receiver.answer_with(200, Answer(429, headers={"Retry-After": "600"}))
    for name in ("ODD", "A", "B"):
        make_item(target.tenant, reference_id=name)
    drain(target.pk)
    assert statuses() == ["pending", "synced", "pending"]
    odd = IntegrationSync.objects.order_by("pk")[0]
    assert odd.attempts == 1 and "could not be stored" in odd.last_error
    lane = Lane.objects.get()
    assert (lane.paused_until, lane.pause_reason, lane.lease_token) == (None, "", "")
    assert lane.delivered_count == 1
    found = totals(Whose(integration=target.pk), HOUR_LONG)
    assert (found.delivered, found.retrying, found.given_up) == (1, 2, 0)


@pytest.mark.django_db
def test_a_connector_that_cannot_be_made_says_so(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no")

    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    monkeypatch.setattr(ConnectorRegistry.type_of("webhook"), "__init__", broken)
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    assert drain(target.pk).outcome == "not configured"
    lane = Lane.objects.get()
    assert "cannot be made" in lane.attention and lane.paused_until and lane.lease_token == ""
    assert IntegrationSync.objects.get().attempts == 0


@pytest.mark.django_db
def test_where_no_thread_is_to_be_had_the_slice_goes_on_alone(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "PARALLEL_SECONDS": 0.0}

    class NoThreads(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(send, "ThreadPoolExecutor", NoThreads)
    target = make_integration(make_tenant(), receiver.url)
    for n in range(6):
        make_item(target.tenant, reference_id=f"RMA-{n}")
    drain(target.pk)
    assert statuses() == ["synced"] * 6 and len(receiver.requests) == 6


@real
def test_the_threads_of_a_slice_give_back_what_they_read_the_database_with(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connector of a host may ask the database. A thread that ends with a connection of the pool loses it for all."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "PARALLEL_SECONDS": 0.0}
    kind = ConnectorRegistry.type_of("webhook")
    deliver = kind.deliver
    used: dict[threading.Thread, Any] = {}

    def reads(self: Any, envelope: Any) -> Any:
        assert TenantIntegration.objects.exists()
        used[threading.current_thread()] = connections[DEFAULT_DB_ALIAS]
        return deliver(self, envelope)

    monkeypatch.setattr(kind, "deliver", reads)
    target = make_integration(make_tenant(), receiver.url, max_in_flight=4)
    create(target.tenant, *(f"RMA-{n}" for n in range(12)))
    drain(target.pk)
    assert statuses() == ["synced"] * 12
    others = [wrapper for thread, wrapper in used.items() if thread is not threading.current_thread()]
    assert others, "nothing was sent side by side"
    assert all(wrapper.connection is None for wrapper in others)


@pytest.mark.django_db
def test_an_exception_amid_a_slice_settles_what_was_sent(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    kind = ConnectorRegistry.type_of("webhook")
    deliver = kind.deliver

    def ends(self: Any, envelope: Any) -> Any:
        if envelope.payload["workitem"]["reference_id"] == "LAST":
            raise SystemExit  # a worker that is told to stop
        return deliver(self, envelope)

    monkeypatch.setattr(kind, "deliver", ends)
    target = make_integration(make_tenant(), receiver.url)
    for name in ("A", "B", "LAST"):
        make_item(target.tenant, reference_id=name)
    with pytest.raises(SystemExit):
        drain(target.pk)
    assert statuses() == ["synced", "synced", "pending"]
    lane = Lane.objects.get()
    assert (lane.lease_token, lane.hinted_at) == ("", None)  # what raises every time must not wake itself


# -- hints ----------------------------------------------------------------------------------------------------


def queued(broker: Broker) -> int:
    import redis

    with redis.Redis.from_url(broker.url, socket_timeout=5) as client:
        prefix = broker.options.get("global_keyprefix", "")
        return sum(int(client.llen(f"{prefix}{name}")) for name in ("deliveries", "slow"))


@real
def test_sweeps_add_no_hints_for_lanes_that_wait_already(broker: Broker, receiver: Receiver) -> None:
    if broker.kind == "rabbitmq" or broker.url.startswith("redis+socket"):
        pytest.skip("counts messages in Redis")
    for n in range(6):
        tenant = make_tenant(f"tenant {n}")
        make_integration(tenant, receiver.url)
        create(tenant, *(f"RMA-{m}" for m in range(20)))
    assert wakeup.wait_until_sent(10)  # the saves' own hints
    sweep()
    waiting = queued(broker)
    for _ in range(20):  # five minutes of them
        sweep()
    assert queued(broker) == waiting


@pytest.mark.django_db
def test_a_mark_is_taken_back_where_the_hint_cannot_be_sent(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "DRAIN_SECONDS": 0.0, "SLICE_SECONDS": 0.0}
    monkeypatch.setattr("integrations.delivery.hints._rest_until", float("inf"))  # the broker is away
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant), make_item(target.tenant)
    drain(target.pk)  # no time but for the first
    assert statuses() == ["synced", "pending"] and Lane.objects.get().hinted_at is None


@pytest.mark.django_db
def test_a_lane_that_takes_its_turn_to_begin_with_sends_one_row_in_each(receiver: Receiver, settings: Any) -> None:
    """Otherwise turns that send nothing would wake each other, for ever."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "DRAIN_SECONDS": 0.0, "SLICE_SECONDS": 0.0}
    target = make_integration(make_tenant(), receiver.url)
    for _ in range(3):
        make_item(target.tenant)
    assert [drain(target.pk, is_slow_worker=is_slow).sent for is_slow in (True, False, True, True)] == [1, 1, 1, 0]
    assert len(receiver.requests) == 3


@real
def test_a_hint_for_a_turn_that_somebody_took_is_dropped(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    target = make_integration(make_tenant(), receiver.url)
    turn = Lane.objects.get().turn
    make_item(target.tenant)
    assert drain(target.pk, turn=turn).sent == 1
    make_item(target.tenant)
    assert drain(target.pk, turn=turn).outcome == "busy or paused"
    assert drain(target.pk, turn=Lane.objects.get().turn).sent == 1


@real
def test_saves_of_a_waiting_lane_send_one_hint(broker: Broker, receiver: Receiver) -> None:
    if broker.kind == "rabbitmq" or broker.url.startswith("redis+socket"):
        pytest.skip("counts messages in Redis")
    target = make_integration(make_tenant(), receiver.url)
    for n in range(30):
        make_item(target.tenant, reference_id=f"RMA-{n}")
    assert queued(broker) == 1
