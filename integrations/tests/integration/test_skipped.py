"""Skipped: what a condition kept out has a row that says by which values, and nobody ever sends it unasked."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from integrations.acting import caused_by
from integrations.connections.conditions import LONGEST, why_unmet
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.sweep import sweep
from integrations.models import AuditEntry, ExecutionLog, IntegrationEvent, IntegrationSync, Lane
from integrations.outbox.retention import purge
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.integration.admin_world import make_side, page, url
from integrations.tests.integration.test_save_cost import RECORD
from integrations.tests.integration.test_save_cost import statements as counted
from integrations.tests.receiver import Receiver
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]
URGENT = "workitem.priority == 'Urgent'"


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}


def subscribed(condition: str, receiver: Receiver, **fields: Any) -> Any:
    integration = make_integration(fields.pop("tenant", None) or make_tenant(), receiver.url, events=(), **fields)
    integration.subscribe("workitem_created", "workitem_updated", conditions=dict.fromkeys(
        ("workitem_created", "workitem_updated"), condition))  # fmt: skip
    return integration


def test_condition_and_value_are_said_and_nothing_is_sent(receiver: Receiver) -> None:
    integration = subscribed(URGENT, receiver)
    item = make_item(integration.tenant, priority="standard")
    row = IntegrationSync.objects.select_related("event").get()
    assert (row.status, row.attempts) == ("skipped", 0)
    assert row.reason == f"`{URGENT}`: it was Standard"
    assert row.settled_at == row.event.occurred_at and row.object_key.endswith(f":{item.pk}")
    assert sweep()["due"] == 0
    drain(integration.pk)
    assert receiver.requests == [] and statuses() == ["skipped"]
    assert not ExecutionLog.objects.exists() and not Note.objects.exists()
    assert Lane.objects.get().attention == ""


def test_met_and_unmet_in_the_same_insert(receiver: Receiver) -> None:
    urgent = subscribed(URGENT, receiver, name="Urgent only")
    everybody = subscribed("", receiver, tenant=urgent.tenant, name="Everything")
    make_item(urgent.tenant)
    with counted() as sent:
        make_item(urgent.tenant, priority="standard")
    assert len(sent) == 2 + RECORD, sent  # as many as where both are met
    rows = IntegrationSync.objects.filter(event=IntegrationEvent.objects.latest("id"))
    assert dict(rows.values_list("integration_id", "status")) == {urgent.pk: "skipped", everybody.pk: "pending"}
    assert rows.get(integration=everybody).reason == "" and rows.get(integration=everybody).settled_at is None
    assert IntegrationEvent.objects.count() == 2  # one event for both


def test_one_whose_condition_is_met_sends_what_it_sent_before(receiver: Receiver) -> None:
    """Not an array more: the usual statement is the same text."""
    integration = subscribed(URGENT, receiver)
    make_item(integration.tenant, priority="urgent")
    with counted() as met:
        make_item(integration.tenant, priority="urgent")
    integration.subscriptions.update(condition="")
    with counted() as without:
        make_item(integration.tenant, priority="urgent")
    assert [sql for sql in met if "integrationsync" in sql] == [sql for sql in without if "integrationsync" in sql]


def test_bulk_writes_are_told_too(receiver: Receiver) -> None:
    integration = subscribed(URGENT, receiver)
    tenant = integration.tenant
    WorkItem.objects.bulk_create(
        WorkItem(tenant=tenant, reference_id=str(n), priority="urgent" if n % 3 == 0 else "standard") for n in range(6)
    )
    assert sorted(statuses()) == ["pending"] * 2 + ["skipped"] * 4
    WorkItem.objects.filter(tenant=tenant, priority="standard").update(comments="changed")
    assert sorted(statuses()) == ["pending"] * 2 + ["skipped"] * 8
    reasons = IntegrationSync.objects.filter(status="skipped").values_list("reason", flat=True)
    assert set(reasons) == {f"`{URGENT}`: it was Standard"}


def test_a_condition_that_fails_is_sent_and_says_so(receiver: Receiver) -> None:
    # A number has no beginning; forms refuse it, and a row may have come another way.
    integration = subscribed("starts_with(workitem.id, 'x')", receiver)
    make_item(integration.tenant, description="no number")
    row = IntegrationSync.objects.get()
    assert row.status == "pending" and row.reason.startswith("sent although its condition `starts_with(workitem.id")
    assert "no number" not in row.reason
    drain(integration.pk)
    row.refresh_from_db()
    assert row.status == "synced" and "failed on this event" in row.reason


def test_a_payload_of_its_own_is_kept_for_who_sends_it_anyway(receiver: Receiver) -> None:
    integration = subscribed(URGENT, receiver)
    integration.subscriptions.update(payload="{text: workitem.reference_id}")
    make_item(integration.tenant, priority="standard", reference_id="RMA-9")
    integration.subscriptions.update(payload="{text: 'another'}")
    row = IntegrationSync.objects.get()
    assert operator_actions.retry([row.pk], actor="alice") == 0  # "retry all" must not send what is kept out
    assert operator_actions.replay([row.pk], actor="alice") == 0
    assert operator_actions.send_anyway([row.pk], actor="alice") == 1
    drain(integration.pk)
    row.refresh_from_db()
    assert (row.status, row.reason) == ("synced", "sent anyway by alice")
    assert receiver.requests[0].body == b'{"text":"RMA-9"}'
    entry = AuditEntry.objects.get(action="sent anyway")
    assert (entry.actor, entry.object_key, entry.integration_key) == ("alice", str(row.pk), integration.pk)
    assert operator_actions.send_anyway([row.pk], actor="alice") == 0


def test_the_page_says_why_and_has_the_button(receiver: Receiver) -> None:
    acme = make_side("Acme")
    acme.integration.subscribe("workitem_created", conditions={"workitem_created": URGENT})
    make_item(acme.tenant, priority="standard")
    row = IntegrationSync.objects.latest("id")
    html = page(acme.client, url("integrationsync", "change", row.pk))
    assert "– Skipped" in html and "it was Standard" in html
    html = page(acme.client, reverse("console:delivery", args=[row.pk]))
    assert "– Skipped" in html and "it was Standard" in html and "Send anyway</button>" in html
    acme.client.post(reverse("console:delivery-act", args=[row.pk, "send"]))
    row.refresh_from_db()
    assert row.status == "pending" and AuditEntry.objects.filter(action="sent anyway", actor="Acme-staff").exists()


def test_it_goes_with_its_event_and_may_be_left_out(receiver: Receiver, settings: Any) -> None:
    integration = subscribed(URGENT, receiver)
    make_item(integration.tenant, priority="standard")
    IntegrationEvent.objects.update(occurred_at="2020-01-01T00:00:00Z")
    assert purge() == {"events": 1, "syncs": 1}
    settings.INTEGRATIONS = {"RECORD_SKIPPED": False}
    make_item(integration.tenant, priority="standard")
    assert not IntegrationEvent.objects.exists()


def test_what_was_skipped_for_everybody_is_no_loop(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"INBOUND_CAUSED_PER_HOUR": 2}
    integration = subscribed(URGENT, receiver)
    other = make_integration(integration.tenant, name="calls back", events=())
    item = make_item(integration.tenant, priority="standard")
    with caused_by(other.pk):
        for number in range(4):
            item.comments = str(number)
            item.save()
    assert statuses() == ["skipped"] * 5


# -- the sentence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "payload", "expected"),
    [
        ("a.b == 'x'", {"a": {"b": "y"}}, "`a.b == 'x'`: it was y"),
        ("a.b", {"a": {}}, "`a.b`: it was empty"),
        ("a == `1`", {"a": False}, "`a == `1``: it was false"),
        ("a && b", {"a": "", "b": 1}, "`a && b`: it was empty"),
        ("a || b", {"a": None, "b": []}, "`a || b`: a was empty, b was []"),
        ("a == 'x'", {"a": "two\nlines\u202e"}, "`a == 'x'`: it was two\\nlines\\u202e"),
        ("((", {}, "`((`: not met"),
    ],
)
def test_the_values_that_decided(condition: str, payload: dict[str, Any], expected: str) -> None:
    assert why_unmet(condition, payload) == expected


def test_it_is_short_and_cheap_whatever_is_looked_at() -> None:
    condition = " || ".join(f"a{n}[?b == 'x' || c == 'y' || d == 'z']" for n in range(8))[:490]
    payload = {f"a{n}": [{"b": "x" * 1000}] * 5000 for n in range(8)}
    assert len(why_unmet(condition, payload)) <= LONGEST
    assert len(why_unmet("a == 'x'", {"a": "\u202e" * 5000})) < 100


def test_the_database_takes_the_longest_reason(receiver: Receiver) -> None:
    integration = subscribed("workitem.description == 'x' && workitem.comments == 'y'", receiver)
    make_item(integration.tenant, description="\u202e" * 500, comments="ü" * 900)
    assert IntegrationSync.objects.get().status == "skipped" and connection.is_usable()
