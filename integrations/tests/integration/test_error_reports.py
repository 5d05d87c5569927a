"""An error of the server on a view that takes secrets: neither the mail to ADMINS nor the debug page repeats one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.db.models.signals import post_init, pre_delete
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from django.views.debug import technical_500_response

from integrations.api_keys.models import APIKey
from integrations.connections.grants import OAuthRequest
from integrations.credentials.error_reports import hides_secrets
from integrations.models import GitHubConfiguration, TenantIntegration, WebhookEvent
from integrations.tests.api_world import key_for
from integrations.tests.inbound_world import SECRET, headers_of, make_connection, provider

from .admin_world import Side, failing, form_values, make_side, shown_values, superuser, url
from .oauth_world import make_hub, provider_address, registered

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

CANARY = "canaryd00dfeed"
OURS = "canary-stored9b1e"  # a secret that is stored already


@pytest.fixture(autouse=True)
def world(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.ADMINS = [("Ops", "ops@example.com")]
    settings.CELERY_BROKER_URL = f"redis://:{CANARY}@broker.example:6379/0"
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": ["127.0.0.1:9"]}


@pytest.fixture
def acme() -> Side:
    side = make_side("Acme")
    side.integration.credentials = {**side.integration.credentials, "password": OURS}
    side.integration.save()
    side.client.raise_request_exception = False
    return side


def add_integration(acme: Side) -> Any:
    values = form_values(
        acme.tenant,
        webhook_url=f"https://hooks.example.com/{CANARY}?key={CANARY}",
        headers=json.dumps({"X-Api-Key": CANARY}),
        webhook_secret=f"whsec_{CANARY * 4}",
    )
    with failing(TenantIntegration):
        return acme.client.post(url("tenantintegration", "add"), values)


def change_integration(acme: Side) -> Any:
    values = shown_values(acme.client, acme.integration, headers=json.dumps({"X-Token": CANARY}))
    with failing(TenantIntegration):
        return acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)


def rotate_signing_secret(acme: Side) -> Any:
    with failing(TenantIntegration):
        address = f"/console/integrations/{acme.integration.public_id}/rotate/"
        return acme.client.post(address, {"secret": "whsec_" + "Y2FuYXJ5" * 5 + "dead"})


def see_signing_secret(acme: Side) -> Any:
    workbench = f"/console/integrations/{acme.integration.public_id}/"
    with failing(Session):
        acme.client.post(f"{workbench}rotate/", {"secret": ""})
    acme.client.post(f"{workbench}rotate/", {"secret": ""})
    with failing(Session):  # it is taken out of the session
        return acme.client.get(f"{workbench}secret/")


def configure_system(acme: Side) -> Any:
    client = superuser()
    client.raise_request_exception = False
    with failing(GitHubConfiguration):
        address = reverse("admin:integrations_githubconfiguration_add")
        return client.post(address, {"enabled": "on", "token": CANARY})


def setup_by_api(acme: Side) -> Any:
    body = {
        "type": "webhook",
        "name": "Hook",
        "settings": {"url": f"https://a.example.com/{CANARY}", "headers": {"X-Api-Key": CANARY}},
    }
    with failing(TenantIntegration):
        return acme.client.post("/api/connections/", json.dumps(body), content_type="application/json")


def change_by_api(acme: Side) -> Any:
    keys = acme.integration.credentials["signing_keys"]
    acme.integration.credentials = {"signing_keys": keys}  # the others are none that this kind knows
    acme.integration.save()
    with failing(TenantIntegration):
        return acme.client.patch(
            f"/api/connections/{acme.integration.public_id}",
            json.dumps({"settings": {"headers": {"X-Api-Key": CANARY}}}),
            content_type="application/json",
        )


def _with_key(acme: Side, method: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {text_of(acme)}", "X-Ticket": CANARY}
    with failing(APIKey, post_init):  # it is looked for
        return getattr(acme.client, method)(f"/api/v1{path}?key={CANARY}", headers=headers)


def text_of(acme: Side) -> str:
    """Make a key, and return a text by which it is looked for, with the canary in the part that is secret."""
    _, text = key_for(acme.tenant, "read")
    prefix, _, rest = text.rpartition("_")
    return f"{prefix}_{CANARY}{rest[len(CANARY) :]}"


def ask_with_a_key(acme: Side) -> Any:
    return _with_key(acme, "get", "/me")


def ask_what_no_call_has(acme: Side) -> Any:
    return _with_key(acme, "get", "/nothing")


def ask_with_a_method_that_there_is_not(acme: Side) -> Any:
    return _with_key(acme, "put", "/deliveries")


def come_back_from_provider(acme: Side) -> Any:
    with registered():
        hub = make_hub("http://127.0.0.1:9", tenant=acme.tenant, refresh_token="", client_secret=OURS)
        answer = acme.client.post(f"/console/integrations/{hub.public_id}/do/connect/")
        state = parse_qs(urlsplit(provider_address(answer)).query)["state"][0]
        with failing(OAuthRequest, pre_delete):
            return acme.client.get(f"/webhooks/oauth/callback/hubdemo/?state={state}&code={CANARY}")


def call_back(acme: Side) -> Any:
    with provider("github") as key:
        connection = make_connection(acme.tenant, key)
        body = json.dumps({"token": CANARY}).encode()
        headers = {**headers_of("github", body), "X-Ticket": CANARY, "Referer": f"https://a.example/{CANARY}"}
        with failing(WebhookEvent):
            return acme.client.post(
                f"/webhooks/{connection.public_id}/push/?token={CANARY}",
                body,
                content_type="application/json",
                headers=headers,
            )


VIEWS = [
    add_integration,
    change_integration,
    rotate_signing_secret,
    see_signing_secret,
    configure_system,
    setup_by_api,
    change_by_api,
    ask_with_a_key,
    ask_what_no_call_has,
    ask_with_a_method_that_there_is_not,
    come_back_from_provider,
    call_back,
]


def is_clean(text: str) -> bool:
    """Tell whether a report that shows frames and settings holds none of the secrets."""
    assert "RuntimeError" in text and "disk is full" in text
    return not [word for word in (CANARY, OURS, SECRET, "Y2FuYXJ5") if word in text]


@pytest.mark.parametrize("fails", VIEWS)
def test_the_mail_to_admins_holds_no_secret(fails: Callable[[Side], Any], acme: Side) -> None:
    assert fails(acme).status_code == 500
    message: Any = mail.outbox[-1]
    assert is_clean(message.subject + message.body + "".join(str(each.content) for each in message.alternatives))


@pytest.mark.parametrize("fails", VIEWS)
def test_the_debug_page_holds_no_secret(fails: Callable[[Side], Any], acme: Side, settings: Any) -> None:
    settings.DEBUG = True
    answer = fails(acme)
    assert answer.status_code == 500 and is_clean(answer.content.decode())


def test_the_decorator_for_views_of_a_host(settings: Any) -> None:
    @hides_secrets
    def view(request: HttpRequest) -> HttpResponse:
        secret = request.POST["secret"]
        raise RuntimeError("the disk is full", len(secret))

    request = RequestFactory().post(f"/setup/?key={CANARY}", {"secret": CANARY})
    settings.DEBUG = True
    try:
        view(request)
    except RuntimeError:
        report = technical_500_response(request, *sys.exc_info())
    assert is_clean(report.content.decode()) and "secret" in report.content.decode()
