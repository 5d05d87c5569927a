"""From a save to Slack, GitHub, Salesforce and a mailbox: each connector in its lane, on its provider's answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.connections.settings import apply_settings
from integrations.delivery.drain import drain
from integrations.models import ExecutionLog, IntegrationSync, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver, Request
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.django_db]

CANARY = "canary7f3a91"
SETTINGS: dict[str, dict[str, Any]] = {
    "slack": {"token": f"xoxb-{CANARY}", "channel": "C1", "base_url": "BASE"},
    "github": {"token": f"ghp_{CANARY}", "repository": "octocat/Hello-World", "base_url": "BASE"},
    "salesforce": {
        "base_url": "BASE",
        "client_id": "id",
        "client_secret": CANARY,
        "sobject": "Case",
        "external_id_field": "Outbox_Id__c",
        "mapping": ["Subject: workitem.reference_id"],
    },
    "microsoft_graph": {
        "tenant_id": "contoso.com",
        "client_id": "id",
        "client_secret": CANARY,
        "sender": "noreply@contoso.com",
        "to": ["jane@example.com"],
        "base_url": "BASE",
        "login_url": "BASE",
    },
}


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


def providers(request: Request) -> Answer:
    """All four of them, when all is well."""
    if request.path.endswith("/token"):
        return said({"access_token": f"token-{CANARY}", "token_type": "Bearer", "expires_in": 3600})
    if request.path.startswith("/chat."):
        return said({"ok": True, "channel": "C1", "ts": "1503435956.000247"})
    if request.path.startswith("/repos/"):
        return said([]) if request.method == "GET" else said({"number": 1347, "html_url": "https://github.com/x"}, 201)
    if request.path.startswith("/services/data/"):
        return said({"id": "500D0000003Xyz", "success": True, "created": True}, 201)
    return Answer(202, b"")


def said(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def configured(kind: str, receiver: Receiver) -> TenantIntegration:
    target = make_integration(make_tenant(), "", integration_type=kind, signed=False, is_signed=False)
    base = f"http://{receiver.netloc}"
    apply_settings(target, {name: base if value == "BASE" else value for name, value in SETTINGS[kind].items()})
    target.save()
    return target


@pytest.mark.parametrize("kind", SETTINGS)
def test_an_event_arrives(receiver: Receiver, caplog: Any, kind: str) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(providers)
    target = configured(kind, receiver)
    item = make_item(target.tenant, description="iPhone screen repair")
    assert drain(target.pk).sent == 1
    sync = IntegrationSync.objects.get()
    assert (sync.status, sync.last_error) == ("synced", "") and sync.response_status in (200, 201, 202)
    assert "RMA-1" in receiver.requests[-1].body.decode()
    assert Note.objects.get().work_item_id == item.pk
    stored = json.dumps(target.config) + target.credentials_encrypted + str(ExecutionLog.objects.values())
    assert CANARY not in stored + caplog.text


def test_a_status_change_in_slack(receiver: Receiver) -> None:
    receiver.answer_with(providers)
    target = configured("slack", receiver)
    item = make_item(target.tenant)
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()
    drain(target.pk)
    texts = [request.json["blocks"][-1].get("text", {}).get("text") for request in receiver.requests]
    assert texts[-1] == "*Status:* New → In Progress"


def test_an_archived_channel_stops_the_integration(receiver: Receiver) -> None:
    receiver.answer_with(default=said({"ok": False, "error": "is_archived"}))
    target = configured("slack", receiver)
    make_item(target.tenant)
    drain(target.pk)
    target.refresh_from_db()
    assert not target.is_enabled and "archived" in IntegrationSync.objects.get().last_error


def test_a_github_rate_limit_pauses_the_lane(receiver: Receiver) -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800"}
    receiver.answer_with(default=Answer(403, b'{"message": "API rate limit exceeded"}', headers))
    target = configured("github", receiver)
    make_item(target.tenant)
    drain(target.pk)
    target.refresh_from_db()
    assert target.is_enabled and target.auth_failure_count == 0 and target.lane.paused_until
    assert IntegrationSync.objects.get().status == "pending"
