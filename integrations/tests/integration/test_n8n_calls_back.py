"""Django → n8n → Django with a real n8n, a real worker and a real HTTP server: it works, and it ends.

Optional like test_n8n.py. Runs the workflow of docs/n8n/ as people import it, with address and secret filled in.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings
from pytest_django.live_server_helper import LiveServer

from integrations.delivery import operator_actions
from integrations.delivery.trial import send_test_event
from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration, WebhookEvent
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.services import PROJECT, CeleryProcess, wait_until
from integrations.transport.process_client import client
from tasks.models import Note, WorkItem

from .n8n.server import Execution, N8n
from .test_n8n import FILES, KEY, n8n_command

pytestmark = [pytest.mark.n8n, pytest.mark.timeout(240), pytest.mark.django_db(transaction=True)]

DOCUMENTED = PROJECT / "docs" / "n8n" / "calling-back.json"
CALLER = uuid.UUID("0b5a3a0e-6f57-4d0f-9f0f-0d3b4f6f2a11")  # stands in the workflow's address
BACK = "fake-secret-for-calling-back-in-tests"


def workflow(address: str) -> dict[str, Any]:
    """Return the documented workflow with everything filled in that its page tells to fill in."""
    text = DOCUMENTED.read_text()
    for placeholder, value in (
        ("https://app.example.com/webhooks/the-integrations-id/", f"{address}/webhooks/{CALLER}/"),
        ("the secret for calling back", BACK),
    ):
        assert text.count(placeholder) == 1
        text = text.replace(placeholder, value)
    found: dict[str, Any] = json.loads(text)
    nodes = {node["name"]: node for node in found["nodes"]}
    nodes["Webhook"]["credentials"] = {"httpHeaderAuth": {"id": "outboxHeaderKey1", "name": "Outbox test key"}}
    nodes["Call back"]["waitBetweenTries"] = 100
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where our web server listens, over plain HTTP."""
    n8n_command()  # or skip
    with override_settings(SECURE_SSL_REDIRECT=False, ALLOWED_HOSTS=["127.0.0.1"]):
        # Not pytest-django's live_server: that one is made once, before these settings.
        server = LiveServer("127.0.0.1")
        yield server.url
        server.stop()


@pytest.fixture(scope="module")
def n8n(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[N8n]:
    server = N8n(n8n_command(), tmp_path_factory.mktemp("n8n"), {})
    ours = workflow(address)
    server.install(FILES / "credentials.json", [ours])
    server.activate(ours["id"])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def worker(n8n: N8n, celery_worker: Callable[..., CeleryProcess], settings: Any) -> CeleryProcess:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [n8n.netloc]}
    return celery_worker(pool="threads", env={"INTEGRATIONS_ALLOWED_HOSTS": n8n.netloc})


def begin(n8n: N8n, **values: Any) -> WorkItem:
    """Make an integration with `values`, and have a person put a work item to work."""
    given: dict[str, Any] = {
        "credentials": {"webhook_secret": BACK},
        "inbound_actions": ["workitem-note", "workitem-status"],
        **values,
    }
    make_integration(
        make_tenant(),
        n8n.url("workitems-call-back"),
        name="n8n",
        integration_type="n8n",
        public_id=CALLER,
        headers={"X-API-Key": KEY},
        events=("workitem_status_changed",),
        **given,
    )
    item = make_item(TenantIntegration.objects.get().tenant)
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()
    return item


def run_of(n8n: N8n, event: IntegrationEvent, count: int = 1) -> Execution:
    """Return the last of `count` runs that `event` caused, when n8n has stored it."""

    def found() -> list[Execution]:
        runs = n8n.executions("outboxCallBack01")
        ours = [run for run in runs if run.nodes["Webhook"][0]["headers"]["webhook-id"] == event.idempotency_key]
        return ours if len(ours) >= count else []

    return wait_until(found, 30, f"{count} run(s) of the workflow")[-1]


def notes(item: WorkItem) -> set[str]:
    return set(Note.objects.filter(work_item=item).values_list("text", flat=True))


def test_the_loop_works_and_ends(n8n: N8n, worker: CeleryProcess) -> None:
    item = begin(n8n)
    wait_until(lambda: len(notes(item)) == 3, 60, "the notes of both ways")
    item.refresh_from_db()
    assert item.status == "waiting", "what n8n asked for"
    assert notes(item) == {
        "✓ n8n received workitem_status_changed (HTTP 200).",
        "n8n: Seen: New → In Progress",
        "n8n: status In Progress → Waiting. Waiting for the parts that were ordered.",
    }
    event = IntegrationEvent.objects.get()  # the person's alone: of its own change n8n hears nothing
    assert event.origin_id is None
    assert run_of(n8n, event).status == "success"
    rows = WebhookEvent.objects.order_by("action")
    assert [(row.action, row.status, row.signature_valid, row.error) for row in rows] == [
        ("workitem-note", "processed", True, ""),
        ("workitem-status", "processed", True, ""),
    ]

    # The event goes out once more, as after a crash: n8n calls back again, and nothing happens again.
    operator_actions.replay([IntegrationSync.objects.get().pk], actor="alice")
    assert run_of(n8n, event, 2).status == "success"
    assert [row.duplicates for row in rows.all()] == [1, 1]
    assert IntegrationEvent.objects.count() == 1 and WebhookEvent.objects.count() == 2
    assert len([text for text in notes(item) if text.startswith("n8n: ")]) == 2


def test_a_test_event_calls_nobody_back(n8n: N8n, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [n8n.netloc]}
    begin(n8n)
    assert send_test_event(TenantIntegration.objects.get(), client()).success

    def tried() -> list[Execution]:
        runs = n8n.executions("outboxCallBack01")
        return [run for run in runs if run.nodes["Webhook"][0]["body"].get("test")]

    (run,) = wait_until(tried, 30, "the run of the test event")
    assert run.status == "success" and "Sign" not in run.nodes
    assert not WebhookEvent.objects.exists()


def test_a_wrong_secret_is_401_and_changes_nothing(n8n: N8n, worker: CeleryProcess) -> None:
    item = begin(n8n, credentials={"webhook_secret": "another-secret"})
    run = run_of(n8n, IntegrationEvent.objects.get())
    assert run.status == "error" and run.error.startswith("401")
    item.refresh_from_db()
    assert item.status == "in_progress"
    assert not [text for text in notes(item) if text.startswith("n8n: ")]
    rows = set(WebhookEvent.objects.values_list("status", "signature_valid"))
    assert rows == {("failed", False)}, "kept for who looks for the cause"


def test_what_is_not_allowed_is_403(n8n: N8n, worker: CeleryProcess) -> None:
    item = begin(n8n, inbound_actions=["workitem-note"])
    run = run_of(n8n, IntegrationEvent.objects.get())
    assert run.status == "error" and run.error.startswith("403")
    wait_until(lambda: "n8n: Seen: New → In Progress" in notes(item), 30, "the note, which is allowed")
    item.refresh_from_db()
    assert item.status == "in_progress"
    assert list(WebhookEvent.objects.values_list("action", "status")) == [("workitem-note", "processed")]
