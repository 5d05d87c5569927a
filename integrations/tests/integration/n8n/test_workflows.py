"""Every workflow of docs/n8n/ in a real n8n, as people import it: it refuses strangers, answers, and works once.

Slack and Notion are stand-ins on loopback (providers.py): what the nodes of n8n send them is what they would get. The
two that call back have more tests in test_calling_back.py.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from integrations.alerts.event_types import example
from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.port import Binding, Envelope
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.trial import send_test_event
from integrations.health.alert import GIVEN_UP, LABELS, RECOVERED, SILENT
from integrations.models import IntegrationSync, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.services import wait_until
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.http.guarded_client import client as process_client
from tasks.models import Customer, WorkItem

from .providers import NOTION, SLACK, Providers
from .server import Execution, N8n
from .workflows import DATABASE, TO_IMPORT, nodes_at_work, to_import

pytestmark = [pytest.mark.n8n, pytest.mark.timeout(600)]


def event_of(event_type: str, **payload: Any) -> Envelope:
    body = {"event_type": event_type, "tenant": {"id": 1, "name": "Acme Corp"}, **payload}
    return Envelope(event_type, f"evt_{uuid.uuid4().hex}", json.dumps(body).encode(), sequence=7)


def send(n8n: N8n, client: GuardedClient, name: str, event: Envelope) -> Execution:
    """Deliver `event` to a workflow, which answers before it works; return its run when it has ended."""
    receipt = N8nConnector(Binding(n8n.url(f"outbox-{name}"), signing_secrets=(SECRET,)), client).deliver(event)
    assert (receipt.status, json.loads(receipt.excerpt)) == (200, {"accepted": event.idempotency_key})
    (*_, run) = n8n.wait_for_runs(to_import(name)["id"], event.idempotency_key, event.attempt)
    assert run.status == "success", run.error
    return run


@pytest.fixture
def integration(n8n: N8n, transactional_db: None, broker: object, settings: Any) -> Any:
    """Return ``make(name)``: an integration whose events go to the workflow `name`."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [n8n.netloc], "CONNECT_TIMEOUT_SECONDS": 2.0}

    def make(name: str) -> TenantIntegration:
        return make_integration(make_tenant(), n8n.url(f"outbox-{name}"), integration_type="n8n")

    return make


@pytest.mark.parametrize("name", TO_IMPORT)
def test_it_does_nothing_for_a_stranger(n8n: N8n, client: GuardedClient, providers: Providers, name: str) -> None:
    webhook_id = f"evt_{uuid.uuid4().hex}"
    headers = {"webhook-id": webhook_id, "Content-Type": "application/json"}
    body = b'{"event_type": "workitem_created", "workitem": {"id": 1}}'
    response = client.request("POST", n8n.url(f"outbox-{name}"), headers=headers, body=body)
    assert (response.status, json.loads(response.body)) == (401, {"error": "a webhook header is missing"})
    (run,) = n8n.wait_for_runs(to_import(name)["id"], webhook_id)
    assert set(run.nodes) == {"Webhook", "Check signature", "Genuine?", "Refuse"}
    assert providers.asked == []


def test_a_change_becomes_one_slack_message(n8n: N8n, providers: Providers, integration: Any) -> None:
    made = integration("slack-message")
    customer = Customer.objects.create(tenant=made.tenant, name="Fish & <!channel>", email="ann@example.com")
    item = make_item(made.tenant, description="iPhone screen repair", customer=customer)
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()
    assert drain(made.pk).sent == 2
    assert set(IntegrationSync.objects.values_list("status", flat=True)) == {"synced"}
    first, second = wait_until(lambda: providers.to(SLACK) if len(providers.asked) > 1 else [], 30, "two messages")
    texts = {first["text"]: first, second["text"]: second}
    what, who = "*RMA-1* iPhone screen repair", "Customer: Fish &amp; &lt;!channel&gt;"
    created = f"New work item: {what}\nNew\n{who}"
    changed = f"Work item changed its status: {what}\nNew → *In Progress*\n{who}"
    assert set(texts) == {created, changed}
    assert first["channel"] == "#repairs" and "n8n" not in json.dumps(first)
    assert {asked.authorization for asked in providers.asked} == {"Bearer fake-slack-token-for-tests-only"}

    # A copy, as after a crash: taken, and dropped.
    sync = IntegrationSync.objects.order_by("pk")[0]
    operator_actions.replay([sync.pk], actor="alice")
    drain(made.pk)
    runs = n8n.wait_for_runs(to_import("slack-message")["id"], sync.event.idempotency_key, 2)
    assert set(runs[0].nodes) == nodes_at_work("slack-message")
    assert set(runs[1].nodes) == {"Webhook", "Check signature", "Genuine?", "Accept", "New?"}
    assert len(providers.asked) == 2


def test_slack_is_asked_again_when_it_fails(n8n: N8n, client: GuardedClient, providers: Providers) -> None:
    providers.failures.append(503)
    send(n8n, client, "slack-message", event_of("workitem_created", workitem={"id": 5, "status": "New"}))
    assert [body["text"] for body in providers.to(SLACK)] == ["New work item: *number 5* \nNew"] * 2


def test_a_work_item_becomes_one_notion_page(n8n: N8n, providers: Providers, integration: Any) -> None:
    made = integration("notion-page")
    make_item(made.tenant, description="iPhone screen repair", comments="Cracked")
    assert drain(made.pk).sent == 1
    (run,) = n8n.wait_for_runs(to_import("notion-page")["id"], IntegrationSync.objects.get().event.idempotency_key)
    assert run.status == "success", run.error
    assert set(run.nodes) == nodes_at_work("notion-page")
    (page,) = providers.to(NOTION)
    assert page["parent"] == {"database_id": DATABASE}
    assert page["properties"]["Name"]["title"][0]["text"]["content"] == "RMA-1 – iPhone screen repair"
    (block,) = page["children"]
    assert block["type"] == "paragraph"
    (text,) = (part["text"]["content"] for part in block["paragraph"]["text"])
    assert text.splitlines() == ["Status: New", "Priority: Standard", "Comments: Cracked"]


@pytest.mark.parametrize(("name", "host"), [("slack-message", SLACK), ("notion-page", NOTION), ("alert", SLACK)])
def test_a_test_event_arrives(n8n: N8n, providers: Providers, integration: Any, name: str, host: str) -> None:
    result = send_test_event(integration(name), process_client())
    assert result.success, result.message
    (body,) = wait_until(lambda: providers.to(host), 30, "what the test event became")
    assert "Test: " in json.dumps(body, ensure_ascii=False)


def test_each_kind_of_alert_is_told_once(n8n: N8n, client: GuardedClient, providers: Providers) -> None:
    for name in LABELS:
        event = event_of(name, **example(name))
        assert set(send(n8n, client, "alert", event).nodes) == nodes_at_work("alert")
        send(n8n, client, "alert", replace(event, attempt=2))
    told = dict(zip(LABELS, (body["text"] for body in providers.to(SLACK)), strict=True))
    assert {body["channel"] for body in providers.to(SLACK)} == {"#alerts"}
    for name, text in told.items():
        alert = example(name)["alert"]
        title, why, *_ = text.splitlines()
        assert title == f"{'✅' if name == RECOVERED else '⚠️'} *{alert['title']}*" and why == alert["why"]
        assert text.endswith(f"What to do: {alert['what_to_do']}\n<{alert['url']}|Open the console>")
    assert "Deliveries: 3" in told[GIVEN_UP] and "Deliveries" not in told[SILENT].partition("\n")[2]
