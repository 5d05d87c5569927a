"""docs/zero-to-slack.md, step 3, as a stranger follows it: whatever the page says in bold is there to be used."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.delivery.drain import drain
from integrations.models import TenantIntegration
from integrations.tests.factories import make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import PROJECT
from tasks.models import WorkItem
from tenants.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_what_the_page_says_in_bold_is_there(server: str, browser_page: Any, receiver: Receiver) -> None:
    text = (PROJECT / "docs" / "zero-to-slack.md").read_text()
    section = text.partition("## 3. ")[2].partition("\n## ")[0]
    words = iter(re.findall(r"\*\*(.+?)\*\*", section))
    receiver.answer_with(default=Answer(200, b"ok"))
    tenant = make_tenant()
    user = User.objects.create_user("mia", password="a long password")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    page = browser_page

    def click(kind: str) -> None:
        page.get_by_role(kind, name=next(words), exact=True).first.click()

    page.goto(f"{server}/console/")
    page.fill("[name=username]", "mia")
    page.fill("[name=password]", "a long password")
    page.locator("main button").click()
    page.get_by_role("navigation").get_by_role("link", name=next(words), exact=True).first.click()
    click("link")  # Add an integration
    click("link")  # Slack
    page.get_by_label(next(words), exact=True).fill(f"{receiver.url}/services/T0/B0/of-the-test")
    click("button")
    page.get_by_label(next(words)).check()
    page.get_by_label(next(words)).check()
    click("button")
    click("button")  # Send a test event
    assert "*✓ The destination took it.*" in section
    page.get_by_text("✓ The destination took it.").wait_for()
    click("link")
    click("button")  # Switch on
    page.get_by_text("Slack is on.").wait_for()
    assert next(words, None) is None, "the page says more than this test does"

    item = make_item(tenant, description="Cracked screen")
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()
    drain(TenantIntegration.objects.get().pk)
    test, created, changed = (request.json["text"] for request in receiver.requests)
    assert test and "RMA-1" in created and "RMA-1" in changed
