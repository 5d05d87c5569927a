"""What an integration may do when it calls back, ticked in its form or given by the API; and what it caused, shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from integrations.acting import caused_by
from integrations.admin.sync.admin import deliveries
from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.tests import a_shop
from tenants.models import Membership

from .admin_world import (
    Side,
    client_of,
    form_values,
    make_integration,
    make_side,
    messages_of,
    page,
    shown_values,
    url,
)

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]


@pytest.fixture(autouse=True)
def _addresses(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "https://app.example.com/webhooks/"}


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


@pytest.fixture
def n8n(acme: Side) -> TenantIntegration:
    integration = TenantIntegration(tenant=acme.tenant, name="Acme n8n", integration_type="n8n")
    integration.webhook_url = "https://n8n.example.com/webhook/x"
    integration.save()
    integration.subscribe("workitem_status_changed")
    return integration


def calling_back(side: Side, integration: TenantIntegration) -> str:
    """The tab of the console that says where the other side calls us."""
    return page(side.client, f"/console/integrations/{integration.public_id}/calling-back/")


def allowed(integration: TenantIntegration) -> list[str]:
    integration.refresh_from_db()
    return list(integration.inbound_actions)


# -- the form ----------------------------------------------------------------------------------------------


def test_a_box_for_each_action_and_the_address_of_what_is_ticked(acme: Side, n8n: TenantIntegration) -> None:
    html = page(acme.client, url("tenantintegration", "change", n8n.pk))
    assert "May do when it calls back" in html and "Add a note to a work item" in html
    assert html.count("Calling back</h2>") == 1 and "token_urlsafe" in html
    assert f'href="/console/integrations/{n8n.public_id}/calling-back/"' in html
    address = f"https://app.example.com/webhooks/{n8n.public_id}/workitem-note/"
    assert allowed(n8n) == [] and address not in calling_back(acme, n8n)
    TenantIntegration.unannounced.filter(pk=n8n.pk).update(inbound_actions=["workitem-note"])
    assert calling_back(acme, n8n).count(address) == 1


def test_without_a_setting_the_address_has_the_host_of_the_page(
    acme: Side, n8n: TenantIntegration, settings: Any
) -> None:
    TenantIntegration.unannounced.filter(pk=n8n.pk).update(inbound_actions=["workitem-note"])
    hint = "INTEGRATIONS_WEBHOOK_BASE_URL or INTEGRATIONS_PUBLIC_URL"
    assert hint not in calling_back(acme, n8n)
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "", "PUBLIC_URL": ""}
    html = calling_back(acme, n8n)
    assert f">http://testserver/webhooks/{n8n.public_id}/workitem-note/<" in html and hint in html


def test_saving_what_nobody_can_call_says_so(acme: Side, n8n: TenantIntegration) -> None:
    words = "Nobody can call back until “Secret for calling back” is filled in"
    change = url("tenantintegration", "change", n8n.pk)
    values = shown_values(acme.client, n8n, inbound_actions=["workitem-note"])
    assert words in messages_of(acme.client.post(change, values, follow=True).content.decode())
    values = shown_values(acme.client, n8n, inbound_actions=["workitem-note"], webhook_secret="s" * 32)
    assert words not in messages_of(acme.client.post(change, values, follow=True).content.decode())


def test_actions_are_not_offered_to_a_shop_but_can_be_taken_away(acme: Side) -> None:
    with a_shop.registered():
        shop = TenantIntegration(tenant=acme.tenant, name="Shop", integration_type=a_shop.KEY)
        shop.credentials = {"consumer_secret": "canary", "webhook_secret": "canary"}
        shop.config = {"store_url": a_shop.VALID["store_url"]}
        shop.save()
        change = url("tenantintegration", "change", shop.pk)
        assert "May do when it calls back" not in page(acme.client, change)
        assert f"/webhooks/{shop.public_id}/events/" in calling_back(acme, shop)
        TenantIntegration.unannounced.filter(pk=shop.pk).update(inbound_actions=["workitem-note"])
        assert "May do when it calls back" in page(acme.client, change)


def test_ticked_is_stored_and_taken_away_again(acme: Side, n8n: TenantIntegration) -> None:
    change = url("tenantintegration", "change", n8n.pk)
    values = shown_values(acme.client, n8n, inbound_actions=["workitem-status", "workitem-note"])
    assert acme.client.post(change, values).status_code == 302
    assert sorted(allowed(n8n)) == ["workitem-note", "workitem-status"]
    before = TenantIntegration.unannounced.values().get(pk=n8n.pk)
    assert acme.client.post(change, shown_values(acme.client, n8n)).status_code == 302
    assert TenantIntegration.unannounced.values().get(pk=n8n.pk) == before, "saved as shown: nothing changes"
    acme.client.post(change, shown_values(acme.client, n8n, inbound_actions=["workitem-note"]))
    assert allowed(n8n) == ["workitem-note"]
    acme.client.post(change, shown_values(acme.client, n8n, inbound_actions=None))
    assert allowed(n8n) == []


def test_a_new_integration_may_do_nothing_unless_it_is_ticked(acme: Side) -> None:
    add = url("tenantintegration", "add")
    acme.client.post(add, form_values(acme.tenant, integration_type="n8n", name="quiet"))
    assert TenantIntegration.objects.get(name="quiet").inbound_actions == []
    ticked = form_values(acme.tenant, integration_type="n8n", name="loud", inbound_actions=["workitem-note"])
    acme.client.post(add, ticked)
    assert TenantIntegration.objects.get(name="loud").inbound_actions == ["workitem-note"]


def test_what_is_no_action_is_refused(acme: Side, n8n: TenantIntegration) -> None:
    values = shown_values(acme.client, n8n, inbound_actions=["everything"])
    response = acme.client.post(url("tenantintegration", "change", n8n.pk), values)
    assert list(response.context["adminform"].form.errors) == ["inbound_actions"]
    assert allowed(n8n) == []


def test_a_word_that_stayed_behind_is_shown_to_be_taken_away(acme: Side, n8n: TenantIntegration) -> None:
    TenantIntegration.objects.filter(pk=n8n.pk).update(inbound_actions=["gone-since", "workitem-note"])
    assert "gone-since (no longer offered)" in page(acme.client, url("tenantintegration", "change", n8n.pk))
    values = shown_values(acme.client, n8n, inbound_actions=["workitem-note"])
    acme.client.post(url("tenantintegration", "change", n8n.pk), values)
    assert allowed(n8n) == ["workitem-note"]


def test_a_kind_that_cannot_call_back_has_no_boxes_and_loses_nothing(acme: Side) -> None:
    mail = {"smtp_host": "mail.example.com", "sender": "jane@example.com", "recipients": ["joe@example.com"]}
    integration = TenantIntegration(tenant=acme.tenant, name="Mail", integration_type="email", config=mail)
    integration.inbound_actions = ["workitem-note"]
    integration.save()
    assert "May do when it calls back" not in page(acme.client, url("tenantintegration", "change", integration.pk))
    values = shown_values(acme.client, integration, name="Renamed", inbound_actions=["workitem-status"])
    response = acme.client.post(url("tenantintegration", "change", integration.pk), values)
    assert response.status_code == 302, response.context and response.context["adminform"].form.errors
    assert allowed(integration) == ["workitem-note"] and integration.name == "Renamed"


def test_another_tenants_boxes_are_not_there(acme: Side, n8n: TenantIntegration) -> None:
    other = make_side("Other")
    response = other.client.post(url("tenantintegration", "change", n8n.pk), {"inbound_actions": ["workitem-note"]})
    assert response.status_code in (302, 403, 404) and allowed(n8n) == []


# -- the API -----------------------------------------------------------------------------------------------


def patch(side: Side, integration: TenantIntegration, body: dict[str, Any]) -> Any:
    path = f"/api/connections/{integration.public_id}"
    return side.client.patch(path, data=json.dumps(body), content_type="application/json")


def test_the_api_gives_and_takes(acme: Side, n8n: TenantIntegration) -> None:
    answer = patch(acme, n8n, {"inbound_actions": ["workitem-status", "workitem-note", "workitem-note"]})
    assert answer.status_code == 200 and answer.json()["inbound_actions"] == ["workitem-note", "workitem-status"]
    assert patch(acme, n8n, {"name": "Renamed"}).json()["inbound_actions"] == ["workitem-note", "workitem-status"]
    assert patch(acme, n8n, {"inbound_actions": []}).json()["inbound_actions"] == []
    assert allowed(n8n) == []


def test_the_api_names_what_is_wrong(acme: Side, n8n: TenantIntegration) -> None:
    answer = patch(acme, n8n, {"name": "Renamed", "inbound_actions": ["everything"]})
    assert answer.status_code == 422
    assert list(answer.json()["fields"]) == ["inbound_actions"]
    assert "workitem-note" in answer.json()["fields"]["inbound_actions"]
    n8n.refresh_from_db()
    assert (n8n.name, n8n.inbound_actions) == ("Acme n8n", [])
    assert patch(make_side("Other"), n8n, {"inbound_actions": ["workitem-note"]}).status_code == 404
    assert allowed(n8n) == []


def test_the_api_keeps_what_is_no_longer_offered(acme: Side, n8n: TenantIntegration) -> None:
    TenantIntegration.objects.filter(pk=n8n.pk).update(inbound_actions=["gone-since"])
    assert patch(acme, n8n, {"inbound_actions": ["gone-since", "workitem-note"]}).status_code == 200
    assert allowed(n8n) == ["gone-since", "workitem-note"]


# -- its secret --------------------------------------------------------------------------------------------


def test_a_secret_that_anybody_guesses_is_refused(acme: Side, n8n: TenantIntegration) -> None:
    change = url("tenantintegration", "change", n8n.pk)
    answer = acme.client.post(change, shown_values(acme.client, n8n, webhook_secret="x"))
    assert "at least 16 characters" in answer.context["adminform"].form.errors["webhook_secret"][0]
    answer = patch(acme, n8n, {"settings": {"webhook_secret": "x"}})
    assert answer.status_code == 422 and "at least 16" in answer.json()["fields"]["webhook_secret"]
    n8n.refresh_from_db()
    assert "webhook_secret" not in n8n.credentials


def test_one_that_is_stored_stops_nobody_from_changing_something_else(acme: Side, n8n: TenantIntegration) -> None:
    n8n.credentials = {"webhook_secret": "x"}
    n8n.save()
    change = url("tenantintegration", "change", n8n.pk)
    assert acme.client.post(change, shown_values(acme.client, n8n, username="jane")).status_code == 302
    assert patch(acme, n8n, {"settings": {"username": "joe"}}).status_code == 200
    n8n.refresh_from_db()
    assert (n8n.config["username"], n8n.credentials["webhook_secret"]) == ("joe", "x")
    rotated = shown_values(acme.client, n8n, webhook_secret="y")
    assert "webhook_secret" in acme.client.post(change, rotated).context["adminform"].form.errors


# -- who may tick what -------------------------------------------------------------------------------------


@pytest.fixture
def clerk(acme: Side) -> Client:
    """Somebody of Acme's who may do everything with integrations, and nothing with work items but to add notes."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="integrations"))
    user.user_permissions.add(Permission.objects.get(codename="add_note"))
    Membership.objects.create(tenant=acme.tenant, user=user)
    return client_of(user)


REFUSED = "nly somebody with the permission in brackets may tick workitem-status (tasks.change_workitem)"


def test_nobody_lets_an_integration_do_what_they_may_not(clerk: Client, n8n: TenantIntegration) -> None:
    change = url("tenantintegration", "change", n8n.pk)
    both = ["workitem-note", "workitem-status"]
    answer = clerk.post(change, shown_values(clerk, n8n, inbound_actions=both))
    assert REFUSED in answer.context["adminform"].form.errors["inbound_actions"][0] and allowed(n8n) == []
    path = f"/api/connections/{n8n.public_id}"
    answer = clerk.patch(path, json.dumps({"inbound_actions": both}), content_type="application/json")
    assert answer.status_code == 422 and REFUSED in answer.json()["fields"]["inbound_actions"] and allowed(n8n) == []
    assert clerk.post(change, shown_values(clerk, n8n, inbound_actions=["workitem-note"])).status_code == 302
    assert allowed(n8n) == ["workitem-note"]


def test_nobody_makes_an_integration_that_does_what_they_may_not(clerk: Client, acme: Side) -> None:
    values = form_values(acme.tenant, integration_type="n8n", name="sly", inbound_actions=["workitem-status"])
    answer = clerk.post(url("tenantintegration", "add"), values)
    assert REFUSED in answer.context["adminform"].form.errors["inbound_actions"][0]
    body = {"type": "n8n", "name": "sly", "settings": {"url": "https://n8n.example.com/webhook/x"}}
    body |= {"inbound_actions": ["workitem-status"]}
    answer = clerk.post("/api/connections/", json.dumps(body), content_type="application/json")
    assert answer.status_code == 422 and list(answer.json()["fields"]) == ["inbound_actions"]
    assert not TenantIntegration.objects.filter(name="sly").exists()


def test_what_somebody_else_ticked_stays_whoever_saves(clerk: Client, n8n: TenantIntegration) -> None:
    TenantIntegration.objects.filter(pk=n8n.pk).update(inbound_actions=["workitem-status"])
    n8n.refresh_from_db()
    change = url("tenantintegration", "change", n8n.pk)
    both = ["workitem-note", "workitem-status"]
    assert clerk.post(change, shown_values(clerk, n8n, name="Renamed", inbound_actions=both)).status_code == 302
    assert sorted(allowed(n8n)) == both and n8n.name == "Renamed"
    body = json.dumps({"inbound_actions": ["workitem-status"]})
    path = f"/api/connections/{n8n.public_id}"
    assert clerk.patch(path, body, content_type="application/json").status_code == 200
    assert allowed(n8n) == ["workitem-status"]
    assert clerk.post(change, shown_values(clerk, n8n, inbound_actions=None)).status_code == 302, "anybody takes away"
    assert allowed(n8n) == []


# -- what it caused ----------------------------------------------------------------------------------------


def caused(acme: Side, n8n: TenantIntegration) -> IntegrationSync:
    make_integration(acme.tenant, "Acme other", "workitem_status_changed")
    acme.item.status = "completed"
    with caused_by(n8n.pk):
        acme.item.save()
    return IntegrationSync.objects.get(event__event_type="workitem_status_changed")


def test_pages_say_who_caused_an_event(acme: Side, n8n: TenantIntegration, rf: Any) -> None:
    TenantIntegration.objects.filter(pk=n8n.pk).update(name="<b>n8n")
    sync = caused(acme, n8n)
    pages = [
        page(acme.client, url("integrationsync")),
        page(acme.client, url("integrationsync", "change", sync.pk)),
        page(acme.client, url("workitem", "change", acme.item.pk)),
    ]
    assert all("caused by &lt;b&gt;n8n" in html for html in pages)
    request = rf.get("/")
    request.user = acme.user
    assert deliveries(request, acme.item).count("caused by") == 1, "a person's change was caused by nobody"
    n8n.delete()
    assert IntegrationEvent.objects.get(pk=sync.event_id).origin_id is not None
    for address in (url("integrationsync"), url("integrationsync", "change", sync.pk)):
        assert "deleted since" in page(acme.client, address)
