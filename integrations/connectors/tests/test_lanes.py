"""From a saved work item to a mail and to a file: through outbox, lane, binding and the process's own client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from integrations.delivery.drain import drain
from integrations.models import ExecutionLog, IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses

from .smtp_server import PASSWORD, USER, SmtpServer

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


def make_due() -> None:
    """As if the waiting were over."""
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
    Lane.objects.update(paused_until=None)


@pytest.fixture
def mailer(smtp_plain: SmtpServer, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [smtp_plain.netloc], "RETRY_JITTER": 0.0}
    config = {
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp_plain.port,
        "smtp_security": "plain",
        "username": USER,
        "sender": "outbox@example.com",
        "recipients": ["jane@example.com"],
    }
    return make_integration(
        make_tenant(), "", integration_type="email", config=config, credentials={"password": PASSWORD}, signed=False
    )


def test_an_event_becomes_a_mail_once(mailer: TenantIntegration, smtp_plain: SmtpServer) -> None:
    smtp_plain.replies["DATA"] = "452 4.3.1 no space"
    make_item(mailer.tenant)
    drain(mailer.pk)
    assert statuses() == ["pending"] and not smtp_plain.mails
    del smtp_plain.replies["DATA"]
    make_due()
    drain(mailer.pk)
    assert statuses() == ["synced"]
    (mail,) = smtp_plain.mails
    assert mail.message["Subject"] == "Workitem created: RMA-1"
    event = IntegrationSync.objects.get().event
    assert mail.message["Message-ID"] == f"<{event.idempotency_key}@example.com>"
    assert {log.url for log in ExecutionLog.objects.all()} == {f"smtp://{smtp_plain.netloc}/•••"}
    assert PASSWORD not in str(list(ExecutionLog.objects.values())) + str(list(IntegrationSync.objects.values()))


def test_refused_credentials_disable_the_lane(mailer: TenantIntegration, smtp_plain: SmtpServer) -> None:
    mailer.credentials = {"password": "wrong"}
    mailer.save()
    make_item(mailer.tenant)
    for _ in range(3):
        drain(mailer.pk)
        make_due()
    mailer.refresh_from_db()
    assert not mailer.is_enabled
    assert statuses() == ["pending"]  # it waits for a person


def test_an_event_becomes_a_file_once(tmp_path: Path, settings: Any) -> None:
    settings.INTEGRATIONS = {"DROPZONE_ROOTS": [str(tmp_path)]}
    target = make_integration(
        make_tenant(), "", integration_type="DROPZONE_JSON_V1", config={"folder": str(tmp_path)}, signed=False
    )
    make_item(target.tenant)
    for _ in range(2):
        drain(target.pk)
        IntegrationSync.objects.update(status="pending", settled_at=None)  # as if we had died before we settled it
        make_due()
    (path,) = tmp_path.iterdir()
    event = IntegrationSync.objects.get().event
    assert path.name == f"{event.idempotency_key}.json"
    assert json.loads(path.read_text()) == json.loads(event.body)


# -- recipients, and whose fault it is -----------------------------------------------------------------------


def with_recipients(mailer: TenantIntegration, *recipients: str) -> None:
    TenantIntegration.objects.filter(pk=mailer.pk).update(config={**mailer.config, "recipients": list(recipients)})


def test_more_recipients_than_a_server_takes_at_once_open_no_breaker(
    mailer: TenantIntegration, smtp_plain: SmtpServer
) -> None:
    smtp_plain.most = 10
    with_recipients(mailer, *(f"person{number}@example.com" for number in range(12)))
    for number in range(6):
        make_item(mailer.tenant, reference_id=f"RMA-{number}")
    drain(mailer.pk)
    assert statuses() == ["synced"] * 6
    assert sum(len(mail.recipients) for mail in smtp_plain.mails) == 6 * 12
    lane = Lane.objects.get()
    assert (lane.consecutive_failures, lane.times_opened, lane.paused_until) == (0, 0, None)


def test_a_recipient_who_is_refused_is_named_on_the_row_and_in_the_note(
    mailer: TenantIntegration, smtp_plain: SmtpServer
) -> None:
    with_recipients(mailer, "jane@example.com", "joe@example.org")
    smtp_plain.replies["joe@example.org"] = "550 5.1.1 user unknown"
    item = make_item(mailer.tenant)
    drain(mailer.pk)
    sync = IntegrationSync.objects.get()
    assert (sync.status, sync.reason) == ("synced", "Not taken for joe@example.org (550 5.1.1 user unknown)")
    assert "joe@example.org (550 5.1.1 user unknown)" in item.notes.get().text


def test_a_recipient_who_is_refused_for_now_gets_it_later_and_nobody_twice(
    mailer: TenantIntegration, smtp_plain: SmtpServer
) -> None:
    with_recipients(mailer, "jane@example.com", "joe@example.org")
    smtp_plain.replies["joe@example.org"] = "450 4.2.0 greylisted"
    for number in range(7):
        make_item(mailer.tenant, reference_id=f"RMA-{number}")
    drain(mailer.pk)
    assert (
        statuses() == ["pending"] * 7 and [mail.recipients for mail in smtp_plain.mails] == [["jane@example.com"]] * 7
    )
    lane = Lane.objects.get()
    assert (lane.consecutive_failures, lane.times_opened, lane.paused_until) == (0, 0, None)
    assert "joe@example.org" in IntegrationSync.objects.first().last_error  # type: ignore[union-attr]
    smtp_plain.replies.clear()
    make_due()
    drain(mailer.pk)
    assert statuses() == ["synced"] * 7
    assert [mail.recipients for mail in smtp_plain.mails[7:]] == [["joe@example.org"]] * 7
    assert set(IntegrationSync.objects.values_list("progress", flat=True)) == {""}


@pytest.mark.parametrize("reply", ["450 4.2.0 greylisted", "452 4.2.2 mailbox full"])
def test_a_lone_recipient_who_is_refused_for_now_opens_no_breaker(
    mailer: TenantIntegration, smtp_plain: SmtpServer, reply: str
) -> None:
    smtp_plain.replies["jane@example.com"] = reply
    for number in range(7):
        make_item(mailer.tenant, reference_id=f"RMA-{number}")
    drain(mailer.pk)
    lane = Lane.objects.get()
    assert statuses() == ["pending"] * 7 and (lane.consecutive_failures, lane.paused_until) == (0, None)


@pytest.mark.parametrize(
    "reply",
    ["550 5.7.60 SMTP; Client does not have permissions to send as this sender", "554 5.7.1 Relay access denied"],
)
def test_what_is_wrong_with_the_account_stops_the_lane_and_loses_no_mail(
    mailer: TenantIntegration, smtp_plain: SmtpServer, reply: str
) -> None:
    smtp_plain.replies["jane@example.com"] = reply
    for number in range(4):
        make_item(mailer.tenant, reference_id=f"RMA-{number}")
    for _ in range(3):
        make_due()
        drain(mailer.pk)
    mailer.refresh_from_db()
    assert not mailer.is_enabled and reply[:3] in mailer.disabled_reason and "check" in mailer.disabled_reason
    assert statuses() == ["pending"] * 4


def test_a_days_quota_rests_for_a_day(mailer: TenantIntegration, smtp_plain: SmtpServer) -> None:
    smtp_plain.replies["DATA"] = "550 5.4.5 Daily user sending quota exceeded"
    for number in range(3):
        make_item(mailer.tenant, reference_id=f"RMA-{number}")
    drain(mailer.pk)
    lane = Lane.objects.get()
    assert statuses() == ["pending"] * 3 and lane.paused_until is not None
    assert 86_000 < (lane.paused_until - timezone.now()).total_seconds() < 96_000
    assert "as much as it may" in lane.pause_reason and len(smtp_plain.logins) == 1
