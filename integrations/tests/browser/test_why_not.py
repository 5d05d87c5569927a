"""Somebody asks why an event did not arrive, in a real Chromium: what kept it out, who did that, and send it anyway."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.acting import acting_as
from integrations.models import AuditEntry, IntegrationSync
from integrations.tests.factories import make_integration, make_item, make_tenant
from tenants.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_manager_finds_out_why_and_who(server: str, browser_page: Any) -> None:
    tenant = make_tenant()
    pager = make_integration(tenant, "https://hooks.example.com/x", name="On-call pager", events=())
    with acting_as("rita", source="console"):
        pager.subscribe("workitem_created", conditions={"workitem_created": "workitem.priority == 'Urgent'"})
    archive = make_integration(tenant, "https://hooks.example.com/y", name="Archive")
    archive.is_active = False
    with acting_as("sam", source="api"):
        archive.save()
    item = make_item(tenant, priority="standard", reference_id="RMA-77")
    user = User.objects.create_user("mona", password="a long password")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    page = browser_page

    page.goto(f"{server}/console/events/")
    page.fill("[name=username]", "mona")
    page.fill("[name=password]", "a long password")
    page.locator("main button").click()
    page.get_by_role("link", name="workitem_created").click()
    page.get_by_text("– Skipped").wait_for()
    page.get_by_text("`workitem.priority == 'Urgent'`: it was Standard").wait_for()
    page.get_by_text("It was switched off then (Active not ticked): sam did that at").wait_for()
    event = page.url

    page.get_by_role("navigation", name="Console").get_by_role("link", name="Audit").click()
    page.fill("[name=who]", "rita")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("not subscribed").wait_for()
    assert page.locator("table.audit tbody tr").count() == 1
    page.locator("table.audit tbody tr").get_by_role("link", name="On-call pager").click()
    page.get_by_role("link", name="History").click()
    page.locator("table.audit").get_by_text("workitem.priority == 'Urgent'").wait_for()
    page.get_by_role("link", name="Filter and export in the audit trail").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    assert "rita" in download.value.path().read_text()
    assert AuditEntry.objects.filter(action="exported", actor="mona").exists()

    entry = AuditEntry.objects.get(actor="sam")
    page.set_viewport_size({"width": 390, "height": 800})
    for address in (event, f"{server}/console/audit/", f"{server}/console/audit/{entry.pk}/",
                    f"{server}/console/integrations/{pager.public_id}/history/"):  # fmt: skip
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
    assert IntegrationSync.objects.get().status == "skipped" and item.pk
