"""One process with a wrong clock: everything is delivered as the database's clock says, and people are told."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from integrations.delivery.schedule import beat_schedule, ensure_schedule
from integrations.models import IntegrationSync, ProcessHeartbeat, WebhookEvent
from integrations.observability import health
from integrations.tests.crash.evidence import assert_in_order
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver, Request
from integrations.tests.services import Broker, CeleryProcess, WebProcess, faketime, wait_until
from integrations.transport import signing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no clock but each process's own"),
]

OFFSETS = pytest.mark.parametrize("offset", [70, -70, 600], ids=["ahead", "behind", "far-ahead"])
RETRY = "integrations.tasks.retry_failed_syncs"
StartProcess = Callable[..., CeleryProcess]


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def every_second(*tasks: str) -> None:
    second, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(task__in=tasks or [RETRY]).update(interval=second)


def worker_env(receiver: Receiver, **env: str) -> dict[str, str]:
    return {
        "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
        "INTEGRATIONS_LEASE_SECONDS": "20",
        "INTEGRATIONS_TIMEOUT_SECONDS": "4",
        "INTEGRATIONS_PACE_SECONDS": "1",
        "INTEGRATIONS_RETRY_BASE_SECONDS": "1",
        **env,
    }


def all_delivered(count: int) -> Callable[[], bool]:
    return lambda: IntegrationSync.objects.filter(status="synced").count() == count


def save_and_lose_the_hints(tenant: Any, broker: Broker) -> None:
    """Three objects with three events each, of which no worker hears."""
    items = [make_item(tenant, reference_id=f"RMA-{n}") for n in range(3)]
    for n in range(2):
        for item in items:
            item.comments = f"change {n}"
            item.save()
    broker.flush()


def refuse_the_first(receiver: Receiver) -> None:
    """503 to the first request of each of the first two objects; from then on 200."""
    asked: dict[str, int] = defaultdict(int)

    def answer(request: Request) -> int:
        number = str(request.json["workitem"]["reference_id"])
        asked[number] += 1
        return 503 if asked[number] == 1 and number != "RMA-2" else 200

    receiver.answer_with(default=answer)


def assert_told(process: CeleryProcess, kind: str, offset: int) -> None:
    """Log, page and check name the process and its skew."""
    direction = "ahead of" if offset > 0 else "behind"
    wait_until(lambda: "the clock of" in process.log and f"s {direction} the database's" in process.log, 30)
    found = wait_until(lambda: ProcessHeartbeat.objects.filter(kind=kind).first(), 20)
    assert found.name in process.log and abs(found.skew_seconds - offset) < 3
    assert process.log.count("the clock of") == 1  # once
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    health.forget()
    listed = {each["name"]: each for each in client.get("/health/").json()["processes"]}
    assert listed[found.name]["clock"] == "wrong" and abs(listed[found.name]["skew_seconds"] - offset) < 3
    warnings = [each.msg for each in run_checks(databases=["default"]) if each.id == "integrations.W008"]
    assert [found.name in text and direction in text for text in warnings] == [True]


@OFFSETS
def test_a_worker(
    offset: int, celery_worker: StartProcess, celery_beat: StartProcess, receiver: Receiver, broker: Broker
) -> None:
    every_second()
    target = make_integration(make_tenant(), receiver.url)
    refuse_the_first(receiver)
    save_and_lose_the_hints(target.tenant, broker)
    celery_beat()
    worker = celery_worker(pool="prefork", env={**worker_env(receiver), **faketime(f"{offset:+d}s")})
    wait_until(all_delivered(9), 60)
    make_item(target.tenant, reference_id="RMA-9")  # by its hint
    wait_until(all_delivered(10), 30)
    received = [request for request in receiver.requests if request.status == 200]
    assert len({request.id for request in received}) == len(received) == 10
    assert_in_order(received)
    for request in receiver.requests:
        assert abs(float(request.headers["webhook-timestamp"]) - request.time) < 30
    assert_told(worker, "worker", offset)


@OFFSETS
def test_beat(
    offset: int, celery_worker: StartProcess, celery_beat: StartProcess, receiver: Receiver, broker: Broker
) -> None:
    every_second()
    target = make_integration(make_tenant(), receiver.url)
    save_and_lose_the_hints(target.tenant, broker)
    celery_worker(pool="prefork", env=worker_env(receiver))
    scheduler = celery_beat(env=faketime(f"{offset:+d}s"))
    wait_until(all_delivered(9), 30)
    assert_in_order(receiver.requests)
    assert_told(scheduler, "beat", offset)
    before = sent(scheduler, "Deliver what is due")
    wait_until(lambda: sent(scheduler, "Deliver what is due") >= before + 3, 20)


def sent(scheduler: CeleryProcess, name: str) -> int:
    return scheduler.log.count(f"Sending due task {name}")


def test_beats_clock_is_set_back(
    celery_worker: StartProcess, celery_beat: StartProcess, receiver: Receiver, broker: Broker, tmp_path: Path
) -> None:
    """After two hours ahead, while it runs. Every task goes on, not only the first."""
    every_second(RETRY, "integrations.tasks.process_received_webhooks")
    target = make_integration(make_tenant(), receiver.url)
    celery_worker(pool="prefork", env=worker_env(receiver))
    clock_file = tmp_path / "clock"
    clock_file.write_text("+7200s\n")
    scheduler = celery_beat(env=faketime(file=clock_file))
    names = ("Deliver what is due", "Process webhooks that came in")
    wait_until(lambda: min(sent(scheduler, name) for name in names) >= 2, 30)
    clock_file.write_text("+0s\n")
    before = {name: sent(scheduler, name) for name in names}
    wait_until(lambda: all(sent(scheduler, name) >= before[name] + 4 for name in names), 30)
    save_and_lose_the_hints(target.tenant, broker)
    wait_until(all_delivered(9), 30)


def test_what_a_clock_ahead_left_behind_stops_nothing(
    celery_worker: StartProcess, celery_beat: StartProcess, receiver: Receiver, broker: Broker
) -> None:
    """The scheduler is started again, with a right clock, and finds a last run of the day after tomorrow."""
    every_second()
    PeriodicTask.objects.update(last_run_at=timezone.now() + timedelta(days=2))
    target = make_integration(make_tenant(), receiver.url)
    save_and_lose_the_hints(target.tenant, broker)
    celery_worker(pool="prefork", env=worker_env(receiver))
    scheduler = celery_beat()
    wait_until(all_delivered(9), 30)
    assert "lies ahead" in scheduler.log


def test_migrate_mends_the_rows_of_an_earlier_version() -> None:
    ours = PeriodicTask.objects.filter(task__startswith="integrations.")
    ours.update(expire_seconds=15, last_run_at=timezone.now() + timedelta(hours=2))
    seen = PeriodicTasks.last_change()
    ensure_schedule()
    assert ours.count() == len(beat_schedule()) and not ours.exclude(expire_seconds=None).exists()
    assert not ours.filter(last_run_at__gt=timezone.now() + timedelta(minutes=1)).exists()
    assert PeriodicTasks.last_change() != seen  # a scheduler that runs reads them again


@OFFSETS
def test_web(offset: int, web: Callable[..., WebProcess], receiver: Receiver) -> None:
    """What it records is due at once, and a provider's signature is as old as it is."""
    values = {"inbound_actions": ["workitem-note"], "config": {"inbound_scheme": "standard-webhooks"}, "events": ()}
    tenant = make_tenant()
    caller = make_integration(
        tenant, integration_type="n8n", name="n8n", credentials={"webhook_secret": SECRET}, **values
    )
    item = make_item(tenant)
    server = web(env=faketime(f"{offset:+d}s"))
    body = json.dumps({"id": "evt_1", "workitem": {"id": item.pk}, "note": "Parts ordered"}).encode()

    def call(name: str, age: int) -> int:
        moment = int(time.time()) - age
        headers = {
            "webhook-id": name,
            "webhook-timestamp": str(moment),
            "webhook-signature": signing.sign(name, moment, body, [SECRET]),
            "Content-Type": "application/json",
        }
        url = f"{server.address}/webhooks/{caller.public_id}/workitem-note/"
        return requests.post(url, body, headers=headers, timeout=20).status_code

    assert call("evt_1", 0) == 200
    assert call("evt_2", 280) == 200  # by the machine's clock, it would be too old or too new
    assert call("evt_3", 320) == 401
    assert WebhookEvent.objects.filter(signature_valid=True).count() == 2
    assert_told(server, "web", offset)
