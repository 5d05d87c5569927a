"""An inbound webhook or a pulled page that kills its worker: it is found and given up, and its neighbours are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from integrations.alone import MAX_DEATHS
from integrations.inbound.receive import Delivery, store
from integrations.inbound.sweep import request_processing
from integrations.models import SyncState, WebhookEvent
from integrations.pull.due import request_pulls
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import EFFECT, make_connection, provider
from integrations.tests.killers import POISON, begun
from integrations.tests.pull_world import allowed, make_shop, orders_are_handled, shop_is_registered, state_of, stored
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import CeleryProcess, wait_until

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(400),
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="many processes write at once"),
]

NEIGHBOURS = [f"neighbour-{n}" for n in range(5)]
NAMES = [*NEIGHBOURS[:2], POISON, *NEIGHBOURS[2:]]
POOLS = pytest.mark.parametrize("pool", ["prefork", "threads"])
LEASE = "6"


class Workers:
    """A worker that is started again whenever it is gone, as a supervisor would."""

    def __init__(self, start: Callable[..., CeleryProcess], pool: str, log: Path, receiver: Receiver) -> None:
        together = "4" if pool == "threads" else "1"
        self._start = lambda: start(
            pool=pool,
            concurrency=8 if pool == "threads" else 3,
            args=("-I", "integrations.tests.killers"),
            env={
                "KILL_LOG": str(log),
                "TOGETHER": together,
                "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
                "INTEGRATIONS_INBOUND_LEASE_SECONDS": LEASE,
                "INTEGRATIONS_PULL_LEASE_SECONDS": LEASE,
                "INTEGRATIONS_TIMEOUT_SECONDS": "2",
                "INTEGRATIONS_HTTP_MAX_ATTEMPTS": "1",
            },
        )
        self.all = [self._start()]

    def keep_alive(self) -> None:
        if not self.all[-1].alive:
            self.all.append(self._start())

    @property
    def log(self) -> str:
        return "".join(worker.log for worker in self.all)


@pytest.fixture
def workers(celery_worker: Callable[..., CeleryProcess], tmp_path: Path, receiver: Receiver, pool: str) -> Workers:
    return Workers(celery_worker, pool, tmp_path / "begun", receiver)


def assert_neighbours_unharmed(log: Path, pool: str) -> None:
    counted = begun(log)
    assert counted.pop(POISON) == MAX_DEATHS
    assert set(counted) == set(NEIGHBOURS)
    # A prefork pool's processes die alone. In threads, who was under way at the first death is begun with once more.
    assert set(counted.values()) <= ({1} if pool == "prefork" else {1, 2})
    if pool == "threads":
        assert 2 in counted.values()  # or the test was none


@POOLS
def test_an_inbound_webhook(workers: Workers, tmp_path: Path, pool: str) -> None:
    with provider(is_chosen=True, id_header="X-Id", event_header="X-Event") as key:
        flow = make_connection(make_tenant(), key, inbound_actions=[EFFECT])
        for name in NAMES:
            body = json.dumps({"name": name}).encode()
            store(WebhookEvent, Delivery(flow, key, {"X-Id": name}, body, EFFECT), {"name": name}, event_id=name)

        def is_over() -> bool:
            workers.keep_alive()
            request_processing()
            return not WebhookEvent.objects.exclude(next_attempt_at=None).exists()

        wait_until(is_over, 300, interval=1.0)
    assert_neighbours_unharmed(tmp_path / "begun", pool)
    given_up = WebhookEvent.objects.get(idempotency_key__endswith=POISON)
    assert given_up.status == "failed" and given_up.error.startswith(f"its worker died {MAX_DEATHS} times")
    assert given_up.attempts == MAX_DEATHS
    assert f"inbound webhook {given_up.pk}: its worker died {MAX_DEATHS} times" in workers.log
    others = WebhookEvent.objects.exclude(pk=given_up.pk)
    assert {(row.status, row.unfinished, bool(row.announced_at)) for row in others} == {("processed", 0, True)}
    assert sorted(SyncState.objects.values_list("resource_type", flat=True)) == [f"effect-{n}" for n in NEIGHBOURS]


@POOLS
def test_a_pulled_page(workers: Workers, receiver: Receiver, tmp_path: Path, pool: str) -> None:
    page = {"items": ["order"], "cursor": "1", "has_more": False}
    receiver.answer_with(default=lambda request: Answer(body=json.dumps(page).encode()))
    with shop_is_registered(), orders_are_handled(), override_settings(INTEGRATIONS=allowed(receiver)):
        tenant = make_tenant()
        states = {name: state_of(make_shop(receiver, name=name, tenant=tenant), interval_minutes=60) for name in NAMES}

        def is_over() -> bool:
            workers.keep_alive()
            request_pulls()
            for state in states.values():
                state.refresh_from_db()
            return all(state.is_given_up or state.status == "completed" for state in states.values())

        wait_until(is_over, 300, interval=1.0)
        assert request_pulls()["due"] == 0  # what is given up is not asked for
    assert_neighbours_unharmed(tmp_path / "begun", pool)
    poison = states.pop(POISON)
    assert poison.is_given_up and poison.status == "failed" and poison.cursor == ""
    assert f"its worker died {MAX_DEATHS} times" in poison.last_error
    assert f"its worker died {MAX_DEATHS} times" in workers.log
    assert {(each.status, each.unfinished, each.cursor) for each in states.values()} == {("completed", 0, "1")}
    # Once each; twice, where a neighbour was under way when the first of the processes died.
    assert set(stored()) == {"order"} and len(NEIGHBOURS) <= len(stored()) <= 2 * len(NEIGHBOURS)


def test_what_was_given_up_goes_on_when_a_person_says_so(receiver: Receiver, broker: Any) -> None:
    from integrations.pull.by_hand import pull_now
    from integrations.services import SyncService
    from integrations.tests.pull_world import OrderBook, store_orders

    receiver.answer_with(OrderBook(2))
    with shop_is_registered(), orders_are_handled(), override_settings(INTEGRATIONS=allowed(receiver)):
        shop = make_shop(receiver)
        state = state_of(shop, status="failed", unfinished=MAX_DEATHS, last_error="its worker died 5 times")
        refused = SyncService.incremental_sync(shop, state, "orders", process_fn=store_orders)
        assert refused.errors == ["its worker died 5 times"] and receiver.requests == []
        assert pull_now(SyncState.objects.all(), lambda _: True).count == 1
        state.refresh_from_db()
        assert SyncService.incremental_sync(shop, state, "orders", process_fn=store_orders).items_fetched == 2
        assert stored() == ["order-1", "order-2"]
