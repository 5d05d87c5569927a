"""Many at once: writers of one object, holders of one lane, operators, and people who delete things."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F
from django.utils import timezone

from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.lease import release, take
from integrations.delivery.sweep import sweep
from integrations.errors import IntegrationNotConfigured
from integrations.models import (
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
)
from integrations.outbox.retention import purge
from integrations.tests import many_fields
from integrations.tests.crash.evidence import assert_in_order
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import Broker, CeleryProcess, wait_until
from tasks.models import Note, WorkItem
from tenants.models import Tenant

from .admin_world import form_values, superuser, url

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

POSTGRESQL = connection.vendor == "postgresql"
POOL = "prefork" if POSTGRESQL else "threads"
SECONDS = 4.0  # how long a hammer hammers
# SQLite has one writer at a time: there is nothing to lock out or to deadlock with.
row_locks = pytest.mark.skipif(not POSTGRESQL, reason="needs row locks: run with DATABASE_URL=postgres://…")
StartWorker = Callable[..., CeleryProcess]


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver, broker: Broker) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


@pytest.fixture
def worker(celery_worker: StartWorker, receiver: Receiver) -> StartWorker:
    def start(concurrency: int = 2, **settings: Any) -> CeleryProcess:
        env = {f"INTEGRATIONS_{name}": str(value) for name, value in settings.items()}
        env = {"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc, "INTEGRATIONS_RETRY_JITTER": "0", **env}
        return celery_worker(pool=POOL, concurrency=concurrency, env=env)

    return start


def integration(receiver: Receiver, **fields: Any) -> TenantIntegration:
    return make_integration(make_tenant(), receiver.url, **fields)


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Run these on threads that start together; return what they returned, or raise what they raised."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        try:
            start.wait(10)
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(run, action) for action in actions]]


def hammer(action: Callable[[], Any]) -> Callable[[], int]:
    """Repeat `action` for SECONDS; return how often."""

    def run() -> int:
        end, count = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            action()
            count += 1
        return count

    return run


# -- writers of one object ----------------------------------------------------------------------------


def test_writers_of_one_object_report_true_old_values_and_ascending_ids(receiver: Receiver) -> None:
    target = integration(receiver)
    item = make_item(target.tenant, comments="start")

    def write(name: str) -> None:
        mine = WorkItem.objects.get(pk=item.pk)
        for n in range(15):
            mine.comments = f"{name} {n}"
            mine.save(update_fields=["comments"])

    at_once(*(lambda name=name: write(name) for name in "abcd"))
    events = IntegrationEvent.objects.filter(event_type="workitem_updated").order_by("id")
    changes = [json.loads(event.body)["changes"]["comments"] for event in events]
    assert len(changes) == 60
    value = "start"
    for change in changes:  # in the order of their ids, each starts where the one before it ended
        assert change["old"] == value
        value = change["new"]
    item.refresh_from_db()
    assert item.comments == value


def test_a_bulk_update_and_a_save_take_turns(receiver: Receiver) -> None:
    target = integration(receiver)
    items = [make_item(target.tenant, comments="start") for _ in range(5)]

    def bulk() -> None:
        for n in range(10):
            WorkItem.objects.filter(tenant=target.tenant).update(comments=f"bulk {n}")

    def single() -> None:
        for n in range(10):
            for item in items:
                item.comments = f"single {n}"
                item.save(update_fields=["comments"])

    at_once(bulk, single)
    for item in items:
        value = "start"
        for event in IntegrationEvent.objects.filter(object_id=item.pk, event_type="workitem_updated").order_by("id"):
            change = json.loads(event.body)["changes"]["comments"]
            assert change["old"] == value
            value = change["new"]


# -- the lease ----------------------------------------------------------------------------------------


def test_of_many_takers_exactly_one_gets_the_lane(receiver: Receiver) -> None:
    target = integration(receiver)
    for _ in range(5):
        leases = [lease for lease in at_once(*[lambda: take(target.pk)] * 12) if lease]
        assert len(leases) == 1
        assert take(target.pk) is None
        release(leases[0])


def test_an_expired_lease_is_taken_by_one_and_the_old_token_opens_nothing(receiver: Receiver) -> None:
    target = integration(receiver)
    old = take(target.pk)
    Lane.objects.update(lease_expires_at=F("lease_expires_at") - timedelta(minutes=5))
    (new,) = [lease for lease in at_once(*[lambda: take(target.pk)] * 12) if lease]
    release(old)
    assert Lane.objects.get().lease_token == new.token
    assert take(target.pk) is None


@pytest.mark.slow
def test_a_worker_paused_beyond_its_lease_changes_nothing_when_it_wakes(
    worker: StartWorker, receiver: Receiver
) -> None:
    target = integration(receiver)
    stale = worker(LEASE_SECONDS=3, SLICE_SECONDS=1, TIMEOUT_SECONDS=1)
    gate = receiver.hold()
    make_item(target.tenant)
    receiver.wait_for(1)
    stale.pause()
    receiver.answer_with(default=200)
    fresh = worker(LEASE_SECONDS=3, SLICE_SECONDS=1, TIMEOUT_SECONDS=1)
    wait_until(lambda: Lane.objects.get().lease_expires_at < timezone.now())
    assert sweep() == {"due": 1, "woken": 1}
    wait_until(lambda: statuses() == ["synced"])
    settled = IntegrationSync.objects.values().get()
    first, second = receiver.requests
    assert (first.id, first.body) == (second.id, second.body)
    wait_until(lambda: Lane.objects.get().lease_token == "")
    lane = Lane.objects.values().get()

    gate.set()
    stale.resume()
    wait_until(lambda: "the lease was lost" in stale.log)
    assert IntegrationSync.objects.values().get() == settled
    assert Lane.objects.values().get() == lane and lane["delivered_count"] == 1
    assert ExecutionLog.objects.count() == Note.objects.count() == 1
    fresh.terminate()
    make_item(target.tenant)
    wait_until(lambda: statuses() == ["synced"] * 2)
    assert stale.alive and "Traceback" not in stale.log


def test_nobody_else_sends_while_the_holder_lives(worker: StartWorker, receiver: Receiver) -> None:
    """The request takes longer than the fast queue's time budget, and everybody keeps asking."""
    target = integration(receiver)
    worker(concurrency=4)
    gate = receiver.hold()
    make_item(target.tenant)
    receiver.wait_for(1)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert drain(target.pk).outcome == "busy or paused"
        assert sweep() == {"due": 0, "woken": 0}
    assert len(receiver.requests) == 1
    gate.set()
    wait_until(lambda: statuses() == ["synced"])


@pytest.mark.slow
def test_an_integrations_own_timeout_does_not_outlast_the_lease(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver, timeout_seconds=6)
    worker(concurrency=4, LEASE_SECONDS=4, SLICE_SECONDS=1, TIMEOUT_SECONDS=1, RETRY_BASE_SECONDS=100)
    receiver.hold()
    make_item(target.tenant)
    receiver.wait_for(1)

    def tried() -> bool:
        sweep()
        return IntegrationSync.objects.get().attempts > 0

    wait_until(tried, 12, interval=0.1)
    assert len(receiver.requests) == 1 and "did not answer in time" in IntegrationSync.objects.get().last_error


# -- wake-ups -----------------------------------------------------------------------------------------


class LaneLock:
    """Another transaction that locks the lane's row, as soon as it gets it, until it is told to end."""

    def __init__(self) -> None:
        self.held, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with transaction.atomic():
                list(Lane.objects.select_for_update().values_list("pk"))
                self.held.set()
                self._end.wait(20)
        finally:
            connections.close_all()

    def end(self) -> None:
        self._end.set()
        self._thread.join(10)


def waits_for_the_lane(statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE %s",
            [f"{statement}%integrations_lane%"],
        )
        return bool(cursor.fetchone()[0])


def test_a_person_who_resumes_while_the_connector_is_made_waits_for_no_pause(receiver: Receiver) -> None:
    """The worker has read the old settings, and says what is wrong with them when they are mended already."""
    is_made, is_mended = threading.Event(), threading.Event()

    class Unfinished(WebhookConnector):
        manifest = WebhookConnector.manifest.model_copy(update={"key": "unfinished"})

        def require_connection(self) -> None:
            if not is_mended.is_set():
                is_made.set()
                assert is_mended.wait(20)
                raise IntegrationNotConfigured("the address is missing")

    def resume() -> None:
        assert is_made.wait(20)
        operator_actions.resume(target, actor="alice")
        is_mended.set()

    ConnectorRegistry.register("unfinished", Unfinished)
    try:
        target = integration(receiver, integration_type="unfinished")
        make_item(target.tenant)
        at_once(partial(drain, target.pk), resume)
        lane = Lane.objects.get()
        assert (lane.paused_until, lane.pause_reason, lane.attention) == (None, "", "")
        drain(target.pk)
        assert statuses() == ["synced"]
    finally:
        ConnectorRegistry.unregister("unfinished")


@row_locks
def test_a_row_committed_between_the_last_look_and_the_release_is_sent_at_once(
    worker: StartWorker, receiver: Receiver
) -> None:
    target = integration(receiver)
    worker()
    gate = receiver.hold()
    make_item(target.tenant)
    receiver.wait_for(1)
    before = LaneLock()
    assert before.held.wait(10)
    gate.set()
    wait_until(lambda: waits_for_the_lane("UPDATE"), message="settle")
    make_item(target.tenant)  # calls nobody: somebody holds the lane, and has read its rows
    assert statuses() == ["pending"] * 2
    before.end()  # settled and given back by one statement; then the look
    wait_until(lambda: statuses() == ["synced"] * 2, 5, "nobody swept, and nobody looked again")


@pytest.mark.slow
def test_no_row_falls_between_the_last_look_and_the_release(worker: StartWorker, receiver: Receiver) -> None:
    """Nobody sweeps: a wake-up not sent because the lane seemed held, and a holder that did not look, would show."""
    target = integration(receiver)
    worker(concurrency=2)
    chance = random.Random(7)
    for n in range(400):
        make_item(target.tenant, reference_id=f"RMA-{n}")
        time.sleep(chance.uniform(0, 0.012))
    wait_until(lambda: IntegrationSync.objects.filter(status="pending").count() == 0, 10)
    assert len({request.id for request in receiver.requests}) == len(receiver.requests) == 400


def test_writers_in_many_threads_are_all_heard_without_the_sweep(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    worker(concurrency=3)

    def write(name: str) -> None:
        for n in range(40):
            item = make_item(target.tenant, reference_id=f"{name} {n}")
            item.comments = "changed"
            item.save()

    at_once(*(lambda name=name: write(name) for name in "abcd"))
    wait_until(lambda: IntegrationSync.objects.filter(status="pending").count() == 0, 15)
    assert len({request.id for request in receiver.requests}) == len(receiver.requests) == 320
    assert_in_order(receiver.requests)


# -- no deadlocks -------------------------------------------------------------------------------------


@pytest.mark.slow
@row_locks
def test_users_who_change_and_delete_and_a_worker_that_settles_never_deadlock(receiver: Receiver) -> None:
    target = integration(receiver)
    items = [make_item(target.tenant, reference_id=f"RMA-{n}") for n in range(12)]
    chance = random.Random(3)

    def change_all() -> None:
        with transaction.atomic():
            for item in chance.sample(items, len(items)):
                WorkItem.objects.filter(pk=item.pk).update(comments=str(chance.random()))

    def delete_some() -> None:
        with transaction.atomic():
            doomed = [make_item(target.tenant, reference_id="doomed") for _ in range(3)]
        with transaction.atomic():
            for item in doomed:
                item.comments = "going"
                item.save()
            WorkItem.objects.filter(pk__in=[item.pk for item in doomed]).delete()

    counts = at_once(hammer(change_all), hammer(delete_some), *[hammer(lambda: drain(target.pk))] * 2)
    print(f"\nchanges, deletions, drains: {counts}")
    wait_until(lambda: drain(target.pk).outcome == "empty")
    assert set(statuses()) == {"synced"}
    assert len({request.id for request in receiver.requests}) == len(receiver.requests)
    assert_in_order(receiver.requests)


@pytest.mark.slow
@row_locks
def test_operators_who_retry_and_cancel_and_a_worker_that_settles_never_deadlock(receiver: Receiver) -> None:
    chance = random.Random(5)
    receiver.answer_with(default=lambda request: chance.choice([200, 201, 400]))
    target = integration(receiver)
    for n in range(60):
        make_item(target.tenant, reference_id=f"RMA-{n}")
    pks = list(IntegrationSync.objects.values_list("pk", flat=True))

    counts = at_once(
        hammer(lambda: operator_actions.retry(chance.sample(pks, 40), actor="alice")),
        hammer(lambda: operator_actions.cancel(chance.sample(pks, 10), actor="bob")),
        *[hammer(lambda: drain(target.pk))] * 2,
    )
    print(f"\nretries, cancellations, drains: {counts}")
    Lane.objects.update(paused_until=None)
    drain(target.pk)
    assert "pending" not in statuses() and len(receiver.requests) > 60


@pytest.mark.slow
@row_locks
def test_deleting_integrations_fails_no_users_save(receiver: Receiver) -> None:
    tenant = make_tenant()
    kept = make_integration(tenant, receiver.url, name="kept")

    def save() -> None:
        item = make_item(tenant)
        item.comments = "changed"
        item.save()

    def come_and_go() -> None:
        target = make_integration(tenant, receiver.url, name="gone")
        drain(target.pk)
        target.delete()

    counts = at_once(*[hammer(save)] * 3, hammer(come_and_go), hammer(lambda: drain(kept.pk)))
    print(f"\nsaves ×3, deletions, drains: {counts}")
    wait_until(lambda: drain(kept.pk).outcome == "empty", 30)
    saves = sum(counts[:3])
    assert IntegrationSync.objects.filter(integration=kept, status="synced").count() == 2 * saves
    # A save that had read the subscriptions before a deletion and committed after it leaves rows to nobody.
    purge()
    assert not IntegrationSync.objects.exclude(integration_id=kept.pk).exists()


@row_locks
def test_a_save_that_commits_after_the_deletion_leaves_rows_to_nobody_that_are_purged(receiver: Receiver) -> None:
    target = integration(receiver)
    with transaction.atomic():
        item = make_item(target.tenant)
        at_once(target.delete)
    assert WorkItem.objects.get() == item
    assert statuses() == ["pending"]
    assert sweep() == {"due": 0, "woken": 0}
    assert purge()["syncs"] == 1
    assert statuses() == []


@row_locks
def test_a_tenant_deleted_under_load_leaves_nothing(receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(delay=0.005))
    for n in range(5):
        tenant = make_tenant(f"number {n}")
        target = make_integration(tenant, receiver.url)
        items = [make_item(tenant) for _ in range(30)]

        def change(items: list[WorkItem] = items) -> None:
            with suppress(IntegrityError):  # the tenant is gone: there is nothing to save it under
                for item in items:
                    item.comments = "changed"
                    item.save()

        def delete(pk: int = tenant.pk) -> None:
            receiver.wait_for(1)
            Tenant.objects.get(pk=pk).delete()  # not the instance that the items share: it loses its key

        at_once(change, lambda pk=target.pk: drain(pk), delete)
        receiver.clear()
    purge()
    for model in (Tenant, TenantIntegration, Lane, IntegrationSync, Note, WorkItem):  # the log outlives them
        assert not model.objects.exists(), model.__name__


@row_locks
def test_of_two_who_save_at_once_where_one_may_be_active_the_second_is_told(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECURE_SSL_REDIRECT = False
    alone = many_fields.ManyFields.manifest.model_copy(update={"allow_multiple": False})
    monkeypatch.setattr(many_fields.ManyFields, "manifest", alone)
    client, tenant = superuser(), make_tenant()
    typed = {name: value for name, value in many_fields.VALID.items() if isinstance(value, str)}
    values = {**form_values(tenant, integration_type=many_fields.KEY), **typed, "name": "One of two"}
    with many_fields.registered():
        save = partial(client.post, url("tenantintegration", "add"), values)
        answers = at_once(save, save, save)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 302]
    assert TenantIntegration.objects.filter(is_active=True).count() == 1
