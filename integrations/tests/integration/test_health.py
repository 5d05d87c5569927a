"""Is everything alive, and who may know which part is not."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from integrations.models import Heartbeat, ProcessHeartbeat
from integrations.observability import lights, processes
from integrations.observability.health import forget
from integrations.observability.heartbeat import beat
from integrations.observability.processes import beat as beat_process

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    forget()


def all_beat() -> None:
    beat("worker"), beat("beat"), beat_process("worker", ["deliveries", "slow"])


@pytest.mark.usefixtures("broker")
def test_healthy(client: Any) -> None:
    all_beat()
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("silent", ["worker", "beat"])
def test_a_silent_worker_or_scheduler_is_named_to_staff_only(client: Any, silent: str) -> None:
    all_beat()
    Heartbeat.objects.filter(name=silent).update(beaten_at=timezone.now() - timedelta(minutes=5))
    assert client.get("/health/").json() == {"status": "degraded"}
    client.force_login(User.objects.create(username="op", is_staff=True))
    forget()
    answer = client.get("/health/")
    assert answer.status_code == 503 and answer.json()["parts"][silent] == "down"
    assert answer.json()["parts"]["broker"] == "up"


def test_a_broker_that_is_away(client: Any, broker: Any) -> None:
    import os
    import signal

    all_beat()
    assert client.get("/health/").status_code == 200
    if broker.pid is None:
        pytest.skip("only the embedded broker is ours to stop")
    os.kill(broker.pid, signal.SIGSTOP)
    forget()
    try:
        assert client.get("/health/").status_code == 503
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.usefixtures("broker")
def test_nobody_works_on_the_slow_queue(client: Any) -> None:
    all_beat()
    beat_process("worker", ["deliveries"])  # this process again, with other queues
    client.force_login(User.objects.create(username="op", is_staff=True))
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()["parts"]["slow_worker"]) == (503, "down")
    assert answer.json()["parts"]["worker"] == "up"


@pytest.mark.usefixtures("broker")
def test_processes_and_their_clocks_are_for_staff(client: Any) -> None:
    all_beat()
    assert client.get("/health/").json() == {"status": "ok"}
    ProcessHeartbeat.objects.update(skew_seconds=-61.5)
    client.force_login(User.objects.create(username="op", is_staff=True))
    answer = client.get("/health/")
    assert answer.status_code == 200  # it delivers all the same
    (listed,) = answer.json()["processes"]
    assert listed == {
        "name": f"worker@{socket.gethostname()}:{os.getpid()}",
        "kind": "worker",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "queues": ["deliveries", "slow"],
        "skew_seconds": -61.5,
        "clock": "wrong",
    }


def test_a_worker_of_very_many_queues_still_counts_for_ours() -> None:
    beat_process("worker", [*(f"a-queue-of-the-project-{number:02}" for number in range(40)), "deliveries", "slow"])
    assert processes.is_consumed("deliveries") and processes.is_consumed("slow")
    listed = ProcessHeartbeat.objects.get().queues.split(",")
    assert listed[:2] == ["deliveries", "slow"] and {len(name) for name in listed[2:]} == {25}  # none is cut


def test_rows_of_processes_that_are_gone_are_forgotten() -> None:
    values = {"kind": "worker", "host": "gone", "pid": 1}
    ProcessHeartbeat.objects.create(name="worker@gone:1", beaten_at=timezone.now() - timedelta(hours=2), **values)
    ProcessHeartbeat.objects.create(name="worker@gone:2", beaten_at=timezone.now() - timedelta(minutes=30), **values)
    processes._beaten.clear()  # as in a process that has just begun
    beat_process("beat")
    names = sorted(ProcessHeartbeat.objects.values_list("kind", "name"))
    assert [kind for kind, _ in names] == ["beat", "worker"] and names[1][1] == "worker@gone:2"
    assert not [each for each in processes.seen_lately() if each.host == "gone"]


def test_what_was_lost_is_shown_for_an_hour_though_no_process_began_since(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"host": "gone", "pid": 1, "queues": "deliveries"}
    for kind, minutes in (("worker", 61), ("worker", 59), ("web", 58), ("web", 57)):
        beaten_at = timezone.now() - timedelta(minutes=minutes)
        ProcessHeartbeat.objects.create(name=f"{kind}@gone:{minutes}", kind=kind, beaten_at=beaten_at, **values)
    beat_process("worker", ["deliveries"])
    alive = processes._name("worker")

    def shown() -> list[str]:
        return [each.name for each in lights.processes()]

    assert shown() == ["web@gone:57", "web@gone:58", *sorted((alive, "worker@gone:59"))]
    monkeypatch.setattr(lights, "MAX_PROCESSES", 2)
    assert shown() == ["web@gone:57", alive]


@pytest.mark.usefixtures("broker")
def test_the_public_page_does_not_ask_the_broker_at_every_call(client: Any, monkeypatch: Any) -> None:
    asked: list[int] = []
    monkeypatch.setattr("integrations.observability.health.broker_answers", lambda: asked.append(1) or True)
    for _ in range(20):
        client.get("/health/")
    assert len(asked) == 1
