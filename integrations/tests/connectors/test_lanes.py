"""From a saved work item to a mail and to a file: through outbox, lane, binding and the process's own client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

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
