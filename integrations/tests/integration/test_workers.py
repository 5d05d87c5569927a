"""The main job with real workers: a save, a broker, a Celery process, a receiver on loopback."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from app.celery import app
from integrations.delivery import operator_actions
from integrations.delivery.wakeup import wake
from integrations.models import (
    AuditEntry,
    ExecutionLog,
    Heartbeat,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
)
from integrations.tasks import retry_failed_syncs, send_integration_webhook
from integrations.tests.crash.evidence import assert_in_order
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import PROJECT, Broker, CeleryProcess, every_broker, wait_until
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

POOL = "prefork" if connection.vendor == "postgresql" else "threads"
TASK = "integrations.tasks.send_integration_webhook"
StartWorker = Callable[..., CeleryProcess]


@pytest.fixture
def worker(celery_worker: StartWorker, receiver: Receiver) -> StartWorker:
    """``worker(concurrency=2, LEASE_SECONDS=4, …)`` starts one that may send to the receiver."""

    def start(concurrency: int = 2, args: tuple[str, ...] = (), **settings: Any) -> CeleryProcess:
        env = {f"INTEGRATIONS_{name}": str(value) for name, value in settings.items()}
        env = {"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc, "INTEGRATIONS_RETRY_JITTER": "0", **env}
        return celery_worker(pool=POOL, concurrency=concurrency, args=args, env=env)

    return start


def integration(receiver: Receiver, **fields: Any) -> TenantIntegration:
    return make_integration(make_tenant(), receiver.url, **fields)


def all_settled(count: int) -> Callable[[], bool]:
    return lambda: IntegrationSync.objects.filter(status="synced").count() == count


def done(worker: CeleryProcess, count: int, task: str = TASK) -> Callable[[], bool]:
    """Whether `worker` has finished `count` tasks."""
    return lambda: sum(task in line and "succeeded" in line for line in worker.log.splitlines()) >= count


def celery(broker: Broker, *words: str) -> str:
    """What ``celery -A app …`` prints."""
    found = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "app", *words],
        cwd=PROJECT,
        env={**os.environ, **broker.env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


# -- the main job -------------------------------------------------------------------------------------


@every_broker
def test_a_save_arrives_and_leaves_a_note_without_beat(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    worker()
    item = make_item(target.tenant)
    (request,) = receiver.wait_for(1)
    assert request.json["workitem"]["id"] == item.pk
    wait_until(all_settled(1))
    assert Note.objects.get().text == "✓ Production n8n Workflow received workitem_created (HTTP 200)."
    wait_until(lambda: Lane.objects.get().lease_token == "")


def test_the_banner_lists_both_tasks(worker: StartWorker) -> None:
    log = worker().log
    assert f". {TASK}\n" in log
    assert ". integrations.tasks.retry_failed_syncs\n" in log


def test_a_rollback_sends_nothing(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    worker()
    with transaction.atomic():
        make_item(target.tenant, reference_id="never")
        transaction.set_rollback(True)
    make_item(target.tenant, reference_id="kept")
    receiver.wait_for(1)
    wait_until(all_settled(1))
    assert [request.json["workitem"]["reference_id"] for request in receiver.requests] == ["kept"]
    assert IntegrationEvent.objects.count() == 1


@pytest.mark.slow
def test_a_thousand_saves_arrive_once_and_in_order(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    worker()
    items = [make_item(target.tenant, reference_id=f"RMA-{n}") for n in range(20)]
    for n in range(49):
        for item in items:
            item.comments = f"change {n}"
            item.save()
    requests = receiver.wait_for(1000, timeout=60)
    wait_until(all_settled(1000), 20)
    assert len({request.id for request in requests}) == len(receiver.requests) == 1000
    assert_in_order(requests)
    assert Note.objects.count() == 1000


def test_a_hundred_copies_of_one_wake_up_are_one_delivery(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    make_item(target.tenant)
    for _ in range(99):
        assert wake(target.pk)
    started = worker(concurrency=4)
    wait_until(done(started, 100), 30)
    assert len(receiver.requests) == 1
    assert statuses() == ["synced"] and ExecutionLog.objects.count() == 1


def test_ten_at_once_never_send_twice(worker: StartWorker, receiver: Receiver) -> None:
    tenant = make_tenant()
    targets = [make_integration(tenant, f"{receiver.url}/{n}", name=f"number {n}") for n in range(4)]
    worker(concurrency=10)
    for n in range(50):
        make_item(tenant, reference_id=f"RMA-{n}")
        for target in targets:
            wake(target.pk)
    receiver.wait_for(200, timeout=30)
    wait_until(all_settled(200), 20)
    assert len({(request.path, request.id) for request in receiver.requests}) == len(receiver.requests) == 200


# -- what may happen to a message ---------------------------------------------------------------------


def seed_call(target: TenantIntegration, item: WorkItem, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "integration_id": target.pk,
        "content_type_id": ContentType.objects.get_for_model(WorkItem).pk,
        "object_id": item.pk,
        "event_type": "workitem_created",
        "payload": payload,
    }


def test_the_call_of_the_source_document_is_delivered(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver, events=())
    item = make_item(target.tenant)
    worker()
    send_integration_webhook.delay(**seed_call(target, item, {"test": "data"}))
    (request,) = receiver.wait_for(1)
    assert request.json == {"test": "data"}
    wait_until(all_settled(1))
    sync = IntegrationSync.objects.select_related("event", "integration").get()
    assert (sync.integration, sync.event.event_type, sync.event.object_id) == (
        target,
        "workitem_created",
        str(item.pk),
    )


def test_b221_the_same_message_twice_is_sent_once(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver, events=())
    call = seed_call(target, make_item(target.tenant), {"test": "data"})
    for _ in range(2):
        send_integration_webhook.apply_async(kwargs=call, task_id="11111111-2222-3333-4444-555555555555")
    started = worker()
    wait_until(done(started, 2))
    wait_until(all_settled(1))
    assert len(receiver.requests) == 1 and IntegrationEvent.objects.count() == 1


def test_b220_an_unknown_row_is_logged_and_forgotten(worker: StartWorker) -> None:
    started = worker()
    send_integration_webhook.delay(sync_id=999_999)
    wait_until(done(started, 1))
    assert "unknown row" in started.log and "Traceback" not in started.log


def test_b223_switched_off_or_deleted_before_the_worker_came(worker: StartWorker, receiver: Receiver) -> None:
    tenant = make_tenant()
    off, deleted = (make_integration(tenant, receiver.url, name=name) for name in ("off", "deleted"))
    make_item(tenant)
    off.is_active = False
    off.save()
    deleted.delete()
    started = worker()
    wait_until(done(started, 2))
    row = IntegrationSync.objects.get()
    assert (row.integration, row.status) == (off, "cancelled") and "switched off" in row.reason
    assert receiver.requests == [] and "Traceback" not in started.log


@pytest.mark.parametrize("what", ["integration", "tenant"])
def test_deleted_while_the_request_is_open(worker: StartWorker, receiver: Receiver, what: str) -> None:
    target = integration(receiver)
    started = worker()
    gate = receiver.hold()
    make_item(target.tenant)
    receiver.wait_for(1)
    (target if what == "integration" else target.tenant).delete()
    gate.set()
    wait_until(lambda: "lease was lost" in started.log)
    wait_until(done(started, 1))
    assert [model.objects.count() for model in (TenantIntegration, Lane, IntegrationSync, Note)] == [0, 0, 0, 0]
    assert not ExecutionLog.objects.exists()  # what is gone gets no line of an attempt
    deleted = set(AuditEntry.objects.filter(action="deleted").values_list("object_name", flat=True))
    assert deleted == {"Production n8n Workflow"} | ({"Acme Corp"} if what == "tenant" else set())
    assert IntegrationEvent.objects.count() == (1 if what == "integration" else 0)
    assert "Traceback" not in started.log
    other = make_integration(make_tenant("Other"), receiver.url)
    make_item(other.tenant)
    wait_until(all_settled(1))


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/x-yaml"])
def test_b228_a_message_that_is_not_json_is_refused(
    worker: StartWorker, receiver: Receiver, tmp_path: Path, content_type: str
) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "exploded"),)

    target = integration(receiver)
    started = worker()
    body = pickle.dumps(((), {"integration_id": Bomb()}, {}))
    if content_type.endswith("yaml"):
        body = f'!!python/object/apply:os.mkdir ["{tmp_path / "exploded"}"]'.encode()
    with app.connection_for_write() as messages, messages.Producer() as producer:
        producer.publish(
            body,
            content_type=content_type,
            content_encoding="binary",
            routing_key="deliveries",
            headers={"task": TASK, "id": "b228", "lang": "py"},
        )
    wait_until(lambda: "ContentDisallowed" in started.log, message="the worker did not refuse it")
    make_item(target.tenant)
    wait_until(all_settled(1))
    assert not (tmp_path / "exploded").exists() and started.alive


@pytest.mark.slow
def test_s1_66_inspect_works_and_shows_no_secret(worker: StartWorker, receiver: Receiver, broker: Broker) -> None:
    target = integration(receiver, headers={"X-API-Key": "canary-key"})
    make_item(target.tenant)
    started = worker(concurrency=1)
    gate = receiver.hold()
    make_item(target.tenant, comments="canary-comment")
    receiver.wait_for(1)
    for n in range(2):  # reserved, behind the one that is being sent
        send_integration_webhook.delay(**seed_call(target, make_item(target.tenant), {"token": f"canary-{n}"}))
    shown = {word: celery(broker, "inspect", word) for word in ("active", "reserved", "scheduled", "registered")}
    gate.set()
    assert TASK in shown["active"] and TASK in shown["registered"]
    assert f"'integration_id': {target.pk}" in shown["active"]
    assert "integrations.tasks.retry_failed_syncs" in shown["registered"]
    for word, text in shown.items():
        for secret in ("canary", SECRET, receiver.url):
            assert secret not in text, word
    wait_until(lambda: statuses().count("synced") == 6)
    assert "canary" not in started.log and SECRET not in started.log


# -- beat, sweep, shutdown ----------------------------------------------------------------------------


def sweep_every_second() -> None:
    second, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(task="integrations.tasks.retry_failed_syncs").update(interval=second)


def test_beat_finds_what_was_never_announced_and_is_seen_alive(
    worker: StartWorker, celery_beat: StartWorker, receiver: Receiver, broker: Broker, client: Client
) -> None:
    sweep_every_second()
    target = integration(receiver)
    make_item(target.tenant)
    broker.flush()
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/health/").json()["parts"]["beat"] == "down"
    worker()
    celery_beat()
    receiver.wait_for(1)
    wait_until(all_settled(1))
    wait_until(lambda: Heartbeat.objects.filter(name__in=["worker", "beat"]).count() == 2)
    wait_until(lambda: client.get("/health/").status_code == 200, 10, "the page asks anew after two seconds")
    parts = client.get("/health/").json()["parts"]
    assert parts == dict.fromkeys(("beat", "broker", "database", "slow_worker", "worker"), "up")


@pytest.mark.slow
def test_two_beats_send_each_row_once(
    worker: StartWorker, celery_beat: StartWorker, receiver: Receiver, broker: Broker
) -> None:
    sweep_every_second()
    tenant = make_tenant()
    for n in range(3):
        make_integration(tenant, f"{receiver.url}/{n}", name=f"number {n}")
    for n in range(10):
        make_item(tenant, reference_id=f"RMA-{n}")
    broker.flush()
    started = worker(concurrency=4)
    celery_beat(), celery_beat()
    wait_until(all_settled(30), 20)
    wait_until(done(started, 6, "integrations.tasks.retry_failed_syncs"), 20)
    assert len({(request.path, request.id) for request in receiver.requests}) == len(receiver.requests) == 30


@pytest.mark.slow
def test_sweeps_do_not_pile_up_while_no_worker_runs(
    worker: StartWorker, celery_beat: StartWorker, receiver: Receiver
) -> None:
    """No message expires, which would compare two machines' clocks: one does the work, the others nothing."""
    sweeps = PeriodicTask.objects.filter(task="integrations.tasks.retry_failed_syncs")
    assert sweeps.get().expire_seconds is None and sweeps.get().interval.every == 15
    sweep_every_second()
    scheduler = celery_beat()
    wait_until(lambda: scheduler.log.count("Sending due task Deliver what is due") >= 6, 30)
    scheduler.kill9()  # a SIGTERM amid a send may be lost: redis-py raises over Celery's SystemExit
    started = worker(concurrency=1)
    wait_until(lambda: started.log.count("another run has just ended") >= 2, 30)
    assert "{'due': 0, 'woken': 0}" in started.log and "Discarding" not in started.log


def test_b230_two_sweeps_at_once_from_the_shell(worker: StartWorker, receiver: Receiver, broker: Broker) -> None:
    target = integration(receiver)
    make_item(target.tenant)
    broker.flush()
    retry_failed_syncs.delay(), retry_failed_syncs.delay()
    started = worker()
    wait_until(all_settled(1))
    wait_until(done(started, 2, "integrations.tasks.retry_failed_syncs"))
    assert "{'due': 1, 'woken': 1}" in started.log and len(receiver.requests) == 1


def test_sigterm_lets_the_open_request_finish(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    started = worker()
    gate = receiver.hold()
    make_item(target.tenant)
    receiver.wait_for(1)
    started.process.terminate()
    wait_until(lambda: "Warm shutdown" in started.log)
    assert statuses() == ["pending"] and started.alive
    gate.set()
    assert started.terminate() == 0
    assert statuses() == ["synced"] and len(receiver.requests) == 1
    assert Lane.objects.get().lease_token == ""


# -- a neighbour ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hanging_neighbour_is_not_waited_for(worker: StartWorker, receiver: Receiver) -> None:
    noisy = [make_integration(make_tenant(f"noisy {n}"), f"{receiver.url}/hangs/{n}") for n in range(3)]
    quiet = make_integration(make_tenant("quiet"), f"{receiver.url}/works")
    receiver.answer_with(default=lambda request: Answer(then="hang") if "hangs" in request.path else 200)
    Lane.objects.filter(pk__in=[target.pk for target in noisy]).update(is_slow=True)  # as after their first slice
    worker(concurrency=1, args=("-Q", "slow"), TIMEOUT_SECONDS=20)
    worker(concurrency=1, args=("-Q", "deliveries"), TIMEOUT_SECONDS=20)
    for target in noisy:
        make_item(target.tenant)
    wait_until(lambda: [r for r in receiver.requests if "hangs" in r.path], message="somebody hangs")
    make_item(quiet.tenant)
    wait_until(lambda: IntegrationSync.objects.filter(integration=quiet, status="synced").exists(), 5)
    assert not IntegrationSync.objects.exclude(integration=quiet).filter(attempts__gt=0).exists()  # still hanging


def test_a_first_hang_moves_a_lane_out_of_everybodys_way(worker: StartWorker, receiver: Receiver) -> None:
    target = integration(receiver)
    receiver.answer_with(default=Answer(then="hang"))
    worker(concurrency=1, TIMEOUT_SECONDS=1)
    make_item(target.tenant)
    wait_until(lambda: Lane.objects.filter(pk=target.pk, is_slow=True).exists(), 10)
    receiver.answer_with(default=200)
    operator_actions.retry(IntegrationSync.objects.values_list("pk", flat=True), actor="alice")
    wait_until(lambda: Lane.objects.filter(pk=target.pk, is_slow=False).exists(), 10, "a success brings it back")


def test_a_backlog_gives_the_worker_back_between_slices(worker: StartWorker, receiver: Receiver) -> None:
    noisy = make_integration(make_tenant("noisy"), f"{receiver.url}/noisy", max_in_flight=1)
    quiet = make_integration(make_tenant("quiet"), f"{receiver.url}/quiet")
    receiver.answer_with(default=lambda request: Answer(delay=0.01 if "noisy" in request.path else 0))
    WorkItem.objects.bulk_create(WorkItem(tenant=noisy.tenant, reference_id=f"RMA-{n}") for n in range(400))
    worker(concurrency=1, DRAIN_SECONDS=0.3, SLICE_SECONDS=0.3, SLICE_ROWS=20)
    wait_until(lambda: len(receiver.requests) > 5)
    make_item(quiet.tenant)
    wait_until(lambda: any("quiet" in request.path for request in receiver.requests), 10)
    assert IntegrationSync.objects.filter(integration=noisy, status="pending").exists()  # it did not have to end first
