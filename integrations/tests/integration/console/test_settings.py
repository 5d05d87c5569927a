"""The tabs Settings and Events of an integration: what each role sees, what is saved, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from integrations.models import AuditEntry, EventSubscription, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant

from .test_setup import page, signed_in

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
VIEWER = ("view_tenantintegration",)
SECRET = "k-canary-1aZ"


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def ours() -> TenantIntegration:
    return make_integration(
        make_tenant(), "https://hooks.example.com/in/secret-path", events=("workitem_created",),
        credentials={"api_key": SECRET}, config={"username": "bob"},
    )  # fmt: skip


def url(name: str, integration: TenantIntegration, *args: str) -> str:
    return reverse(f"console:{name}", args=[integration.public_id, *args])


def posted(client: Client, integration: TenantIntegration, **changes: str) -> Any:
    """Post the form as the page shows it, with `changes`."""
    html = client.get(url("integration-settings", integration))
    form = html.context["form"] if html.context else None
    assert form is not None
    data = {field.html_name: field.value() for field in form if field.value() not in (None, False)}
    data = {name: "on" if value is True else value for name, value in data.items()}
    return client.post(url("integration-settings", integration), {**data, **changes})


def tick(client: Client, integration: TenantIntegration, *events: str) -> None:
    address = url("integration-events", integration)
    seen = client.get(address).context["seen"]
    assert client.post(address, {"events": events, "seen": seen}).status_code == 302


def saved(client: Client, integration: TenantIntegration, event_type: str, **typed: str) -> Any:
    """Post the page of one event type as it is shown, with what was `typed`."""
    address = url("integration-event", integration, event_type)
    return client.post(address, {**typed, "seen": client.get(address).context["seen"]})


def test_a_viewer_sees_what_may_be_shown_and_a_manager_a_form_without_secrets(ours: TenantIntegration) -> None:
    viewer = signed_in(ours.tenant, name="vic", permissions=VIEWER)
    html = page(viewer, url("integration-settings", ours))
    assert "https://hooks.example.com/•••" in html
    assert "bob" in html
    assert '<form class="card"' not in html
    manager = page(signed_in(ours.tenant), url("integration-settings", ours))
    assert 'value="bob"' in manager
    for secret in (SECRET, "secret-path"):
        assert secret not in html + manager
    assert viewer.post(url("integration-settings", ours), {"name": "X"}).status_code == 403


def test_what_is_changed_is_saved_and_what_is_masked_stays(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    assert posted(client, ours, name="Renamed", timeout_seconds="12").status_code == 302
    ours.refresh_from_db()
    assert (ours.name, ours.timeout_seconds, ours.credentials["api_key"]) == ("Renamed", 12, SECRET)
    assert ours.webhook_url == "https://hooks.example.com/in/secret-path"


def test_an_address_elsewhere_asks_for_the_secrets_again(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    refused = posted(client, ours, webhook_url="https://elsewhere.example.org/x")
    html = refused.content.decode()
    assert "The address is on another server: type this again, or empty it." in html
    ours.refresh_from_db()
    assert ours.webhook_url == "https://hooks.example.com/in/secret-path"
    assert posted(client, ours, webhook_url="https://elsewhere.example.org/x", api_key="another").status_code == 302
    ours.refresh_from_db()
    assert (ours.webhook_url, ours.credentials["api_key"]) == ("https://elsewhere.example.org/x", "another")


def test_who_was_slower_is_told_and_overwrites_nothing(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    form = client.get(url("integration-settings", ours)).context["form"]
    stale = form["version"].value()
    TenantIntegration.objects.get(pk=ours.pk).save()  # somebody else
    refused = posted(client, ours, name="Mine", version=stale)
    assert "Somebody else changed this integration" in refused.content.decode()
    ours.refresh_from_db()
    assert ours.name != "Mine"


def test_ticks_are_saved_and_what_stays_keeps_condition_and_payload(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    EventSubscription.objects.update(condition="workitem.customer", payload="{a: event_type}")
    events = url("integration-events", ours)
    assert "workitem.customer" in page(client, events)
    tick(client, ours, "workitem_created", "workitem_deleted")
    rows = EventSubscription.objects.order_by("id").values_list("event_type", "condition", "payload")
    assert list(rows) == [("workitem_created", "workitem.customer", "{a: event_type}"), ("workitem_deleted", "", "")]
    tick(client, ours)
    assert not EventSubscription.objects.exists()


def test_condition_and_payload_are_tried_then_saved_or_refused_with_what_was_typed(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    for number, priority in enumerate(("urgent", "standard", "low")):
        make_item(ours.tenant, priority=priority, reference_id=f"RMA-{number}")
    editor, trial = (url(name, ours, "workitem_created") for name in ("integration-event", "integration-event-try"))
    html = page(client, editor)
    assert "Would have sent 3 of the last 3" in html
    assert 'data-inserts="workitem.priority"' in html
    good = {"condition": "workitem.priority == 'Urgent'", "payload": "{text: workitem.reference_id}"}
    tried = client.post(trial, good, headers={"HX-Request": "true"}).content.decode()
    assert "Would have sent 1 of the last 3" in tried
    assert "<html" not in tried
    assert "&quot;text&quot;: &quot;RMA-0&quot;" in tried
    assert "&#x27;Low&#x27;" in tried
    assert EventSubscription.objects.get().condition == ""  # trying saves nothing

    slips = {"condition": "workitem.prority == 'Urgent'", "payload": "{text: workitem.titel}"}
    refused = saved(client, ours, "workitem_created", **slips).content.decode()
    assert "did you mean workitem.priority?" in refused
    assert "workitem.prority == &#x27;Urgent&#x27;</textarea>" in refused
    assert "{text: workitem.titel}</textarea>" in refused
    assert EventSubscription.objects.get().payload == ""

    assert saved(client, ours, "workitem_created", **good).status_code == 302
    row = EventSubscription.objects.get()
    assert (row.condition, row.payload) == (good["condition"], good["payload"])
    assert AuditEntry.objects.order_by("-id")[0].changes == {
        "subscription workitem_created": ["", good["condition"]],
        "payload of workitem_created": ["", good["payload"]],
    }


def test_an_event_type_that_is_not_ticked_is_subscribed_to_by_saving_its_page(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    editor = url("integration-event", ours, "workitem_deleted")
    assert "made-up events" in page(client, editor)
    saved(client, ours, "workitem_deleted")
    assert ours.subscriptions.filter(event_type="workitem_deleted").exists()
    page(client, url("integration-event", ours, "no_such_event"), 404)


def test_another_tenants_and_a_smaller_role_are_refused(ours: TenantIntegration) -> None:
    foreign = make_integration(make_tenant("Other"))
    client = signed_in(ours.tenant)
    viewer = signed_in(ours.tenant, name="vic", permissions=VIEWER)
    for name, *args in (("integration-settings",), ("integration-events",), ("integration-event", "workitem_created")):
        page(client, url(name, foreign, *args), 404)
        assert client.post(url(name, foreign, *args)).status_code == 404
        page(viewer, url(name, ours, *args))
        assert viewer.post(url(name, ours, *args)).status_code == 403
    assert client.post(url("integration-event-try", foreign, "workitem_created")).status_code == 404


def test_a_type_that_is_not_installed_is_shown_and_not_changed(ours: TenantIntegration) -> None:
    TenantIntegration.objects.update(integration_type="gone")
    client = signed_in(ours.tenant)
    assert "is not installed here" in page(client, url("integration-settings", ours))
    page(client, url("integration-events", ours))


def test_the_pages_ask_few_questions(ours: TenantIntegration, django_assert_max_num_queries: Any) -> None:
    for number in range(25):
        make_item(ours.tenant, reference_id=f"RMA-{number}")
    client = signed_in(ours.tenant)
    for name, *args in (("integration-settings",), ("integration-events",), ("integration-event", "workitem_created")):
        page(client, url(name, ours, *args))
        with django_assert_max_num_queries(15):
            page(client, url(name, ours, *args))
    with django_assert_max_num_queries(15):
        page(client, reverse("console:gallery"))
    with django_assert_max_num_queries(15):
        client.post(url("integration-event-try", ours, "workitem_created"), {"condition": "workitem.customer"})


def test_who_saves_over_what_they_did_not_see_is_told(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant)
    editor, events = url("integration-event", ours, "workitem_created"), url("integration-events", ours)
    seen, ticks = (client.get(each).context["seen"] for each in (editor, events))
    EventSubscription.objects.update(condition="workitem.customer")  # somebody else
    ours.subscriptions.create(event_type="workitem_deleted")
    mine = {"condition": "workitem.owner", "payload": "", "seen": seen}
    refused = client.post(editor, mine)
    assert "somebody else saved “workitem.customer”" in refused.content.decode()
    assert "workitem.owner</textarea>" in refused.content.decode()
    assert "Somebody else changed the events" in client.post(events, {"events": [], "seen": ticks}).content.decode()
    assert sorted(ours.subscriptions.values_list("event_type", "condition")) == [
        ("workitem_created", "workitem.customer"),
        ("workitem_deleted", ""),
    ]
    client.post(editor, {**mine, "seen": refused.context["seen"]})
    assert ours.subscriptions.get(event_type="workitem_created").condition == "workitem.owner"


def test_what_it_may_do_when_it_calls_back_is_ticked_here(ours: TenantIntegration) -> None:
    client = signed_in(ours.tenant, role="manager", permissions=())
    html = page(client, url("integration-settings", ours))
    assert 'value="workitem-note"' in html


def test_whoever_may_not_see_what_happened_tries_on_made_up_events(ours: TenantIntegration) -> None:
    make_item(ours.tenant, reference_id="CANARY-1")
    client = signed_in(ours.tenant, permissions=VIEWER)
    editor, trial = (url(name, ours, "workitem_created") for name in ("integration-event", "integration-event-try"))
    for html in (page(client, editor), client.post(trial).content.decode()):
        assert "made-up events" in html
        assert "CANARY" not in html
