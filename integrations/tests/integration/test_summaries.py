"""A summary is made when an event is sent, of what was recorded and of what its trigger handler says by then."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connections import event_types
from integrations.connectors.summary import SummaryFormat
from integrations.delivery.drain import drain
from integrations.models import TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from tasks.models import Customer

from .test_recipes import customer_file  # noqa: F401 - a fixture

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def slack(receiver: Receiver, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "PUBLIC_URL": "https://app.example.com"}
    receiver.answer_with(default=Answer(200, b"ok"))
    url = f"http://{receiver.netloc}/services/T0/B0/X"
    events = ("workitem_created", "customer_created")
    return make_integration(make_tenant(), url, integration_type="slack", signed=False, events=events)


def test_an_event_from_before_a_deploy_reads_as_its_handler_says_since(
    slack: TenantIntegration, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_item(slack.tenant, description="Screen", priority="urgent")
    form = SummaryFormat(lines=("How soon: workitem.priority",), link="/items/{workitem.id}")
    monkeypatch.setattr(event_types._known["workitem_created"], "summary", form)
    assert drain(slack.pk).sent == 1
    (request,) = receiver.requests
    heading, fields = request.json["blocks"]
    link = f"https://app.example.com/items/{slack.syncs.get().event.object_id}"
    assert request.json["text"] == "Workitem created: RMA-1"
    assert heading["text"]["text"] == f"<{link}|*RMA-1*> - Screen"
    assert [field["text"] for field in fields["fields"]] == ["*How soon:*\nUrgent"]


@pytest.mark.usefixtures("customer_file")
def test_a_handler_gives_a_summary_and_without_it_the_payload_tells(
    slack: TenantIntegration, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    Customer.objects.create(tenant=slack.tenant, name="Ann", email="ann@example.com")
    drain(slack.pk)
    Customer.objects.create(tenant=slack.tenant, name="Bob", email="bob@example.com")
    monkeypatch.setattr(event_types._known["customer_created"], "summary", None)  # as after the handler was removed
    drain(slack.pk)
    ann, bob = (request.json for request in receiver.requests)
    assert (ann["text"], bob["text"]) == ("Customer created: Ann", "Customer created: Bob")
    assert "https://crm.example.com/customers/" in str(ann["blocks"][0])
    assert [field["text"] for field in ann["blocks"][1]["fields"]] == ["*E-mail:*\nann@example.com"]
    assert [field["text"] for field in bob["blocks"][1]["fields"]] == ["*Email:*\nbob@example.com"]
