"""kill -9 of a process that pushes an order: the row is found, sent again under its key, and settled once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integrations.credentials.encryption import EncryptionService
from integrations.delivery.drain import drain
from integrations.delivery.sweep import sweep
from integrations.models import ERPConnection, ERPPushLog, ExecutionLog, IntegrationSync, Lane
from integrations.tests.crash.test_kill import the_lane_locked
from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.services import PROJECT, Broker, database_url, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

LEASE = 4.0
SCRIPT = """
import sys, django
django.setup()
from integrations.erp.push import PushOrchestrator
order = {"id": "o-1", "lines": [{"sku": "A", "quantity": 1}]}
print(PushOrchestrator().push_order(int(sys.argv[1]), order).message, flush=True)
"""


@pytest.fixture
def target(settings: Any, receiver: Receiver, broker: Broker) -> ERPConnection:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "LEASE_SECONDS": LEASE}
    config = {"url": receiver.url, "sender": "4012345000009", "recipient": "4098765000010"}
    encrypted = EncryptionService.encrypt_config(config)
    return ERPConnection.objects.create(org_id=make_tenant().pk, connector_type="EDI", config_encrypted=encrypted)


@pytest.fixture
def start(receiver: Receiver, broker: Broker) -> Iterator[Callable[[ERPConnection], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(target: ERPConnection) -> subprocess.Popen[bytes]:
        env = {
            **os.environ,
            **broker.env,
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "DATABASE_URL": database_url(),
            "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
            "INTEGRATIONS_LEASE_SECONDS": str(LEASE),
        }
        words = [sys.executable, "-c", SCRIPT, str(target.tenant_id)]
        started.append(subprocess.Popen(words, cwd=PROJECT, env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize("moment", ["while the ERP answers", "between the answer and its settlement", "while it waits"])
def test_a_killed_pusher_leaves_its_row_to_the_sweep(
    target: ERPConnection, receiver: Receiver, start: Callable[..., Any], moment: str
) -> None:
    gate = receiver.hold(status=503 if moment == "while it waits" else 200)
    process = start(target)
    receiver.wait_for(1)
    if moment == "while the ERP answers":
        process.kill()
    elif moment == "while it waits":
        gate.set()
        wait_until(lambda: IntegrationSync.objects.filter(attempts=1).exists())
        process.kill()
    else:
        with the_lane_locked():
            gate.set()
            wait_until(lambda: receiver.requests[0].status == 200)
            process.kill()
            process.wait(10)
    process.wait(10)
    gate.set()
    killed_at = time.monotonic()
    receiver.answer_with(default=200)
    row = IntegrationSync.objects.get()
    assert row.status == "pending" and Lane.objects.get().lease_token != ""  # it could not tidy up

    def recovered() -> bool:
        if sweep()["due"]:
            drain(target.pk)
        return not IntegrationSync.objects.filter(status="pending").exists()

    # A row that was never tried is due 10 s after it was made; the lease ends before that.
    wait_until(recovered, LEASE + 12, "the row was not found", interval=0.2)
    print(f"\nrecovered {time.monotonic() - killed_at:.1f} s after the kill, {moment}")
    first, second = receiver.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] and first.body == second.body
    push = ERPPushLog.objects.get()
    attempts = 2 if moment == "while it waits" else 1
    assert push.status == "SUCCESS" and push.attempts == attempts == ExecutionLog.objects.count()
