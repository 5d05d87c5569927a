"""A host's own connection that a person must agree to: there and back, and everything that stands in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.test import Client
from django.test.utils import isolate_apps
from django.urls import include, path, reverse

from integrations.admin import ConnectionAdminMixin
from integrations.auth.token import Token
from integrations.connections.binding import bind
from integrations.connections.grants import forget_grant
from integrations.connections.token_store import GrantTokens
from integrations.credentials.fields import row_context
from integrations.errors import EncryptionError, IntegrationNotConfigured, IntegrationNotConnected
from integrations.models import AbstractConnection, ConnectionGrant, OAuthGrant, OAuthRequest
from integrations.oauth_callback import connect
from integrations.tests.factories import make_tenant
from integrations.tests.integration.admin_world import client_of, page
from integrations.tests.integration.oauth_world import Provider, make_hub, registered, token_answer
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

CALLBACK = "/webhooks/oauth/callback/hubdemo/"
site = admin.AdminSite(name="hostsite")
models_of_host: Any = SimpleNamespace()


class ConnectionAdmin(ConnectionAdminMixin, admin.ModelAdmin):
    """A person sees what belongs to the companies they are members of."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(company__members=request.user.pk)


def connect_view(request: HttpRequest, pk: int) -> HttpResponse:
    """What a host writes for people who are not in its admin."""
    row = get_object_or_404(models_of_host.Connection, pk=pk, company__members=request.user.pk)
    return connect(request, row, return_to=request.POST.get("next", ""))


urlpatterns = [path("start/<int:pk>/", connect_view), path("", include("app.urls"))]


@pytest.fixture(scope="module", autouse=True)
def pages(host: SimpleNamespace) -> Iterator[None]:
    models_of_host.__dict__.update(host.__dict__)
    site.register(host.Connection, ConnectionAdmin)
    assert not site.check(apps.get_app_configs())
    urlpatterns.insert(0, path("hostsite/", site.urls))
    yield
    urlpatterns.pop(0)
    site.unregister(host.Connection)


@pytest.fixture(autouse=True)
def world(pages: None, db: None, settings: Any, receiver: Receiver) -> Iterator[None]:
    create_permissions(apps.get_app_config(models_of_host.Connection._meta.app_label), verbosity=0)
    settings.ROOT_URLCONF = __name__
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "CONNECTION_MODEL": "connectors.Connection"}
    with registered():
        yield


def make_connection(receiver: Receiver, name: str = "Acme Corp", **secrets: str) -> Any:
    company = models_of_host.Company.objects.create(name=name)
    address = f"http://{receiver.netloc}"
    made = models_of_host.Connection(company=company, provider_name="hubdemo", display_name=f"{name} hub")
    made.config = {"base_url": address, "login_url": address, "client_id": "web"}
    made.credentials = {"client_secret": "canary-secret", **secrets}
    made.save()
    return made


@pytest.fixture
def hub(receiver: Receiver) -> Any:
    return make_connection(receiver)


def make_user(name: str, company: Any, *, may_change: bool = True) -> User:
    user = User.objects.create_user(name, is_staff=True)
    company.members.add(user)
    if may_change:
        user.user_permissions.add(Permission.objects.get(codename="change_connection"))
    return user


@pytest.fixture
def jane(hub: Any) -> User:
    return make_user("jane", hub.company)


def url(view: str, pk: Any) -> str:
    return reverse(f"hostsite:connectors_connection_{view}", args=[pk])


def press(client: Client, hub: Any) -> str:
    """Press the button and return the state."""
    response = client.post(url("connect", hub.pk))
    assert response.status_code == 302 and response["Referrer-Policy"] == "no-referrer"
    return state_of(response)


def state_of(response: Any) -> str:
    return parse_qs(urlsplit(response["Location"]).query)["state"][0]


def come_back(client: Client, **answer: str) -> Any:
    return client.get(f"{CALLBACK}?{urlencode(answer)}")


def refused(response: Any) -> None:
    assert response.status_code == 400 and "Not connected" in response.content.decode()
    assert not ConnectionGrant.objects.exists() and not OAuthGrant.objects.exists()


def bearer(hub: Any) -> str:
    return str(hub.get_adapter().auth.headers()["Authorization"])


# -- there and back -----------------------------------------------------------------------------------


def test_from_the_button_to_the_first_call(hub: Any, jane: User, receiver: Receiver) -> None:
    client = client_of(jane)
    shown = page(client, url("change", hub.pk))
    assert ">Connect</button>" in shown and "○ Not connected yet" in shown
    response = client.post(url("connect", hub.pk))
    query = {name: values[0] for name, values in parse_qs(urlsplit(response["Location"]).query).items()}
    assert response["Location"].startswith(f"http://{receiver.netloc}/authorize/?")
    assert query["redirect_uri"] == f"http://testserver{CALLBACK}" and query["code_challenge_method"] == "S256"

    receiver.answer_with(token_answer("canary-access", "canary-refresh", 3600))
    back = come_back(client, state=query["state"], code="canary-code")
    assert (back.status_code, back["Location"]) == (302, url("change", hub.pk))
    assert back["Referrer-Policy"] == "no-referrer"
    shown = page(client, back["Location"])
    assert "Acme Corp hub is connected." in shown and "by jane" in shown and "read" in shown and "canary" not in shown
    assert bearer(models_of_host.Connection.objects.get(pk=hub.pk)) == "Bearer canary-access"
    grant = ConnectionGrant.objects.get()
    assert (grant.pk, grant.granted_by, grant.is_connected) == (hub.public_id, "jane", True)
    assert "canary" not in repr(vars(grant)) and not OAuthRequest.objects.exists()
    assert models_of_host.ExecutionLog.objects.get().action == "connect"


def test_from_a_view_of_the_host(hub: Any, jane: User, receiver: Receiver) -> None:
    client = client_of(jane)
    receiver.answer_with(default=token_answer("canary-access", "canary-refresh", 3600))
    state = state_of(client.post(f"/start/{hub.pk}/", {"next": "/shops/?page=2"}))
    assert come_back(client, state=state, code="c")["Location"] == "/shops/?page=2"
    state = state_of(client.post(f"/start/{hub.pk}/"))
    answer = come_back(client, state=state, code="c")
    assert answer.status_code == 200 and "Acme Corp hub is connected." in answer.content.decode()
    assert bearer(hub) == "Bearer canary-access"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/" * 501])
def test_nobody_is_led_elsewhere(hub: Any, jane: User, elsewhere: str) -> None:
    assert client_of(jane).post(f"/start/{hub.pk}/", {"next": elsewhere}).status_code == 400
    assert not OAuthRequest.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_where_every_request_is_a_transaction(hub: Any, jane: User, receiver: Receiver, monkeypatch: Any) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    client = client_of(jane)
    state = press(client, hub)
    receiver.answer_with(token_answer("canary-access", "canary-refresh", 3600))
    assert come_back(client, state=state, code="c").status_code == 302
    assert bearer(hub) == "Bearer canary-access"


def test_less_than_was_asked_for_is_said(hub: Any, jane: User, receiver: Receiver) -> None:
    client = client_of(jane)
    state = press(client, hub)
    receiver.answer_with(Answer(200, b'{"access_token": "a", "token_type": "Bearer", "scope": "other"}'))
    back = come_back(client, state=state, code="c")
    assert "granted less than was asked for: read is missing" in page(client, back["Location"])


def test_a_missing_setting_is_said(hub: Any, jane: User) -> None:
    hub.config = {**hub.config, "client_id": ""}
    hub.save()
    response = client_of(jane).post(url("connect", hub.pk), follow=True)
    assert "Not connected: client_id: missing" in response.content.decode()


def test_a_kind_that_nobody_agrees_to_has_no_button(hub: Any, jane: User) -> None:
    models_of_host.Connection.objects.filter(pk=hub.pk).update(provider_name="webhook")
    shown = page(client_of(jane), url("change", hub.pk))
    assert "/connect/" not in shown and "access granted" not in shown.lower()


# -- who may ------------------------------------------------------------------------------------------


def test_only_who_may_change_the_row_may_begin(hub: Any, receiver: Receiver) -> None:
    other = make_connection(receiver, "Other Corp")
    stranger = client_of(make_user("stranger", other.company))
    onlooker = client_of(make_user("onlooker", hub.company, may_change=False))
    User.objects.get(username="onlooker").user_permissions.add(Permission.objects.get(codename="view_connection"))
    assert stranger.post(url("connect", hub.pk)).status_code == 404
    assert stranger.post(f"/start/{hub.pk}/").status_code == 404
    assert onlooker.post(url("connect", hub.pk)).status_code == 403
    assert onlooker.post(f"/start/{hub.pk}/").status_code == 403
    assert not OAuthRequest.objects.exists()


@pytest.mark.parametrize("begins", ["button", "view"])
@pytest.mark.parametrize("who", ["nobody", "colleague", "other session", "without permission"])
def test_who_may_not_finish(hub: Any, jane: User, receiver: Receiver, who: str, begins: str) -> None:
    client = client_of(jane)
    state = press(client, hub) if begins == "button" else state_of(client.post(f"/start/{hub.pk}/"))
    if who == "without permission":
        jane.user_permissions.clear()
    others = {
        "nobody": Client,
        "colleague": lambda: client_of(make_user("colleague", hub.company)),
        "other session": lambda: client_of(jane),
    }
    refused(come_back(others.get(who, lambda: client)(), state=state, code="c"))
    assert receiver.requests == []


def test_who_has_left_the_company_meanwhile(hub: Any, jane: User, receiver: Receiver) -> None:
    client = client_of(jane)
    state = press(client, hub)
    hub.company.members.clear()
    refused(come_back(client, state=state, code="c"))
    assert receiver.requests == []


def test_the_host_says_who_may(hub: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    member = User.objects.create_user("member")  # no staff, and without a permission
    hub.company.members.add(member)

    def is_member(self: Any, user: Any) -> bool:
        return bool(type(self.company).members.through.objects.filter(company=self.company, user=user).exists())

    monkeypatch.setattr(models_of_host.Connection, "may_be_connected_by", is_member)
    client = client_of(member)
    receiver.answer_with(default=token_answer("canary-access", "canary-refresh", 3600))
    states = [state_of(client.post(f"/start/{hub.pk}/")) for _ in range(2)]
    assert come_back(client, state=states[0], code="c").status_code == 200
    hub.company.members.clear()
    assert come_back(client, state=states[1], code="c").status_code == 400
    assert len(receiver.requests) == 1


def test_a_state_is_good_once_and_for_its_row_only(hub: Any, jane: User, receiver: Receiver) -> None:
    client = client_of(jane)
    receiver.answer_with(default=token_answer("canary-access", "canary-refresh", 3600))
    state = press(client, hub)
    assert come_back(client, state=state, code="c").status_code == 302
    assert come_back(client, state=state, code="c").status_code == 400
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("change", ["model", "row", "provider", "gone"])
def test_a_state_is_bound_to_model_row_and_provider(hub: Any, jane: User, receiver: Receiver, change: str) -> None:
    client = client_of(jane)
    state = press(client, hub)
    asked = OAuthRequest.objects.all()
    rows = models_of_host.Connection.objects.filter(pk=hub.pk)
    if change == "model":
        asked.update(connection_model="companies.company")
    if change == "row":
        asked.update(connection_id=make_connection(receiver, "Other Corp").public_id)
    if change == "provider":
        rows.update(provider_name="webhook")
    if change == "gone":
        rows.delete()
    refused(come_back(client, state=state, code="c"))
    assert receiver.requests == []


# -- the grant ----------------------------------------------------------------------------------------


def connected(hub: Any, receiver: Receiver) -> Provider:
    """Let `hub` hold a grant whose first token the provider gave, and return the provider."""
    provider = Provider(receiver)
    hub.credentials = {**hub.credentials, "refresh_token": "canary-first"}
    hub.save()
    assert bearer(hub) == "Bearer access-1"
    return provider


def test_it_outlives_the_process_and_rotates(hub: Any, receiver: Receiver) -> None:
    provider = connected(hub, receiver)
    again = models_of_host.Connection.objects.get(pk=hub.pk)
    assert bearer(again) == "Bearer access-1" and len(provider.tokens) == 1
    adapter = again.get_adapter()
    assert adapter.auth.renew(adapter.auth.headers()) and bearer(hub) == "Bearer access-2"
    assert [sent["refresh_token"] for sent in provider.tokens] == ["canary-first", "rotated-1"]


@pytest.mark.django_db(transaction=True)
def test_ten_threads_make_one_refresh(hub: Any, receiver: Receiver) -> None:
    provider = Provider(receiver)
    hub.credentials = {**hub.credentials, "refresh_token": "canary-first"}
    hub.save()
    gate = threading.Event()

    def wait_first(request: Any) -> Any:
        gate.wait(10)
        return provider.answer(request)

    receiver.answer_with(wait_first)
    adapters = [bind(models_of_host.Connection.objects.get(pk=hub.pk)) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(adapter.auth.headers) for adapter in adapters]
        receiver.wait_for(1)
        hub.save(update_fields=["display_name"])  # nobody else waits
        gate.set()
        assert {future.result(20)["Authorization"] for future in futures} == {"Bearer access-1"}
    assert len(provider.tokens) == 1 and ConnectionGrant.objects.get().lock_token == ""


def test_tokens_copied_to_another_row_do_not_open(hub: Any, receiver: Receiver) -> None:
    connected(hub, receiver)
    other = make_connection(receiver, "Other Corp", refresh_token="canary-first")
    bearer(other)
    stolen = ConnectionGrant.objects.get(pk=hub.public_id).tokens_encrypted
    ConnectionGrant.objects.filter(pk=other.public_id).update(tokens_encrypted=stolen)
    with pytest.raises(EncryptionError):
        bearer(other)


def test_rotate_encryption_seals_them_too(hub: Any, receiver: Receiver, settings: Any, capsys: Any) -> None:
    settings.ENCRYPTION_MASTER_KEY = "old:" + "aa" * 32
    hub.credentials = {"client_secret": "canary-secret"}  # under the old key
    connected(hub, receiver)
    settings.ENCRYPTION_MASTER_KEY = f"new:{'bb' * 32},old:{'aa' * 32}"
    call_command("rotate_encryption")
    settings.ENCRYPTION_MASTER_KEY = "new:" + "bb" * 32
    assert bearer(models_of_host.Connection.objects.get(pk=hub.pk)) == "Bearer access-1"
    assert "integrations.ConnectionGrant: 1 of 1 row(s) were sealed" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["row", "queryset", "company"])
def test_it_goes_with_its_connection(hub: Any, receiver: Receiver, how: str) -> None:
    connected(hub, receiver)
    other = make_connection(receiver, "Other Corp", refresh_token="canary-first")
    bearer(other)
    rows = models_of_host.Connection.objects.filter(pk=hub.pk)
    {"row": hub.delete, "queryset": rows.delete, "company": hub.company.delete}[how]()
    assert list(ConnectionGrant.objects.values_list("pk", flat=True)) == [other.public_id]


def test_no_token_is_stored_for_a_connection_that_is_gone(hub: Any, receiver: Receiver) -> None:
    provider = connected(hub, receiver)
    adapter = hub.get_adapter()
    held = adapter.auth.headers()
    models_of_host.Connection.objects.filter(pk=hub.pk).delete()
    with pytest.raises(IntegrationNotConfigured, match="deleted"):
        adapter.auth.renew(held)
    assert not ConnectionGrant.objects.exists() and len(provider.tokens) == 1


@pytest.mark.django_db(transaction=True)
def test_nor_for_one_that_is_just_being_deleted(hub: Any) -> None:
    rows = models_of_host.Connection.objects.filter(pk=hub.pk)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            rows.delete()
            late = pool.submit(GrantTokens(hub).write, lambda grant: grant.refreshed(Token("late")))
        with pytest.raises(IntegrationNotConfigured, match="deleted"):
            late.result(20)
    assert not ConnectionGrant.objects.exists()


def test_a_host_may_bind_them_to_its_tenant(hub: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_company(self: Any) -> str:
        return row_context(self.company_id, self.public_id)

    monkeypatch.setattr(models_of_host.Connection, "encryption_context", of_the_company)
    hub.credentials = {"client_secret": "canary-secret"}
    GrantTokens(hub).write(lambda grant: grant.granted(Token("by-hand"), "jane"))
    assert GrantTokens(hub).load() == Token("by-hand")
    hub.company = models_of_host.Company.objects.create(name="Other Corp")
    with pytest.raises(EncryptionError):
        GrantTokens(hub).load()


@isolate_apps("integrations")
def test_of_any_model_the_table_with_the_public_id_decides() -> None:
    class Meta:
        app_label = "integrations"

    class Proxied(Meta):
        proxy = True

    shop: Any = type("Shop", (AbstractConnection,), {"Meta": Meta, "__module__": __name__})
    proxy: Any = type("Proxy", (shop,), {"Meta": Proxied, "__module__": __name__})
    child: Any = type("Child", (shop,), {"Meta": Meta, "__module__": __name__})

    def forgets(model: Any) -> bool:
        return forget_grant in models.signals.post_delete._live_receivers(model)[0]  # type: ignore[attr-defined]

    # Deleting a child deletes its parent too, unless that is kept, and then its grant is wanted still.
    assert (forgets(shop), forgets(proxy), forgets(child)) == (True, True, False)
    assert not forgets(models_of_host.Company)  # whose rows need not be read to be deleted
    # These classes are gone after the test, and Django knows a sender by its id(), which another model may then have.
    forget_grant(models_of_host.Company(name="Acme Corp"))


def test_ours_and_a_hosts_do_not_meet(hub: Any, receiver: Receiver) -> None:
    connected(hub, receiver)
    ours = make_hub(f"http://{receiver.netloc}", tenant=make_tenant("Acme Corp"))
    assert bearer(ours) == "Bearer access-2"
    assert (OAuthGrant.objects.get().pk, ConnectionGrant.objects.get().pk) == (ours.pk, hub.public_id)


def test_what_is_not_connected_or_not_saved_yet(hub: Any) -> None:
    result = hub.test_connection()
    assert not result.success and "not connected yet" in result.message
    with pytest.raises(IntegrationNotConnected):
        hub.get_adapter().http.get("/api/")
    hub.refresh_from_db()
    assert (hub.auth_failure_count, hub.is_enabled) == (0, True)
    assert models_of_host.Connection(provider_name="hubdemo").token_store() is None
    assert GrantTokens(hub).load() is None
