"""kill -9 while a webhook is taken in or processed: it is found, has its effect once, and is told of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.inbound import actions
from integrations.models import SyncState, TenantIntegration, WebhookEvent
from integrations.signals import webhook_event_processed
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import (
    AFTER_MARK,
    AFTER_STORE,
    BEFORE_MARK,
    BODY,
    EFFECT,
    headers_of,
    make_connection,
    provider,
    work_off,
)
from integrations.tests.services import PROJECT, Broker, database_url, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

LEASE = 2.0


@pytest.fixture
def flow() -> Iterator[TenantIntegration]:
    def effect(dto: Any, connection: Any) -> None:
        SyncState.objects.create(connection=connection, resource_type="effect")

    actions.register_action(EFFECT, "An effect", effect)
    with provider(is_chosen=True, id_header="X-Id", event_header="X-Event") as key:
        yield make_connection(make_tenant(), key, inbound_actions=[EFFECT])
    actions.forget_action(EFFECT)


@pytest.fixture
def start(broker: Broker, tmp_path: Path) -> Iterator[Callable[[int, str], Any]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(pk: int, moment: str) -> Any:
        """Run a process until it says that it is at `moment`."""
        env = {
            **os.environ,
            **broker.env,
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "DATABASE_URL": database_url(),
            "INTEGRATIONS_INBOUND_LEASE_SECONDS": str(LEASE),
        }
        output = tmp_path / f"process-{len(started)}.log"
        words = [sys.executable, "-m", "integrations.tests.inbound_world", str(pk), moment]
        with output.open("wb") as log:
            started.append(subprocess.Popen(words, cwd=PROJECT, env=env, stdout=log, stderr=log))
        wait_until(lambda: f"at: {moment}" in output.read_text(), 30, f"{moment}: {output}")
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    told: list[str] = []
    webhook_event_processed.connect(hear := lambda event_type, **_: told.append(event_type))
    yield told
    webhook_event_processed.disconnect(hear)


def assert_recovers(heard: list[str], *, attempts: int) -> None:
    """The sweep finds it as soon as its worker counts as dead."""
    wait_until(lambda: work_off().get("processed"), LEASE + 4, "the row was not found", interval=0.1)
    row = WebhookEvent.objects.get()
    assert row.status == "processed" and row.attempts == attempts and row.announced_at
    assert SyncState.objects.count() == 1
    assert heard == ["order.created"]
    assert work_off() == {}


def test_killed_between_store_and_hint(flow: TenantIntegration, start: Any, heard: list[str]) -> None:
    """Before the 200: the provider sends it once more, and it is one delivery."""
    process = start(flow.pk, AFTER_STORE)
    process.kill()
    process.wait(10)
    assert WebhookEvent.objects.get().status == "received" and not SyncState.objects.exists()
    from django.test import Client

    headers = {**headers_of("github", BODY), "X-Id": "d-1"}
    again = Client(headers=headers).post(f"/webhooks/{flow.pk}/{EFFECT}/", BODY, "application/json", secure=True)
    assert again.json() == {"status": "duplicate"}
    assert_recovers(heard, attempts=1)


@pytest.mark.parametrize("moment", [BEFORE_MARK, AFTER_MARK])
def test_killed_while_it_is_processed(flow: TenantIntegration, start: Any, heard: list[str], moment: str) -> None:
    from integrations.inbound.receive import Delivery, store

    told = {"X-Id": "d-1", "X-Event": "order.created"}
    event = store(WebhookEvent, Delivery(flow, "inbounddemo", told, BODY, EFFECT), {"id": 727}, event_id="d-1")
    process = start(event.pk, moment)
    process.kill()
    process.wait(10)
    # Whoever was killed inside of the transaction took it along; whoever was killed after it had done the work.
    wait_until(lambda: SyncState.objects.count() == (moment == AFTER_MARK))
    event.refresh_from_db()
    assert event.status == ("processed" if moment == AFTER_MARK else "processing") and event.announced_at is None
    assert_recovers(heard, attempts=2)
