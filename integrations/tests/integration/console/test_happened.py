"""Events, inbound, pulls and pushes: whose rows a person reads, what the pages say, and who may do something there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from app.demo.data.fill import fill
from integrations.console import keyset
from integrations.database import stretches
from integrations.erp.push_log import ERPPushLog
from integrations.models import IntegrationEvent, IntegrationSync, SyncState, TenantIntegration, WebhookEvent
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def signed_in(username: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=username))
    return client


def read(client: Client, name: str, *args: Any, status: int = 200, **query: Any) -> str:
    answer = client.get(reverse(f"console:{name}", args=args), query)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


def test_a_tenants_person_reads_their_own_and_nothing_else(django_assert_max_num_queries: Any) -> None:
    now = timezone.now()
    fill("http://127.0.0.1:8180", now=now, since=now - timedelta(days=5), pace=0.15)
    acme, other = Tenant.objects.get(name="Acme Corp"), Tenant.objects.get(name="Northwind Repairs")
    client = signed_in("acme-viewer")

    def rows(model: Any, path: str, tenant: Tenant) -> Any:
        return model.objects.filter(**{path: tenant}).order_by("-pk")

    everything = {
        "event": (IntegrationEvent, "tenant"),
        "inbound-event": (WebhookEvent, "connection__tenant"),
        "pull": (SyncState, "connection__tenant"),
        "push": (ERPPushLog, "integration__tenant"),
    }
    lists = {"event": "events", "inbound-event": "inbound", "pull": "pulls", "push": "pushes"}
    for name, (model, path) in everything.items():
        mine, theirs = rows(model, path, acme).first(), rows(model, path, other).first()
        with django_assert_max_num_queries(15):
            listed = read(client, lists[name])
        if mine is not None:
            assert reverse(f"console:{name}", args=[mine.pk]) in listed
            read(client, name, mine.pk)  # content types are asked for once in a process
            with django_assert_max_num_queries(15):
                read(client, name, mine.pk)
        if theirs is not None:
            assert reverse(f"console:{name}", args=[theirs.pk]) not in listed
            assert "There is nothing here" in read(client, name, theirs.pk, status=404)
        read(client, name, 10**12, status=404)

    # An event says who was to hear of it, and what became of that.
    failed = IntegrationSync.objects.filter(integration__name="Warehouse data lake", status="pending").latest("pk")
    text = read(client, "event", failed.event_id)
    assert "Warehouse data lake" in text and "Production n8n workflow" in text and "⚠ Pending" in text
    assert failed.event.idempotency_key in text
    assert f'"id": {failed.event.object_id}' in text.replace("&quot;", '"')

    # What was rejected says why, and nobody is offered to process it.
    rejected = rows(WebhookEvent, "connection__tenant", acme).filter(signature_valid=False).first()
    text = read(signed_in("acme-manager"), "inbound-event", rejected.pk)
    assert "proves nothing" in text and "Process again" not in text

    # Pages go back and forth by key, and every event is on one of them.
    seen, url, turns = [], reverse("console:events"), 0
    while url and turns < 60:
        page = client.get(url).context["page"]
        seen += [event.pk for event in page.rows]
        url, turns = page.older, turns + 1
    expected = list(rows(IntegrationEvent, "tenant", acme).values_list("pk", flat=True))
    assert seen == expected
    last = client.get(reverse("console:events"), {"before": expected[60]}).context["page"]
    assert [event.pk for event in client.get(last.newer).context["page"].rows] == expected[11:61]

    # Filters.
    text = read(client, "events", type="workitem_created")
    assert "workitem_status_changed</a>" not in text
    assert "matches these filters" in read(client, "events", key="evt_nothing")
    assert failed.event.idempotency_key not in read(client, "events", key="evt_nothing")
    assert read(client, "events", key=failed.event.idempotency_key).count('class="title"') == 1
    push = rows(ERPPushLog, "integration__tenant", acme).first()
    assert read(client, "pushes", order=push.draft_order_id).count('class="title"') == 1
    assert "matches these filters" in read(client, "pushes", order="no such order")
    state = rows(SyncState, "connection__tenant", other).get(resource_type="products")
    text = read(signed_in("northwind-operator"), "pull", state.pk)
    assert "Nothing in this product takes the products of Spare parts shop yet" in text
    assert "Pull now" not in text
    assert 'data-label="Tenant"' not in read(client, "events"), "one tenant only: not named in each row"


def test_only_who_may_operate_has_something_processed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    fill("http://127.0.0.1:8180", now=now, since=now - timedelta(hours=30), pace=0.1)
    workflow = TenantIntegration.objects.get(name="Production n8n workflow")
    values = {"connection": workflow, "provider": "n8n", "signature_valid": True, "action": "workitem-note"}
    failed = WebhookEvent.objects.create(
        **values, idempotency_key="1:a", status="failed", error="workitem.id: there is no such work item", attempts=3
    )
    url = reverse("console:inbound-again", args=[failed.pk])
    answer = signed_in("acme-viewer").post(url)
    assert answer.status_code == 403 and "operator" in answer.content.decode()
    assert signed_in("northwind-manager").post(url).status_code == 404
    operator = signed_in("acme-operator")
    assert "Process again" in read(operator, "inbound-event", failed.pk)
    assert "there is no such work item" in read(operator, "inbound-event", failed.pk)
    answer = operator.post(url, follow=True)
    assert "1 inbound webhook will be processed now." in answer.content.decode()
    failed.refresh_from_db()
    assert failed.status == "received" and failed.next_attempt_at is not None and failed.attempts == 4

    # What was processed is done once more only if that was said.
    processed = WebhookEvent.objects.create(**values, idempotency_key="1:b", status="processed", processed_at=now)
    again = reverse("console:inbound-again", args=[processed.pk])
    assert "processed already" in operator.post(again, follow=True).content.decode()
    answer = operator.post(again, {"replay": "yes"}, follow=True)
    assert "1 inbound webhook will be processed once more." in answer.content.decode()

    shop = TenantIntegration.objects.get(name="Spare parts shop")
    state = SyncState.objects.get(connection=shop, resource_type="orders")
    SyncState.objects.filter(pk=state.pk).update(cursor="here")
    for name, who, status in (
        ("pull-now", "northwind-viewer", 403),
        ("pull-again", "northwind-operator", 403),
        ("pull-now", "acme-manager", 404),
        ("pull-again", "acme-manager", 404),
    ):
        assert signed_in(who).post(reverse(f"console:{name}", args=[state.pk])).status_code == status
    state.refresh_from_db()
    assert state.cursor == "here"
    signed_in("northwind-manager").post(reverse("console:pull-again", args=[state.pk]))


def test_a_rare_row_is_looked_for_in_a_bounded_stretch(monkeypatch: pytest.MonkeyPatch, rf: Any) -> None:
    monkeypatch.setattr(stretches, "STRETCHES", (4, 10))
    tenants = Tenant.objects.bulk_create(Tenant(name=f"T{number:02}", slug=f"t{number}") for number in range(40))
    rare = Tenant.objects.filter(pk__in=[tenants[3].pk, tenants[5].pk])
    found = keyset.listing(rf.get("/x/"), rare)
    assert (found.rows, found.looked_at) == ([], 14)
    turns = 0
    while found.older:
        found, turns = keyset.listing(rf.get(found.older), rare), turns + 1
        if found.rows:
            break
    assert [row.name for row in found.rows] == ["T05", "T03"] and turns == 2
    way_up = []
    while found.newer:
        found = keyset.listing(rf.get(found.newer), rare)
        way_up.append(found.rows)
    assert way_up == [[], [], []], "it is bounded, too"
    assert keyset.listing(rf.get("/x/?before=abc&after=9999999999999999999999"), rare).looked_at == 14
