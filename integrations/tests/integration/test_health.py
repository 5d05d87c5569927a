"""Is everything alive, and who may know which part is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from integrations.models import Heartbeat
from integrations.observability.health import forget
from integrations.observability.heartbeat import beat

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    forget()


@pytest.mark.usefixtures("broker")
def test_healthy(client: Any) -> None:
    beat("worker"), beat("beat")
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("silent", ["worker", "beat"])
def test_a_silent_worker_or_scheduler_is_named_to_staff_only(client: Any, silent: str) -> None:
    beat("worker"), beat("beat")
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

    beat("worker"), beat("beat")
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
def test_the_public_page_does_not_ask_the_broker_at_every_call(client: Any, monkeypatch: Any) -> None:
    asked: list[int] = []
    monkeypatch.setattr("integrations.observability.health.broker_answers", lambda: asked.append(1) or True)
    for _ in range(20):
        client.get("/health/")
    assert len(asked) == 1
