"""An operator's first quarter of an hour, in a real Chromium: set up, see the secret once, test, look, retry.

Needs the package playwright and a Chromium (CHROMIUM, else /usr/bin/chromium); without them it is skipped, and
with REQUIRE_SERVICES=1 it fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.models import IntegrationSync, SyncState, TenantIntegration, WebhookEvent
from integrations.tests import many_fields
from integrations.tests.receiver import Answer, Receiver
from tasks.models import WorkItem
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tenant() -> Tenant:
    user = User.objects.create_superuser("jane", "jane@example.com", "a-password")
    tenant = Tenant.objects.create(name="Acme Corp")
    Membership.objects.create(tenant=tenant, user=user)
    return tenant


def log_in(page: Any, server: str) -> None:
    page.goto(f"{server}/admin/login/")
    page.fill("#id_username", "jane")
    page.fill("#id_password", "a-password")
    page.click("input[type=submit]")


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

    secret = page.locator("#signing-secret").inner_text()
    assert secret.startswith("whsec_")
    page.get_by_role("button", name="Copy").click()
    page.locator("button.copied").wait_for()
    page.reload()
    assert secret not in page.content()
    integration = TenantIntegration.objects.get()
    assert integration.credentials["signing_keys"][0]["secret"] == secret

    # A test event, and its answer on the page.
    page.goto(f"{server}/admin/integrations/tenantintegration/{integration.pk}/change/")
    receiver.answer_with(Answer(200, b'{"hello": "operator"}'), Answer(500), 200)
    page.get_by_role("link", name="Open in the console").click()
    page.get_by_role("button", name="Send test event").first.click()
    result = page.locator("#test-answer")
    assert "✓ The test event was taken" in result.inner_text()
    assert "HTTP 200" in result.inner_text() and "operator" in result.inner_text()
    page.get_by_role("button", name="Send test event").first.click()
    page.get_by_text("✗ The test event was not taken").wait_for()
    assert receiver.requests[0].headers["x-api-key"] == "canary-header"
    assert "canary-header" not in page.content()

    # A sync that failed, from the list to its page, and again.
    item = WorkItem.objects.create(tenant=tenant, reference_id="RMA-123")
    IntegrationSync.objects.update(status="failed", attempts=3, last_error="it answered HTTP 400")
    page.goto(f"{server}/admin/integrations/integrationsync/?integration={integration.pk}")
    row = page.locator("#result_list tbody tr")
    row.first.wait_for()
    assert row.count() == 1 and "✗ Failed" in row.inner_text() and "RMA-123" in row.inner_text()
    row.get_by_role("link", name="Story").click()
    page.get_by_role("button", name="Retry").click()
    page.get_by_text("1 delivery due now.").wait_for()
    page.get_by_text("Due now: the first attempt").wait_for()
    page.goto(f"{server}/admin/integrations/integrationsync/")
    assert "⚠ Pending" in row.inner_text()
    row.get_by_role("link", name="Story").click()
    page.get_by_role("button", name="Cancel").first.click()
    page.locator("#confirm [data-confirmed]").click()
    page.get_by_text("– Cancelled").first.wait_for()
    page.get_by_role("button", name="Retry").first.click()
    page.get_by_text("Due now: the first attempt").wait_for()
    assert "jane" in page.locator("main").inner_text()

    # And from the work item.
    page.goto(f"{server}/admin/tasks/workitem/{item.pk}/change/")
    assert "⚠ Pending" in page.locator(".ig-panel").inner_text()
    page.fill("#id_new_note", "told the customer")
    page.get_by_role("button", name="Save and continue editing").click()
    assert "told the customer" in page.locator(".ig-notes").first.inner_text()


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
    log_in(page, server)
    sync = IntegrationSync.objects.get()
    add = "tenantintegration/add/"
    with many_fields.registered():
        for address in ("tenantintegration/", f"tenantintegration/{integration.pk}/change/", add,
                        f"{add}?integration_type={many_fields.KEY}", "integrationsync/",
                        f"integrationsync/{sync.pk}/change/"):  # fmt: skip
            page.goto(f"{server}/admin/integrations/{address}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 800, address
    page.goto(f"{server}/admin/integrations/tenantintegration/")
    background = page.locator(".ig-badge").first.evaluate("badge => getComputedStyle(badge).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")) < 100, "a badge must not glare in the dark"


ADD = "/admin/integrations/tenantintegration/add/"


def fill_in(page: Any) -> None:
    """Fill in what the made-up connector wants."""
    for name in ("shop", "client_id", "client_secret", "private_key", "contact"):
        page.fill(f"#id_{name}", many_fields.VALID[name])


def test_choosing_a_connector_swaps_its_fields_and_keeps_what_was_typed(
    server: str, browser_page: Any, receiver: Receiver, tenant: Tenant
) -> None:
    page = browser_page
    log_in(page, server)
    with many_fields.registered():
        page.goto(server + ADD)
        page.fill("#id_name", "Typed name")
        page.check("input[value=workitem_updated]")
        page.fill("input[name=event_types-condition-workitem_updated]", "workitem.id > `5`")
        page.select_option("#id_integration_type", "webhook")
        page.fill("#id_webhook_url", "https://hooks.example.com/typed")
        page.fill("#id_api_key", "canary-typed")
        page.select_option("#id_integration_type", "n8n")
        page.get_by_text("Starts an n8n workflow").wait_for()
        assert page.locator("#id_webhook_url").input_value() == "https://hooks.example.com/typed"
        assert page.locator("#id_api_key").input_value() == "", "a secret was typed for one kind only"
        page.select_option("#id_integration_type", many_fields.KEY)
        page.locator("#id_shop").wait_for()
        assert page.locator("#id_webhook_url").count() == 0
        page.get_by_text("Advanced").click()
        assert page.locator("#id_batch").input_value() == "20"
        page.fill("#id_base_url", receiver.url)
        fill_in(page)
        page.fill("#id_contact", "nobody")
        page.get_by_role("button", name="Save", exact=True).click()
        # An error: its words are at the field, secrets are asked for again, everything else is there still.
        page.get_by_text("Must be an e-mail address.").wait_for()
        assert page.locator("#id_base_url").input_value() == receiver.url
        assert page.locator("#id_private_key").input_value() == ""
        fill_in(page)
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("was added successfully").wait_for()
        integration = TenantIntegration.objects.get()
        assert integration.name == "Typed name" and integration.integration_type == many_fields.KEY
        found = dict(integration.subscriptions.values_list("event_type", "condition"))
        assert found == {"workitem_updated": "workitem.id > `5`"}
        assert integration.credentials["private_key"] == many_fields.VALID["private_key"], "its lines are kept"
        # And it is checked with one click.
        receiver.answer_with(Answer(200, b'{"name": "North"}'))
        page.goto(f"{server}/admin/integrations/tenantintegration/{integration.pk}/change/")
        page.get_by_role("link", name="Open in the console").click()
        page.get_by_role("button", name="Check connection").first.click()
        assert "The shop is called North." in page.locator("#test-answer").inner_text()
        assert "canary" not in page.content()


def test_choosing_a_connector_without_javascript(server: str, browser_page: Any, tenant: Tenant) -> None:
    page = browser_page.context.browser.new_page(java_script_enabled=False)
    log_in(page, server)
    with many_fields.registered():
        page.goto(server + ADD)
        page.fill("#id_name", "Typed name")
        page.check("input[value=workitem_updated]")
        page.select_option("#id_integration_type", many_fields.KEY)
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("These are the fields of Storehouse of Many Fields.").wait_for()
        assert not TenantIntegration.objects.exists()
        fill_in(page)
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("was added successfully").wait_for()
        integration = TenantIntegration.objects.get()
        assert integration.name == "Typed name" and integration.event_type == "workitem_updated"
        assert integration.config["includes_vat"] is True, "the defaults were on the page"


def test_from_the_address_to_paste_to_a_webhook_that_is_processed_again(
    server: str, browser_page: Any, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.inbound.by_hand.send_hint", lambda *_, **__: True)  # no broker here
    page = browser_page
    integration = TenantIntegration(tenant=tenant, name="Workflow", integration_type="n8n")
    integration.webhook_url = "https://n8n.example.com/webhook/x"
    integration.inbound_actions = ["workitem-note"]
    integration.save()
    change = f"{server}/admin/integrations/tenantintegration/{integration.pk}/change/"
    log_in(page, server)
    page.goto(change)
    page.get_by_role("link", name="Where it calls back").click()
    page.get_by_text("enter “").wait_for()
    page.goto(change)
    page.fill("#id_webhook_secret", "canary-secret-of-the-workflow")
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("link", name="Where it calls back").click()
    page.get_by_text("✓ Set").wait_for()
    assert "canary" not in page.content()
    address = page.locator("#callback-0").inner_text()
    assert address.endswith(f"/webhooks/{integration.public_id}/workitem-note/")
    page.get_by_role("button", name="Copy").first.click()
    page.locator("button.copied").wait_for()

    event = WebhookEvent.objects.create(
        connection=integration, provider="n8n", action="workitem-note", idempotency_key=f"{integration.pk}:1",
        signature_valid=True, status="failed", error="There is no work item 77.", body=b'{"a": "<b>"}',
        payload={"long": "x" * 2000, "rows": [{"a": "<b>"}] * 200}, headers={"X-Long": "y" * 1000},
    )  # fmt: skip
    page.reload()
    shown = page.locator("table.list").inner_text()
    assert "✗ Failed" in shown and "There is no work item 77." in shown
    page.goto(f"{server}/admin/integrations/webhookevent/{event.pk}/change/")
    page.get_by_role("link", name="process it again").click()
    page.get_by_role("button", name="Process again").click()
    page.get_by_text("1 inbound webhook will be processed now.").wait_for()
    assert "⚠ Received" in page.content()
    page.get_by_text("As it came").click()
    assert '{"a": "<b>"}' in page.locator("main").inner_text()
    SyncState.objects.create(connection=integration, resource_type="orders", cursor="z" * 500, last_error="w" * 500)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 800, "height": 900})
    for path in (f"webhookevent/{event.pk}/change/", "webhookevent/", "syncstate/", "syncstate/add/",
                 f"tenantintegration/{integration.pk}/change/"):  # fmt: skip
        page.goto(f"{server}/admin/integrations/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 800, path
        for error in page.locator("td.field-problem, td.field-errors").all():
            box = error.bounding_box()
            assert box["x"] + box["width"] <= 800 and box["width"] > 300, "the error has a line of its own, in view"
