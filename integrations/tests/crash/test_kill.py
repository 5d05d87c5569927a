"""kill -9 at every moment of a delivery: nothing lost, at most one copy more, in order, soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from integrations.delivery.sweep import sweep
from integrations.models import ExecutionLog, IntegrationSync, Lane
from integrations.tests.crash.evidence import assert_copies_are_equal, assert_in_order, copies
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.services import CeleryProcess, wait_until
from tasks.models import Note

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

POSTGRESQL = connection.vendor == "postgresql"
LEASE = 4.0
SLACK = 4.0  # for a new worker's start and a sweep
ROWS = 7
StartWorker = Callable[..., CeleryProcess]
victims = pytest.mark.parametrize("victim", ["child", "group"])


class Scene:
    """One lane with events of two objects, a worker, and a hand that kills it."""

    def __init__(self, celery_worker: StartWorker, receiver: Receiver, victim: str) -> None:
        self.receiver = receiver
        self._victim = victim
        env = {"ALLOWED_HOSTS": receiver.netloc, "LEASE_SECONDS": LEASE, "SLICE_SECONDS": 1, "TIMEOUT_SECONDS": 2}
        env = {f"INTEGRATIONS_{name}": str(value) for name, value in env.items()}
        self.start_worker = lambda: celery_worker(pool="prefork", concurrency=1, env=env)
        self.worker = self.start_worker()
        self.tenant = make_tenant()
        self.integration = make_integration(self.tenant, receiver.url)

    def save_while_it_looks_away(self) -> None:
        """Make ROWS events of two objects, all of them due when the worker looks."""
        self.worker.pause()
        first, second = make_item(self.tenant), make_item(self.tenant)
        for status in ("in_progress", "waiting", "completed"):
            first.status = status
            first.save()
        for comments in ("a", "b"):
            second.comments = comments
            second.save()
        self.worker.resume()

    def kill(self) -> None:
        self.killed_at = time.monotonic()
        if self._victim == "child":
            self.worker.kill9_child()
        else:
            self.worker.kill9_group()

    def recover(self) -> None:
        """A new worker (the parent makes a new child by itself), and the sweep instead of beat."""
        self.receiver.answer_with(default=200)
        if self._victim == "group":
            self.start_worker()

        def swept() -> bool:
            sweep()
            return not IntegrationSync.objects.filter(status="pending").exists()

        wait_until(swept, LEASE + SLACK, "the lane stayed stuck for longer than its lease", interval=0.2)
        self.seconds = time.monotonic() - self.killed_at

    def verify(self, *, sent_before: int) -> None:
        requests = self.receiver.requests
        counted = copies(requests)
        print(f"\nrecovered {self.seconds:.1f} s after the kill; {len(requests)} requests for {ROWS} events")
        assert len(counted) == ROWS  # nothing lost
        assert max(counted.values()) <= 2  # 1 + kills
        assert len(requests) == ROWS + sent_before
        assert_in_order(requests)
        assert_copies_are_equal(requests)
        assert IntegrationSync.objects.filter(status="synced", attempts=1).count() == ROWS
        assert ExecutionLog.objects.count() == Note.objects.count() == ROWS
        wait_until(lambda: Lane.objects.get().lease_token == "")
        assert Lane.objects.get().delivered_count == ROWS


@pytest.fixture
def scene(celery_worker: StartWorker, receiver: Receiver, request: pytest.FixtureRequest) -> Scene:
    return Scene(celery_worker, receiver, request.getfixturevalue("victim"))


@contextmanager
def the_lane_locked() -> Iterator[None]:
    """Hold the lane's row, as any other transaction might: its worker can neither take nor settle it.

    On SQLite a transaction holds the whole database.
    """
    with transaction.atomic():
        list(Lane.objects.select_for_update().values_list("pk"))
        yield


@contextmanager
def the_log_locked() -> Iterator[None]:
    """Let settle write its rows and wait at the log: inside its transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE integrations_executionlog IN EXCLUSIVE MODE")
        yield


def somebody_waits(for_what: str) -> Any:
    """Whether a statement of another connection, with this text in it, waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # our transaction would see the same picture again
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query ILIKE %s",
            [f"%{for_what}%"],
        )
        return cursor.fetchone()[0]


@victims
def test_killed_before_the_request(scene: Scene, victim: str) -> None:
    """The wake-up is consumed, the lane not yet taken."""
    scene.worker.pause()
    item = make_item(scene.tenant)
    for n in range(ROWS - 1):
        item.comments = str(n)
        item.save()
    with the_lane_locked():
        scene.worker.resume()
        wait_until(lambda: "send_integration_webhook" in scene.worker.log.partition("ready.")[2])
        if POSTGRESQL:
            wait_until(lambda: somebody_waits("update%integrations_lane"))
        scene.kill()
    assert scene.receiver.requests == []
    scene.recover()
    scene.verify(sent_before=0)


@victims
def test_killed_during_the_request(scene: Scene, victim: str) -> None:
    scene.receiver.hold()
    scene.save_while_it_looks_away()
    scene.receiver.wait_for(1)
    scene.kill()
    scene.recover()
    scene.verify(sent_before=1)


@victims
def test_killed_between_the_answers_and_their_settlement(scene: Scene, victim: str) -> None:
    gate = scene.receiver.hold()
    scene.save_while_it_looks_away()
    scene.receiver.wait_for(1)
    with the_lane_locked():
        gate.set()
        wait_until(lambda: [request.status for request in scene.receiver.requests] == [200] * ROWS)
        if POSTGRESQL:
            wait_until(lambda: somebody_waits("update%integrations_lane"))
        scene.kill()
    assert IntegrationSync.objects.filter(status="pending", attempts=0).count() == ROWS
    scene.recover()
    scene.verify(sent_before=ROWS)


@pytest.mark.skipif(not POSTGRESQL, reason="needs table locks: run with DATABASE_URL=postgres://…")
@victims
def test_killed_in_the_middle_of_the_settlement(scene: Scene, victim: str) -> None:
    gate = scene.receiver.hold()
    scene.save_while_it_looks_away()
    scene.receiver.wait_for(1)
    with the_log_locked():
        gate.set()
        # The statement that writes the log counts first, and only its first kilobyte is to be seen.
        wait_until(lambda: somebody_waits("insert into%integrations_integrationfigures"))
        scene.kill()
    assert IntegrationSync.objects.filter(status="pending", attempts=0).count() == ROWS
    assert Lane.objects.get().delivered_count == 0  # all of it, or nothing
    scene.recover()
    scene.verify(sent_before=ROWS)
