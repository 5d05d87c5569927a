"""A subscription's own payload from the save to the wire: frozen with the row, the same bytes at every attempt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db.models import F
from standardwebhooks import Webhook

from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.jobs.actions import start_backfill
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.run import run_job
from integrations.models import EventSubscription, IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
EXPRESSION = "{text: join(': ', [workitem.reference_id, workitem.status]), seen: workitem.comments}"


@pytest.fixture
def shaped(receiver: Receiver, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    found = make_integration(make_tenant(), receiver.url, events=())
    found.subscribe("workitem_created", payloads={"workitem_created": EXPRESSION})
    return found


def again() -> None:
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
    Lane.objects.update(paused_until=None)


def test_what_was_configured_at_the_save_is_sent_at_every_attempt(
    shaped: TenantIntegration, receiver: Receiver
) -> None:
    plain = make_integration(shaped.tenant, receiver.url, name="Plain", events=("workitem_created",))
    make_item(shaped.tenant, comments="Über")
    rows = dict(IntegrationSync.objects.values_list("integration_id", "payload"))
    assert rows == {shaped.pk: EXPRESSION, plain.pk: ""}

    receiver.answer_with(Answer(500))
    drain(shaped.pk)
    shaped.subscribe("workitem_created", payloads={"workitem_created": "{other: event_type}"})
    again()
    drain(shaped.pk)
    shaped.subscribe()  # gone altogether
    operator_actions.replay(IntegrationSync.objects.filter(status="synced").values_list("pk", flat=True), actor="ann")
    drain(shaped.pk)
    drain(plain.pk)

    first, second, third, other = receiver.requests
    assert json.loads(first.body) == {"text": "RMA-1: New", "seen": "Über"}
    assert first.body == second.body == third.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
    Webhook(SECRET).verify(third.body, dict(third.headers))  # of what is sent, not of the event's body
    assert other.body.decode() == IntegrationEvent.objects.get().body


def test_an_event_of_which_it_makes_no_payload_fails_with_a_reason_and_nothing_is_sent(
    shaped: TenantIntegration, receiver: Receiver
) -> None:
    EventSubscription.objects.update(payload="workitem.customer")
    for number in range(4):
        make_item(shaped.tenant, reference_id=f"RMA-{number}")
    drain(shaped.pk)
    assert not receiver.requests
    row = IntegrationSync.objects.first()
    assert row is not None
    assert (row.status, row.response_status) == ("failed", None)
    assert "payload of the subscription cannot be made: it makes nothing (null)" in row.reason
    shaped.refresh_from_db()
    assert shaped.is_enabled  # it says nothing of the destination
    assert set(IntegrationSync.objects.values_list("status", flat=True)) == {"failed"}


def test_a_connector_type_with_a_message_of_its_own_reads_the_event(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    chat = make_integration(
        make_tenant(),
        f"{receiver.url}/services/T0/B0/x",
        integration_type="slack",
        signed=False,
        events=(),
        config={"fields": ["Ticket: ticket"]},
    )
    chat.subscribe("workitem_created", payloads={"workitem_created": "{ticket: workitem.reference_id}"})
    make_item(chat.tenant)
    receiver.answer_with(default=Answer(200, b"ok"))
    drain(chat.pk)
    message = json.loads(receiver.requests[0].body)
    assert "RMA-1" in message["text"]
    assert "*Ticket:*\nRMA-1" in json.dumps(message, ensure_ascii=False).replace("\\n", "\n")


def test_a_backfill_and_what_was_skipped_send_what_the_integration_wants_of_a_new_object(
    shaped: TenantIntegration, receiver: Receiver
) -> None:
    EventSubscription.objects.update(condition="workitem.priority == 'Urgent'")
    make_item(shaped.tenant, comments="Slow")
    skipped = IntegrationSync.objects.get()
    assert (skipped.status, skipped.payload) == ("skipped", EXPRESSION)
    operator_actions.send_anyway([skipped.pk], actor="ann")
    drain(shaped.pk)
    job = start_backfill(shaped, BackfillFilter(model="tasks.workitem"), actor="ann")
    run_job(job.pk)
    drain(shaped.pk)
    assert [json.loads(request.body) for request in receiver.requests] == [{"text": "RMA-1: New", "seen": "Slow"}] * 2
