"""An operator's first quarter of an hour, in a real Chromium: set up, see the secret once, test, look, retry.

Needs the package playwright and a Chromium (CHROMIUM, else /usr/bin/chromium); without them it is skipped, and
with REQUIRE_SERVICES=1 it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from pytest_django.live_server_helper import LiveServer

from integrations.models import IntegrationSync, TenantIntegration
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import missing
from tasks.models import WorkItem
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> Iterator[str]:
    """A live server over plain HTTP, whose integrations may call the receiver."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright keeps an event loop in this thread
    monkeypatch.setattr("integrations.delivery.wakeup.wake", lambda *_, **__: False)  # no broker here
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    # Not pytest-django's live_server: that one is made once, before these settings.
    running = LiveServer("localhost")
    yield running.url
    running.stop()


@pytest.fixture
def browser_page(server: str) -> Iterator[Any]:
    """A page of a fresh browser; fails the test on an error of a script or a refused resource of ours."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright is not installed")
    if not Path(CHROMIUM).exists():
        missing(f"there is no Chromium at {CHROMIUM}")
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("response", lambda answer: troubles.append(answer.url) if _is_broken(answer) else None)
        yield page
        browser.close()
        connections.close_all()  # beside playwright's event loop this thread has connections of its own
    assert troubles == []


def _is_broken(answer: Any) -> bool:
    return answer.status >= 400 and not answer.url.endswith("favicon.ico")


@pytest.fixture
def tenant() -> Tenant:
    user = User.objects.create_superuser("jane", "jane@example.com", "a-password")
    tenant = Tenant.objects.create(name="Acme Corp")
    Membership.objects.create(tenant=tenant, user=user)
    return tenant


def test_from_login_to_retry(server: str, browser_page: Any, receiver: Receiver, tenant: Tenant) -> None:
    page = browser_page
    page.goto(f"{server}/admin/")
    page.fill("#id_username", "jane")
    page.fill("#id_password", "a-password")
    page.click("input[type=submit]")

    # Create an integration; the one tenant is chosen already.
    page.get_by_role("link", name="Tenant integrations", exact=True).first.click()
    page.get_by_role("link", name="Add tenant integration").click()
    assert page.locator("#id_tenant").input_value() == str(tenant.pk)
    page.fill("#id_name", "Production n8n workflow")
    page.select_option("#id_integration_type", "n8n")
    page.check("input[value=workitem_created]")
    page.fill("#id_webhook_url", receiver.url)
    page.fill("#id_headers", '{"X-API-Key": "canary-header"}')
    page.get_by_role("button", name="Save", exact=True).click()

    # The secret is there once.

    secret = page.locator("#signing-secret").input_value()
    assert secret.startswith("whsec_")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    page.reload()
    assert secret not in page.content()
    integration = TenantIntegration.objects.get()
    assert integration.credentials["signing_keys"][0]["secret"] == secret

    # A test event, and its answer on the page.
    page.goto(f"{server}/admin/integrations/tenantintegration/{integration.pk}/change/")
    receiver.answer_with(Answer(200, b'{"hello": "operator"}'), Answer(500), 200)
    page.get_by_role("button", name="Send test event").click()
    result = page.locator("#test-result")
    assert "✓ Test event delivered" in result.inner_text()
    assert "HTTP 200" in result.inner_text() and "operator" in result.inner_text()
    page.get_by_role("button", name="Send test event").click()
    page.get_by_text("✗ Test event not delivered").wait_for()
    assert receiver.requests[0].headers["x-api-key"] == "canary-header"
    assert "canary-header" not in page.content()

    # A sync that failed, from the list to its page, and again.
    item = WorkItem.objects.create(tenant=tenant, reference_id="RMA-123")
    IntegrationSync.objects.update(status="failed", attempts=3, last_error="it answered HTTP 400")
    page.get_by_role("link", name="Its syncs").click()
    row = page.locator("#result_list tbody tr")
    row.first.wait_for()
    assert row.count() == 1 and "✗ Failed" in row.inner_text() and "RMA-123" in row.inner_text()
    row.locator("input.action-select").check()
    page.select_option("select[name=action]", "retry")
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).first.click()
    page.get_by_text("1 sync due now.").wait_for()
    assert "⚠ Pending" in row.inner_text()
    row.locator("a").first.click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("1 sync cancelled.").wait_for()
    page.get_by_role("button", name="Retry (deliver now)").click()
    page.get_by_text("1 sync due now.").wait_for()
    assert "by jane" in page.locator(".ig-table").inner_text()

    # And from the work item.
    page.goto(f"{server}/admin/tasks/workitem/{item.pk}/change/")
    assert "⚠ Pending" in page.locator(".ig-panel").inner_text()
    page.fill("#id_new_note", "told the customer")
    page.get_by_role("button", name="Save and continue editing").click()
    assert "told the customer" in page.locator(".ig-notes").inner_text()


def test_pages_fit_a_narrow_window_in_the_dark(
    server: str, browser_page: Any, receiver: Receiver, tenant: Tenant
) -> None:
    integration = TenantIntegration(tenant=tenant, name="Hook", integration_type="webhook")
    integration.webhook_url = receiver.url
    integration.save()
    integration.subscribe("workitem_created")
    WorkItem.objects.create(tenant=tenant, reference_id="RMA-1")
    page = browser_page
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 800, "height": 900})
    page.goto(f"{server}/admin/login/")
    page.fill("#id_username", "jane")
    page.fill("#id_password", "a-password")
    page.click("input[type=submit]")
    sync = IntegrationSync.objects.get()
    for address in ("tenantintegration/", f"tenantintegration/{integration.pk}/change/", "tenantintegration/add/",
                    "integrationsync/", f"integrationsync/{sync.pk}/change/"):  # fmt: skip
        page.goto(f"{server}/admin/integrations/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 800, address
    background = page.locator(".ig-badge").first.evaluate("badge => getComputedStyle(badge).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")) < 100, "a badge must not glare in the dark"
