"""A condition and a payload tried on what really happened, before they are saved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.connections.offered_fields import offered_fields
from integrations.models import IntegrationEvent, IntegrationSync
from integrations.services import subscription_trial
from integrations.services.subscription_trial import events_to_try, try_subscription
from integrations.tests.factories import make_integration, make_item, make_tenant
from tasks.models import WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
URGENT = "workitem.priority == 'Urgent'"


def test_the_last_events_of_the_tenant_and_type_are_tried_and_nothing_is_written(monkeypatch: Any) -> None:
    ours, theirs = make_tenant("Acme"), make_tenant("Other")
    asked = make_integration(ours, events=())
    for tenant in (ours, theirs):
        make_integration(tenant, events=("workitem_created", "workitem_updated"))
    make_item(theirs, priority="urgent", reference_id="THEIRS")
    for number, priority in enumerate(("urgent", "standard", "standard", "urgent")):
        make_item(ours, priority=priority, reference_id=f"RMA-{number}")
    WorkItem.objects.get(reference_id="RMA-0").delete()
    monkeypatch.setattr(subscription_trial, "MOST", 3)
    before = IntegrationSync.objects.count(), IntegrationEvent.objects.count()

    events = events_to_try("workitem_created", ours, integration_id=asked.pk)
    found = try_subscription(URGENT, "{text: workitem.reference_id}", "workitem_created", ours, on=events)

    assert [(each.title[-5:], each.is_sent) for each in found.events] == [
        ("RMA-3", True), ("RMA-2", False), ("RMA-1", False),
    ]  # fmt: skip
    assert (found.sent, found.failed, found.are_samples, found.problems) == (1, 0, False, {})
    assert found.events[1].decided == (("workitem.priority", "'Standard'"),)
    assert found.preview is not None
    assert json.loads(found.preview.payload) == {"text": "RMA-3"}
    assert (IntegrationSync.objects.count(), IntegrationEvent.objects.count()) == before


def test_before_anything_happened_made_up_objects_stand_in() -> None:
    found = try_subscription(URGENT, "", "workitem_created", make_tenant())
    assert found.are_samples
    assert {each.is_sent for each in found.events} == {True, False}
    assert all(each.event_id is None for each in found.events)
    changed = events_to_try("workitem_status_changed", make_tenant("Other")).bodies[0]
    assert {"event_type", "timestamp", "tenant", "workitem", "changes"} <= changed.keys()
    assert not try_subscription("", "", "nobody_emits_this", make_tenant("Third")).events


def test_a_payload_that_cannot_be_made_is_told_for_each_event_and_a_slip_at_once() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant)
    failing = try_subscription("", "workitem.customer", "workitem_created", tenant)
    assert (failing.sent, failing.failed) == (0, 1)
    assert failing.preview is not None
    assert "it makes nothing (null)" in failing.preview.problem
    slip = try_subscription("workitem.prority == 'Urgent'", "{a: workitem.titel}", "workitem_created", tenant)
    assert set(slip.problems) == {"condition", "payload"}
    assert not slip.events


def test_a_condition_that_fails_on_an_event_counts_as_met_and_says_so() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant)
    found = try_subscription("length(@.workitem.id) > `1`", "", "workitem_created", tenant)
    assert found.problems or (found.events[0].is_sent and "fails on this event" in found.events[0].remark)


def test_the_fields_that_are_offered_have_kinds_choices_and_examples() -> None:
    bodies = events_to_try("workitem_created", make_tenant()).bodies
    fields = {each.path: each for each in offered_fields("workitem_created", bodies)}
    assert "'Urgent'" in fields["workitem.priority"].choices
    assert fields["workitem.priority"].example in fields["workitem.priority"].choices
    assert fields["workitem.customer.name"].kind == "text"
    assert next(iter(fields)).startswith("workitem.")  # the object before the frame
    for path in fields:
        assert not try_subscription(f"{path} == `null`", "", "workitem_created", make_tenant(path)).problems, path
