"""A row that kills whoever sends it: its neighbours arrive, and it is given up with a word for people.

The receiver kills the worker's process when it sees the poisonous body: the request began, and nobody settles it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from integrations.delivery.sweep import sweep
from integrations.models import ExecutionLog, IntegrationSync, Lane
from integrations.tests.crash.evidence import copies
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver, Request
from integrations.tests.services import CeleryProcess, wait_until
from tasks.models import Note

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="run with DATABASE_URL=postgres://…"),
]

SETTINGS = {
    "LEASE_SECONDS": 3.0,
    "SLICE_SECONDS": 1,
    "PACE_SECONDS": 0.1,
    "TIMEOUT_SECONDS": 1.5,
    "HINT_SECONDS": 1.0,
}
NEIGHBOURS = 12


class Killer:
    """Kills the process that sends a POISON item, and starts another one as a supervisor would."""

    def __init__(self, start: Callable[[], CeleryProcess], receiver: Receiver, pool: str) -> None:
        self._start, self._pool = start, pool
        self.kills = 0
        self._lock = threading.Lock()
        self.worker = start()
        receiver.answer_with(default=self._answer)

    def _answer(self, request: Request) -> int:
        if request.json["workitem"]["reference_id"].startswith("POISON"):
            with self._lock:
                self.kills += 1
                if self._pool == "prefork":
                    self.worker.kill9_child()  # the parent makes a new one
                else:
                    self.worker.kill9_group()
        return 200

    def revive(self) -> None:
        if not self.worker.alive:
            with self._lock:
                self.worker = self._start()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_row_that_kills_its_worker_is_given_up_and_its_neighbours_arrive(
    celery_worker: Callable[..., CeleryProcess], receiver: Receiver, pool: str
) -> None:
    env: dict[str, Any] = {f"INTEGRATIONS_{name}": str(value) for name, value in SETTINGS.items()}
    env["INTEGRATIONS_ALLOWED_HOSTS"] = receiver.netloc

    def start() -> CeleryProcess:
        return celery_worker(wait=False, pool=pool, concurrency=1 if pool == "prefork" else 4, env=env)

    tenant, elsewhere = make_tenant("poisoned"), make_tenant("elsewhere")
    for owner in (tenant, elsewhere):
        make_integration(owner, receiver.url)
    for n in range(NEIGHBOURS):
        make_item(tenant, reference_id=f"GOOD-{n}")
        if n == NEIGHBOURS // 2:
            make_item(tenant, reference_id="POISON")
        make_item(elsewhere, reference_id=f"ELSEWHERE-{n}")
    killer = Killer(start, receiver, pool)

    def over() -> bool:
        killer.revive()
        sweep()
        return not IntegrationSync.objects.filter(status="pending").exists()

    wait_until(over, 200, "the poisonous row is sent for ever", interval=0.2)
    poison = IntegrationSync.objects.get(status="failed")
    counted = copies(receiver.requests)
    poisonous = next(key for key in counted if key[1] == poison.event.idempotency_key)
    assert counted.pop(poisonous) == killer.kills == 6  # once in a slice, then five times alone or careful
    assert max(counted.values()) <= 2 and len(counted) == 2 * NEIGHBOURS
    assert IntegrationSync.objects.filter(status="synced").count() == 2 * NEIGHBOURS
    assert "its worker died 5 times" in poison.reason and poison.attempts == 5
    note = Note.objects.get(text__startswith="✗")
    assert "its worker died 5 times" in note.text
    assert ExecutionLog.objects.get(sync=poison).error == "its worker died 5 times"
    # An event after all that goes out at once, and nobody is careful any more.
    make_item(tenant, reference_id="AFTER")
    wait_until(lambda: over() and IntegrationSync.objects.filter(status="synced").count() == 2 * NEIGHBOURS + 1, 20)
    assert Lane.objects.filter(careful_left=0).count() == 2
