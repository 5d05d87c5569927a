"""People are told what is wrong with an integration and when it works again: as events, by mail, never in a circle."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail as outbox
from django.db import OperationalError, connection, connections
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from integrations.alerts import watch as alerts_watch
from integrations.alerts.mail import note, send
from integrations.alerts.publishing import publish_words
from integrations.alerts.watch import watch
from integrations.alerts.word import Word, word_about
from integrations.connections import health as connection_health
from integrations.connectors.tests.smtp_server import SmtpServer
from integrations.database import clock
from integrations.delivery.drain import drain
from integrations.delivery.models import CLOSED
from integrations.health.alert import ALERTS, Alert, AlertMail, AlertMute
from integrations.models import IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.observability.processes import beat as beat_process
from integrations.statistics.models import MINUTE, IntegrationFigures
from integrations.statistics.rolling import GRACE
from integrations.tenancy.people import Member
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


def test_who_did_not_hear_that_it_was_disabled_again_does_not_hear_that_it_works(receiver: Receiver) -> None:
    """Somebody re-enables it again and again, and credentials that come and go are refused again."""
    tenant = make_tenant()
    integration = make_integration(tenant, receiver.url, name="n8n")

    def disabled_and_back() -> list[tuple[str, str]]:
        for _ in range(3):
            connection_health.record_auth_failure(TenantIntegration.objects.get(pk=integration.pk))
        words = told(watch())
        connection_health.re_enable(TenantIntegration.objects.get(pk=integration.pk))
        make_item(tenant)
        drain(integration.pk)
        return words + told(watch())

    assert disabled_and_back() == [("integration_disabled", "n8n"), ("integration_recovered", "n8n")]
    assert disabled_and_back() == []
    Alert.objects.update(told_at=clock.now() - timedelta(hours=2))
    assert disabled_and_back() == [("integration_disabled", "n8n"), ("integration_recovered", "n8n")]


@pytest.mark.slow
def test_what_fails_and_works_every_other_minute_for_hours_is_told_once_an_hour() -> None:
    tenant = make_tenant()
    integration = make_integration(tenant, name="n8n")
    chat = make_integration(tenant, "https://hooks.example.com/chat", name="chat", events=ALERTS)
    start = clock.now()
    said: list[tuple[int, str]] = []
    for minute in range(200):
        now = start + timedelta(minutes=minute)
        works = minute % 2 == 1
        Lane.objects.filter(pk=integration.pk).update(
            failing_since=None if works else now,
            failing_attempts=0 if works else 3,
            last_failure_at=now,
            last_error="It answered 500.",
            **({"last_success_at": now} if works else {}),
        )
        said += [(minute, word.name) for word in watch(now)]
    failing, recovered = "integration_failing", "integration_recovered"
    assert said == [
        (minute + more, name) for minute in range(0, 200, 60) for more, name in enumerate((failing, recovered))
    ]
    assert IntegrationSync.objects.filter(integration=chat).count() == len(said)


def test_what_fails_for_less_than_it_takes_is_not_told(settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_AFTER_SECONDS": 300}
    integration = make_integration(make_tenant(), name="n8n")
    start = clock.now()
    lane = Lane.objects.filter(pk=integration.pk)
    lane.update(failing_since=start, failing_attempts=3)
    assert watch(start) == watch(start + timedelta(minutes=4)) == []
    lane.update(failing_since=start + timedelta(minutes=4))  # something was taken meanwhile
    assert watch(start + timedelta(minutes=6)) == []
    assert told(watch(start + timedelta(minutes=9))) == [("integration_failing", "n8n")]


def test_what_has_no_beginning_is_told_too(settings: Any) -> None:
    """A connection that is only read from, and whose test does not pass, never sent anything that could fail."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_AFTER_SECONDS": 300}
    tested = {"is_connected": False, "last_test_at": clock.now()}
    make_integration(make_tenant(), name="shop", integration_type="woocommerce", events=(), **tested)
    assert watch() == watched_in(4) == []
    (word,) = watched_in(6)
    assert (word.name, word.why) == ("integration_failing", "The last test did not pass.")


def test_destinations_that_fail_on_alerts_alone_do_not_tell_each_other(receiver: Receiver, settings: Any) -> None:
    """Each would hear of the other's failure, fail on that, and be told of as works again, for ever."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    receiver.answer_with(default=500)
    tenant = make_tenant()
    pair = [make_integration(tenant, receiver.url, name=name, events=ALERTS) for name in "ab"]
    first = word_about("integration_failing", make_integration(tenant, name="c", events=()), "500.", "", clock.now())
    publish_words([first])

    def look(status: int) -> list[tuple[str, str]]:
        receiver.answer_with(default=status)
        for integration in pair:
            Lane.objects.filter(pk=integration.pk).update(**CLOSED)
            IntegrationSync.objects.filter(status="pending").update(next_attempt_at=clock.now() - timedelta(minutes=1))
            for _ in range(2):
                Lane.objects.filter(pk=integration.pk).update(paused_until=None)
                IntegrationSync.objects.filter(status="pending").update(
                    next_attempt_at=clock.now() - timedelta(minutes=1)
                )
                drain(integration.pk)
        return told(watch())

    assert look(500) == [("integration_failing", "a"), ("integration_failing", "b")]
    assert look(200) == [("integration_recovered", "a"), ("integration_recovered", "b")]
    assert IntegrationEvent.objects.count() == 1  # nobody was told by an event
    assert AlertMail.objects.filter(tenant=None).count() == 4  # but by mail


def test_what_fails_on_more_than_alerts_is_told_to_others(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    tenant = make_tenant()
    both = make_integration(tenant, receiver.url, name="a", events=("workitem_created", *ALERTS))
    chat = make_integration(tenant, "https://hooks.example.com/chat", name="chat", events=ALERTS)
    Lane.objects.filter(pk=both.pk).update(failing_since=clock.now(), failing_attempts=3, last_error="500.")
    (word,) = watch()
    assert (word.name, word.is_quiet) == ("integration_failing", True)  # nothing of its own fails yet
    for number in range(3):
        make_item(tenant, reference_id=f"RMA-{number}")
    drain(both.pk)
    assert watch() == []  # it was told by mail within the hour
    (word,) = watched_in(61)
    assert (word.name, word.is_quiet) == ("integration_failing", False)
    assert IntegrationSync.objects.get(event__event_type="integration_failing").integration_id == chat.pk


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
    assert watch() == []  # it may be the minute after a restart
    (word,) = watched_in(1)
    assert (word.name, word.integration, word.count) == ("backlog_old", late, 1)
    assert word.why.startswith("1 delivery waits, the oldest since") and "UTC, though" in word.why
    assert watched_in(2) == []


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
    assert watch() == watched_in(1) == []


def test_a_queue_that_nobody_serves(settings: Any) -> None:
    from integrations.models import ProcessHeartbeat

    acme = make_tenant()
    chat = make_integration(acme, name="chat", events=("worker_silent",))
    ProcessHeartbeat.objects.all().delete()
    beat_process("worker", ["deliveries"])
    assert watch() == []
    (word,) = watched_in(1)
    assert (word.name, word.title) == ("worker_silent", "Worker silent: slow")
    (row,) = IntegrationSync.objects.select_related("event")
    assert row.integration_id == chat.pk and json.loads(row.event.body)["integration"] is None
    assert watched_in(2) == []


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
    assert mailed(words) == 4
    by_address = {message.to[0]: message for message in outbox.outbox}
    assert set(by_address) == {"acme@example.com", "bolt@example.com", "second@example.com", "ops@example.com"}
    acmes = by_address["acme@example.com"]
    assert acmes.subject == "[Acme] Integration fails: one, and 1 more"
    assert "three" not in acmes.body and "two" in acmes.body
    assert acmes.extra_headers["Auto-Submitted"] == "auto-generated"  # no absence note answers it
    assert "three (Bolt)" in by_address["ops@example.com"].body
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_MANAGERS": False}
    assert mailed(words) == 1


def test_a_mail_reads_as_its_reader_needs_it(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    tenant = make_tenant("Acme")
    user = User.objects.create_user("ann", email="ann@example.com")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    integration = make_integration(tenant, name="n8n")
    since = datetime(2026, 7, 1, 22, 5, tzinfo=UTC)
    mailed([word_about("integration_failing", integration, "It answered 500.", "Look at the address.", since)])
    (letter,) = outbox.outbox
    assert letter.subject == "[Acme] Integration fails: n8n"
    assert letter.body.splitlines() == [
        "Integration fails: n8n",
        "It answered 500.",
        "Since: 2 July 2026, 00:05 CEST",
        "What to do: Look at the address.",
        f"https://app.example.com/console/integrations/{integration.public_id}/",
        "",
        "-- ",
        "You get this because you are a manager of Acme. To stop these mails, open People in the console: "
        f"https://app.example.com/console/people/?tenant={tenant.pk}",
    ]


def test_whoever_stops_the_mails_gets_none_and_others_still_do(client: Client) -> None:
    tenant = make_tenant("Acme")
    for name in ("ann", "bob"):
        user = User.objects.create_user(name, email=f"{name}@example.com")
        Membership.objects.create(tenant=tenant, user=user, role="manager")
    client.force_login(User.objects.get(username="ann"))
    page = {"path": reverse("console:people-mails"), "follow": True, "secure": True}
    answer = client.post(data={"tenant": tenant.pk, "mails": "off"}, **page)
    assert "You get no more alerts of Acme by mail." in answer.content.decode()
    words = [word_about("integration_failing", make_integration(tenant), "500.", "Look.", clock.now())]
    assert mailed(words) == 1
    assert outbox.outbox[0].to == ["bob@example.com"]
    answer = client.post(data={"tenant": tenant.pk, "mails": "on"}, **page)
    assert "You get alerts of Acme by mail again." in answer.content.decode() and not AlertMute.objects.exists()
    assert mailed(words) == 2


def test_nobody_stops_the_mails_of_a_tenant_that_is_not_theirs(client: Client) -> None:
    acme, bolt = make_tenant("Acme"), make_tenant("Bolt")
    user = User.objects.create_user("ann", email="ann@example.com")
    Membership.objects.create(tenant=acme, user=user, role="manager")
    client.force_login(user)
    answer = client.post(reverse("console:people-mails"), {"tenant": bolt.pk, "mails": "off"}, secure=True)
    assert answer.status_code == 404
    assert not AlertMute.objects.exists()


def test_a_tenant_without_managers_costs_nothing_and_keeps_nothing(settings: Any) -> None:
    tenant = make_tenant()
    user = User.objects.create_user("looks-on", email="looks-on@example.com")
    Membership.objects.create(tenant=tenant, user=user, role="viewer")
    assert mailed([word_about("backlog_old", make_integration(tenant), "1 waits.", "", clock.now())]) == 0
    assert not AlertMail.objects.exists()


def test_a_mail_server_that_is_away_for_a_day_loses_nothing(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """When it is back, one mail says all that has gathered, in order."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    integration = make_integration(make_tenant("Acme"), name="n8n")
    for name in ("integration_failing", "integration_recovered"):
        assert mailed([word_about(name, integration, "So it is.", "", clock.now())]) == 0
        AlertMail.objects.update(made_at=F("made_at") - timedelta(hours=12))
    assert caplog.text.count("alerts could not be mailed (ConnectionRefusedError); it is tried again later") == 2
    assert send() == 0  # not before its time
    assert AlertMail.objects.filter(next_try_at__gt=clock.now() + timedelta(minutes=4)).count() == 2
    AlertMail.objects.update(next_try_at=clock.now())
    with SmtpServer("plain", None, wants_login=False) as server:
        settings.EMAIL_PORT = server.port
        assert send() == 1
        (received,) = server.mails
    assert received.recipients == ["ops@example.com"]
    text = received.message.get_content()
    assert text.index("Integration fails: n8n (Acme)") < text.index("Integration works again: n8n (Acme)")
    assert not AlertMail.objects.exists() and send() == 0


def test_what_could_not_be_mailed_for_days_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    before = clock.now() - timedelta(days=4)
    AlertMail.objects.create(title="x", text="x", made_at=before, next_try_at=before)
    assert send() == 0 and not AlertMail.objects.exists()
    assert "1 alert could not be mailed for days and will not be" in caplog.text


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
        assert mailed(words) == 2
        assert [each.recipients for each in server.mails] == [["ops@example.com"], ["bolt@example.com"]]
    assert "an alert could not be mailed (SMTPRecipientsRefused); it is tried again later" in caplog.text
    assert "are not known (LookupError)" in caplog.text
    assert {row.title for row in AlertMail.objects.all()} == {"Waits: Lost", "Waits: Acme"}


def test_who_lacks_a_mail_gets_it_later_and_nobody_twice(settings: Any) -> None:
    """Also when more is to be told meanwhile, and when one of them leaves."""
    tenant = make_tenant("Acme")
    for name in ("ann", "bob", "cem"):
        user = User.objects.create_user(name, email=f"{name}@example.com")
        Membership.objects.create(tenant=tenant, user=user, role="manager")
    integration = make_integration(tenant, name="n8n")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"

    def mails(server: SmtpServer) -> dict[str, str]:
        sent = {each.recipients[0]: each.message["Subject"] for each in server.mails}
        assert len(sent) == len(server.mails)
        server.mails.clear()
        return sent

    failing, recovered = (
        word_about(name, integration, "So it is.", "", clock.now())
        for name in ("integration_failing", "integration_recovered")
    )
    with SmtpServer("plain", None, wants_login=False) as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        for name in ("bob", "cem"):
            server.replies[f"{name}@example.com"] = "452 4.2.2 Mailbox full"
        assert mailed([failing]) == 1
        assert mails(server) == {"ann@example.com": "[Acme] Integration fails: n8n"}
        del server.replies["bob@example.com"]
        AlertMail.objects.update(next_try_at=clock.now())
        assert mailed([recovered]) == 2
        assert mails(server) == {
            "ann@example.com": "[Acme] Integration works again: n8n",
            "bob@example.com": "[Acme] Integration fails: n8n, and 1 more",
        }
        assert [row.to for row in AlertMail.objects.all()] == [["cem@example.com"]] * 2
        User.objects.filter(username="cem").delete()
        AlertMail.objects.update(next_try_at=clock.now())
        assert send() == 0 and not AlertMail.objects.exists()


def test_what_nobody_got_waits_for_whoever_is_to_be_told_then(settings: Any) -> None:
    tenant = make_tenant("Acme")
    user = User.objects.create_user("ann", email="an@example.com")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with SmtpServer("plain", None, wants_login=False) as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        server.replies["an@example.com"] = "550 5.1.1 No such mailbox"
        assert mailed([word_about("backlog_old", make_integration(tenant), "1 waits.", "", clock.now())]) == 0
        user.email = "ann@example.com"
        user.save()
        AlertMail.objects.update(next_try_at=clock.now())
        assert send() == 1 and not AlertMail.objects.exists()
        assert [each.recipients for each in server.mails] == [["ann@example.com"]]


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
    watch(clock.now() - timedelta(minutes=2))
    Alert.objects.filter(name="integration_failing").delete()
    real = alerts_watch.publish_words

    def publish_words(words: list[Word]) -> None:
        if any(word.name == "backlog_old" for word in words):
            raise OperationalError("the database is away")
        real(words)

    AlertMail.objects.all().delete()
    monkeypatch.setattr(alerts_watch, "publish_words", publish_words)
    assert told(watch()) == [("integration_failing", "n8n")]
    assert send() == 1 and outbox.outbox[0].subject == "Integration fails: n8n"
    assert "nothing was told of backlogs (OperationalError)" in caplog.text
    monkeypatch.undo()
    assert told(watch()) == [("backlog_old", "late")]  # nothing was remembered


def test_what_fails_already_takes_nobodys_place_in_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many fail, each is looked at."""
    monkeypatch.setattr(alerts_watch, "PART", 2)
    tenant = make_tenant()
    some = [make_integration(tenant, name=f"hook {number}") for number in range(5)]
    for integration in some:
        assert len(watch()) <= 1
        for _ in range(3):
            connection_health.record_auth_failure(TenantIntegration.objects.get(pk=integration.pk))
    assert told(watch()) == [("integration_disabled", "hook 4")]


def test_a_look_costs_the_same_for_many_integrations(django_assert_max_num_queries: Any) -> None:
    tenant = make_tenant()
    for number in range(30):
        make_integration(tenant, name=f"hook {number}")
    watch()
    with django_assert_max_num_queries(20):
        assert watch() == []
    assert not IntegrationEvent.objects.exists()


@pytest.mark.slow
def test_hundreds_that_fail_at_once_cost_a_few_statements(settings: Any) -> None:
    """Of every kind: failing, given up, waiting; each tenant's chat hears of its own."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}

    def statements(number: int) -> int:
        start = clock.now()
        minute = int(start.timestamp() // 60) - GRACE - 1
        tenants = [make_tenant(f"{number} {each}") for each in range(number // 10)]
        for tenant in tenants:
            make_integration(tenant, name="chat", events=ALERTS)
            user = User.objects.create_user(tenant.name, email=f"{tenant.slug}@example.com")
            Membership.objects.create(tenant=tenant, user=user, role="manager")
        made = TenantIntegration.objects.bulk_create(
            TenantIntegration(
                tenant=tenant, name=f"hook {each}", integration_type="webhook", webhook_url="https://e.com"
            )
            for tenant in tenants
            for each in range(9)
        )
        failing = {"failing_since": start, "failing_attempts": 3, "last_error": "It answered 500."}
        Lane.objects.bulk_create(Lane(integration=each, **failing) for each in made)
        IntegrationFigures.objects.bulk_create(
            IntegrationFigures(integration=each, resolution=MINUTE, start=minute, given_up=2) for each in made
        )
        with CaptureQueriesContext(connection) as asked:
            words = watch(start)
        assert Counter(word.name for word in words) == {
            "integration_failing": len(made),
            "sync_given_up": len(made),
        }
        return len(asked)

    few, many = statements(20), statements(300)
    assert IntegrationSync.objects.count() == 2 * 9 * (2 + 30)
    assert many < few + 40, f"{few} statements for 18 integrations, {many} for 270"
    assert send() == 1 + 2 + 30
    (to_operators,) = [letter for letter in outbox.outbox if letter.to == ["ops@example.com"]]
    assert "526 more are in the console." in to_operators.body


def mailed(words: list[Word]) -> int:
    """Mail `words` as one look does that found them."""
    outbox.outbox.clear()
    note(words, clock.now())
    return send()


def watched_in(minutes: int) -> list[Word]:
    """Watch as if it were some minutes later."""
    return watch(clock.now() + timedelta(minutes=minutes))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_two_who_look_at_once_tell_it_once(settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALERT_MAIL_TO": ["ops@example.com"]}
    tenant = make_tenant()
    make_integration(tenant, name="chat", events=ALERTS)
    for number in range(20):
        integration = make_integration(tenant, name=f"hook {number}")
        Lane.objects.filter(pk=integration.pk).update(failing_since=clock.now(), failing_attempts=3)
    barrier = threading.Barrier(4)

    def look() -> list[Word]:
        try:
            barrier.wait(10)
            return watch()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        words = [word for found in pool.map(lambda _: look(), range(4)) for word in found]
    assert sorted(told(words)) == sorted(("integration_failing", f"hook {number}") for number in range(20))
    assert IntegrationSync.objects.count() == AlertMail.objects.filter(tenant=None).count() == 20

    barrier = threading.Barrier(2)

    def post() -> int:
        try:
            barrier.wait(10)
            return send()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(lambda _: post(), range(2))) == 1  # letters


def _watched_later() -> list[Word]:
    """Watch when nothing is added any more to the minute that runs: before that its figures are not told."""
    return watch(clock.now() + timedelta(minutes=1 + GRACE))
