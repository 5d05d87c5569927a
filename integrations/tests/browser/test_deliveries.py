"""In a real Chromium: a delivery that fails is found, understood, mended and seen to arrive, without a reload."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.database_clock import after
from integrations.delivery.drain import drain
from integrations.models import IntegrationSync
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_operator_finds_what_fails_and_sees_it_arrive(
    server: str, browser_page: Any, receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    tenant = make_tenant()
    target = make_integration(tenant, receiver.url, headers={"X-Shop": "canary-of-the-shop"})
    make_item(tenant, reference_id="RMA-1")
    receiver.answer_with(Answer(404, b'{"error": "no such workflow"}'), 200)
    user = User.objects.create_user("olga", password="a long password")
    Membership.objects.create(tenant=tenant, user=user, role="operator")
    page, first = browser_page, IntegrationSync.objects.get()

    page.goto(f"{server}/console/deliveries/?status=pending")
    page.fill("[name=username]", "olga")
    page.fill("[name=password]", "a long password")
    page.locator("main button").click()
    row = page.locator(f"#delivery-{first.pk}")
    row.get_by_text("due now").wait_for()
    row.get_by_role("checkbox").check()
    drain(target.pk)
    row.get_by_text("no such workflow").wait_for()  # by itself, and the tick is still there
    assert row.get_by_role("checkbox").is_checked()
    second = make_item(tenant, reference_id="RMA-2")
    page.get_by_text("RMA-2").wait_for()
    assert row.get_by_role("checkbox").is_checked()
    second.delete()

    row.get_by_role("link", name="workitem_created").click()
    page.get_by_text("The receiver knows no such address").wait_for()
    head = page.get_by_label("Head of the request").first  # the request of the last failure is open
    assert "X-Shop: ***" in head.inner_text()
    page.get_by_role("button", name="Copy as curl").click()
    page.locator("button.copied").wait_for()
    assert "canary-of-the-shop" not in page.content()
    assert page.locator("[id^=curl-]").first.text_content().startswith("# Set first: WEBHOOK_URL, HEADER_X_SHOP")

    page.get_by_role("button", name="Retry").click()
    page.get_by_text("1 delivery due now.").wait_for()
    IntegrationSync.objects.exclude(pk=first.pk).update(next_attempt_at=after(3600))
    drain(target.pk)
    page.get_by_text("delivered, HTTP 200").wait_for()  # by itself
    page.get_by_text("Noted on the object").wait_for()

    page.set_viewport_size({"width": 390, "height": 800})
    for address in (f"deliveries/{first.pk}/", "deliveries/", f"objects/{first.object_key.replace(':', '/')}/"):
        page.goto(f"{server}/console/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
