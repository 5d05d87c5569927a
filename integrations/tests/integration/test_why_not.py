"""Why an integration got nothing: from how it was configured when it happened, and no guess where nobody knows."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.acting import acting_as, caused_by
from integrations.alerts.publishing import publish_words
from integrations.alerts.word import word_about
from integrations.audit import configured_then
from integrations.audit.configured_then import configured_at
from integrations.audit.why_not import why_not, why_nothing
from integrations.health.alert import FAILING
from integrations.models import AuditEntry, IntegrationEvent, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.integration.admin_world import make_side, page, url
from integrations.tests.versions import second_version
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]
CREATED = "workitem_created"


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def tenant() -> Tenant:
    """One with an integration that gets everything."""
    found = make_tenant()
    make_integration(found, name="Everything")
    return found


def later(minutes: float = 1) -> None:
    """Let what was written so far be `minutes` ago."""
    ago = timedelta(minutes=minutes)
    for model, name in (
        (AuditEntry, "created_at"),
        (IntegrationEvent, "occurred_at"),
        (TenantIntegration, "created_at"),
    ):
        for row in model.objects.all():
            model.objects.filter(pk=row.pk).update(**{name: getattr(row, name) - ago})


def sentences(event: IntegrationEvent | None = None) -> dict[str, str]:
    event = event or IntegrationEvent.objects.latest("id")
    return {each.integration.name: each.sentence for each in why_not(event)}


def happens(tenant: Tenant) -> IntegrationEvent:
    make_item(tenant)
    return IntegrationEvent.objects.latest("id")


@pytest.fixture(autouse=True)
def _trail_began_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of the tests' database is seconds old."""
    monkeypatch.setattr(configured_then, "_began", lambda using: timezone.now() - timedelta(days=300))


def test_whoever_has_a_row_is_not_spoken_of(tenant: Tenant) -> None:
    assert sentences(happens(tenant)) == {}


def test_switched_off_then_and_by_whom_though_it_is_on_now(tenant: Tenant) -> None:
    ops = make_integration(tenant, name="Ops")
    later()
    ops.is_active = False
    with acting_as("alice"):
        ops.save(update_fields=["is_active"])
    at = AuditEntry.objects.latest("id")
    later()
    event = happens(tenant)
    later()
    ops.is_active = True
    with acting_as("bob"):
        ops.save(update_fields=["is_active"])
    at.refresh_from_db()
    when = f"{timezone.localtime(at.created_at):%Y-%m-%d %H:%M}"
    assert sentences(IntegrationEvent.objects.get(pk=event.pk)) == {
        "Ops": f"It was switched off then (Active not ticked): alice did that at {when}."
    }


def test_not_subscribed_then_though_it_is_now(tenant: Tenant) -> None:
    ops = make_integration(tenant, name="Ops", events=("workitem_deleted",))
    happens(tenant)
    later()
    with acting_as("bob"):
        ops.subscribe("workitem_created")
    assert sentences() == {"Ops": "It was not subscribed to workitem_created then, and is now."}
    ops.subscriptions.all().delete()
    assert sentences() == {"Ops": "It was not subscribed to workitem_created then."}


def test_made_later_and_caused_itself(tenant: Tenant) -> None:
    ops = make_integration(tenant, name="Ops")
    with caused_by(ops.pk):
        happens(tenant)
    later()
    make_integration(tenant, name="New")
    found = sentences()
    assert found["Ops"].startswith("It caused this itself") and found["New"].startswith("It was made later, at ")


def test_an_alert_about_itself(tenant: Tenant) -> None:
    ops, chat = (make_integration(tenant, name=name, events=(FAILING,)) for name in ("Ops", "Chat"))
    publish_words([word_about(FAILING, ops, "It answered 500.", "", timezone.now())])
    assert sentences() == {
        "Everything": "It was not subscribed to integration_failing then.",
        "Ops": "The event is about this integration: none is told of itself.",
    }
    make_item(tenant, pk=chat.pk)
    assert "about" not in sentences()["Chat"]  # an object with the same number


def test_a_type_that_takes_no_events(tenant: Tenant) -> None:
    make_integration(tenant, name="Shop", integration_type="woocommerce", events=())
    happens(tenant)
    assert sentences()["Shop"] == "Its connector type does not take it: WooCommerce takes no events."


def test_before_the_trail_began_nothing_is_claimed(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    make_integration(tenant, name="Ops", is_active=False)
    happens(tenant)
    later(60)
    began = timezone.now() - timedelta(minutes=30)
    monkeypatch.setattr(configured_then, "_began", lambda using: began)
    assert sentences()["Ops"] == (
        f"Not known: the audit trail began only at {timezone.localtime(began):%Y-%m-%d %H:%M}. "
        "It is switched off (Active not ticked)."
    )


def test_the_trail_is_no_longer_than_it_is_kept(tenant: Tenant, settings: Any) -> None:
    settings.INTEGRATIONS = {"AUDIT_RETENTION_DAYS": 1}
    make_integration(tenant, name="Ops", is_active=False)
    happens(tenant)
    later(60 * 30)
    assert sentences()["Ops"].startswith("Not known: ")


def test_a_condition_whose_skipped_rows_are_not_recorded(tenant: Tenant, settings: Any) -> None:
    settings.INTEGRATIONS = {"RECORD_SKIPPED": False}
    ops = make_integration(tenant, name="Ops", events=())
    ops.subscribe("workitem_created", conditions={"workitem_created": "workitem.priority == 'Urgent'"})
    make_item(tenant, priority="standard")
    assert sentences()["Ops"].startswith(
        "Its condition was not met: `workitem.priority == 'Urgent'`: it was Standard. Such events"
    )


def test_a_condition_is_the_one_of_then(tenant: Tenant) -> None:
    ops = make_integration(tenant, name="Ops", events=())
    ops.subscribe("workitem_created", conditions={"workitem_created": "workitem.priority == 'Urgent'"})
    moment = timezone.now()
    later()
    with acting_as("bob"):
        ops.subscribe("workitem_created", "workitem_updated", conditions={})
    then = configured_at(TenantIntegration.objects.get(pk=ops.pk), moment - timedelta(seconds=30))
    assert then.is_known and then.conditions == {"workitem_created": "workitem.priority == 'Urgent'"}


def test_a_condition_is_judged_by_the_version_that_it_is_about(tenant: Tenant, settings: Any) -> None:
    """Also after it was moved, and after it was subscribed anew with the newest."""
    settings.INTEGRATIONS = {"RECORD_SKIPPED": False}
    first, moved, renewed = (make_integration(tenant, name=name, events=()) for name in ("First", "Moved", "Renewed"))
    for each in (first, moved, renewed):
        each.subscribe(CREATED, conditions={CREATED: "to_number(workitem.estimated_price) > `100`"})
    with second_version():
        make_item(tenant, estimated_price="12.50")
        event = IntegrationEvent.objects.latest("id")
        unmet = (
            "Its condition was not met: `to_number(workitem.estimated_price) > `100``: it was 12.50. "
            "Such events are not recorded here."
        )
        assert sentences(event) == dict.fromkeys(("First", "Moved", "Renewed"), unmet)
        later()
        newer = {CREATED: "to_number(workitem.prices.estimated) > `10`"}
        moved.subscribe(CREATED, conditions=newer, versions={CREATED: 2})
        renewed.subscriptions.all().delete()
        renewed.subscribe(CREATED, conditions=newer)
        assert sentences(event) == dict.fromkeys(("First", "Moved", "Renewed"), unmet)
    gone = "Its condition was about version 1 of the payload, which cannot be made of this event now: not known."
    for older in ({}, {1: lambda body: body["nothing"]}):
        with second_version(older=older):
            assert set(sentences(event).values()) == {gone}


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("entries", [1, 2])
def test_the_version_of_what_was_unsubscribed_meanwhile_is_known(before: int, entries: int, tenant: Tenant) -> None:
    ops = make_integration(tenant, name="Ops", events=())
    with second_version(), acting_as("eve"):
        ops.subscribe(CREATED, versions={CREATED: before})
    later()
    moment = timezone.now()
    with second_version(), acting_as("ann"):
        ops.subscriptions.all().delete()
        with acting_as("bob") if entries == 2 else nullcontext():
            ops.subscribe(CREATED, versions={CREATED: 3 - before})
    assert AuditEntry.objects.filter(actor__in=("ann", "bob")).count() == entries
    then, now = (configured_at(TenantIntegration.objects.get(pk=ops.pk), at) for at in (moment, timezone.now()))
    assert (then.versions, now.versions) == ({CREATED: before}, {CREATED: 3 - before})


def test_another_tenants_integrations_are_not_named(tenant: Tenant) -> None:
    make_integration(make_tenant("Other"), name="Theirs", events=())
    assert sentences(happens(tenant)) == {}


def test_it_costs_the_same_for_many(tenant: Tenant) -> None:
    event = happens(tenant)
    counts = []
    for number in range(1, 9):
        make_integration(tenant, name=f"Ops {number}", events=())
        with CaptureQueriesContext(connection) as queries:
            assert len(why_not(event)) == number
        counts.append(len(queries))
    assert counts[0] == counts[-1] <= 5


def test_of_what_nothing_was_recorded(tenant: Tenant) -> None:
    TenantIntegration.objects.all().delete()
    assert why_nothing(tenant, ["workitem_created"]) == []
    make_integration(tenant, name="A", events=())
    make_integration(tenant, name="B", events=("workitem_deleted",))
    make_integration(tenant, name="C", is_active=False)
    make_integration(tenant, name="D", events=("workitem_created",))
    types = ("workitem_created", "workitem_updated")
    assert [each.sentence for each in why_nothing(tenant, types)] == [
        "It is subscribed to no event.",
        "It is not subscribed to workitem_created or workitem_updated; it is to workitem_deleted.",
        "It is switched off (Active not ticked).",
        "It is subscribed to workitem_created: what happens from now on reaches it.",
    ]


def test_the_panel_of_an_object_says_it() -> None:
    acme = make_side("Acme")
    acme.integration.subscribe("workitem_deleted")
    lonely = make_item(acme.tenant)
    html = page(acme.client, url("workitem", "change", lonely.pk))
    assert "nobody wanted what happened to it" in html
    assert "It is not subscribed to workitem_created, workitem_status_changed, workitem_updated" not in html
    assert "it is to workitem_deleted" in html or "reaches it" in html
    make_integration(acme.tenant, name="Second")
    told = make_item(acme.tenant)
    html = page(acme.client, url("workitem", "change", told.pk))
    assert "Not told of workitem_created" in html and "It was not subscribed to workitem_created then." in html
