"""Django → n8n → Django with a real n8n, a real worker and a real HTTP server: it works, and it ends.

Runs note-back.json and status-back.json of docs/n8n/ as people import them (workflows.filled_in).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from integrations.delivery import operator_actions
from integrations.delivery.trial import send_test_event
from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration, WebhookEvent
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.services import CeleryProcess, wait_until
from integrations.transport.http.guarded_client import client
from tasks.models import Note, WorkItem
from tenants.models import Tenant

from .server import Execution, N8n
from .workflows import BACK_SECRET, CALLERS, nodes_at_work, to_import

pytestmark = [pytest.mark.n8n, pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]

ACTIONS = {"note-back": "workitem-note", "status-back": "workitem-status"}


@pytest.fixture
def worker(n8n: N8n, celery_worker: Callable[..., CeleryProcess], settings: Any) -> CeleryProcess:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [n8n.netloc]}
    return celery_worker(pool="threads", env={"INTEGRATIONS_ALLOWED_HOSTS": n8n.netloc})


def connect(n8n: N8n, tenant: Tenant, name: str, **values: Any) -> TenantIntegration:
    """Make the integration whose events go to the workflow `name`, and which it calls back."""
    given: dict[str, Any] = {
        "credentials": {"webhook_secret": BACK_SECRET},
        "inbound_actions": [ACTIONS[name]],
        **values,
    }
    return make_integration(
        tenant,
        n8n.url(f"outbox-{name}"),
        name=name,
        integration_type="n8n",
        public_id=CALLERS[name],
        events=("workitem_status_changed",),
        **given,
    )


def go_to_work(tenant: Tenant) -> WorkItem:
    """Have a person put a work item to work."""
    item = make_item(tenant)
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()
    return item


def run_of(n8n: N8n, name: str, event: IntegrationEvent, count: int = 1) -> Execution:
    return n8n.wait_for_runs(to_import(name)["id"], event.idempotency_key, count)[-1]


def notes(item: WorkItem) -> list[str]:
    return sorted(Note.objects.filter(work_item=item).values_list("text", flat=True))


def test_the_loop_works_and_ends(n8n: N8n, worker: CeleryProcess) -> None:
    tenant = make_tenant()
    for name in ACTIONS:
        connect(n8n, tenant, name)
    item = go_to_work(tenant)
    expected = [
        "note-back: Seen: In Progress → Waiting",
        "note-back: Seen: New → In Progress",
        "status-back: status In Progress → Waiting. Waiting for the parts that were ordered.",
        "✓ note-back received workitem_status_changed (HTTP 200).",
        "✓ note-back received workitem_status_changed (HTTP 200).",
        "✓ status-back received workitem_status_changed (HTTP 200).",
    ]
    wait_until(lambda: len(notes(item)) == len(expected), 60, "the notes of both ways")
    assert notes(item) == expected
    item.refresh_from_db()
    assert item.status == "waiting", "what n8n asked for"
    first, second = IntegrationEvent.objects.order_by("pk")
    assert first.origin_id is None
    assert second.origin_id is not None and set(second.syncs.values_list("integration__name", flat=True)) == {
        "note-back"
    }, "of its own change an integration hears nothing"
    for name in ACTIONS:
        run = run_of(n8n, name, first)
        assert run.status == "success" and set(run.nodes) == nodes_at_work(name)
    rows = WebhookEvent.objects.order_by("action", "pk")
    assert [(row.action, row.status, row.signature_valid, row.error) for row in rows] == [
        ("workitem-note", "processed", True, ""),
        ("workitem-note", "processed", True, ""),
        ("workitem-status", "processed", True, ""),
    ]

    # The person's event goes out once more, as after a crash: n8n calls back again, and nothing happens again.
    operator_actions.replay(list(first.syncs.values_list("pk", flat=True)), actor="alice")
    for name in ACTIONS:
        assert run_of(n8n, name, first, 2).status == "success"
    assert sum(row.duplicates for row in rows.all()) == 2
    assert IntegrationEvent.objects.count() == 2 and WebhookEvent.objects.count() == 3
    assert [text for text in notes(item) if not text.startswith("✓")] == expected[:3]


def test_a_test_event_calls_nobody_back(n8n: N8n, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [n8n.netloc]}
    tenant = make_tenant()
    for name in ACTIONS:
        assert send_test_event(connect(n8n, tenant, name), client()).success

        def tried(pk: str = to_import(name)["id"]) -> list[Execution]:
            return [run for run in n8n.executions(pk) if run.nodes["Webhook"][0]["body"].get("test")]

        (run,) = wait_until(tried, 30, "the run of the test event")
        assert run.status == "success" and "Accept" in run.nodes and "Sign" not in run.nodes
    assert not WebhookEvent.objects.exists()


def test_a_wrong_secret_is_401_and_changes_nothing(n8n: N8n, worker: CeleryProcess) -> None:
    tenant = make_tenant()
    connect(n8n, tenant, "status-back", credentials={"webhook_secret": "another-secret"})
    item = go_to_work(tenant)
    run = run_of(n8n, "status-back", IntegrationEvent.objects.get())
    assert run.status == "error" and run.error.startswith("401")
    item.refresh_from_db()
    assert item.status == "in_progress"
    assert not [text for text in notes(item) if not text.startswith("✓")]
    rows = set(WebhookEvent.objects.values_list("status", "signature_valid"))
    assert rows == {("failed", False)}, "kept for who looks for the cause"


def test_what_is_not_allowed_is_403(n8n: N8n, worker: CeleryProcess) -> None:
    tenant = make_tenant()
    connect(n8n, tenant, "status-back", inbound_actions=["workitem-note"])
    item = go_to_work(tenant)
    run = run_of(n8n, "status-back", IntegrationEvent.objects.get())
    assert run.status == "error" and run.error.startswith("403")
    item.refresh_from_db()
    assert item.status == "in_progress"
    assert not WebhookEvent.objects.exists()
    assert IntegrationSync.objects.get().status == "synced", "n8n had accepted it"
