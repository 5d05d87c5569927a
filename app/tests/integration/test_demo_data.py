"""The demo's week is made without workers; it must look as if workers had made it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Count, F, Q
from django.utils import timezone

from app.demo.data.fill import fill
from app.demo.data.here import last_filled, others_here
from app.demo.data.places import COMPANIES
from integrations.audit.exchanges import exchanges_of
from integrations.health.reading import health_of
from integrations.models import (
    AuditEntry,
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
    WebhookEvent,
)
from integrations.statistics.reading import EVERYBODY, MONTH_LONG, Whose, totals
from tasks.models import Customer, CustomerAsset, Note, WorkItem
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
RECEIVER = "http://127.0.0.1:8180"


def test_a_filled_database_looks_like_one_that_workers_wrote() -> None:
    now = timezone.now()
    # What `make run` has made before for the story that it tells.
    acme = Tenant.objects.create(name="Acme Corp")
    storied = Customer.objects.create(tenant=acme, name="John Doe", email="john@example.com")
    CustomerAsset.objects.create(tenant=acme, customer=storied, name="iPhone 13 Pro")
    filled = fill(RECEIVER, now=now, pace=0.12)

    assert WorkItem.objects.filter(tenant=acme).values("customer").distinct().count() > 5
    syncs = IntegrationSync.objects.all()
    assert set(syncs.values_list("status", flat=True)) == {"pending", "synced", "failed", "cancelled", "skipped"}
    assert not syncs.filter(status="synced").filter(Q(synced_at=None) | Q(settled_at=None) | ~Q(last_error="")).exists()
    assert not syncs.filter(status="pending").filter(~Q(settled_at=None) | ~Q(reason="")).exists()
    assert not syncs.filter(status__in=["failed", "cancelled"], reason="").exists()
    assert (
        not syncs.filter(attempts__gt=0, status="pending").filter(Q(first_failed_at=None) | Q(last_error="")).exists()
    )
    assert not syncs.filter(next_attempt_at=None).exists()
    assert not IntegrationEvent.objects.filter(syncs=None).exists(), "an event that nobody wants is not recorded"
    assert not IntegrationEvent.objects.filter(occurred_at__gt=now).exists()
    times = list(IntegrationEvent.objects.order_by("id").values_list("occurred_at", flat=True))
    assert times == sorted(times)
    assert not ExecutionLog.objects.filter(created_at__gt=now + timedelta(minutes=1)).exists()

    # As many attempts in the log as on the row; a note for each end.
    wrong = syncs.annotate(tried=Count("logs", filter=Q(logs__action="deliver"))).exclude(tried=F("attempts"))
    assert not wrong.exists()
    ends = syncs.exclude(status__in=["pending", "skipped"]).exclude(event__event_type="order_push").count()
    assert Note.objects.filter(Q(text__startswith="✓") | Q(text__startswith="✗"), author=None).count() == ends

    # One object's rows went out in order: what was taken later was recorded later, unless an hour had passed.
    for integration in TenantIntegration.objects.filter(integration_type="n8n"):
        last: dict[str, IntegrationSync] = {}
        for sync in integration.syncs.filter(status="synced").order_by("id"):
            before = last.get(sync.object_key)
            if before is not None and before.settled_at and sync.settled_at and before.first_failed_at is None:
                assert before.settled_at <= sync.settled_at
            last[sync.object_key] = sync

    states = {lane.integration.name: lane for lane in Lane.objects.select_related("integration")}
    assert states["Warehouse data lake"].breaker == "open"
    assert "circuit breaker" in states["Warehouse data lake"].pause_reason
    advice = [health.what_to_do for health in health_of(TenantIntegration.objects.all()).values()]
    assert not any("settings were saved" in words for words in advice), "nobody saved any since the last failure"
    refused = states["Insurance claims"].integration
    assert not refused.is_enabled
    assert "refused our credentials 3 times" in refused.disabled_reason
    assert not states["Legacy CRM"].integration.is_active
    assert states["Archive"].integration.syncs.count() == 0
    assert not states["Teams: management"].integration.subscriptions.exists()
    assert states["Salesforce Service Cloud"].integration.syncs.filter(attempts__gt=0).count() == 0
    for lane in states.values():
        assert lane.delivered_count == lane.integration.syncs.filter(status="synced").count()
        figures = totals(Whose(integration=lane.pk), MONTH_LONG)
        assert (figures.delivered, figures.given_up, figures.cancelled) == tuple(
            lane.integration.syncs.filter(status=status).count() for status in ("synced", "failed", "cancelled")
        )
    assert totals(EVERYBODY, MONTH_LONG).delivered == syncs.filter(status="synced").count()

    # Of the last hours it is kept what went over the wire, as each connector made it.
    recent = ExecutionLog.objects.filter(integration__name="Slack #workshop", response_status=200).order_by("-id")
    (exchange,) = next(iter(exchanges_of(recent[:1], recent[0].sync).values()))
    assert exchange.status == 200 and '"blocks"' in (exchange.body or "")
    recent = ExecutionLog.objects.filter(integration__name="Production n8n workflow").order_by("-id")
    (exchange,) = next(iter(exchanges_of(recent[:1], recent[0].sync).values()))
    sent_at = int(dict(exchange.head)["webhook-timestamp"])
    assert abs(sent_at - recent[0].created_at.timestamp()) < 5

    paged = IntegrationSync.objects.filter(integration__name="On-call pager", status="skipped").first()
    assert paged is not None and paged.reason.startswith("`workitem.priority == 'Urgent'`: it was ")

    assert WebhookEvent.objects.filter(signature_valid=False).exists()
    assert {account.role for account in filled.accounts} == {"viewer", "operator", "manager"}
    assert not Tenant.objects.exclude(name__in=[company.name for company in COMPANIES]).exists()

    # A second time it goes on where it ended, and destinations are where they listen now.
    assert others_here() == ""
    assert (last_filled() or now) <= now
    before_count = syncs.count()
    fill("http://127.0.0.1:8181", since=now, now=now, pace=0.12)
    assert syncs.count() == before_count
    portal = TenantIntegration.objects.get(name="Customer portal")
    assert portal.webhook_url == "http://127.0.0.1:8181/acme/customer-portal"


def test_the_audit_trail_of_the_demo_goes_with_the_time() -> None:
    fill("http://127.0.0.1:8180", pace=0.05)
    for tenant in Tenant.objects.all():
        times = list(
            AuditEntry.objects.filter(tenant_key=str(tenant.pk)).order_by("pk").values_list("created_at", flat=True)
        )
        assert times == sorted(times) and times


def test_tenants_of_others_are_named(settings: object) -> None:
    Tenant.objects.create(name="A real customer")
    assert others_here() == "A real customer"
