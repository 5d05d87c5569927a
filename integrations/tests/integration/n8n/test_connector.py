"""The n8n connector against a real n8n. Optional: set N8N_HOME (docs/N8N_WEBHOOK_SETUP.md), or it is skipped.

    N8N_HOME=/path/to/folder pytest -m n8n

Also runs the Code node of docs/N8N_AUTHENTICATION.md as it is printed there.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.port import Binding, Envelope
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.errors import IntegrationAuthError, IntegrationError, IntegrationTemporaryError
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.transport import signing
from integrations.transport.http.guarded_client import GuardedClient
from tasks.models import Note

from .server import Execution, N8n
from .workflows import KEY, PASSWORD, USER, workflow

pytestmark = [pytest.mark.n8n, pytest.mark.timeout(600)]

OTHER_SECRET = "whsec_HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo="
BODY = '{"event_type":"workitem_created","workitem":{"description":"Řemínek ✓","final_price":"150.00"}}'.encode()


def new_event() -> Envelope:
    """An event with an id of its own, by which its execution is found again."""
    return Envelope("workitem_created", f"evt_{uuid.uuid4().hex}", BODY, sequence=7)


def runs(n8n: N8n, name: str, webhook_id: str) -> list[Execution]:
    """Return the executions of a workflow that one event caused."""
    return n8n.runs_of(workflow(name)["id"], webhook_id)


def wait_for_runs(n8n: N8n, name: str, webhook_id: str, count: int = 1) -> list[Execution]:
    return n8n.wait_for_runs(workflow(name)["id"], webhook_id, count)


def with_key(n8n: N8n, path: str, key: str | None = KEY, **fields: Any) -> Binding:
    return Binding(n8n.url(path), headers={"X-API-Key": key} if key else {}, **fields)


def refused(client: GuardedClient, binding: Binding, event: Envelope | None = None) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        N8nConnector(binding, client).deliver(event or new_event())
    return caught.value


# -- header authentication --------------------------------------------------------------------------------


def test_right_key_is_taken_and_n8n_gets_every_header(n8n: N8n, client: GuardedClient) -> None:
    event = new_event()
    binding = with_key(n8n, "workitems-of-the-test", signing_secrets=(SECRET,))
    receipt = N8nConnector(binding, client).deliver(event)
    assert receipt.status == 200
    assert json.loads(receipt.excerpt) == {"event": "workitem_created", "id": event.idempotency_key}
    (run,) = wait_for_runs(n8n, "workitems", event.idempotency_key)
    (item,) = run.nodes["Webhook"]
    assert run.status == "success" and item["body"] == json.loads(BODY)
    ours = {name: value for name, value in item["headers"].items() if name.startswith("webhook-")}
    assert ours.pop("webhook-signature").startswith("v1,")
    assert abs(int(ours.pop("webhook-timestamp")) - time.time()) < 60
    assert ours == {
        "webhook-id": event.idempotency_key,
        "webhook-event": "workitem_created",
        "webhook-sequence": "7",
        "webhook-attempt": "1",
    }


@pytest.mark.parametrize("key", ["not-the-key", None], ids=["wrong", "missing"])
def test_wrong_or_missing_key(n8n: N8n, client: GuardedClient, key: str | None) -> None:
    event = new_event()
    error = refused(client, with_key(n8n, "workitems-of-the-test", key), event)
    assert isinstance(error, IntegrationAuthError)
    assert (error.code, error.status) == ("auth", 403)
    assert error.message == "127.0.0.1 answered 403 Forbidden; check the credentials"
    assert error.excerpt == "Authorization data is wrong!"
    assert not runs(n8n, "workitems", event.idempotency_key)


# -- inactive, unknown, test URL, failing -----------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["/webhook/switched-off-in-the-test", "/webhook/no-such-path", "/webhook-test/workitems-of-the-test"],
    ids=["inactive", "unknown", "test URL that nobody listens on"],
)
def test_a_path_without_active_workflow_is_tried_again(n8n: N8n, client: GuardedClient, url: str) -> None:
    error = refused(client, replace(with_key(n8n, ""), url=f"http://{n8n.netloc}{url}"))
    assert isinstance(error, IntegrationTemporaryError)
    assert (error.code, error.status) == ("workflow_inactive", 404)
    assert error.message == "127.0.0.1: the n8n workflow is not active, or the path is wrong (HTTP 404)"
    assert "is not registered" in error.excerpt
    assert url.rpartition("/")[2] not in error.excerpt


def test_a_failing_workflow_that_answers_when_finished_is_tried_again(n8n: N8n, client: GuardedClient) -> None:
    event = new_event()
    error = refused(client, with_key(n8n, "failing-in-the-test"), event)
    assert isinstance(error, IntegrationTemporaryError)
    assert (error.code, error.status) == ("http_500", 500)
    assert "Error in workflow" in error.excerpt
    assert [run.status for run in wait_for_runs(n8n, "failing", event.idempotency_key)] == ["error"]


# -- basic authentication ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "login",
    [
        {"credentials": {"username": USER, "password": PASSWORD}},
        {"headers": {"Authorization": "Basic ZGphbmdvLWludGVncmF0aW9uOmZha2UtcGFzc3dvcmQtZm9yLXRlc3RzLW9ubHk="}},
    ],
    ids=["credentials", "header"],
)
def test_basic_auth(n8n: N8n, client: GuardedClient, login: dict[str, Any]) -> None:
    receipt = N8nConnector(Binding(n8n.url("basic-auth-in-the-test"), **login), client).deliver(new_event())
    assert (receipt.status, receipt.excerpt) == (200, '{"message":"Workflow was started"}')


@pytest.mark.parametrize(
    ("credentials", "status", "answer"),
    [
        ({"username": USER, "password": "not-the-password"}, 403, "Authorization data is wrong!"),
        ({}, 401, "Authorization is required!"),
    ],
    ids=["wrong", "missing"],
)
def test_basic_auth_refused(
    n8n: N8n, client: GuardedClient, credentials: dict[str, str], status: int, answer: str
) -> None:
    error = refused(client, Binding(n8n.url("basic-auth-in-the-test"), credentials=credentials))
    assert isinstance(error, IntegrationAuthError)
    assert (error.status, error.excerpt) == (status, answer)


# -- signatures: the Code node of the docs ----------------------------------------------------------------


@pytest.mark.parametrize("secrets", [(SECRET,), (OTHER_SECRET, SECRET)], ids=["one key", "during a rotation"])
def test_documented_code_accepts_our_signature(n8n: N8n, client: GuardedClient, secrets: tuple[str, ...]) -> None:
    event = new_event()
    binding = Binding(n8n.url("signature-in-the-test"), signing_secrets=secrets)
    receipt = N8nConnector(binding, client).deliver(event)
    assert (receipt.status, receipt.excerpt) == (200, '{"event":"workitem_created"}')
    (run,) = wait_for_runs(n8n, "signature", event.idempotency_key)
    assert "Accept" in run.nodes and "Refuse" not in run.nodes


def test_documented_code_refuses_another_key(n8n: N8n, client: GuardedClient) -> None:
    error = refused(client, Binding(n8n.url("signature-in-the-test"), signing_secrets=(OTHER_SECRET,)))
    assert isinstance(error, IntegrationAuthError)
    assert (error.status, json.loads(error.excerpt)) == (401, {"error": "no signature matches"})


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({}, BODY.replace(b"150", b"151"), "no signature matches"),
        ({"webhook-id": "evt_2"}, BODY, "no signature matches"),
        ({"webhook-signature": "v1,%%% v9,eA== v1 ,"}, BODY, "no signature matches"),
        ({"webhook-signature": ""}, BODY, "a webhook header is missing"),
        ({"webhook-timestamp": "1e9"}, BODY, "the timestamp is unreadable, too old or too new"),
    ],
    ids=["body", "id", "junk", "unsigned", "timestamp"],
)
def test_documented_code_refuses_what_was_changed(
    n8n: N8n, client: GuardedClient, headers: dict[str, str], body: bytes, reason: str
) -> None:
    url = n8n.url("signature-in-the-test")
    signed = N8nConnector(Binding(url, signing_secrets=(SECRET,)), client).headers_for(new_event())
    response = client.request("POST", url, headers={**signed, **headers}, body=body)
    assert (response.status, json.loads(response.body)) == (401, {"error": reason})


@pytest.mark.parametrize("seconds", [-600, 600], ids=["replayed", "from the future"])
def test_documented_code_refuses_another_time(n8n: N8n, client: GuardedClient, seconds: int) -> None:
    url, moment = n8n.url("signature-in-the-test"), int(time.time()) + seconds
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "webhook-id": "evt_1",
        "webhook-timestamp": str(moment),
        "webhook-signature": signing.sign("evt_1", moment, BODY, [SECRET]),
    }
    response = client.request("POST", url, headers=headers, body=BODY)
    assert response.status == 401
    assert json.loads(response.body) == {"error": "the timestamp is unreadable, too old or too new"}


# -- each event once --------------------------------------------------------------------------------------


def test_remove_duplicates_works_on_webhook_id(n8n: N8n, client: GuardedClient) -> None:
    event = new_event()
    connector = N8nConnector(with_key(n8n, "dedupe-in-the-test"), client)
    for attempt in (1, 2):
        assert connector.deliver(replace(event, attempt=attempt)).status == 200
        executions = wait_for_runs(n8n, "dedupe", event.idempotency_key, attempt)
    assert [len(run.nodes.get("Work", [])) for run in executions] == [1, 0]


# -- through the outbox -----------------------------------------------------------------------------------


@pytest.fixture
def integration(n8n: N8n, transactional_db: None, broker: object, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [n8n.netloc], "CONNECT_TIMEOUT_SECONDS": 2.0}
    return make_integration(
        make_tenant(),
        n8n.url("workitems-of-the-test"),
        integration_type="n8n",
        headers={"X-API-Key": KEY},
        events=("workitem_created",),
    )


def row() -> IntegrationSync:
    return IntegrationSync.objects.select_related("event").get()


def test_a_saved_work_item_reaches_the_workflow(n8n: N8n, integration: TenantIntegration) -> None:
    item = make_item(integration.tenant, description="iPhone screen repair")
    assert drain(integration.pk).sent == 1
    sync = row()
    assert (sync.status, sync.attempts, sync.response_status, sync.last_error) == ("synced", 1, 200, "")
    (run,) = wait_for_runs(n8n, "workitems", sync.event.idempotency_key)
    (received,) = run.nodes["Webhook"]
    assert run.status == "success"
    assert received["body"] == json.loads(sync.event.body)
    assert received["body"]["workitem"]["id"] == item.pk
    assert received["headers"]["webhook-sequence"] == str(sync.event.pk)
    note = Note.objects.get(work_item=item)
    assert note.text == "✓ Production n8n Workflow received workitem_created (HTTP 200)."


def test_wrong_key_stops_the_integration_until_a_person_mends_it(n8n: N8n, integration: TenantIntegration) -> None:
    integration.headers = {"X-API-Key": "not-the-key"}
    integration.save()
    make_item(integration.tenant)
    for _ in range(3):
        IntegrationSync.objects.update(next_attempt_at=F("created_at"))
        Lane.objects.update(paused_until=None)  # as if the rest after a refusal were over
        drain(integration.pk)
    integration.refresh_from_db()
    assert not integration.is_enabled and "refused our credentials 3 times" in integration.disabled_reason
    assert row().status == "pending" and "Authorization data is wrong!" in row().last_error
    integration.headers = {"X-API-Key": KEY}
    integration.save()
    operator_actions.re_enable(integration, actor="alice")
    operator_actions.retry([row().pk], actor="alice")
    drain(integration.pk)
    assert row().status == "synced"


def test_inactive_then_restarted_then_active(n8n: N8n, integration: TenantIntegration) -> None:
    integration.webhook_url = n8n.url("switched-on-in-the-test")
    integration.save()
    make_item(integration.tenant)

    drain(integration.pk)
    sync = row()
    assert (sync.status, sync.attempts, sync.response_status) == ("pending", 1, 404)
    assert sync.next_attempt_at > timezone.now()
    assert "the n8n workflow is not active" in sync.last_error

    n8n.stop()
    operator_actions.retry([sync.pk], actor="alice")
    drain(integration.pk)
    while_stopped = row()
    n8n.activate(workflow("switched-on-later")["id"])
    n8n.start()  # before the assertions: other tests need it
    assert (while_stopped.status, while_stopped.attempts) == ("pending", 1)
    assert while_stopped.response_status is None and "connect" in while_stopped.last_error

    operator_actions.retry([sync.pk], actor="alice")
    drain(integration.pk)
    assert (row().status, row().response_status) == ("synced", 200)
    assert wait_for_runs(n8n, "switched-on-later", sync.event.idempotency_key)
