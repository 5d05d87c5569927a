"""A test event is the catalogue's example of the event type that somebody chooses, as its subscription sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from integrations.catalogue.entries import entry
from integrations.connections import event_types
from integrations.delivery.trial import log_trial, send_test_event, types_to_test
from integrations.models import AuditEntry, IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.versions import second_version
from integrations.transport.http.guarded_client import client

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
CREATED, UPDATED = "workitem_created", "workitem_updated"


@pytest.fixture
def target(receiver: Receiver, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    return make_integration(make_tenant(), receiver.url, events=(UPDATED, CREATED))


def test_without_a_choice_it_is_the_first_that_is_subscribed_to(target: TenantIntegration, receiver: Receiver) -> None:
    result = send_test_event(target, client())
    assert (result.success, result.event_type, result.remark) == (True, UPDATED, "")
    (request,) = receiver.requests
    example = entry(UPDATED)
    assert example is not None and example.example is not None
    sent = json.loads(request.body)
    tenant = {"id": target.tenant_id, "name": "Acme Corp"}
    assert sent == {**example.example, "timestamp": sent["timestamp"], "tenant": tenant, "test": True}
    Draft202012Validator(example.schema).validate(sent)
    assert request.headers["webhook-event"] == UPDATED and request.headers["webhook-test"] == "true"
    assert request.headers["webhook-sequence"] == "0"
    Webhook(SECRET).verify(request.body, dict(request.headers))
    assert not IntegrationEvent.objects.exists() and not IntegrationSync.objects.exists()


def test_what_may_be_chosen_begins_with_what_is_sent_by_itself(target: TenantIntegration, receiver: Receiver) -> None:
    names = [name for name, _ in types_to_test(target)]
    assert names[:2] == [UPDATED, CREATED] and names[-1] == "test" and "workitem_deleted" in names
    target.subscribe()
    assert types_to_test(target)[0] == ("test", "Plain test event")
    assert send_test_event(target, client()).event_type == "test"
    plain = json.loads(receiver.requests[-1].body)
    assert plain["test"] is True and "workitem" not in plain
    assert "webhook-payload-version" not in receiver.requests[-1].headers


def test_the_subscriptions_condition_payload_and_version_are_those_of_the_test(
    target: TenantIntegration, receiver: Receiver
) -> None:
    condition = "workitem.priority == 'Urgent'"
    target.subscribe(CREATED, conditions={CREATED: condition}, payloads={CREATED: "{price: workitem.estimated_price}"})
    with second_version():
        result = send_test_event(target, client(), CREATED)
        target.subscribe(
            CREATED, conditions={}, payloads={CREATED: "{price: workitem.prices.estimated}"}, versions={CREATED: 2}
        )
        newest = send_test_event(target, client(), CREATED)
    assert result.success
    assert result.remark.startswith(f"Its condition would skip this event: `{condition}`: it was ")
    assert newest.remark == ""
    assert [json.loads(each.body) for each in receiver.requests] == [{"price": "12.50"}] * 2
    assert [each.headers["webhook-payload-version"] for each in receiver.requests] == ["1", "2"]


def test_what_cannot_be_made_is_said_and_nothing_is_sent_or_changed(
    target: TenantIntegration, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.subscribe(CREATED, payloads={CREATED: "workitem.customer.email"})
    made = send_test_event(target, client(), CREATED)
    monkeypatch.setattr(event_types._known[UPDATED], "samples", None)
    without = send_test_event(target, client(), UPDATED)
    assert not made.success and "it makes text of this event, not an object" in made.message
    assert without.message == f"There is no example of {UPDATED} that could be sent; choose another event type."
    assert not receiver.requests
    target.refresh_from_db()
    assert not target.is_connected and target.last_test_at is None
    target.subscribe(UPDATED, CREATED, payloads={})
    assert send_test_event(target, client()).event_type == CREATED  # the first of which there is one


def test_a_message_to_people_says_that_it_is_a_test(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "PUBLIC_URL": "https://app.example.com"}
    receiver.answer_with(default=Answer(200, b"ok"))
    url = f"{receiver.url}/services/T0/B0/x"
    chat = make_integration(make_tenant(), url, integration_type="slack", signed=False, events=(CREATED,))
    assert send_test_event(chat, client()).success
    message = json.loads(receiver.requests[0].body)
    assert message["text"] == "Test: Workitem created: Reference id 1"
    assert "app.example.com" not in json.dumps(message)  # nobody can look at an object that is made up


def test_the_audit_trail_says_which_event_it_was(target: TenantIntegration) -> None:
    log_trial(target, "test", send_test_event(target, client(), CREATED), actor="ann")
    details = AuditEntry.objects.order_by("-id")[0].details
    assert details == {"result": "it worked", "event type": CREATED}
