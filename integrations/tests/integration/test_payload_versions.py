"""A subscription keeps the version of the payload that it was made with: from the save to the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from standardwebhooks import Webhook

from integrations.admin.integration.form import IntegrationForm
from integrations.checks import payload_versions_are_made
from integrations.database import clock
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.health.explanations import Explained, Explanation, explanations
from integrations.health.reading import facts_of
from integrations.health.rule import judge
from integrations.jobs.actions import preview_backfill, start_backfill
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.run import run_job
from integrations.models import (
    AuditEntry,
    EventSubscription,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
)
from integrations.services.subscription_trial import events_to_try, try_subscription
from integrations.signals.workitem import WorkItemTrigger
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.versions import second_version

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
CREATED = "workitem_created"


@pytest.fixture
def one(receiver: Receiver, settings: Any) -> TenantIntegration:
    """An integration that was made while there was one version."""
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    return make_integration(make_tenant(), receiver.url, name="One", events=(CREATED,))


@pytest.fixture
def two(one: TenantIntegration, receiver: Receiver) -> Iterator[TenantIntegration]:
    """One that was made since there are two."""
    with second_version():
        yield make_integration(one.tenant, receiver.url, name="Two", events=(CREATED,))


def versions() -> dict[str, int]:
    return dict(EventSubscription.objects.values_list("integration__name", "payload_version"))


def explained(integration: TenantIntegration) -> list[Explanation]:
    facts = facts_of([integration])[integration.pk]
    subscriptions = list(integration.subscriptions.all())
    return list(explanations(Explained(integration, facts, judge(facts, clock.now()), subscriptions, None, False)))


def again() -> None:
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
    Lane.objects.update(paused_until=None)


def test_each_gets_its_version_at_every_attempt_whatever_is_moved_meanwhile(
    one: TenantIntegration, two: TenantIntegration, receiver: Receiver
) -> None:
    assert versions() == {"One": 1, "Two": 2}
    item = make_item(one.tenant, estimated_price="12.50")
    receiver.answer_with(Answer(500))
    drain(one.pk)
    one.subscribe(CREATED, versions={CREATED: 2})  # moved: it holds for events from now on
    again()
    drain(one.pk)
    operator_actions.replay(IntegrationSync.objects.filter(status="synced").values_list("pk", flat=True), actor="ann")
    drain(one.pk)
    drain(two.pk)

    first, second, third, newest = receiver.requests
    with_one = json.loads(first.body)["workitem"]
    assert (with_one["estimated_price"], with_one["final_price"]) == ("12.50", None)
    assert "prices" not in with_one
    assert json.loads(newest.body)["workitem"]["prices"] == {"estimated": "12.50", "final": None}
    assert first.body == second.body == third.body
    assert [each.headers["webhook-payload-version"] for each in receiver.requests] == ["1", "1", "1", "2"]
    for each in receiver.requests:
        Webhook(SECRET).verify(each.body, dict(each.headers))
    event = IntegrationEvent.objects.get()
    assert (event.payload_version, newest.body.decode()) == (2, event.body)
    rows = IntegrationSync.objects.select_related("event").order_by("integration_id")
    assert [(row.version, bool(row.older_body)) for row in rows] == [(1, True), (2, False)]
    assert rows[0].body == first.body.decode()

    item.delete()
    make_item(one.tenant)
    drain(one.pk)
    assert receiver.requests[-1].headers["webhook-payload-version"] == "2"


def test_version_1_is_as_it_was_before_there_was_another(one: TenantIntegration) -> None:
    item = make_item(one.tenant, estimated_price="12.50")
    before = json.loads(IntegrationEvent.objects.get().body)["workitem"]
    with second_version():
        WorkItemTrigger.connect()
        make_item(one.tenant, **{name: getattr(item, name) for name in ("estimated_price", "created_date")})
    row = IntegrationSync.objects.order_by("-id")[0]
    assert {**json.loads(row.body)["workitem"], "id": item.pk} == before


def test_a_second_version_costs_the_save_no_statement_more(one: TenantIntegration) -> None:
    make_item(one.tenant)
    with CaptureQueriesContext(connection) as plain:
        make_item(one.tenant)
    with second_version():
        make_item(one.tenant)
        with CaptureQueriesContext(connection) as versioned:
            make_item(one.tenant)
    assert len(versioned) == len(plain)
    if connection.vendor == "postgresql":  # the statement of one version is what it was
        inserts = [query["sql"] for query in plain.captured_queries if "INSERT" in query["sql"]]
        assert inserts and not any("payload_version" in sql for sql in inserts)


def test_a_condition_and_a_payload_are_about_the_version_of_their_subscription(
    one: TenantIntegration, two: TenantIntegration, receiver: Receiver
) -> None:
    one.subscribe(
        CREATED,
        conditions={CREATED: "workitem.estimated_price > `10`"},
        payloads={CREATED: "{price: workitem.estimated_price}"},
    )
    two.subscribe(CREATED, conditions={CREATED: "workitem.prices.estimated > `100`"})
    make_item(one.tenant, estimated_price="50.00")
    rows = {row.integration_id: row for row in IntegrationSync.objects.all()}
    assert rows[two.pk].status == "skipped" and "it was 50.00" in rows[two.pk].reason
    drain(one.pk)
    assert json.loads(receiver.requests[0].body) == {"price": "50.00"}


def test_a_version_that_cannot_be_made_costs_neither_the_save_nor_the_others(
    one: TenantIntegration, receiver: Receiver
) -> None:
    def fails(body: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("prices")

    with second_version(older={1: fails}):
        two = make_integration(one.tenant, receiver.url, name="Two", events=(CREATED,))
        item = make_item(one.tenant)
    drain(one.pk)
    drain(two.pk)
    minimal, whole = (json.loads(request.body) for request in receiver.requests)
    assert minimal["workitem"] == {"id": item.pk} and minimal["event_type"] == CREATED
    assert "prices" in whole["workitem"]


def test_a_backfill_sends_and_previews_the_version_of_new_objects(
    one: TenantIntegration, two: TenantIntegration, receiver: Receiver
) -> None:
    make_item(one.tenant)
    IntegrationSync.objects.all().delete()
    which = BackfillFilter(model="tasks.workitem")
    for integration, name in ((one, "estimated_price"), (two, "prices")):
        run_job(start_backfill(integration, which, actor="ann").pk)
        drain(integration.pk)
        (shown,) = preview_backfill(integration, which).sample
        previewed, sent = json.loads(shown.payload), json.loads(receiver.requests[-1].body)
        assert name in sent["workitem"]
        assert {**previewed, "timestamp": None} == {**sent, "timestamp": None}


def test_a_version_that_is_taken_away_is_named_by_check_and_the_next_newer_one_is_sent(
    one: TenantIntegration, receiver: Receiver
) -> None:
    assert payload_versions_are_made(None, databases=["default"]) == []
    with second_version(older={}):
        (error,) = payload_versions_are_made(None, databases=["default"])
        make_item(one.tenant)
    assert error.id == "integrations.E018"
    assert error.msg == f"1 subscription to {CREATED} has version 1 of its payload, which nobody makes; there is 2."
    assert "Put version 1 back" in error.hint
    drain(one.pk)
    assert receiver.requests[0].headers["webhook-payload-version"] == "2"
    assert payload_versions_are_made(None, databases=None) == []


def test_what_is_tried_is_in_the_version_that_is_asked_for(one: TenantIntegration) -> None:
    make_item(one.tenant, estimated_price="12.50")
    with second_version():
        make_item(one.tenant, estimated_price="13.00")
        old = try_subscription("workitem.estimated_price > `1`", "", CREATED, one.tenant, version=1)
        new = try_subscription("workitem.prices.estimated > `1`", "", CREATED, one.tenant, version=2)
        wrong = try_subscription("", "{a: workitem.estimated_price}", CREATED, one.tenant, version=2)
        unknown = try_subscription("", "", CREATED, one.tenant, version=7)
        newest = events_to_try(CREATED, one.tenant)
    assert (old.sent, len(old.events)) == (2, 2)
    assert (new.sent, len(new.events)) == (1, 1)  # the one from before has no such version
    assert "There is no workitem.estimated_price" in wrong.problems["payload"][0]
    assert unknown.problems["payload_version"] == [
        f"There is no version 7 of the payload of {CREATED}; there are 1, 2."
    ]
    assert "prices" in newest.bodies[0]["workitem"]


def test_the_audit_trail_says_who_moved_it(one: TenantIntegration) -> None:
    with second_version():
        one.subscribe(CREATED, versions={CREATED: 2})
    entry = AuditEntry.objects.order_by("-id")[0]
    assert entry.changes[f"payload version of {CREATED}"] == [1, 2]


def test_wherever_a_condition_is_checked_it_is_about_the_version_of_its_subscription(one: TenantIntegration) -> None:
    theirs = "workitem.estimated_price > `1`"
    with second_version():
        one.subscribe(CREATED, conditions={CREATED: theirs})
        assert not [each for each in explained(one) if "needs a look" in each.text]
        field = IntegrationForm(instance=one).fields["event_types"]
        assert field.clean({CREATED: "workitem.estimated_price > `2`"})
        with pytest.raises(ValidationError, match=r"There is no workitem\.prices"):
            field.clean({CREATED: "workitem.prices"})
        with second_version(older={}):
            (words,) = [each.text for each in explained(one) if "made any more" in each.text]
    assert words == (
        f"Version 1 of the payload of {CREATED} is not made any more, so version 2 is sent. Choose one under Events."
    )
