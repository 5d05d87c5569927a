"""Somebody asks why an event did not arrive: what kept it out, who set that, and, who may, sends it anyway."""

from __future__ import annotations

import pytest

from integrations.acting import acting_as
from integrations.delivery.drain import drain
from integrations.models import AuditEntry, IntegrationSync, TenantIntegration
from integrations.tests.factories import make_integration, make_item
from integrations.tests.receiver import Receiver
from tenants.models import Tenant

from .people import People, Person, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pager(acme: Tenant, receiver: Receiver) -> TenantIntegration:
    """An integration that wants urgent work items alone, one that is switched off, and a work item for neither."""
    pager = make_integration(acme, receiver.url, name="On-call pager", events=())
    with acting_as("rita", source="console"):
        pager.subscribe("workitem_created", conditions={"workitem_created": "workitem.priority == 'Urgent'"})
    archive = make_integration(acme, "https://hooks.example.com/y", name="Archive")
    archive.is_active = False
    with acting_as("sam", source="api"):
        archive.save()
    make_item(acme, priority="standard", reference_id="RMA-77")
    return pager


def understands(someone: Person) -> None:
    """Read at the event who was to hear of it, and why nobody did."""
    someone.goes_to("Events")
    someone.clicks("workitem_created")
    someone.sees("– Skipped", "`workitem.priority == 'Urgent'`: it was Standard")
    someone.sees("It was switched off then (Active not ticked): sam did that at")


@on_each_screen
@pytest.mark.parametrize("who", ["operator", "manager", "root"])
def test_what_was_skipped_is_understood_and_sent_anyway(
    people: People, acme: Tenant, receiver: Receiver, pager: TenantIntegration, who: str
) -> None:
    someone = people.join(who, acme)
    understands(someone)
    someone.clicks("– Skipped")
    someone.sees("it was Standard")
    someone.clicks("Send anyway")
    someone.agrees(to="It is sent although the condition of the subscription is not met.")
    someone.sees("1 delivery will be sent anyway.")
    drain(pager.pk)
    someone.waits(3)
    someone.sees("delivered, HTTP 200")  # by itself
    assert receiver.requests[-1].json["workitem"]["reference_id"] == "RMA-77"


@on_each_screen
def test_a_viewer_understands_it_without_a_button(people: People, acme: Tenant, pager: TenantIntegration) -> None:
    vera = people.join("viewer", acme)
    understands(vera)
    vera.clicks("– Skipped")
    vera.is_told_why("operator", to="retry and replay deliveries")
    vera.is_not_offered("Send anyway")
    vera.clicks("RMA-77")
    vera.sees("Who did not hear of the last event", "Archive")
    assert IntegrationSync.objects.get().status == "skipped"


@on_each_screen
def test_a_manager_finds_out_who_set_the_condition(people: People, acme: Tenant, pager: TenantIntegration) -> None:
    mona = people.join("manager", acme)
    mona.goes_to("Audit")
    mona.fills("Who", "rita")
    mona.clicks("Filter")
    mona.sees("not subscribed")
    assert mona.window.locator("table.audit tbody tr").count() == 1
    mona.clicks("On-call pager")
    mona.clicks("History")
    mona.sees("workitem.priority == 'Urgent'")
    mona.clicks("Filter and export in the audit trail")
    with mona.window.expect_download() as download:
        mona.clicks("Export CSV")
    assert "rita" in download.value.path().read_text()
    assert AuditEntry.objects.filter(action="exported", actor="mona").exists()
    mona.goes_to("Audit")
    mona.opens(f"audit/{AuditEntry.objects.get(actor='sam').pk}/")
    mona.sees("Archive", "sam")
