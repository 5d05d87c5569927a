"""The first integration: from an empty overview to an answer, as whoever may and as whoever may not."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.delivery.drain import drain
from integrations.models import EventSubscription, TenantIntegration
from integrations.tests.factories import make_integration, make_item
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Tenant

from .people import DESK, PHONE, Keyboard, Mouse, People, Person, Screen, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NAMED = "These people can give you another one: mona."
WAYS = [  # who, at which screen, with which hands
    pytest.param("manager", DESK, Mouse, id="manager-1400"),
    pytest.param("manager", PHONE, Mouse, id="manager-390"),
    pytest.param("manager", DESK, Keyboard, id="manager-1400-keyboard"),
    pytest.param("root", DESK, Mouse, id="root-1400"),
    pytest.param("root", PHONE, Mouse, id="root-390"),
]


@pytest.mark.parametrize(("who", "screen", "hands"), WAYS)
def test_the_first_integration(
    people: People, acme: Tenant, receiver: Receiver, who: str, screen: Screen, hands: type[Mouse]
) -> None:
    someone = people.join(who, acme, hands=hands)
    someone.sees("Nothing is connected yet")
    someone.clicks("Add the first integration")
    someone.clicks("n8n Webhook")
    made = sets_up_n8n(someone, receiver)

    # What it was set up for arrives, and the overview counts it by itself.
    someone.goes_to("Overview")
    someone.sees("Nothing was delivered yet")
    item = make_item(acme, reference_id="RMA-9")
    drain(made.pk)
    assert receiver.requests[-1].json["workitem"]["id"] == item.pk
    someone.waits(10)
    someone.sees("Delivered", "100 % of 1 attempts", "everything is sent")


def sets_up_n8n(someone: Person, receiver: Receiver) -> TenantIntegration:
    """Go from the form of n8n to an integration that is on; a slip on the way loses nothing but a secret."""
    someone.fills("Name", "Orders")
    someone.fills("Webhook URL", "ftp://example.com/x")
    someone.fills("Basic: user name", "bob")
    someone.fills("Basic: password", "canary-pass")
    someone.clicks("Continue")
    someone.sees("Nothing was saved. Please look at:", "Only https:// addresses can be used")
    assert someone.window.get_by_label("Basic: user name").input_value() == "bob"
    assert "canary-pass" not in someone.window.content()
    someone.fills("Webhook URL", receiver.url)
    someone.fills("Basic: password", "canary-pass")
    someone.clicks("Continue")

    someone.sees("Which events does it want?")
    someone.ticks("Work item created workitem_created")
    someone.clicks("Continue")

    someone.sees("Does it work?")
    assert someone.reads("#secret").startswith("whsec_")
    receiver.answer_with(Answer(500, b"workflow crashed"), default=Answer(200, b'{"hello": "you"}'))
    someone.clicks("Send a test event")
    someone.sees("workflow crashed", "HTTP 500")
    someone.clicks("Send it again")
    someone.sees("✓ The destination took it.", "hello")
    someone.clicks("Continue", exact=True)
    someone.sees("Switch it on", "workitem_created")
    someone.clicks("Switch on")
    someone.sees("Orders is on.")
    made = TenantIntegration.objects.get()
    assert made.is_active and made.credentials["password"] == "canary-pass"
    return made


@on_each_screen
def test_who_may_not_set_up_reads_why_and_whom_to_ask(people: People, acme: Tenant) -> None:
    people.join("manager", acme)
    for who in ("viewer", "operator"):
        someone = people.join(who, acme)
        someone.sees("Nothing is connected yet")
        someone.is_told_why("manager", to="set up integrations")
        someone.is_not_offered("Add the first integration")
        someone.clicks("Who can give it to you")
        someone.sees("Who works for Acme Corp", "mona", "Manager")
        someone.goes_to("Integrations")
        someone.sees("There is no integration yet")
        someone.is_told_why("manager", to="set up integrations")
        someone.is_not_offered("Add")
        for path in ("integrations/new/", "integrations/new/n8n/"):
            someone.is_refused(path, "manager", to="set up integrations", ask=NAMED)


@on_each_screen
@pytest.mark.parametrize("who", ["operator", "manager", "root"])
def test_a_test_event_shows_its_answer_once(people: People, acme: Tenant, receiver: Receiver, who: str) -> None:
    make_integration(acme, receiver.url, name="Production n8n workflow")
    someone = people.join(who, acme)
    someone.goes_to("Integrations")
    someone.clicks("Production n8n workflow")
    receiver.answer_with(Answer(500, b"workflow crashed"), default=Answer(200, b'{"hello": "you"}'))
    someone.clicks("Send test event")
    someone.sees("✗ The test event was not taken", "HTTP 500", "workflow crashed")
    someone.clicks("Send test event")
    someone.sees("✓ The test event was taken", "HTTP 200", "hello")
    someone.opens_again()
    someone.sees("What you can do")
    someone.no_longer_sees("✓ The test event was taken")
    someone.clicks("History")
    someone.sees("tested")


@on_each_screen
def test_a_viewer_sees_who_may_send_a_test_event(people: People, acme: Tenant, receiver: Receiver) -> None:
    make_integration(acme, receiver.url, name="Production n8n workflow")
    vera = people.join("viewer", acme)
    vera.goes_to("Integrations")
    vera.is_told_why("manager", to="set up integrations")
    vera.clicks("Production n8n workflow")
    vera.sees("Look at everything here.", "What takes another role", "Test a connection, send a test event")
    vera.is_not_offered("Send test event", "Check connection", "Pause", "Resume", "Rotate", "Delete")
    vera.clicks("Settings")
    vera.is_told_why("manager", to="change integrations and their subscriptions")
    vera.is_not_offered("Save")
    assert receiver.requests == []


@on_each_screen
def test_a_condition_and_a_payload_are_tried_while_typing(people: People, acme: Tenant, receiver: Receiver) -> None:
    made = make_integration(acme, receiver.url, name="Orders", events=("workitem_created",))
    for number, priority in enumerate(("urgent", "standard", "low")):
        make_item(acme, priority=priority, reference_id=f"RMA-{number}")
    mona = people.join("manager", acme)
    mona.goes_to("Integrations")
    mona.clicks("Orders")
    mona.window.get_by_role("navigation", name="About this integration").get_by_role("link", name="Events").click()
    mona.clicks("Condition and payload Work item created")
    mona.sees("Would have sent 3 of the last 3")
    mona.types("Only if", "workitem.prio")
    page: Any = mona.window
    condition = page.get_by_label("Only if")
    page.get_by_role("option", name="workitem.priority").wait_for()
    condition.press("ArrowDown")
    condition.press("Enter")
    mona.types("Only if", " == ")
    mona.clicks("'Urgent'")  # written at the cursor
    assert condition.input_value() == "workitem.priority == 'Urgent'"
    mona.sees("Would have sent 1 of the last 3", "'Standard'")
    mona.fills("Send", "{text: workitem.titel}")
    mona.sees("There is no workitem.titel")
    mona.fills("Send", "{text: join(' ', [workitem.reference_id, 'is', workitem.priority])}")
    mona.sees("RMA-0 is Urgent")
    mona.clicks("Save")
    mona.sees("It holds for events from now on.")
    assert EventSubscription.objects.get().condition == "workitem.priority == 'Urgent'"
    make_item(acme, priority="urgent", reference_id="RMA-9")
    drain(made.pk)
    assert {"text": "RMA-9 is Urgent"} in [request.json for request in receiver.requests]
