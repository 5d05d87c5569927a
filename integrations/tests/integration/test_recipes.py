"""Another model is one file, also in signals/; the names of the first guides. The page itself: capture/test_page.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver as on_signal

from integrations import capture, signals
from integrations.capture import trigger_handler
from integrations.capture.trigger_handler import trigger_integrations
from integrations.models import IntegrationEvent, TenantIntegration
from integrations.publish import publish
from integrations.tests.factories import events, make_integration, make_item, make_tenant
from integrations.tests.registered_types import forgotten_afterwards
from tasks.models import Customer, DropoffPoint

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

ONE_FILE = """
from integrations.capture.trigger_handler import TriggerHandler
from integrations.connectors.summary import SummaryFormat
from tasks.models import Customer


class CustomerTrigger(TriggerHandler):
    model = Customer
    name = "customer"
    tracked = ("name", "email")
    status_field = None
    summary = SummaryFormat(lines=("E-mail: customer.email",), link="https://crm.example.com/customers/{customer.id}")

    def payload(self, obj):
        return {"id": obj.pk, "name": obj.name, "email": obj.email}


CustomerTrigger.connect()
"""


@pytest.fixture
def customer_file(tmp_path: Path, monkeypatch: Any) -> Iterator[None]:
    (tmp_path / "customer_of_this_test.py").write_text(ONE_FILE)
    monkeypatch.setattr(signals, "__path__", [*signals.__path__, str(tmp_path)])
    with forgotten_afterwards():
        signals.connect_all()
        yield
        trigger_handler._handlers[Customer].disconnect()
    sys.modules.pop("integrations.signals.customer_of_this_test")


@pytest.mark.usefixtures("customer_file")
def test_another_model_is_one_file() -> None:
    assert ("customer_created", "Customer created") in TenantIntegration.EVENT_TYPES
    assert "customer_status_changed" not in dict(TenantIntegration.EVENT_TYPES)
    tenant = make_tenant()
    make_integration(tenant, events=("customer_created", "customer_updated", "customer_deleted"))
    customer = Customer.objects.create(tenant=tenant, name="Ann")
    customer.name = "Anne"
    customer.save()
    Customer.objects.update(email="anne@example.com")
    customer.delete()
    assert [kind for kind, _ in events()] == [
        "customer_created", "customer_updated", "customer_updated", "customer_deleted",
    ]  # fmt: skip
    body = json.loads(IntegrationEvent.objects.order_by("id")[1].body)
    assert body["changes"] == {"name": {"old": "Ann", "new": "Anne"}}
    assert "summary" not in body  # it is made of the body when somebody is to read it


def test_a_handler_written_with_plain_signals_works_as_the_guide_prints_it(
    django_capture_on_commit_callbacks: Any,
) -> None:
    @on_signal(post_save, sender=DropoffPoint)
    def dropoffpoint_post_save(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
        if created:
            event_type = "dropoffpoint_created"
            transaction.on_commit(lambda: trigger_integrations(instance, event_type))

    tenant = make_tenant()
    make_integration(tenant, events=("dropoffpoint_created",))
    with django_capture_on_commit_callbacks(execute=True):
        point = DropoffPoint.objects.create(tenant=tenant, name="Main Store")
    post_save.disconnect(dropoffpoint_post_save, sender=DropoffPoint)
    assert events() == [("dropoffpoint_created", str(point.pk))]


def test_an_event_type_of_ones_own() -> None:
    tenant = make_tenant()
    make_integration(tenant, events=("workitem_quoted",))
    item = make_item(tenant)
    publish(event_type="workitem_quoted", tenant=tenant, obj=item, payload={"workitem": {"id": item.pk}, "by": "Jane"})
    assert json.loads(IntegrationEvent.objects.get().body)["by"] == "Jane"
    assert publish(event_type="nobody_wants_this", tenant=tenant, obj=item, payload={}) == []


def test_integrations_are_found_by_event_type_as_the_guide_prints_it() -> None:
    tenant = make_tenant("MyTenant")
    integration = make_integration(tenant, events=("workitem_created",))
    make_integration(tenant, name="other", events=("workitem_updated",))
    assert TenantIntegration.objects.filter(event_type="workitem_created").first() == integration
    assert list(TenantIntegration.objects.filter(tenant=tenant, is_active=True, event_type="workitem_created")) == [
        integration
    ]


def test_an_integration_is_made_with_one_event_type_as_the_guide_has_it() -> None:
    tenant = make_tenant()
    integration = TenantIntegration.objects.create(
        tenant=tenant,
        name="Production n8n Workflow",
        integration_type="n8n",
        event_type="workitem_created",
        webhook_url="https://your-n8n.com/webhook/xyz",
        headers={"X-API-Key": "your-generated-token"},
        is_active=True,
    )
    assert integration.event_type == "workitem_created"
    assert TenantIntegration.objects.get(event_type="workitem_created") == integration
    make_item(tenant)
    assert len(events()) == 1


def test_a_model_without_a_tenant_is_refused() -> None:
    class Wrong(trigger_handler.TriggerHandler):
        model = User
        name = "wrong"
        tracked = ()

    with pytest.raises(TypeError, match=r"auth\.User has no foreign key to tenants\.Tenant"):
        Wrong.connect()


def test_what_the_guides_import_is_still_there() -> None:
    from integrations.signals import trigger_handler as former

    assert former.TriggerHandler is trigger_handler.TriggerHandler
    assert former.trigger_integrations is trigger_integrations
    assert publish is capture.publish
