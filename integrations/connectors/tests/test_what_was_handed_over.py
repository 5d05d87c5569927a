"""What an attempt mailed or stored is kept and shown as it went out, no secret is, and nothing pretends to be HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.audit.exchanges import Exchange, exchanges_of
from integrations.delivery.drain import drain
from integrations.models import ExecutionLog, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.transport import recording

from . import small_sftp, smtp_server
from .small_sftp import SmallSftp
from .smtp_server import SmtpServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallSftp]:
    with SmallSftp(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def connection(kind: str, config: dict[str, Any], **credentials: str) -> TenantIntegration:
    return make_integration(
        make_tenant(), "", integration_type=kind, signed=False, config=config, credentials=credentials
    )


def mailing(server: SmtpServer, **more: Any) -> TenantIntegration:
    config = {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port,
        "smtp_security": "plain",
        "sender": "outbox@example.com",
        "recipients": ["jane@example.com", "joe@example.org"],
        "username": smtp_server.USER,
        **more,
    }
    return connection("email", config, password=smtp_server.PASSWORD)


def attempt_of(integration: TenantIntegration) -> Exchange:
    """Deliver an event and return what is kept of the attempt."""
    make_item(integration.tenant, reference_id="RMA-7", description=f"the password is {smtp_server.PASSWORD}")
    drain(integration.pk)
    log = ExecutionLog.objects.select_related("sync__event").get(action="deliver")
    assert log.sync is not None
    (found,) = exchanges_of([log], log.sync)[log.pk]
    return found


def page_of(integration: TenantIntegration) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "x"))
    sync = integration.syncs.get()
    api = client.get(f"/api/v1/deliveries/{sync.pk}").content.decode()
    return client.get(reverse("console:delivery", args=[sync.pk])).content.decode() + api


def test_a_mail(smtp_plain: SmtpServer, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [smtp_plain.netloc]}
    smtp_plain.replies["joe@example.org"] = "550 5.1.1 no such user"
    integration = mailing(smtp_plain)
    found = attempt_of(integration)
    (mail,) = smtp_plain.mails
    assert (found.protocol, found.url) == ("smtp", f"smtp://{smtp_plain.netloc}")
    assert found.envelope == [
        ("MAIL FROM", "outbox@example.com"),
        ("RCPT TO", "jane@example.com"),
        ("RCPT TO", "joe@example.org"),
    ]
    head = dict(found.head)
    for name in ("From", "To", "Subject", "Message-ID", "Date", "Webhook-Id"):
        assert head[name] == mail.message[name]
    (attached,) = mail.message.iter_attachments()
    assert [(each.name, each.content_type, each.size, each.is_row) for each in found.files] == [
        (attached.get_filename(), "application/json", len(attached.get_content()), True)
    ]
    text = mail.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert found.body == text.replace(smtp_server.PASSWORD, recording.MASK)
    assert "Refused for joe@example.org: 550 5.1.1 no such user" in found.answer and not found.error
    page = page_of(integration)
    assert "What was mailed" in page and "RCPT TO: jane@example.com" in page and attached.get_filename() in page  # type: ignore[operator]
    assert "curl" not in page and "HTTP " not in page.partition("What was mailed")[2].partition("</details>")[0]
    assert smtp_server.PASSWORD not in page


@pytest.mark.parametrize("step", ["MAIL", "DATA"])
def test_a_mail_that_was_not_taken(smtp_plain: SmtpServer, settings: Any, step: str) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [smtp_plain.netloc]}
    smtp_plain.replies[step] = f"451 4.3.0 not now, {smtp_server.PASSWORD}"
    integration = mailing(smtp_plain)
    found = attempt_of(integration)
    assert "answered 451" in found.error and found.head and found.body
    page = page_of(integration)
    assert "not taken" in page and smtp_server.PASSWORD not in page


def test_a_mail_server_that_is_away(smtp_plain: SmtpServer, settings: Any) -> None:
    """What was to be mailed is shown, too."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": ["127.0.0.1:9"]}
    found = attempt_of(mailing(smtp_plain, smtp_port=9))
    assert found.error and dict(found.head)["Subject"]


def test_a_file_over_sftp(small: SmallSftp, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [f"127.0.0.1:{small.port}"]}
    config = {"host": "127.0.0.1", "port": small.port, "username": small_sftp.USER, "host_key": [small.pinned]}
    integration = connection("DROPZONE_JSON_V1", config, password=small_sftp.PASSWORD)
    found = attempt_of(integration)
    event = integration.syncs.get().event
    assert (found.protocol, found.url) == ("sftp", f"sftp://127.0.0.1:{small.port}")
    assert found.envelope == [("path", f"{event.idempotency_key}.json")]
    assert found.body == event.body and found.is_event and found.size == len(event.body.encode())
    assert (found.answer, found.error) == ("It was stored.", "")
    page = page_of(integration)
    assert "What was put there" in page and "curl" not in page and small_sftp.PASSWORD not in page


def test_a_file_in_a_folder(tmp_path: Path, settings: Any) -> None:
    settings.INTEGRATIONS = {"DROPZONE_ROOTS": [str(tmp_path)]}
    integration = connection("DROPZONE_JSON_V1", {"folder": str(tmp_path)})
    integration.subscriptions.update(payload="{title: workitem.reference_id}")
    found = attempt_of(integration)
    (file,) = tmp_path.iterdir()
    assert (found.protocol, found.envelope) == ("file", [("path", str(file))])
    assert json.loads(found.body or "") == {"title": "RMA-7"} == json.loads(file.read_text())
    file.write_text("{}")
    integration.syncs.update(status="pending", attempts=0)
    drain(integration.pk)
    log = ExecutionLog.objects.select_related("sync__event").latest("pk")
    (again,) = exchanges_of([log], log.sync)[log.pk]  # type: ignore[arg-type]
    assert "another content" in again.error


def test_a_repr_shows_nothing_of_it() -> None:
    recorder = recording.Recorder()
    token = recording.current.set(recorder)
    try:
        with recording.handing_over("sftp", "sftp://x", b"canary", [("path", "canary")]) as handover:
            handover.answer = "canary"
    finally:
        recording.current.reset(token)
    assert "canary" not in f"{recorder!r} {recorder.exchanges!r}"
