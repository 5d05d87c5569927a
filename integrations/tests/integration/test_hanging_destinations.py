"""Destinations that begin to hang, beside a tenant whose destination works: real workers, as documented."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from integrations.delivery import hints
from integrations.models import IntegrationSync, Lane
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import CeleryProcess, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

POSTGRESQL = connection.vendor == "postgresql"
PROCESSES, THREADS, POOL_SIZE = (2, 100, 6) if POSTGRESQL else (1, 100, 0)
APPLICATION = "worker"
PATIENCE = 50  # seconds; shorter than the deadline of the requests that hang


@pytest.fixture
def workers(celery_worker: Callable[..., CeleryProcess], receiver: Receiver) -> Callable[[], list[CeleryProcess]]:
    def start() -> list[CeleryProcess]:
        env = {
            "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
            "INTEGRATIONS_TIMEOUT_SECONDS": "60",
            "INTEGRATIONS_LEASE_SECONDS": "120",
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "PGAPPNAME": APPLICATION,
        }
        started = [celery_worker(wait=False, pool="threads", concurrency=THREADS, env=env) for _ in range(PROCESSES)]
        for process in started:
            process.wait_ready()
        return started

    return start


@pytest.fixture(autouse=True)
def _patient_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a hint may be given up, and no sweep runs here to make up for it."""
    monkeypatch.setattr(hints, "WAKE_SECONDS", PATIENCE)
    monkeypatch.setattr(hints, "BROKER_SECONDS", PATIENCE)


@pytest.fixture
def gate(receiver: Receiver) -> Iterator[threading.Event]:
    """What /hangs/… waits for."""
    gate = threading.Event()
    receiver.answer_with(default=lambda request: Answer(gate=gate) if "/hangs/" in request.path else 200)
    yield gate
    gate.set()


def connections_of_workers() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
            [APPLICATION],
        )
        return cursor.fetchone()[0]


@pytest.mark.parametrize("count", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_destinations_that_begin_to_hang_are_waited_for_by_nobody(
    workers: Callable[[], Any], receiver: Receiver, gate: threading.Event, count: int
) -> None:
    noisy = [make_integration(make_tenant(f"noisy {n}"), f"{receiver.url}/hangs/{n}") for n in range(count)]
    quiet = make_integration(make_tenant("quiet"), f"{receiver.url}/works")
    workers()
    for target in noisy:
        make_item(target.tenant)
    wait_until(lambda: sum("/hangs/" in request.path for request in receiver.requests) == count, PATIENCE)
    assert not Lane.objects.filter(is_slow=True).exists(), "nobody knew before that they hang"

    mine = IntegrationSync.objects.filter(integration=quiet)
    for number in range(20):
        make_item(quiet.tenant, reference_id=f"RMA-{number}")
        wait_until(lambda number=number: mine.filter(status="synced").count() == number + 1, PATIENCE)
    theirs = IntegrationSync.objects.exclude(integration=quiet)
    assert theirs.filter(status="pending", attempts=0).count() == count, "they hang still, and spent no attempt"
    if POSTGRESQL:
        assert connections_of_workers() <= PROCESSES * POOL_SIZE

    gate.set()
    wait_until(lambda: theirs.filter(status="synced", attempts=1).count() == count, PATIENCE)
    sent = [(request.path, request.id) for request in receiver.requests]
    assert len(sent) == len(set(sent)) == count + 20, "no copies"
    wait_until(lambda: not Lane.objects.exclude(lease_token="").exists(), PATIENCE)
