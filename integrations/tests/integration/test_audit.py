"""What the execution log and the times of a row say, after a retry, a deletion, a year."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from integrations.audit.retention import purge_log
from integrations.delivery import operator_actions
from integrations.delivery.deletion import delete_marked
from integrations.delivery.drain import drain
from integrations.models import AuditEntry, ExecutionLog, IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.outbox.retention import purge
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.integration.admin_world import make_side, page, superuser, url
from integrations.tests.receiver import Receiver
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]
LONG_AGO = timedelta(days=14)


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


def old_row(receiver: Receiver, status: str) -> IntegrationSync:
    """A row of two weeks ago."""
    make_item(make_integration(make_tenant(), receiver.url).tenant)
    IntegrationSync.objects.update(
        status=status, created_at=timezone.now() - LONG_AGO, next_attempt_at=timezone.now() - LONG_AGO
    )
    return IntegrationSync.objects.get()


# -- a retry does not rewrite history --------------------------------------------------------------------------


@pytest.mark.parametrize(("act", "status"), [("retry", "failed"), ("retry", "pending"), ("replay", "synced")])
def test_created_stays_and_the_retry_has_its_own_time(receiver: Receiver, act: str, status: str) -> None:
    before = old_row(receiver, status)
    assert getattr(operator_actions, act)([before.pk], actor="alice") == 1
    row = IntegrationSync.objects.get()
    assert row.created_at == before.created_at and before.retried_at is None
    assert row.retried_at is not None and abs(row.retried_at - timezone.now()) < timedelta(minutes=1)
    client = superuser()
    text = page(client, url("integrationsync", "change", row.pk))
    for moment in (row.created_at, row.retried_at):
        assert f"{timezone.localtime(moment):%Y-%m-%d %H:%M}" in text
    day = f"{row.created_at:%Y-%m-%d}"
    found = f"?created_at__gte={day}+00%3A00%3A00%2B00%3A00&created_at__lt={day}+23%3A59%3A59%2B00%3A00"
    assert "RMA-1" in page(client, url("integrationsync") + found)


@pytest.mark.parametrize("is_retried", [False, True])
def test_a_retry_by_hand_begins_a_new_schedule(receiver: Receiver, is_retried: bool) -> None:
    """Two weeks are more than the three days of retries: without a retry by hand the next failure is the last."""
    receiver.answer_with(500)
    row = old_row(receiver, "pending")
    if is_retried:
        operator_actions.retry([row.pk], actor="alice")
    drain(row.integration_id)
    assert IntegrationSync.objects.get().status == ("pending" if is_retried else "failed")


# -- the log outlives what it tells about ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["integration", "queryset", "tenant", "background"])
def test_the_log_outlives_integration_and_tenant(receiver: Receiver, how: str) -> None:
    integration = make_integration(make_tenant(), receiver.url)
    tenant = integration.tenant
    make_item(tenant)
    drain(integration.pk)
    operator_actions.replay(IntegrationSync.objects.values_list("pk", flat=True), actor="alice")
    operator_actions.resume(integration, actor="bob")
    if how == "integration":
        TenantIntegration.objects.get().delete()
    elif how == "queryset":
        TenantIntegration.objects.all().delete()
    elif how == "tenant":
        tenant.delete()
    else:
        client = superuser()
        client.post(url("tenant", "delete", tenant.pk), {"post": "yes"})
        assert delete_marked()["left"] == 0
    assert not TenantIntegration.objects.exists() and not IntegrationSync.objects.exists()
    assert purge_log() == 0
    lines = ExecutionLog.objects.exclude(integration_id=None).order_by("id")
    assert {(line.tenant_name, line.integration_name) for line in lines} == {("Acme Corp", "Production n8n Workflow")}
    assert {line.integration_id for line in lines} == {integration.pk} and len({line.tenant_id for line in lines}) == 1
    assert [(line.action, line.actor) for line in lines] == [("deliver", "system"), ("replayed", "alice")]
    assert all(line.sync_id for line in lines)
    entries = AuditEntry.objects.exclude(integration_key=None).order_by("id")
    assert {(each.tenant_name, each.integration_name) for each in entries} == {("Acme Corp", integration.name)}
    deleter = "root" if how == "background" else "system"
    told = [(each.action, each.actor) for each in entries]
    assert told == [("created", "system"), ("replayed", "alice"), ("resumed", "bob"), ("deleted", deleter)]
    if how in ("tenant", "background"):
        last = AuditEntry.objects.get(integration_key=None)
        assert (last.action, last.actor, last.tenant_name) == ("deleted", deleter, "Acme Corp")
        assert (last.object_type, last.object_name) == ("tenants.tenant", "Acme Corp")
    assert not Tenant.objects.exists() or how in ("integration", "queryset")


def test_only_age_ends_the_log(receiver: Receiver) -> None:
    """Events and rows are purged by theirs; a line is as old as itself."""
    integration = make_integration(make_tenant(), receiver.url)
    make_item(integration.tenant)
    drain(integration.pk)
    old = timezone.now() - timedelta(days=31)
    IntegrationEvent.objects.update(occurred_at=old)
    assert purge() == {"events": 1, "syncs": 1} and purge_log() == 0
    assert ExecutionLog.objects.get().integration_name == integration.name
    ExecutionLog.objects.update(created_at=old)
    assert purge_log() == 1


def test_every_way_to_write_a_line_keeps_the_names(receiver: Receiver) -> None:
    integration = make_integration(make_tenant(), receiver.url)
    ExecutionLog.objects.create(integration=TenantIntegration.objects.get(), action="check", actor="carol")
    ExecutionLog.objects.bulk_create([ExecutionLog(integration_id=integration.pk, action="x", actor="y" * 200)])
    make_item(integration.tenant)
    drain(integration.pk)
    lines = list(ExecutionLog.objects.all())
    assert len(lines) == 3
    assert {(line.tenant_id, line.tenant_name) for line in lines} == {(integration.tenant_id, "Acme Corp")}
    assert {line.integration_name for line in lines} == {integration.name}


def test_the_names_are_those_of_the_time(receiver: Receiver) -> None:
    integration = make_integration(make_tenant(), receiver.url)
    operator_actions.resume(integration, actor="bob")
    TenantIntegration.objects.update(name="Another name")
    assert {each.integration_name for each in AuditEntry.objects.all()} == {"Production n8n Workflow"}


def test_a_tenant_sees_what_its_deleted_integrations_did() -> None:
    acme, globex = make_side("Acme"), make_side("Globex")
    acme.integration.delete()
    text = page(acme.client, url("executionlog"))
    assert "Acme error" in text and "Acme hook" in text and "deleted" in text and "Globex" not in text
    assert "Acme error" in page(acme.client, url("executionlog", "change", acme.log.pk))
    assert "Acme" not in page(globex.client, url("executionlog"))
    assert globex.client.get(url("executionlog", "change", acme.log.pk)).status_code in (302, 404)
    client = superuser()
    assert "Acme error" in page(client, url("executionlog"))
    acme.tenant.delete()
    assert "Acme error" in page(client, url("executionlog"))


def test_sync_times_are_ordered(receiver: Receiver) -> None:
    """`created_at` is what it says for a push that waits for its day, too: see test_push."""
    row = old_row(receiver, "pending")
    IntegrationSync.objects.update(not_before=timezone.now(), next_attempt_at=F("created_at"))
    receiver.answer_with(500)
    drain(row.integration_id)
    assert IntegrationSync.objects.get().status == "pending"  # counted since not_before
