"""Alerts with real workers, a real mail server and receivers that fail."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django_celery_beat.models import PeriodicTask

from integrations.connectors.tests.smtp_server import SmtpServer
from integrations.database.times import after
from integrations.health.alert import ALERTS, Alert, AlertMail
from integrations.models import Heartbeat, IntegrationSync, Lane
from integrations.tasks import retry_failed_syncs, tell_alerts
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.services import Broker, CeleryProcess, wait_until
from tenants.models import Membership

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

POOL = "prefork" if connection.vendor == "postgresql" else "threads"
TASK = "integrations.tasks.tell_alerts"


@pytest.mark.slow
def test_an_outage_is_told_once_to_people_and_to_the_chat(
    celery_worker: Callable[..., CeleryProcess], receiver: Receiver, broker: Broker
) -> None:
    """Several looks at once, by a worker; the mail server is away at first."""
    tenant = make_tenant("Acme")
    user = User.objects.create_user("ann", email="ann@example.com")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    receiver.answer_with(default=500)
    broken = make_integration(tenant, receiver.url, name="n8n", events=("workitem_created",))
    chat = make_integration(tenant, receiver.url, name="chat", events=ALERTS)
    server = SmtpServer("plain", None, wants_login=False)
    worker = celery_worker(
        pool=POOL,
        env={
            "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
            "INTEGRATIONS_ALERT_AFTER_SECONDS": "0",
            "INTEGRATIONS_ALERT_MAIL_TO": "ops@example.com",
            "EMAIL_URL": f"smtp://127.0.0.1:{server.port}",
        },
    )
    for number in range(3):
        make_item(tenant, reference_id=f"RMA-{number}")
    wait_until(lambda: Lane.objects.filter(pk=broken.pk, failing_since__isnull=False).exists())
    for _ in range(4):
        tell_alerts.delay()
    looks = f"Task {TASK}"
    wait_until(lambda: sum(looks in line and "succeeded" in line for line in worker.log.splitlines()) == 4, timeout=30)
    assert IntegrationSync.objects.filter(integration=chat).count() == 1
    wait_until(lambda: IntegrationSync.objects.filter(integration=chat, attempts=1).exists())
    assert AlertMail.objects.count() == 2  # to Ann and to operators, kept
    receiver.answer_with(default=200)
    with server:
        AlertMail.objects.update(next_try_at=after(0))
        tell_alerts.delay()
        wait_until(lambda: len(server.mails) == 2, timeout=30)
    assert sorted(mail.recipients[0] for mail in server.mails) == ["ann@example.com", "ops@example.com"]
    assert {mail.message["Auto-Submitted"] for mail in server.mails} == {"auto-generated"}
    wait_until(lambda: not AlertMail.objects.exists())
    IntegrationSync.objects.filter(integration=chat, status="pending").update(next_attempt_at=after(0))
    Lane.objects.filter(pk=chat.pk).update(paused_until=None)
    retry_failed_syncs.delay()
    wait_until(lambda: IntegrationSync.objects.filter(integration=chat, status="synced").count() == 1)
    told = json.loads(receiver.requests[-1].body)
    assert (told["event_type"], told["integration"]["name"]) == ("integration_failing", "n8n")


@pytest.mark.slow
def test_a_worker_looks_where_beat_has_stopped(celery_worker: Callable[..., CeleryProcess]) -> None:
    chat = make_integration(make_tenant(), "https://hooks.example.com/chat", name="chat", events=("worker_silent",))
    Alert.objects.create(name="worker_silent", about="beat", since=after(-600), is_open=True)
    for name in ("tell_alerts", "beat"):
        Heartbeat.objects.update_or_create(name=name, defaults={"beaten_at": after(-600)})
    celery_worker(pool=POOL)
    wait_until(lambda: IntegrationSync.objects.filter(integration=chat).exists(), timeout=30)
    event = IntegrationSync.objects.select_related("event").get(integration=chat).event
    assert json.loads(event.body)["alert"]["title"] == "Scheduler silent: beat"
    wait_until(lambda: Heartbeat.objects.filter(name="tell_alerts", beaten_at__gt=after(-60)).exists())


@pytest.mark.slow
def test_a_worker_of_the_slow_queue_alone_looks_itself(celery_worker: Callable[..., CeleryProcess]) -> None:
    """Nobody takes messages from the other queue, which is a thing to tell."""
    chat = make_integration(make_tenant(), "https://hooks.example.com/chat", name="chat", events=("worker_silent",))
    for queue in ("beat", "deliveries"):
        Alert.objects.create(name="worker_silent", about=queue, since=after(-600), is_open=True)
    for name in ("tell_alerts", "beat"):
        Heartbeat.objects.update_or_create(name=name, defaults={"beaten_at": after(-600)})
    celery_worker(pool=POOL, args=("-Q", "slow"))
    wait_until(lambda: IntegrationSync.objects.filter(integration=chat).count() == 2, timeout=30)
    rows = IntegrationSync.objects.filter(integration=chat).select_related("event")
    titles = {json.loads(row.event.body)["alert"]["title"] for row in rows}
    assert titles == {"Scheduler silent: beat", "Worker silent: deliveries"}


def test_nobody_looks_where_operators_have_switched_it_off() -> None:
    from app.celery import app
    from integrations.observability.periodic import look_in_place_of_beat

    Heartbeat.objects.update_or_create(name="tell_alerts", defaults={"beaten_at": after(-600)})
    PeriodicTask.objects.filter(task=TASK).update(enabled=False)
    assert not look_in_place_of_beat(app, ["deliveries"])
    PeriodicTask.objects.filter(task=TASK).update(enabled=True)
    Heartbeat.objects.filter(name="tell_alerts").update(beaten_at=after(-100))  # it may be about to come
    assert not look_in_place_of_beat(app, ["deliveries"])
