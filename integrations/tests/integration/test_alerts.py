"""People are told what is wrong with an integration and when it works again: as events, by mail, never in a circle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail as outbox
from django.db import OperationalError
from django.utils import timezone

from integrations import clock
from integrations.alerts import watch as alerts_watch
from integrations.alerts.mail import mail
from integrations.alerts.watch import Word, watch
from integrations.connections import health as connection_health
from integrations.delivery.drain import drain
from integrations.delivery.models import CLOSED
from integrations.health.alert import ALERTS, Alert
from integrations.models import IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.observability.processes import beat as beat_process
from integrations.statistics.models import MINUTE, IntegrationFigures
from integrations.statistics.rolling import GRACE
from integrations.tenancy.people import Member
from integrations.tests.connectors.smtp_server import SmtpServer
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver
from tenants.models import Membership, Tenant
from tenants.people import People

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def world(settings: Any, receiver: Receiver) -> None:
    settings.INTEGRATIONS = {
        **settings.INTEGRATIONS,
        "ALLOWED_HOSTS": [receiver.netloc],
        "ALERT_AFTER_SECONDS": 0,
        "PUBLIC_URL": "https://app.example.com",
    }
    beat_process("worker", ["deliveries", "slow"])


def told(words: list[Word]) -> list[tuple[str, str]]:
    return [(word.name, word.integration.name if word.integration else "") for word in words]


def test_a_failing_integration_is_told_to_others_of_its_tenant_alone(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    acme, bolt = make_tenant(), make_tenant("Bolt")
    broken = make_integration(acme, receiver.url, name="n8n", events=("workitem_created", *ALERTS))
    chat = make_integration(acme, "https://hooks.example.com/chat", name="chat", events=ALERTS)
    make_integration(bolt, "https://hooks.example.com/other", name="other", events=ALERTS)
    for number in range(3):
        make_item(acme, reference_id=f"RMA-{number}")
    drain(broken.pk)
    assert told(watch()) == [("integration_failing", "n8n")]
    (row,) = IntegrationSync.objects.filter(event__event_type="integration_failing").select_related("event")
    assert row.integration_id == chat.pk  # neither the one that fails nor another tenant's
    body = json.loads(row.event.body)
    assert body["integration"]["name"] == "n8n" and "500" in body["alert"]["why"]
    assert body["alert"]["title"] == "Integration fails: n8n"
    assert body["alert"]["url"] == f"https://app.example.com/console/integrations/{broken.public_id}/"
    assert watch() == []  # once


def test_what_works_again_is_told_at_once_and_flapping_once_an_hour(receiver: Receiver) -> None:
    tenant = make_tenant()
    integration = make_integration(tenant, receiver.url, name="n8n")

    def event(status: int) -> list[tuple[str, str]]:
        receiver.answer_with(default=status)
        Lane.objects.filter(pk=integration.pk).update(**CLOSED)
        for _ in range(3):
            make_item(tenant, reference_id="RMA")
        IntegrationSync.objects.filter(status="pending").update(next_attempt_at=timezone.now() - timedelta(minutes=1))
        drain(integration.pk)
        return told(watch())

    assert event(200) == []
    assert event(500) == [("integration_failing", "n8n")]
    assert event(200) == [("integration_recovered", "n8n")]
    assert event(500) == []  # told within the hour
    assert event(200) == []  # nobody heard that it failed again
    assert event(500) == []
    Alert.objects.update(told_at=timezone.now() - timedelta(hours=2))
    assert told(watch()) == [("integration_failing", "n8n")]


def test_disabled_is_told_by_its_name_and_recovery_once(receiver: Receiver) -> None:
    tenant = make_tenant()
    integration = make_integration(tenant, receiver.url, name="n8n")
    for _ in range(3):
        connection_health.record_auth_failure(TenantIntegration.objects.get(pk=integration.pk))
    assert told(watch()) == [("integration_disabled", "n8n")]
    assert watch() == []
    connection_health.re_enable(TenantIntegration.objects.get(pk=integration.pk))
    assert watch() == []  # nobody knows yet
    make_item(tenant)
    drain(integration.pk)
    assert told(watch()) == [("integration_recovered", "n8n")]
    assert watch() == []


def test_what_was_given_up_is_summed_and_told_once_an_hour(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    tenant = make_tenant()
    integration = make_integration(tenant, receiver.url, name="n8n", max_attempts=1)
    for number in range(3):
        make_item(tenant, reference_id=f"RMA-{number}")
    drain(integration.pk)
    given_up = [word for word in _watched_later() if word.name == "sync_given_up"]
    assert [(word.count, word.integration) for word in given_up] == [(3, integration)]
    assert given_up[0].why.startswith("3 deliveries were given up")
    assert not [word for word in _watched_later() if word.name == "sync_given_up"]


def test_who_commits_late_is_counted_too() -> None:
    """What settled in a minute may be committed after it is over; what was told up to it is not told again."""
    integration = make_integration(make_tenant(), name="n8n")
    now = clock.now()
    minute = int(now.timestamp() // 60)
    IntegrationFigures.objects.create(integration=integration, resolution=MINUTE, start=minute, given_up=3)
    assert watch(now + timedelta(minutes=1)) == []
    IntegrationFigures.objects.update(given_up=5)
    assert [word.count for word in _watched_later()] == [5]


def test_alerts_that_are_given_up_are_no_reason_for_alerts(receiver: Receiver) -> None:
    """Two destinations that are both down must not tell each other of it for ever."""
    receiver.answer_with(default=500)
    tenant = make_tenant()
    pair = [make_integration(tenant, receiver.url, name=name, events=ALERTS, max_attempts=1) for name in "ab"]
    broken = make_integration(tenant, receiver.url, name="c", events=("workitem_created",), max_attempts=1)
    make_item(tenant)
    drain(broken.pk)
    seen: list[tuple[str, str]] = []
    for _ in range(6):
        seen += told(_watched_later())
        for integration in pair:
            Lane.objects.filter(pk=integration.pk).update(**CLOSED)
            drain(integration.pk)
        Alert.objects.update(told_at=timezone.now() - timedelta(hours=2))
    assert ("sync_given_up", "c") in seen
    assert not [name for name in seen if name[0] == "sync_given_up" and name[1] in "ab"]
    assert len(seen) == len(set(seen))  # nothing twice


def test_what_waits_though_nothing_holds_it_back(settings: Any) -> None:
    tenant = make_tenant()
    late = make_integration(tenant, name="late")
    resting = make_integration(tenant, name="resting")
    make_item(tenant)
    old = timezone.now() - timedelta(minutes=11)
    IntegrationSync.objects.update(next_attempt_at=old)
    Lane.objects.filter(pk=resting.pk).update(paused_until=timezone.now() + timedelta(hours=1))
    (word,) = watch()
    assert (word.name, word.integration, word.count) == ("backlog_old", late, 1)
    assert word.why.startswith("1 delivery waits, the oldest since")
    assert watch() == []


def test_what_its_own_object_holds_back_is_not_late() -> None:
    """A failing event holds back the later ones of its object for an hour, and waits for its own retry."""
    tenant = make_tenant()
    integration = make_integration(tenant, name="n8n")
    item = make_item(tenant)
    item.status = "In Progress"
    item.save()
    first, second = IntegrationSync.objects.filter(integration=integration).order_by("pk")
    now = timezone.now()
    waits = {
        "first_failed_at": now - timedelta(minutes=30),
        "attempts": 3,
        "next_attempt_at": now + timedelta(minutes=5),
    }
    IntegrationSync.objects.filter(pk=first.pk).update(**waits)
    IntegrationSync.objects.filter(pk=second.pk).update(next_attempt_at=now - timedelta(minutes=30))
    assert not [word for word in watch() if word.name == "backlog_old"]


def test_a_queue_that_nobody_serves(settings: Any) -> None:
    from integrations.models import ProcessHeartbeat

    acme = make_tenant()
    chat = make_integration(acme, name="chat", events=("worker_silent",))
    ProcessHeartbeat.objects.all().delete()
    beat_process("worker", ["deliveries"])
    (word,) = watch()
    assert (word.name, word.title) == ("worker_silent", "Worker silent: slow")
    (row,) = IntegrationSync.objects.select_related("event")
    assert row.integration_id == chat.pk and json.loads(row.event.body)["integration"] is None
    assert watch() == []


def test_managers_get_what_is_their_tenants_and_operators_everything(settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    acme, bolt = make_tenant("Acme"), make_tenant("Bolt")
    people = (
        (acme, "acme", "manager"),
        (acme, "looks-on", "viewer"),
        (bolt, "bolt", "manager"),
        (bolt, "second", "manager"),
    )
    for tenant, name, role in people:
        user = User.objects.create_user(name, email=f"{name}@example.com")
        Membership.objects.create(tenant=tenant, user=user, role=role)
    named = ((acme, "one"), (acme, "two"), (bolt, "three"))
    made = [make_integration(tenant, name=name) for tenant, name in named]
    words = [
        Word("integration_failing", each, f"Integration fails: {each.name}", "500.", "Look.", timezone.now())
        for each in made
    ]
    assert mail(words) == 3
    by_address = {(*message.to, *message.bcc): message for message in outbox.outbox}
    assert set(by_address) == {("acme@example.com",), ("bolt@example.com", "second@example.com"), ("ops@example.com",)}
    acmes = by_address["acme@example.com",]
    assert acmes.subject == "[Acme] Integration fails: one, and 1 more"
    assert "three" not in acmes.body and "two" in acmes.body
    assert "three (Bolt)" in by_address["ops@example.com",].body
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_MANAGERS": False}
    assert mail(words) == 1


def test_a_mail_server_that_is_away_costs_nothing_but_a_line(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    word = Word("worker_silent", None, "Worker silent: slow", "No worker.", "", timezone.now())
    assert mail([word]) == 0
    assert "alerts could not be mailed (ConnectionRefusedError)" in caplog.text


def test_a_mail_that_cannot_be_sent_keeps_no_other_back(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    settings.INTEGRATIONS_PEOPLE = f"{__name__}.PeopleOfSome"
    words = []
    for name in ("Lost", "Acme", "Bolt"):
        tenant = make_tenant(name)
        user = User.objects.create_user(name, email=f"{name.lower()}@example.com")
        Membership.objects.create(tenant=tenant, user=user, role="manager")
        word = Word("backlog_old", make_integration(tenant, name=name), f"Waits: {name}", "", "", timezone.now())
        words.append(word)
    with SmtpServer("plain", None, wants_login=False) as server:
        server.replies["acme@example.com"] = "550 5.1.1 No such mailbox"
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        assert mail(words) == 2
        assert [each.recipients for each in server.mails] == [["bolt@example.com"], ["ops@example.com"]]
    assert "an alert could not be mailed (SMTPRecipientsRefused)" in caplog.text
    assert "are mailed to no manager (LookupError)" in caplog.text


class PeopleOfSome(People):
    """A project's class that fails for one tenant."""

    def members(self, tenant: Tenant) -> Iterator[Member]:
        if tenant.name == "Lost":
            raise LookupError
        return super().members(tenant)


def test_a_look_that_fails_keeps_nobody_from_being_told_by_mail(
    settings: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    receiver.answer_with(default=500)
    tenant = make_tenant()
    broken = make_integration(tenant, receiver.url, name="n8n")
    for number in range(3):
        make_item(tenant, reference_id=f"RMA-{number}")
    drain(broken.pk)
    late = make_integration(tenant, name="late")
    make_item(tenant)
    IntegrationSync.objects.filter(integration=late).update(next_attempt_at=timezone.now() - timedelta(minutes=11))
    real = alerts_watch.publish

    def publish(*, event_type: str, **rest: Any) -> Any:
        if event_type == "backlog_old":
            raise OperationalError("the database is away")
        return real(event_type=event_type, **rest)

    monkeypatch.setattr(alerts_watch, "publish", publish)
    assert mail(watch()) == 1
    assert outbox.outbox[0].subject == "Integration fails: n8n"
    assert "nothing was told of backlogs (OperationalError)" in caplog.text
    monkeypatch.undo()
    assert told(watch()) == [("backlog_old", "late")]  # nothing was remembered


def test_what_once_failed_takes_nobodys_place_in_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_watch, "AT_ONCE", 1)
    tenant = make_tenant()
    once, now = (make_integration(tenant, name=name) for name in ("once", "now"))
    known = {"since": timezone.now(), "told_at": timezone.now() - timedelta(days=1), "is_told": True}
    Alert.objects.create(name="integration_failing", integration=once, is_open=False, **known)
    for _ in range(3):
        connection_health.record_auth_failure(TenantIntegration.objects.get(pk=now.pk))
    assert told(watch()) == [("integration_disabled", "now")]


def test_a_look_costs_the_same_for_many_integrations(django_assert_max_num_queries: Any) -> None:
    tenant = make_tenant()
    for number in range(30):
        make_integration(tenant, name=f"hook {number}")
    watch()
    with django_assert_max_num_queries(20):
        assert watch() == []
    assert not IntegrationEvent.objects.exists()


def _watched_later() -> list[Word]:
    """Watch when nothing is added any more to the minute that runs: before that its figures are not told."""
    return watch(clock.now() + timedelta(minutes=1 + GRACE))
