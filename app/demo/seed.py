"""A tenant with an integration that may call back, a work item of the source document, an admin; made once, kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from integrations.connections.signing_keys import rotate_signing_secret
from integrations.models import TenantIntegration
from tasks.models import Customer, CustomerAsset, DropoffPoint
from tenants.models import Membership, Tenant


@dataclass(frozen=True, slots=True)
class Demo:
    """What the story needs to know."""

    tenant: Tenant
    integration: TenantIntegration
    admin: User
    technician: User
    customer: Customer
    asset: CustomerAsset
    dropoff_point: DropoffPoint


def seed(receiver_url: str, secret: str) -> Demo:
    """Migrate the database and make what is missing; the integration points at `receiver_url`."""
    call_command("migrate", verbosity=0, interactive=False)
    tenant, _ = Tenant.objects.get_or_create(name="Acme Corp")
    admin, _ = User.objects.get_or_create(
        username="admin",
        defaults={"first_name": "Jane", "last_name": "Smith", "is_staff": True, "is_superuser": True},
    )
    technician, _ = User.objects.get_or_create(username="bob", defaults={"first_name": "Bob", "last_name": "Tech"})
    for user in (admin, technician):
        Membership.objects.get_or_create(tenant=tenant, user=user)
    customer, _ = Customer.objects.get_or_create(tenant=tenant, name="John Doe", defaults={"email": "john@example.com"})
    asset, _ = CustomerAsset.objects.get_or_create(tenant=tenant, customer=customer, name="iPhone 13 Pro")
    point, _ = DropoffPoint.objects.get_or_create(tenant=tenant, name="Main Store")
    integration = TenantIntegration.objects.filter(tenant=tenant, name="Demo receiver").first()
    if integration is None:
        integration = TenantIntegration(tenant=tenant, name="Demo receiver", integration_type="n8n")
    integration.webhook_url = receiver_url
    integration.credentials = {"webhook_secret": secrets.token_urlsafe(32), **integration.credentials}
    integration.inbound_actions = ["workitem-note"]
    integration.save()
    integration.subscribe(*(event_type for event_type, _ in TenantIntegration.EVENT_TYPES))
    rotate_signing_secret(integration, secret)
    return Demo(tenant, integration, admin, technician, customer, asset, point)


def new_item_values(demo: Demo, number: int) -> dict[str, object]:
    """Return the field values of a work item with everything set: a phone to repair."""
    return {
        "tenant": demo.tenant,
        "reference_id": f"RMA-{number}",
        "description": "iPhone screen repair",
        "due_date": timezone.now() + timedelta(days=3),
        "customer": demo.customer,
        "customer_asset": demo.asset,
        "owner": demo.admin,
        "technician": demo.technician,
        "estimated_price": Decimal("150.00"),
        "dropoff_point": demo.dropoff_point,
        "comments": "Customer reported cracked screen",
    }
