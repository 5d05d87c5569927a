"""Two tenants with everything that the admin shows, and values that it must never show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.db.models.signals import ModelSignal, pre_save
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations.connections.signing_keys import rotate_signing_secret
from integrations.models import ExecutionLog, IntegrationSync, TenantIntegration
from tasks.models import Customer, CustomerAsset, DropoffPoint, WorkItem
from tenants.models import Membership, Tenant

CANARIES = ("canary-path", "canary-header", "canary-password", "canary-apikey", "canary-query")


@dataclass
class Side:
    """One tenant, its staff member and what is theirs."""

    tenant: Tenant
    user: User
    client: Client
    integration: TenantIntegration
    customer: Customer
    asset: CustomerAsset
    point: DropoffPoint
    item: WorkItem
    sync: IntegrationSync
    log: ExecutionLog


def make_side(name: str, *, permissions: tuple[str, ...] = ("tasks", "integrations", "tenants")) -> Side:
    """Make a tenant called `name`; whatever belongs to it carries its name."""
    tenant = Tenant.objects.create(name=f"{name} Corp")
    user = User.objects.create_user(f"{name}-staff", is_staff=True)
    allowed = Permission.objects.filter(content_type__app_label__in=permissions)
    user.user_permissions.add(*allowed.values_list("pk", flat=True))
    Membership.objects.create(tenant=tenant, user=user)
    integration = make_integration(tenant, f"{name} hook")
    customer = Customer.objects.create(tenant=tenant, name=f"{name} customer")
    asset = CustomerAsset.objects.create(tenant=tenant, customer=customer, name=f"{name} asset")
    point = DropoffPoint.objects.create(tenant=tenant, name=f"{name} store")
    item = WorkItem.objects.create(
        tenant=tenant, reference_id=f"{name}-1", customer=customer, customer_asset=asset, dropoff_point=point
    )
    sync = IntegrationSync.objects.get(integration=integration)
    log = ExecutionLog.objects.create(
        integration=integration, sync=sync, action="deliver", attempt=1, response_status=503, error=f"{name} error"
    )
    return Side(tenant, user, client_of(user), integration, customer, asset, point, item, sync, log)


def make_integration(tenant: Tenant, name: str, *types: str, **values: Any) -> TenantIntegration:
    """Make an integration full of canaries, subscribed to `types` (workitem_created)."""
    integration = TenantIntegration(tenant=tenant, name=name, integration_type="webhook", **values)
    integration.webhook_url = "https://hooks.example.com/canary-path?api_key=canary-query"
    integration.headers = {"X-Token": "canary-header"}
    integration.credentials = {"username": "visible-name", "password": "canary-password", "api_key": "canary-apikey"}
    integration.save()
    integration.subscribe(*(types or ("workitem_created",)))
    rotate_signing_secret(integration)
    integration.refresh_from_db()
    return integration


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def superuser() -> Client:
    return client_of(User.objects.create_superuser("root", "root@example.com", "root"))


def url(model: str, view: str = "changelist", *args: Any) -> str:
    """Return an admin URL of our models, e.g. ``url("integrationsync", "change", 7)``."""
    app = {"workitem": "tasks", "customer": "tasks", "customerasset": "tasks", "dropoffpoint": "tasks"}.get(model)
    app = app or ("tenants" if model in ("tenant", "membership") else "integrations")
    return reverse(f"admin:{app}_{model}_{view}", args=args)


def page(client: Client, address: str) -> str:
    """Return the page at `address`, which must be there."""
    response = client.get(address)
    assert response.status_code == 200, (address, response.status_code)
    return response.content.decode()


def form_values(tenant: Tenant | None = None, /, **changes: Any) -> dict[str, Any]:
    """Return what a browser posts for a new integration, with `changes`."""
    return {
        "tenant": tenant.pk if tenant else "",
        "name": "New hook",
        "integration_type": "webhook",
        "is_active": "on",
        "is_signed": "on",
        "event_types": ["workitem_created"],
        "webhook_url": "https://hooks.example.com/in",
        "headers": "",
        "ordering": "object",
        **changes,
    }


def shown_values(client: Client, integration: TenantIntegration, **changes: Any) -> dict[str, Any]:
    """Return what a browser posts when the change page is saved as it was shown, with `changes`."""
    response = client.get(url("tenantintegration", "change", integration.pk))
    form = response.context["adminform"].form
    values: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        if bound.name == "event_types":
            values[bound.name] = list(value)
            values |= {f"event_types-condition-{key}": condition for key, condition in value.items()}
        elif value is True:
            values[bound.name] = "on"
        elif value not in (None, False):
            values[bound.name] = value
    values |= changes
    return {key: value for key, value in values.items() if value is not None}


def pending(sync: IntegrationSync, **values: Any) -> None:
    IntegrationSync.objects.filter(pk=sync.pk).update(status="pending", settled_at=None, **values)


def settled(sync: IntegrationSync, status: str, **values: Any) -> None:
    IntegrationSync.objects.filter(pk=sync.pk).update(status=status, settled_at=timezone.now(), **values)


def messages_of(html: str) -> str:
    """Return the text of the message list of a page of the admin or the console."""
    found = re.search(r'<ul class="messages?(?:list)?"[^>]*>(.*?)</ul>', html, re.DOTALL)
    return re.sub(r"<[^>]+>", " ", found[1]) if found else ""


@contextmanager
def failing(model: type[Model], signal: ModelSignal = pre_save) -> Iterator[None]:
    """Whatever saves (deletes) a row of `model` fails, deep inside of Django."""

    def fail(**_: Any) -> None:
        raise RuntimeError("the disk is full")

    signal.connect(fail, sender=model, weak=False)
    try:
        yield
    finally:
        signal.disconnect(fail, sender=model)
