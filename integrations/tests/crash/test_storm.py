"""Workers killed at random under load, with all that goes wrong beside: what CRASH_KILLS=100 proves, 20 show.

One worker's clock is ahead and the other's behind, one is of processes and one of threads; each tenant has an object
that the receiver refuses until the storm is over; connections to the database are cut, the broker stops answering for a
moment, and one row kills whoever sends it.

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
from integrations.tests.services import Broker, CeleryProcess, faketime, wait_until

KILLS = int(os.environ.get("CRASH_KILLS", "20"))
pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(360 + 8 * KILLS),
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
            self.items.append(make_item(tenant, reference_id="BAD"))

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


def cut_connections() -> None:
    """As a restart of PostgreSQL does: every connection but ours ends at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'worker'"
        )


def hold_broker(broker: Broker) -> None:
    """Let Redis answer nobody for a second."""
    import redis

    with redis.Redis.from_url(broker.url, socket_timeout=5) as client:
        client.client_pause(1000)


def test_a_storm_of_kills_loses_nothing(
    celery_worker: Callable[..., CeleryProcess],
    celery_beat: Callable[..., CeleryProcess],
    broker: Broker,
    receiver: Receiver,
) -> None:
    seed = int(os.environ.get("CRASH_SEED") or secrets.randbelow(10**6))
    print(f"\nCRASH_SEED={seed} CRASH_KILLS={KILLS}")
    chance = random.Random(seed)
    answers = random.Random(seed + 1)

    over, poisoned = threading.Event(), threading.Event()
    workers: list[CeleryProcess] = []

    def sometimes_500(request: Request) -> Answer:
        name = request.json["workitem"]["reference_id"]
        if name == "POISON":
            poisons.append(request.id)
            for worker in workers:
                worker.kill9_group()
            poisoned.set()
        is_refused = answers.random() < 0.03 or (name == "BAD" and not over.is_set())
        return Answer(500 if is_refused else 200, delay=answers.uniform(0, 0.03))

    poisons: list[str] = []

    receiver.answer_with(default=sometimes_500)
    second, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(task="integrations.tasks.retry_failed_syncs").update(interval=second)
    env = {f"INTEGRATIONS_{name}": str(value) for name, value in SETTINGS.items()}
    env |= {"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc, "PGAPPNAME": "worker"}

    def start(n: int) -> CeleryProcess:
        pool, concurrency, skew = (("prefork", 2, "+70s"), ("threads", 20, "-70s"))[n]
        return celery_worker(wait=False, pool=pool, concurrency=concurrency, env={**env, **faketime(skew)})

    def revive() -> None:
        for n, worker in enumerate(workers):
            if not worker.alive:
                workers[n] = start(n)

    workers += [start(0), start(1)]
    for worker in workers:
        worker.wait_ready()
    celery_beat()
    kills: Counter[str] = Counter()
    started = time.monotonic()
    with Load(receiver, random.Random(seed + 2)) as load:
        while kills.total() < KILLS:
            time.sleep(chance.uniform(0.5, 4))
            revive()
            n = chance.randrange(len(workers))
            kind = chance.choice(["child", "group", "group", "connections", "broker"])
            kills[kind] += 1
            if kind == "connections":
                cut_connections()
            elif kind == "broker":
                hold_broker(broker)
            elif kind == "child" and workers[n].children:
                workers[n].kill9_child()
            else:
                workers[n].kill9_group()
            if kills.total() == KILLS // 2:
                make_item(load.items[0].tenant, reference_id="POISON")
        under_load = time.monotonic() - started
    stopped = time.monotonic()
    over.set()
    pending = IntegrationSync.objects.filter(status="pending")

    def is_less_than(before: int) -> bool:
        revive()
        return pending.count() < before

    while left := pending.count():  # however much a slow machine has before it: it must become less
        why = list(
            pending.values_list("status", "attempts", "deaths", "last_error", "integration__lane__pause_reason")[:5]
        )
        wait_until(lambda before=left: is_less_than(before), 90, f"{left} rows are pending: {why}", interval=0.2)
    drained = time.monotonic() - stopped

    requests = receiver.requests
    owed = set(IntegrationSync.objects.values_list("integration__name", "event__idempotency_key"))
    poison = IntegrationSync.objects.filter(event__idempotency_key__in=poisons)
    given_up = set(poison.filter(status="failed").values_list("integration__name", "event__idempotency_key"))
    owed -= given_up
    delivered = copies(request for request in requests if request.status == 200 and request.id not in poisons)
    tries = sum(request.status == 500 for request in requests)
    print(
        f"{kills.total()} kills ({dict(kills)}) in {under_load:.0f} s, {load.saves} saves, {len(owed)} deliveries; "
        f"{len(requests)} requests, {tries} answered 500; {sum(delivered.values()) - len(delivered)} copies more than "
        f"needed, at most {max(delivered.values())} of one event; drained {drained:.1f} s after the load"
    )
    assert not owed - {(path.rpartition("/")[2], event) for path, event in delivered}, "lost"
    assert set(IntegrationSync.objects.exclude(pk__in=poison).values_list("status", flat=True)) == {"synced"}
    assert poisoned.is_set() and len(given_up) == poison.count() == 2
    assert all("its worker died 5 times" in row.reason for row in poison)
    assert IntegrationEvent.objects.count() == load.saves + len(load.items) + 1
    assert max(delivered.values()) <= 1 + kills.total() + len(poisons)
    assert ExecutionLog.objects.filter(error="", action="deliver").count() == len(owed)  # each settled once
    assert_in_order(requests)
    assert_in_order([request for request in requests if request.status == 200])
    assert_copies_are_equal(requests)
