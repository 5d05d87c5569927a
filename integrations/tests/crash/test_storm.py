"""Workers and their children killed at random under load: what CRASH_KILLS=100 proves, 20 show.

Prints its seed; CRASH_SEED repeats the decisions (not their timing).
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection, connections
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync
from integrations.tests.crash.evidence import assert_copies_are_equal, assert_in_order, copies
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.services import CeleryProcess, wait_until

KILLS = int(os.environ.get("CRASH_KILLS", "20"))
pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(120 + 8 * KILLS),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="run with DATABASE_URL=postgres://…"),
]

SETTINGS = {
    "LEASE_SECONDS": 3,
    "SLICE_SECONDS": 1,
    "TIMEOUT_SECONDS": 1.5,
    "RETRY_BASE_SECONDS": 0.3,
    "RETRY_FACTOR": 1,
    "RETRY_MAX_ATTEMPTS": 1000,
    "BREAKER_PAUSE_SECONDS": 0.5,
    "BREAKER_PAUSE_CAP_SECONDS": 1,
    "SLICE_ROWS": 20,
}


class Load:
    """Saves that never stop, of the items of two tenants with two integrations each."""

    def __init__(self, receiver: Receiver, chance: random.Random) -> None:
        self._chance = chance
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.saves = 0
        self.items = []
        for t in range(2):
            tenant = make_tenant(f"tenant {t}")
            for n in range(2):
                make_integration(tenant, f"{receiver.url}/{t}{n}", name=f"{t}{n}")
            self.items += [make_item(tenant, reference_id=f"RMA-{n}") for n in range(6)]

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._chance.uniform(0, 0.03)):
                item = self._chance.choice(self.items)
                self.saves += 1
                item.comments = f"change {self.saves}"
                item.save()
        finally:
            connections.close_all()


def test_a_storm_of_kills_loses_nothing(
    celery_worker: Callable[..., CeleryProcess], celery_beat: Callable[..., CeleryProcess], receiver: Receiver
) -> None:
    seed = int(os.environ.get("CRASH_SEED") or secrets.randbelow(10**6))
    print(f"\nCRASH_SEED={seed} CRASH_KILLS={KILLS}")
    chance = random.Random(seed)
    answers = random.Random(seed + 1)

    def sometimes_500(request: Request) -> Answer:
        return Answer(500 if answers.random() < 0.03 else 200, delay=answers.uniform(0, 0.03))

    receiver.answer_with(default=sometimes_500)
    second, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(task="integrations.tasks.retry_failed_syncs").update(interval=second)
    env = {f"INTEGRATIONS_{name}": str(value) for name, value in SETTINGS.items()}
    env["INTEGRATIONS_ALLOWED_HOSTS"] = receiver.netloc

    def start(*, wait: bool) -> CeleryProcess:
        return celery_worker(wait=wait, pool="prefork", concurrency=2, env=env)

    workers = [start(wait=False), start(wait=False)]
    for worker in workers:
        worker.wait_ready()
    celery_beat()
    kills: Counter[str] = Counter()
    started = time.monotonic()
    with Load(receiver, random.Random(seed + 2)) as load:
        while kills.total() < KILLS:
            time.sleep(chance.uniform(0.5, 4))
            n = chance.randrange(len(workers))
            kind = chance.choice(["child", "group"])
            kills[kind] += 1
            if kind == "child" and workers[n].children:
                workers[n].kill9_child()
            else:
                workers[n].kill9_group()
                workers[n] = start(wait=False)
        under_load = time.monotonic() - started
    for worker in workers:
        worker.wait_ready()
    stopped = time.monotonic()
    pending = IntegrationSync.objects.filter(status="pending")
    wait_until(lambda: not pending.exists(), 60, "rows are still pending", interval=0.1)
    drained = time.monotonic() - stopped

    requests = receiver.requests
    owed = set(IntegrationSync.objects.values_list("integration__name", "event__idempotency_key"))
    delivered = copies(request for request in requests if request.status == 200)
    tries = sum(request.status == 500 for request in requests)
    print(
        f"{kills.total()} kills ({dict(kills)}) in {under_load:.0f} s, {load.saves} saves, {len(owed)} deliveries; "
        f"{len(requests)} requests, {tries} answered 500; {sum(delivered.values()) - len(delivered)} copies more than "
        f"needed, at most {max(delivered.values())} of one event; drained {drained:.1f} s after the load"
    )
    assert not owed - {(path.rpartition("/")[2], event) for path, event in delivered}, "lost"
    assert set(IntegrationSync.objects.values_list("status", flat=True)) == {"synced"}
    assert IntegrationEvent.objects.count() == load.saves + len(load.items)
    assert max(delivered.values()) <= 1 + kills.total()
    assert ExecutionLog.objects.filter(error="", action="deliver").count() == len(owed)  # each settled once
    assert_in_order(requests)
    assert_in_order([request for request in requests if request.status == 200])
    assert_copies_are_equal(requests)
