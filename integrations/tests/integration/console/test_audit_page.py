"""The page Audit: who may read what, what it says, what it finds, and what a file of it holds."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations.acting import acting_as
from integrations.audit.trail import record
from integrations.console.audit import views as audit_views
from integrations.console.audit.views import harmless_cell
from integrations.database import stretches
from integrations.delivery import operator_actions
from integrations.inbound import by_hand
from integrations.models import (
    AuditEntry,
    IntegrationEvent,
    IntegrationSync,
    OpenAIConfiguration,
    TenantIntegration,
    WebhookEvent,
)
from integrations.tests.factories import make_integration, make_item, make_tenant
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def person(role: str, *tenants: Tenant) -> Client:
    user = User.objects.create_user(f"{role}-{User.objects.count()}")
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user, role=role)
    AuditEntry.objects.filter(action="added").delete()  # that is told, too
    return signed_in(user)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def superuser() -> Client:
    return signed_in(User.objects.create_superuser("root", "root@example.com", "root"))


def read(client: Client, name: str = "audit", *args: Any, status: int = 200, **query: Any) -> str:
    answer = client.get(reverse(f"console:{name}", args=args), query)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


@pytest.fixture
def acme() -> TenantIntegration:
    """An integration that alice has changed."""
    integration = make_integration(make_tenant(), name="Production n8n")
    AuditEntry.objects.all().delete()
    integration.max_attempts = 5
    integration.headers = {"X-Key": "canary"}
    with acting_as("alice", source="console", path="/console/integrations/"):
        integration.save()
    return integration


def test_a_manager_reads_their_tenant_and_no_other(acme: TenantIntegration, django_assert_max_num_queries: Any) -> None:
    other = make_integration(make_tenant("Northwind"), name="Theirs")
    mine, theirs = AuditEntry.objects.get(actor="alice"), AuditEntry.objects.get(object_name="Theirs")
    manager = person("manager", acme.tenant)
    with django_assert_max_num_queries(15):
        text = read(manager)
    assert "Production n8n" in text and "alice" in text and "in the console" in text
    assert "Theirs" not in text and other.tenant.name not in text
    with django_assert_max_num_queries(15):
        text = read(manager, "audit-entry", mine.pk)
    assert "header X-Key" in text and "its value is never kept here" in text and "canary" not in text
    assert "attempts at most" in text and "<ins>5</ins>" in text
    assert "There is nothing here" in read(manager, "audit-entry", theirs.pk, status=404)
    assert "Theirs" not in read(manager, integration=other.public_id)
    assert "Theirs" not in export(manager) and "Production n8n" in export(manager)
    both = read(person("manager", acme.tenant, other.tenant))
    assert "Production n8n" in both and "Theirs" in both and "Northwind" in both


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_smaller_role_is_told_which_one_it_takes(role: str, acme: TenantIntegration) -> None:
    client = person(role, acme.tenant)
    for name in ("audit", "audit-export"):
        text = read(client, name, status=403)
        assert "read the audit trail" in text and "manager" in text and "alice" not in text
    assert 'href="/console/audit/"' not in read(client, "events"), "not offered either"
    entry = AuditEntry.objects.get(actor="alice")
    assert "alice" not in read(client, "audit-entry", entry.pk, status=403)


def test_a_manager_here_and_viewer_there_reads_only_here(acme: TenantIntegration) -> None:
    other = make_integration(make_tenant("Northwind"), name="Theirs")
    user = User.objects.create_user("both")
    Membership.objects.create(tenant=acme.tenant, user=user, role="manager")
    Membership.objects.create(tenant=other.tenant, user=user, role="viewer")
    client = signed_in(user)
    text = read(client)
    assert "Production n8n" in text and ">Theirs</" not in text
    theirs = AuditEntry.objects.get(object_name="Theirs")
    read(client, "audit-entry", theirs.pk, status=404)


def test_an_operator_of_all_reads_the_installation_too(acme: TenantIntegration) -> None:
    with acting_as("carol"):
        OpenAIConfiguration(enabled=True).save()
    acme.delete()
    text = read(superuser())
    assert "openai" in text and "carol" in text and "deleted" in text
    assert text.count("Production n8n") >= 2, "it outlives its object"
    assert "openai" not in read(person("manager", acme.tenant))


def test_the_history_of_an_integration(acme: TenantIntegration, django_assert_max_num_queries: Any) -> None:
    other = make_integration(acme.tenant, name="Second")
    operator_actions.resume(acme, actor="bob")
    AuditEntry.objects.filter(actor="alice").update(address="198.51.100.7")
    viewer = person("viewer", acme.tenant)
    with django_assert_max_num_queries(15):
        text = read(viewer, "integration-history", acme.public_id)
    assert "alice" in text and "resumed" in text and "attempts at most" in text and "Second" not in text
    assert "198.51.100.7" not in text and "/console/audit/" not in text, "a viewer reads no addresses"
    text = read(person("manager", acme.tenant), "integration-history", acme.public_id)
    assert "198.51.100.7" in text and f"/console/audit/?integration={acme.public_id}" in text
    read(person("manager", make_tenant("Northwind")), "integration-history", acme.public_id, status=404)
    AuditEntry.objects.all().delete()
    assert "No entry yet" in read(person("viewer", acme.tenant), "integration-history", other.public_id)


def test_an_event_says_who_did_not_get_it(acme: TenantIntegration) -> None:
    make_integration(acme.tenant, name="Silent", events=())
    make_item(acme.tenant)
    event = IntegrationEvent.objects.get()
    text = read(person("viewer", acme.tenant), "event", event.pk)
    assert "Who did not get it, and why" in text and ">Silent</a>" in text and "not subscribed" in text


def test_what_is_done_to_webhooks_and_pulls_is_told(acme: TenantIntegration) -> None:
    values = {"connection": acme, "provider": "webhook", "signature_valid": True, "status": "failed"}
    for number in range(3):
        WebhookEvent.objects.create(**values, idempotency_key=f"1:{number}")
    operator = person("operator", acme.tenant)
    first = WebhookEvent.objects.earliest("pk")
    operator.post(reverse("console:inbound-again", args=[first.pk]))
    entry = AuditEntry.objects.get(action="processed again")
    assert (entry.object_key, entry.integration_key, entry.source) == (str(first.pk), acme.pk, "console")
    by_hand.process_again(WebhookEvent.objects.filter(status="failed"), lambda row: True)
    (listed, *_) = person("manager", acme.tenant).get(reverse("console:audit")).context["page"].rows
    assert listed.details["webhooks"] == 2 and listed.object_name == "Production n8n"


def test_filters(acme: TenantIntegration) -> None:
    with acting_as("bob"):
        second = make_integration(acme.tenant, name="Second")
        operator_actions.resume(second, actor="bob")
    client = person("manager", acme.tenant)

    def found(**query: Any) -> list[str]:
        rows = client.get(reverse("console:audit"), query).context["page"].rows
        return [f"{row.actor} {row.action} {row.object_name}" for row in rows]

    everything = ["bob resumed Second", "bob created Second", "alice changed Production n8n"]
    assert found() == everything
    assert found(who="BOB") == everything[:2] and found(action="resumed") == everything[:1]
    assert found(object="n8n") == everything[2:] and found(source="console") == everything[2:]
    assert found(object=f"integrations.tenantintegration:{second.pk}") == everything[:2]
    assert found(integration=second.public_id) == everything[:2]
    today = timezone.localdate()
    assert found(**{"from": f"{today}", "to": f"{today}"}) == everything
    assert found(**{"from": f"{today + timedelta(days=1)}"}) == []
    assert found(to=f"{today - timedelta(days=1)}") == []
    for nonsense in ({"from": "2026-99-99"}, {"source": "x"}, {"integration": "7"}, {"before": "x"}, {"who": ""}):
        assert found(**nonsense) == everything
    assert "matches these filters" in read(client, who="nobody")


def test_a_day_of_long_ago_is_found_without_looking_through_what_came_since(
    acme: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "STRETCHES", (2,))
    AuditEntry.objects.update(created_at=timezone.now() - timedelta(days=40))
    old, key = set(AuditEntry.objects.values_list("pk", flat=True)), str(acme.tenant_id)
    AuditEntry.objects.bulk_create(AuditEntry(action="tested", tenant_key=key) for _ in range(9))
    client, day = person("manager", acme.tenant), timezone.localdate() - timedelta(days=40)
    page = client.get(reverse("console:audit"), {"from": day, "to": day}).context["page"]
    assert page.rows and {row.pk for row in page.rows} <= old
    before = client.get(reverse("console:audit"), {"to": day - timedelta(days=1)}).context["page"]
    assert (before.rows, before.older) == ([], "")


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31", "2026-02-30", "\u0662"])
def test_days_that_no_calendar_ends_with_choose_nothing(acme: TenantIntegration, day: str) -> None:
    client = superuser()
    for name in ("audit", "audit-export"):
        assert client.get(reverse(f"console:{name}"), {"from": day, "to": day}).status_code == 200


def test_pages_go_back_and_forth(acme: TenantIntegration) -> None:
    AuditEntry.objects.bulk_create(
        AuditEntry(action="tested", actor="alice", object_name=f"n{n}", tenant_key=str(acme.tenant_id))
        for n in range(120)
    )
    client = person("manager", acme.tenant)
    seen, url = [], reverse("console:audit")
    while url:
        page = client.get(url).context["page"]
        seen += [entry.pk for entry in page.rows]
        url = page.older
    assert seen == list(AuditEntry.objects.order_by("-pk").values_list("pk", flat=True))


def test_links_lead_to_what_is_still_there(acme: TenantIntegration) -> None:
    make_item(acme.tenant)
    row = IntegrationSync.objects.get()
    operator_actions.cancel([row.pk], actor="alice")
    (listed, *_) = superuser().get(reverse("console:audit")).context["page"].rows
    assert listed.object_key == str(row.pk) and listed.url in ("", f"/console/deliveries/{row.pk}/")
    IntegrationSync.objects.all().delete()
    client = signed_in(User.objects.get(username="root"))
    assert client.get(reverse("console:audit")).context["page"].rows[0].url == ""


def test_nothing_yet(acme: TenantIntegration) -> None:
    AuditEntry.objects.all().delete()
    assert "No entry yet" in read(person("manager", acme.tenant))


# -- the file -------------------------------------------------------------------------------------------------------


def export(client: Client, **query: Any) -> str:
    answer: Any = client.get(reverse("console:audit-export"), query)
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()


def test_the_file_holds_what_the_filters_choose_and_is_noted(acme: TenantIntegration) -> None:
    record("tested", acme, actor="=cmd|'/C calc'!A0", name="@SUM(1)")
    client = person("manager", acme.tenant)
    lines = list(csv.DictReader(io.StringIO(export(client, action="tested").removeprefix("\ufeff"))))
    assert len(lines) == 1
    assert lines[0]["who"] == "'=cmd|'/C calc'!A0" and lines[0]["object"] == "'@SUM(1)"
    assert lines[0]["tenant"] == "Acme Corp" and lines[0]["when"].startswith("20")
    noted = AuditEntry.objects.get(action="exported")
    assert noted.details == {"action": "tested"} and noted.tenant_key == str(acme.tenant_id)


def test_the_file_is_bounded(acme: TenantIntegration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_views, "MOST", 3)
    monkeypatch.setattr(audit_views, "CHUNK", 2)
    for _ in range(5):
        record("tested", acme, actor="bob")
    text = export(person("manager", acme.tenant)).splitlines()
    assert len(text) == 1 + 3 + 1 and "only the newest 3 entries" in text[-1]


def test_the_file_has_every_column_and_few_queries(acme: TenantIntegration, django_assert_max_num_queries: Any) -> None:
    AuditEntry.objects.bulk_create(
        AuditEntry(
            action="tested",
            actor="ann",
            tenant_key=str(acme.tenant_id),
            address="192.0.2.1" if number % 2 else None,
            changes={"name": ["Zoë", number]},
        )
        for number in range(3500)
    )
    client = person("manager", acme.tenant)
    with django_assert_max_num_queries(6):
        text = export(client, action="tested")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert len(rows) == 3500
    assert rows[0]["changes"] == '{"name": ["Zoë", 3499]}' and rows[0]["details"] == ""
    assert [row["address"] for row in rows[:2]] == ["192.0.2.1", ""]


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1"])
def test_no_cell_is_a_formula(value: str) -> None:
    assert harmless_cell(value) == f"'{value}"
    assert harmless_cell("a=1") == "a=1"
