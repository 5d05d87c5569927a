"""A tenant's manager in a real Chromium: the first integration, from the gallery to a payload of its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.delivery.drain import drain
from integrations.models import EventSubscription, TenantIntegration
from integrations.tests.factories import make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1400, 390])
def test_a_manager_sets_up_n8n_and_sends_what_they_want(
    server: str, browser_page: Any, receiver: Receiver, width: int
) -> None:
    tenant = make_tenant()
    user = User.objects.create_user("mia", password="a long password")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    page = browser_page
    page.set_viewport_size({"width": width, "height": 900})
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)

    page.goto(f"{server}/console/integrations/new/")
    page.fill("[name=username]", "mia")
    page.fill("[name=password]", "a long password")
    page.locator("main button").click()
    page.locator("#q").press_sequentially("n8n")  # by itself
    page.get_by_role("link", name="Slack").wait_for(state="detached")
    page.get_by_role("link", name="n8n Webhook").click()

    # A slip is said where it is, and empties nothing but the secret.
    page.get_by_label("Name (required)").fill("Orders")
    page.get_by_label("Webhook URL (required)").fill("ftp://example.com/x")
    page.get_by_label("Basic: user name").fill("bob")
    page.get_by_label("Basic: password").fill("canary-pass")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("alert").get_by_text("Only https:// addresses can be used").wait_for()
    assert page.get_by_label("Basic: user name").input_value() == "bob"
    assert "canary-pass" not in page.content()
    page.get_by_label("Webhook URL (required)").fill(receiver.url)
    page.get_by_label("Basic: password").fill("canary-pass")
    page.get_by_role("button", name="Continue").click()

    page.get_by_label("Work item created").check()
    page.get_by_role("button", name="Continue").click()
    assert page.locator("#secret").inner_text().startswith("whsec_")
    receiver.answer_with(Answer(500, b"workflow crashed"), default=Answer(200, b'{"hello": "mia"}'))
    page.get_by_role("button", name="Send a test event").click()
    page.get_by_text("workflow crashed").wait_for()
    page.get_by_role("button", name="Send it again").click()
    page.get_by_text("✓ The destination took it.").wait_for()
    page.get_by_role("link", name="Continue", exact=True).click()
    page.get_by_role("button", name="Switch on").click()
    page.get_by_text("Orders is on.").wait_for()
    made = TenantIntegration.objects.get()
    assert made.is_active

    # What happened is what conditions and payloads are tried on.
    for number, priority in enumerate(("urgent", "standard", "low")):
        make_item(tenant, priority=priority, reference_id=f"RMA-{number}")
    page.goto(f"{server}/console/integrations/{made.public_id}/events/")
    page.get_by_role("link", name="Condition and payload Work item created").click()
    page.get_by_role("heading", name="Would have sent 3 of the last 3").wait_for()
    condition, payload = page.get_by_label("Only if"), page.get_by_label("Send", exact=True)
    condition.press_sequentially("workitem.prio")
    page.get_by_role("option", name="workitem.priority").wait_for()
    condition.press("ArrowDown")
    condition.press("Enter")
    condition.press_sequentially(" == ")
    page.get_by_role("button", name="'Urgent'").click()  # written at the cursor
    assert condition.input_value() == "workitem.priority == 'Urgent'"
    page.get_by_role("heading", name="Would have sent 1 of the last 3").wait_for()
    page.get_by_text("'Standard'").last.wait_for()
    payload.fill("{text: workitem.titel}")
    page.locator("#trial").get_by_text("There is no workitem.titel").wait_for()
    payload.fill("{text: join(' ', [workitem.reference_id, 'is', workitem.priority])}")
    page.locator("#trial pre").get_by_text("RMA-0 is Urgent").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Save").click()
    page.get_by_text("It holds for events from now on.").wait_for()
    assert EventSubscription.objects.get().condition == "workitem.priority == 'Urgent'"

    make_item(tenant, priority="urgent", reference_id="RMA-9")
    drain(made.pk)
    assert receiver.requests[-1].json == {"text": "RMA-9 is Urgent"}
    assert refused == []
