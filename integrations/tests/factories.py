"""The domain of the source document: Acme Corp and the work item of its printed payload."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration
from tasks.models import Customer, CustomerAsset, DropoffPoint, WorkItem
from tenants.models import Tenant

ALL_EVENTS = ("workitem_created", "workitem_status_changed", "workitem_updated", "workitem_deleted")
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def make_tenant(name: str = "Acme Corp") -> Tenant:
    return Tenant.objects.create(name=name)


def make_integration(
    tenant: Tenant,
    url: str = "https://hooks.example.com/x",
    *,
    events: tuple[str, ...] = ALL_EVENTS,
    signed: bool = True,
    **fields: Any,
) -> TenantIntegration:
    """A webhook integration of `tenant`, subscribed to `events`, signing with SECRET."""
    values: dict[str, Any] = {"name": "Production n8n Workflow", "integration_type": "webhook", **fields}
    if signed:
        keys = [{"secret": SECRET, "until": None}]
        values["credentials"] = {"signing_keys": keys, **values.get("credentials", {})}
    integration = TenantIntegration.objects.create(tenant=tenant, webhook_url=url, **values)
    integration.subscribe(*events)
    return integration


def make_item(tenant: Tenant, **fields: Any) -> WorkItem:
    return WorkItem.objects.create(tenant=tenant, **{"reference_id": "RMA-1", **fields})


def the_printed_item(tenant: Tenant) -> WorkItem:
    """The work item whose payload tests print, with its ids (not saved)."""
    customer = Customer.objects.create(id=45, tenant=tenant, name="John Doe", email="john@example.com")
    return WorkItem(
        id=123,
        tenant=tenant,
        reference_id="RMA-123",
        description="iPhone screen repair",
        created_date=datetime(2025, 11, 5, 20, 30, tzinfo=UTC),
        due_date=datetime(2025, 11, 8, 20, 30, tzinfo=UTC),
        customer=customer,
        owner=User.objects.create(id=10, username="jane", first_name="Jane", last_name="Smith"),
        technician=User.objects.create(id=12, username="bob", first_name="Bob", last_name="Tech"),
        customer_asset=CustomerAsset.objects.create(id=67, tenant=tenant, customer=customer, name="iPhone 13 Pro"),
        estimated_price=Decimal("150"),
        dropoff_point=DropoffPoint.objects.create(id=5, tenant=tenant, name="Main Store"),
        comments="Customer reported cracked screen",
    )


def events() -> list[tuple[str, str]]:
    """Every recorded event as (type, object id), oldest first."""
    return list(IntegrationEvent.objects.order_by("id").values_list("event_type", "object_id"))


def statuses() -> list[str]:
    """The status of every sync, oldest first."""
    return list(IntegrationSync.objects.order_by("id").values_list("status", flat=True))
