"""From the gallery to an integration that sends: each step, each slip, and whoever leaves half way."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from integrations.connectors.gallery import category_of
from integrations.connectors.registry import manifests
from integrations.delivery.drain import drain
from integrations.models import ExecutionLog, IntegrationSync, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.integration.oauth_world import Provider, registered
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
PERMISSIONS = (
    "view_tenantintegration",
    "add_tenantintegration",
    "change_tenantintegration",
    "view_integrationsync",
    "use_any_connector",
)


@pytest.fixture(autouse=True)
def plain_http(settings: Any, receiver: Receiver) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}


def signed_in(
    *tenants: Tenant, name: str = "mia", permissions: tuple[str, ...] = PERMISSIONS, role: str = ""
) -> Client:
    user = User.objects.create_user(name, password="a long password")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, answer
    return answer.content.decode()


def test_the_gallery_offers_what_the_person_may_use_and_finds_it() -> None:
    client = signed_in(make_tenant())
    html = page(client, reverse("console:gallery"))
    for manifest in manifests():
        assert f'href="{reverse("console:setup", args=[manifest.key])}"' in html
    found = page(client, f"{reverse('console:gallery')}?q=post+chat")
    assert ">Slack</a>" in found
    assert ">Notion</a>" not in found
    chats = {manifest.label for manifest in manifests() if category_of(manifest) == "Chat"}
    by_category = page(client, f"{reverse('console:gallery')}?category=Chat")
    assert set(re.findall(r'<h2><a href="[^"]+">([^<]+)</a>', by_category)) == chats
    assert "Nothing found" in page(client, f"{reverse('console:gallery')}?q=no-such-thing")


def test_every_type_has_a_first_step_made_of_its_manifest() -> None:
    client = signed_in(make_tenant())
    for manifest in manifests():
        html = page(client, reverse("console:setup", args=[manifest.key]))
        for field in manifest.fields:
            assert field.title.replace("'", "&#x27;")[:1].upper() + field.title.replace("'", "&#x27;")[1:] in html
    page(client, reverse("console:setup", args=["nobody"]), 404)


def test_connection_events_test_on(receiver: Receiver) -> None:
    tenant = make_tenant()
    client = signed_in(tenant, role="manager", permissions=())
    first = client.post(
        reverse("console:setup", args=["n8n"]),
        {"name": "Orders", "webhook_url": receiver.url, "headers": '{"X-Key": "k-1"}', "is_signed": "on"},
    )
    made = TenantIntegration.objects.get()
    assert (made.tenant, made.name, made.integration_type, made.is_active) == (tenant, "Orders", "n8n", False)
    assert first["Location"] == reverse("console:setup-events", args=[made.public_id])

    make_item(tenant)  # whoever leaves now has made nothing that sends
    assert not IntegrationSync.objects.exists()

    third = client.post(first["Location"], {"events": ["workitem_created", "no_such_event"]})
    assert list(made.subscriptions.values_list("event_type", flat=True)) == ["workitem_created"]
    make_item(tenant, reference_id="RMA-2")
    assert not IntegrationSync.objects.exists()

    html = page(client, third["Location"])
    assert "whsec_" in html
    assert "whsec_" not in page(client, third["Location"])  # once
    receiver.answer_with(Answer(404, b'{"message": "not registered"}'))
    client.post(third["Location"], {"action": "test"})
    html = page(client, third["Location"])
    assert "the n8n workflow is not active" in html
    assert "not registered" in html
    receiver.answer_with(default=Answer(200, b'{"ok": true}'))
    client.post(third["Location"], {"action": "test"})
    assert "✓ The destination took it." in page(client, third["Location"])
    assert [request.json["event_type"] for request in receiver.requests] == ["workitem_created"] * 2
    assert ExecutionLog.objects.filter(integration=made, action="test", actor="mia").count() == 2

    last = reverse("console:setup-done", args=[made.public_id])
    assert "workitem_created" in page(client, last)
    assert client.post(last).status_code == 302
    made.refresh_from_db()
    assert made.is_active
    workbench = reverse("console:integration", args=[made.public_id])
    assert f'<a class="button primary" href="{workbench}">To its page</a>' in page(client, last)
    make_item(tenant, reference_id="RMA-3")
    drain(made.pk)
    assert receiver.requests[-1].json["workitem"]["reference_id"] == "RMA-3"
    assert client.post(reverse("console:setup-discard", args=[made.public_id])).status_code == 404


def test_a_slip_empties_no_field_but_secrets_and_says_where_it_is() -> None:
    client = signed_in(make_tenant())
    typed = {"name": "Chat", "url_is": "", "token": "xoxb-canary-7f", "channel": "C0123", "fields": "no label"}
    answer = client.post(reverse("console:setup", args=["slack"]), typed)
    html = answer.content.decode()
    assert not TenantIntegration.objects.exists()
    assert "xoxb-canary" not in html
    assert 'value="C0123"' in html
    assert "no label" in html
    assert "no label&#x27; has no label; write Label: expression" in html
    assert re.search(r'<a href="#id_fields">', html)
    assert "Please type this again" in html


def test_what_was_begun_can_be_thrown_away() -> None:
    client = signed_in(make_tenant())
    client.post(reverse("console:setup", args=["MOCK"]), {"name": "Try", "mode": "success"})
    made = TenantIntegration.objects.get()
    assert client.post(reverse("console:setup-discard", args=[made.public_id]))["Location"] == reverse(
        "console:gallery"
    )
    assert not TenantIntegration.objects.exists()


def test_one_of_a_family_is_told_when_it_is_switched_on() -> None:
    tenant = make_tenant()
    client = signed_in(tenant)
    for name in ("First", "Second"):
        client.post(reverse("console:setup", args=["MOCK"]), {"name": name, "mode": "success"})
    first, second = TenantIntegration.objects.order_by("id")
    assert client.post(reverse("console:setup-done", args=[first.public_id])).status_code == 302
    refused = client.post(reverse("console:setup-done", args=[second.public_id]))
    assert "may have one only: switch that one off first" in refused.content.decode()
    second.refresh_from_db()
    assert not second.is_active


def test_a_person_with_two_tenants_says_for_which_and_nobody_elses_is_offered() -> None:
    ours, second, theirs = make_tenant("Acme"), make_tenant("Beta"), make_tenant("Other")
    client = signed_in(ours, second)
    url = reverse("console:setup", args=["MOCK"])
    html = page(client, url)
    form = html[html.index("<main") :]
    assert "Acme" in form and "Beta" in form and "Other" not in form
    assert (
        "Select a valid choice"
        in client.post(url, {"name": "X", "mode": "success", "tenant": theirs.pk}).content.decode()
    )
    client.post(url, {"name": "X", "mode": "success", "tenant": second.pk})
    assert TenantIntegration.objects.get().tenant == second


def test_another_tenants_and_a_smaller_role_are_refused_on_every_page() -> None:
    ours, theirs = make_tenant("Acme"), make_tenant("Other")
    foreign, own = make_integration(theirs), make_integration(ours)
    manager = signed_in(ours)
    viewer = signed_in(ours, name="vic", permissions=("view_tenantintegration",))
    steps = ("setup-connect", "setup-events", "setup-test", "setup-done")
    for name in steps:
        page(manager, reverse(f"console:{name}", args=[foreign.public_id]), 404)
        page(viewer, reverse(f"console:{name}", args=[own.public_id]), 403)
        assert viewer.post(reverse(f"console:{name}", args=[own.public_id])).status_code == 403
    assert manager.post(reverse("console:setup-discard", args=[foreign.public_id])).status_code == 404
    for url in (reverse("console:gallery"), reverse("console:setup", args=["n8n"])):
        page(viewer, url, 403)
    operator = signed_in(ours, name="otto", role="operator", permissions=())
    page(operator, reverse("console:gallery"), 403)
    page(operator, reverse("console:setup-events", args=[own.public_id]), 403)
    only_chat = signed_in(ours, name="cleo", permissions=(*PERMISSIONS[:4], "use_chat_connectors"))
    assert ">n8n Webhook</a>" not in page(only_chat, reverse("console:gallery"))
    new, begun = reverse("console:setup", args=["n8n"]), reverse("console:setup-events", args=[own.public_id])
    for url, label in ((new, "n8n Webhook"), (begun, "Webhook")):
        html = page(only_chat, url, 403)
        assert f"integrations of the type {label}." in html and "You need the role" not in html, "that one it has"


def test_a_type_that_asks_a_person_at_the_provider_is_connected_on_the_way(receiver: Receiver) -> None:
    tenant = make_tenant()
    client = signed_in(tenant, role="manager", permissions=())
    provider = Provider(receiver)
    with registered():
        values = {"name": "Hub", "base_url": provider.url, "login_url": provider.url, "client_id": "web"}
        first = client.post(reverse("console:setup", args=["hubdemo"]), {**values, "client_secret": "canary-secret"})
        made = TenantIntegration.objects.get()
        step = reverse("console:setup-connect", args=[made.public_id])
        assert first["Location"] == step
        assert "Sign in at Hub" in page(client, step)
        leaving = client.post(step).context["address"]
        assert leaving.startswith(f"{provider.url}/authorize/?")
        state = parse_qs(urlsplit(leaving).query)["state"][0]
        back = client.get("/webhooks/oauth/callback/hubdemo/", {"state": state, "code": "c-1"})
        assert back["Location"] == step
        html = page(client, step)
        assert "✓ Connected" in html
        assert "by mia" in html
        assert not TenantIntegration.objects.get().is_active


def test_an_operator_with_many_tenants_asks_little(django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        make_tenant(f"Tenant {number}")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for name, *args in (("setup", "n8n"), ("gallery",)):
        with django_assert_max_num_queries(15):
            assert "Tenant 29" in page(client, reverse(f"console:{name}", args=args))


@pytest.mark.parametrize(
    ("given", "offers"),
    [({"token": "xoxb-fake-token", "channel": "C0123456789"}, True), ({}, False)],
    ids=["token", "webhook"],
)
def test_a_check_is_offered_where_it_can_be_made(given: dict[str, str], offers: bool, receiver: Receiver) -> None:
    """Slack's token can be checked; its webhook can do nothing but post."""
    tenant = make_tenant()
    url = "" if given else receiver.url
    slack = make_integration(tenant, url, integration_type="slack", credentials=given, signed=False, is_active=False)
    html = page(signed_in(tenant), reverse("console:setup-test", args=[slack.public_id]))
    assert "Send a test event" in html
    assert ("Check the connection" in html) is offers
