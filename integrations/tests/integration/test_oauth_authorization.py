"""A person agrees: the button, the provider's page, the way back, and everything that may be wrong with it."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from integrations.connections.authorization import AuthorizationRefused, Visitor, finish, start, wants_authorization
from integrations.connections.grants import OAuthRequest
from integrations.connections.settings import apply_settings
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IntegrationAuthError
from integrations.models import Lane, OAuthGrant, TenantIntegration
from integrations.tests.oauth_server import OAuthServer
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Membership

from .admin_world import Side, client_of, make_side, page
from .oauth_world import CODE, connector_with, make_hub, provider_address, registered, token_answer

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

CALLBACK = "/webhooks/oauth/callback/hubdemo/"


@pytest.fixture(autouse=True)
def _hub(settings: Any, receiver: Receiver) -> Iterator[None]:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    with registered():
        yield


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


@pytest.fixture
def hub(acme: Side, receiver: Receiver) -> TenantIntegration:
    return make_hub(f"http://{receiver.netloc}", tenant=acme.tenant, refresh_token="")


def connect(client: Client, hub: TenantIntegration) -> str:
    """Press the button and return the provider's address."""
    response = client.post(f"/console/integrations/{hub.public_id}/do/connect/")
    assert response.status_code == 200
    return provider_address(response)


def asked(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def come_back(client: Client, path: str = CALLBACK, **answer: str) -> Any:
    return client.get(f"{path}?{urlencode(answer)}")


# -- there --------------------------------------------------------------------------------------------


def test_what_the_provider_is_asked(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    address = connect(acme.client, hub)
    assert address.startswith(f"http://{receiver.netloc}/authorize/?")
    query = asked(address)
    state, challenge = query.pop("state"), query.pop("code_challenge")
    assert len(state) == 43 and len(challenge) == 43  # 256 bits each; the manifest's own "state" did not win
    assert query == {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": f"http://testserver{CALLBACK}",
        "scope": "read",  # those of the manifest, nothing more
        "code_challenge_method": "S256",
        "prompt": "consent",
    }
    kept = OAuthRequest.objects.get()
    assert state not in repr(vars(kept)) and challenge not in repr(vars(kept))


def test_our_public_address_may_be_set(acme: Side, hub: TenantIntegration, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "PUBLIC_URL": "https://app.example.com/"}
    assert asked(connect(acme.client, hub))["redirect_uri"] == f"https://app.example.com{CALLBACK}"


def test_a_missing_client_id_is_said(acme: Side, hub: TenantIntegration) -> None:
    hub.config = {**hub.config, "client_id": ""}
    hub.save()
    response = acme.client.post(f"/console/integrations/{hub.public_id}/do/connect/", follow=True)
    assert "Not connected: client_id: missing" in response.content.decode()


def test_only_those_who_may_change_the_integration(acme: Side, hub: TenantIntegration) -> None:
    address = f"/console/integrations/{hub.public_id}/do/connect/"
    assert make_side("Other").client.post(address).status_code == 404
    assert acme.client.get(address).status_code == 405
    assert Client().post(address).status_code == 302  # to the login page
    assert not OAuthRequest.objects.exists()


# -- and back -----------------------------------------------------------------------------------------


def test_the_grant_is_kept_and_shown(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    state = asked(connect(acme.client, hub))["state"]
    receiver.answer_with(token_answer("canary-access", "canary-refresh", 3600))
    response = come_back(acme.client, state=state, code="canary-code")
    assert response.status_code == 302 and response["Referrer-Policy"] == "no-referrer"
    assert response["Location"] == f"/console/integrations/{hub.public_id}/"
    grant = OAuthGrant.objects.get()
    assert (grant.granted_by, grant.scope, grant.is_connected) == ("Acme-staff", "read", True)
    shown = page(acme.client, response["Location"])
    assert "is connected" in shown and "by Acme-staff" in shown and "Connect again" in shown
    assert "canary" not in shown
    assert hub.get_adapter().auth.headers() == {"Authorization": "Bearer canary-access"}


def test_a_project_whose_admin_has_no_page_for_it(
    acme: Side, hub: TenantIntegration, receiver: Receiver, settings: Any
) -> None:
    state = asked(connect(acme.client, hub))["state"]
    OAuthRequest.objects.update(return_to="")
    settings.ROOT_URLCONF = "integrations.urls"
    receiver.answer_with(token_answer("canary-access", "canary-refresh", 3600))
    response = come_back(acme.client, state=state, code="canary-code")
    assert response.status_code == 200 and "is connected" in response.content.decode()


def test_what_waited_for_the_connection_is_due_at_once(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    later = timezone.now() + timedelta(minutes=5)
    Lane.objects.filter(pk=hub.pk).update(paused_until=later, attention="not connected yet")
    address = f"/console/integrations/{hub.public_id}/"
    assert "Press Connect on its page" in page(acme.client, address)
    state = asked(connect(acme.client, hub))["state"]
    receiver.answer_with(token_answer("canary-access", "canary-refresh", 3600))
    come_back(acme.client, state=state, code="canary-code")
    lane = Lane.objects.get(pk=hub.pk)
    assert (lane.paused_until, lane.attention) == (None, "")
    assert "Press Connect" not in page(acme.client, address)


def test_less_than_was_asked_for_is_said(acme: Side, receiver: Receiver) -> None:
    ConnectorRegistry.unregister("hubdemo")
    with registered(CODE.model_copy(update={"scopes": ("read", "write", "admin")})):
        hub = make_hub(f"http://{receiver.netloc}", tenant=acme.tenant, refresh_token="")
        state = asked(connect(acme.client, hub))["state"]
        receiver.answer_with(Answer(200, b'{"access_token": "a", "token_type": "Bearer", "scope": "read"}'))
        response = come_back(acme.client, state=state, code="canary-code")
        shown = html.unescape(page(acme.client, response["Location"]))
        assert "granted less than was asked for: write, admin is missing" in shown
        assert "read; not granted: write, admin" in html.unescape(page(acme.client, response["Location"]))
        assert OAuthGrant.objects.get().is_connected


def test_a_client_secret_outside_of_the_database_is_the_one_that_is_presented(
    acme: Side, hub: TenantIntegration, receiver: Receiver, settings: Any, tmp_path: Path
) -> None:
    folder = tmp_path / str(acme.tenant.slug)
    folder.mkdir()
    (folder / "hub_secret").write_text("canary-from-the-file")
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SECRETS_DIR": str(tmp_path)}
    hub.credentials = {**hub.credentials, "client_secret": "file:hub_secret"}
    hub.save()
    state = asked(connect(acme.client, hub))["state"]
    receiver.answer_with(token_answer("canary-access", "canary-refresh", 3600))
    assert come_back(acme.client, state=state, code="canary-code").status_code == 302
    assert b"canary-from-the-file" in receiver.requests[-1].body
    # The lane binds to the same settings, so the token that was just granted is good for it.
    assert hub.get_adapter().auth.headers() == {"Authorization": "Bearer canary-access"}


def test_a_grant_that_nobody_has_to_agree_to_has_no_button(acme: Side) -> None:
    integration = TenantIntegration(tenant=acme.tenant, name="CRM", integration_type="salesforce")
    settings = {"base_url": "https://acme.my.salesforce.com", "client_id": "app", "client_secret": "canary"}
    apply_settings(integration, {**settings, "grant": "client_credentials"})
    assert not wants_authorization(integration)
    apply_settings(integration, {**settings, "grant": "authorization_code"})
    assert wants_authorization(integration)


def test_before_and_after_a_refusal(acme: Side, hub: TenantIntegration) -> None:
    address = f"/console/integrations/{hub.public_id}/"
    assert "not connected yet" in page(acme.client, address)
    OAuthGrant.objects.create(pk=hub.pk, invalid_since=timezone.now(), invalid_reason="the grant <b>has expired</b>")
    shown = page(acme.client, address)
    assert "the grant &lt;b&gt;has expired" in shown and "Connect</button>" in shown


def test_a_webhook_has_no_such_button(acme: Side) -> None:
    shown = page(acme.client, f"/console/integrations/{acme.integration.public_id}/")
    assert "/connect/" not in shown and "<dt>Access</dt>" not in shown


EVIL = "<script>alert('canary')</script>"


def refused(response: Any, status: int = 400) -> str:
    text = response.content.decode()
    assert response.status_code == status
    assert "Not connected" in text and "canary" not in html.unescape(text) and "script" not in text
    assert response["Referrer-Policy"] == "no-referrer" and "no-store" in response["Cache-Control"]
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert not OAuthGrant.objects.exists()
    return text


def test_b219_access_denied_with_html_is_400_and_repeats_nothing(acme: Side, hub: TenantIntegration) -> None:
    state = asked(connect(acme.client, hub))["state"]
    denied = {"error": "access_denied", "error_description": EVIL, "error_uri": "javascript:alert('canary')"}
    assert "did not grant access" in refused(come_back(acme.client, state=state, **denied))
    refused(come_back(acme.client, **denied))  # without a state
    refused(come_back(acme.client, state=EVIL, **denied))


def test_a_state_is_good_once(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    state = asked(connect(acme.client, hub))["state"]
    receiver.answer_with(Answer(500), default=token_answer("a", "r", 60))
    refused(come_back(acme.client, state=state, code="c"), status=502)
    refused(come_back(acme.client, state=state, code="c"))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("answer", [{}, {"code": "c"}, {"state": "", "code": "c"}, {"state": "\0" * 9, "code": "c"}])
def test_a_wrong_state(acme: Side, hub: TenantIntegration, receiver: Receiver, answer: dict[str, str]) -> None:
    connect(acme.client, hub)
    refused(come_back(acme.client, **answer))
    assert receiver.requests == []


def test_no_code(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    refused(come_back(acme.client, state=asked(connect(acme.client, hub))["state"]))
    assert receiver.requests == []


def test_ten_minutes(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    states = [asked(connect(acme.client, hub))["state"] for _ in range(2)]
    OAuthRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused(come_back(acme.client, state=states[0], code="c"))
    connect(acme.client, hub)
    assert OAuthRequest.objects.count() == 1  # what has expired does not pile up
    assert receiver.requests == []


def test_another_user_of_the_same_tenant(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    colleague = User.objects.create_user("colleague", is_staff=True)
    colleague.user_permissions.set(acme.user.user_permissions.all())
    Membership.objects.create(tenant=acme.tenant, user=colleague)
    state = asked(connect(acme.client, hub))["state"]
    refused(come_back(client_of(colleague), state=state, code="c"))
    refused(come_back(acme.client, state=state, code="c"))  # it is used up
    assert receiver.requests == []


def test_the_same_user_in_another_session(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    state = asked(connect(acme.client, hub))["state"]
    refused(come_back(client_of(acme.user), state=state, code="c"))
    assert receiver.requests == []


@pytest.mark.parametrize("other", ["user", "session"])
def test_user_and_session_each_decide_alone(acme: Side, hub: TenantIntegration, receiver: Receiver, other: str) -> None:
    colleague = User.objects.create_user("colleague")
    Membership.objects.create(tenant=acme.tenant, user=colleague)
    state = asked(start(hub, Visitor(acme.user, "session-1"), "https://app.example.com/back"))["state"]
    visitor = Visitor(colleague, "session-1") if other == "user" else Visitor(acme.user, "session-2")
    with pytest.raises(AuthorizationRefused):
        finish("hubdemo", {"state": state, "code": "c"}, visitor)
    assert receiver.requests == []


@pytest.mark.parametrize("who", ["nobody", "without permission", "left the tenant"])
def test_who_may_not_any_more(acme: Side, hub: TenantIntegration, receiver: Receiver, who: str) -> None:
    state = asked(connect(acme.client, hub))["state"]
    client = Client() if who == "nobody" else acme.client
    if who == "without permission":
        acme.user.user_permissions.clear()
    if who == "left the tenant":
        Membership.objects.all().delete()
    refused(come_back(client, state=state, code="c"))
    assert receiver.requests == []


def test_another_provider(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    ConnectorRegistry.register("otherhub", connector_with(CODE, "otherhub"))
    try:
        state = asked(connect(acme.client, hub))["state"]
        refused(come_back(acme.client, CALLBACK.replace("hubdemo", "otherhub"), state=state, code="c"))
    finally:
        ConnectorRegistry.unregister("otherhub")
    assert receiver.requests == []


def test_an_integration_that_became_another_kind(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    state = asked(connect(acme.client, hub))["state"]
    TenantIntegration.unannounced.filter(pk=hub.pk).update(integration_type="webhook")
    refused(come_back(acme.client, state=state, code="c"))
    assert receiver.requests == []


def test_a_code_that_the_provider_refuses(acme: Side, hub: TenantIntegration, receiver: Receiver) -> None:
    state = asked(connect(acme.client, hub))["state"]
    receiver.answer_with(Answer(400, b'{"error": "invalid_grant", "error_description": "<script>canary</script>"}'))
    refused(come_back(acme.client, state=state, code="canary-code"))


def test_only_get(acme: Side) -> None:
    assert acme.client.post(CALLBACK).status_code == 405


# -- against a real server ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as server:
        yield server


def at(server: OAuthServer, acme: Side, settings: Any, **secrets: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [server.netloc]}
    hub = make_hub(server.url, tenant=acme.tenant, refresh_token="", **secrets)
    hub.config = {**hub.config, "login_url": f"{server.url}/o"}
    hub.save()
    return hub


def test_code_and_pkce_then_rotation_then_reuse(acme: Side, server: OAuthServer, settings: Any) -> None:
    hub = at(server, acme, settings, client_secret="web")
    back = server.agree(connect(acme.client, hub))
    assert acme.client.get(back.removeprefix("http://testserver")).status_code == 302
    grant = OAuthGrant.objects.select_related("integration").get()
    first = grant.token
    assert first and first.scope == "read" and first.refresh_token
    assert hub.get_adapter().health_check().success

    adapter = hub.get_adapter()
    assert adapter.auth.renew(adapter.auth.headers())
    second = OAuthGrant.objects.select_related("integration").get().token
    assert second and second.refresh_token != first.refresh_token and second.access_token != first.access_token
    assert adapter.health_check().success

    # As if a backup had brought back the first refresh token.
    grant.refresh_from_db()
    grant.token = first
    grant.save()
    adapter = hub.get_adapter()
    with pytest.raises(IntegrationAuthError) as caught:
        adapter.auth.renew(adapter.auth.headers())
    assert caught.value.code == "invalid_grant"
    assert OAuthGrant.objects.get().invalid_since


def test_a_code_is_worth_nothing_without_our_verifier(acme: Side, server: OAuthServer, settings: Any) -> None:
    hub = at(server, acme, settings, client_secret="web")
    stolen = asked(server.agree(connect(acme.client, hub)))["code"]
    mine = asked(connect(acme.client, hub))["state"]
    refused(come_back(acme.client, state=mine, code=stolen))


@pytest.mark.parametrize("client_auth", ["body", "header"])
def test_client_credentials(acme: Side, server: OAuthServer, settings: Any, client_auth: str) -> None:
    ConnectorRegistry.unregister("hubdemo")
    machine = CODE.model_copy(
        update={"grant": "client_credentials", "authorize_url": "", "client_auth": client_auth, "extra": {}}
    )
    with registered(machine):
        hub = at(server, acme, settings, client_secret="machine")
        hub.config = {**hub.config, "client_id": "machine"}
        hub.save()
        assert hub.get_adapter().health_check().success
        hub.credentials = {**hub.credentials, "client_secret": "wrong"}
        hub.save()
        result = hub.get_adapter().health_check()
        assert result.is_auth_failure and "client id or client secret are wrong" in result.message
