"""The admin mixins on a host's own models, registered as the printed quick start does; its tenant is a company."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import include, path, reverse
from django.utils import timezone

from integrations.admin import (
    ConnectionAdminMixin,
    ExecutionLogAdminMixin,
    SyncStateAdminMixin,
    WebhookEventAdminMixin,
)
from integrations.audit.trail import AuditEntry
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.masking import MASK
from integrations.pull.handlers import forget, handles
from integrations.tests import a_shop, many_fields

from .admin_world import client_of, failing, messages_of, page

installed: Any = pytest.importorskip("integrations.tests.hostapp.installed")

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]

host: Any = SimpleNamespace()  # the host's models, while the tests of this module run
site = admin.AdminSite(name="host")
urlpatterns = [path("", include("app.urls"))]


class ConnectionAdmin(ConnectionAdminMixin, admin.ModelAdmin):
    pass


class SyncStateAdmin(SyncStateAdminMixin, admin.ModelAdmin):
    pass


class ExecutionLogAdmin(ExecutionLogAdminMixin, admin.ModelAdmin):
    pass


class OneCompany:
    """How a host shows a person only what is theirs: here, what belongs to the company of that name."""

    whose = "connection__company__name"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return rows if request.user.is_superuser else rows.filter(**{self.whose: request.user.username})


class WebhookEventAdmin(OneCompany, WebhookEventAdminMixin, admin.ModelAdmin):
    pass


@pytest.fixture(scope="module", autouse=True)
def registered(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The host's apps and tables, and its admin as the quick start registers it, on a site of its own."""
    with django_db_blocker.unblock(), installed.host_models() as models, django_db_blocker.block():
        host.__dict__.update(models.__dict__)
        site.register(host.Connection, ConnectionAdmin)
        site.register(host.SyncState, SyncStateAdmin)
        site.register(host.ExecutionLog, ExecutionLogAdmin)
        site.register(host.WebhookEvent, WebhookEventAdmin)
        assert not site.check(apps.get_app_configs())
        urlpatterns.insert(0, path("host/", site.urls))
        yield
        urlpatterns.pop(0)


@pytest.fixture(autouse=True)
def world(registered: None, db: None, settings: Any) -> Iterator[None]:
    create_permissions(apps.get_app_config(host.Connection._meta.app_label), verbosity=0)
    settings.ROOT_URLCONF = __name__
    settings.SECURE_SSL_REDIRECT = False
    with a_shop.registered(), many_fields.registered():
        yield


@pytest.fixture
def root() -> Client:
    return client_of(User.objects.create_superuser("root"))


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask(task: str, kwargs: dict[str, Any], queue: str, **_: Any) -> bool:
        asked.append((task, kwargs))
        return True

    monkeypatch.setattr("integrations.inbound.by_hand.send_hint", ask)
    monkeypatch.setattr("integrations.pull.by_hand.send_hint", ask)
    return asked


@pytest.fixture
def shop() -> Any:
    return make_shop("Acme")


def make_shop(name: str, **values: Any) -> Any:
    found = host.Connection(
        company=host.Company.objects.create(name=name), provider_family="shop", provider_name=a_shop.KEY,
        display_name=f"{name} shop", is_connected=True,
        config={"prices_include_vat": True, "webhook_secret": "canary-in-config"}, **values,
    )  # fmt: skip
    found.credentials = {"store_url": a_shop.VALID["store_url"], "consumer_secret": "canary-consumer"}
    found.save()
    return found


def url(model: str, view: str = "changelist", *args: Any) -> str:
    return reverse(f"host:{host.Connection._meta.app_label}_{model}_{view}", args=args)


def change(client: Client, shop: Any, **values: Any) -> Any:
    """Post the change page as it is shown, with `values`."""
    form = client.get(url("connection", "change", shop.pk)).context["adminform"].form
    posted = {bound.name: bound.value() for bound in form if bound.value() not in (None, False)}
    posted = {key: value for key, value in {**posted, **values}.items() if value is not None}
    return client.post(url("connection", "change", shop.pk), posted)


def errors_of(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors)


def staff(name: str, *codenames: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    label = host.Connection._meta.app_label
    user.user_permissions.set(Permission.objects.filter(content_type__app_label=label, codename__in=codenames))
    return client_of(user)


# -- connections -------------------------------------------------------------------------------------------


def test_lists_and_pages_of_all_four(root: Client, shop: Any) -> None:
    event = host.WebhookEvent.objects.create(connection=shop, idempotency_key="1:a", provider="x", signature_valid=True)
    state = host.SyncState.objects.create(connection=shop, resource_type="orders", cursor="c" * 100)
    log = host.ExecutionLog.objects.create(connection=shop, action="GET https://x", response_status=200)
    for model, row, words in (("connection", shop, "✓ Connected"), ("webhookevent", event, "⚠ Received"),
                              ("syncstate", state, "100 characters"), ("executionlog", log, "✓ 200")):  # fmt: skip
        html = page(root, url(model))
        assert words in html and "Acme shop" in html
        assert words in page(root, url(model, "change", row.pk))
        assert "canary" not in html + page(root, url(model, "change", row.pk))
        assert root.get(url(model, "history", row.pk)).status_code == 200
        of_connection = () if model == "connection" else ("connection=²", f"connection={shop.pk}")
        for query in ("q=Acme", *of_connection, "e=1"):
            assert root.get(f"{url(model)}?{query}").status_code in (200, 302)
    for model in ("webhookevent", "executionlog"):
        assert root.get(url(model, "add")).status_code == 403
    assert "Acme" in page(root, url("connection")), "whose it is stands beside it"
    assert root.get(url("connection", "delete", shop.pk)).status_code == 200


@pytest.mark.parametrize(
    ("model", "query"),
    [
        ("connection", "config__webhook_secret__startswith=canary"),
        ("connection", "credentials_encrypted__startswith=a"),
        ("connection", "company__name__regex=("),
        ("webhookevent", "payload__token__startswith=s"),
        ("syncstate", "cursor__startswith=c"),
        ("executionlog", "response_payload__regex=("),
    ],
)
def test_nobody_asks_a_hosts_list_for_what_its_pages_hide(model: str, query: str, root: Client, shop: Any) -> None:
    assert root.get(f"{url(model)}?{query}").status_code == 400


def test_what_a_host_lists_filters(root: Client, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ("company", "company__name", ("display_name", admin.EmptyFieldListFilter), "is_enabled")
    monkeypatch.setattr(ConnectionAdmin, "list_filter", listed)
    for query in (f"company__id__exact={shop.company.pk}", f"company={shop.company.pk}", "company__name=Acme",
                  "company__isnull=False", "display_name__isempty=0", "is_enabled__exact=1"):  # fmt: skip
        assert "Acme shop" in page(root, f"{url('connection')}?{query}"), query


def test_the_page_has_the_webhook_address_and_the_way_to_what_came(root: Client, shop: Any, settings: Any) -> None:
    detail = url("connection", "change", shop.pk)
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "https://yourapp.com/webhooks/"}
    html = page(root, detail)
    assert f'value="{shop.webhook_url_for("events")}"' in html and "INTEGRATIONS_PUBLIC_URL" not in html
    for model in ("webhookevent", "syncstate"):
        assert f'href="{url(model)}?connection={shop.pk}"' in html, model
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "", "PUBLIC_URL": ""}
    html = page(root, detail)
    assert f'value="http://testserver/webhooks/{shop.public_id}/events/"' in html and "INTEGRATIONS_PUBLIC_URL" in html
    html = page(staff("looker", "view_connection"), detail)
    assert "/events/" in html and url("webhookevent") not in html


def test_dots_stand_for_what_is_stored(root: Client, shop: Any) -> None:
    html = page(root, url("connection", "change", shop.pk))
    assert "canary" not in html and MASK in html and a_shop.VALID["store_url"] in html
    assert change(root, shop, display_name="Renamed").status_code == 302
    shop.refresh_from_db()
    assert shop.display_name == "Renamed"
    assert shop.credentials["consumer_secret"] == "canary-consumer"
    assert shop.config == {"prices_include_vat": True, "webhook_secret": "canary-in-config"}


def test_a_secret_is_replaced_and_stays_encrypted(root: Client, shop: Any) -> None:
    typed = {
        "store_url": a_shop.VALID["store_url"],
        "consumer_secret": "canary-new",
        "webhook_secret": "canary-hook-7f3a91",
    }
    assert change(root, shop, credentials=json.dumps(typed)).status_code == 302
    shop.refresh_from_db()
    assert shop.credentials == typed and "canary" not in shop.credentials_encrypted
    assert shop.connector_version == "1.0.0"


def test_saving_leaves_what_workers_write(root: Client, shop: Any) -> None:
    form = root.get(url("connection", "change", shop.pk)).context["adminform"].form
    posted = {bound.name: bound.value() for bound in form if bound.value() not in (None, False)}
    host.Connection.objects.update(is_connected=False, auth_failure_count=2)
    forged = {"is_connected": "on", "auth_failure_count": "0", "disabled_reason": "x", "provider_name": "mock"}
    assert root.post(url("connection", "change", shop.pk), {**posted, **forged, "display_name": "B"}).status_code == 302
    shop.refresh_from_db()
    assert (shop.is_connected, shop.auth_failure_count, shop.disabled_reason) == (False, 2, "")
    assert (shop.display_name, shop.provider_name) == ("B", a_shop.KEY)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"store_url": "https://north.example.com"}, "consumer_secret: missing; it is required."),
        ({"consumer_secret": "canary-x"}, "store_url: missing; it is required."),
        ({"store_url": "ftp://x", "consumer_secret": "canary-x"}, "store_url: "),
        ({**a_shop.VALID, "consumer_key": "canary-x"}, "consumer_key: unknown; Corner Shop has: store_url,"),
        ("{", "not JSON"),
    ],
)
def test_wrong_credentials_name_the_field_and_the_fix(root: Client, shop: Any, typed: Any, words: str) -> None:
    answer = change(root, shop, credentials=typed if isinstance(typed, str) else json.dumps(typed))
    assert words in errors_of(answer)["credentials"][0]
    assert "canary" not in answer.content.decode()
    stored = shop.credentials
    shop.refresh_from_db()
    assert shop.credentials == stored


def test_a_stored_secret_goes_nowhere_else(root: Client, shop: Any) -> None:
    elsewhere = {"store_url": "https://evil.example.com", "consumer_secret": MASK}
    answer = change(root, shop, credentials=json.dumps(elsewhere))
    assert "type consumer_secret again" in errors_of(answer)["credentials"][0]
    assert "type webhook_secret again" in errors_of(answer)["config"][0]
    shop.refresh_from_db()
    assert shop.credentials["store_url"] == a_shop.VALID["store_url"]
    # The address among the rest, and the page posted without the credentials: they would stay as they are.
    shop.credentials = {"consumer_secret": "canary-consumer"}
    shop.config = {"store_url": a_shop.VALID["store_url"]}
    shop.save()
    answer = change(root, shop, credentials=None, config='{"store_url": "https://evil.example.com"}')
    assert "type consumer_secret again" in errors_of(answer)["credentials"][0]
    shop.refresh_from_db()
    assert shop.config == {"store_url": a_shop.VALID["store_url"]}


def test_adding_one(root: Client) -> None:
    company = host.Company.objects.create(name="Acme")
    assert "consumer_secret" in page(root, url("connection", "add") + f"?provider_name={a_shop.KEY}")
    values = {"company": company.pk, "provider_name": a_shop.KEY, "display_name": "North", "is_enabled": "on"}
    answer = root.post(url("connection", "add"), values)
    assert "store_url: missing" in errors_of(answer)["credentials"][0]
    assert "&quot;consumer_secret&quot;" in answer.content.decode(), "the names that are wanted are there now"
    values["credentials"] = json.dumps(a_shop.VALID)
    assert root.post(url("connection", "add"), values).status_code == 302
    added = host.Connection.objects.get()
    assert (added.provider_family, added.provider_name, added.company) == ("shop", a_shop.KEY, company)
    assert added.credentials == a_shop.VALID and added.is_connected is False
    answer = root.post(url("connection", "add"), values)
    assert "already exists" in str(answer.context["errors"]), "one of a kind for each company"


@pytest.mark.parametrize("config", ['{"prices_include_vat": true}', ["x"], 7])
def test_a_config_that_is_no_object_is_mended_on_its_page(root: Client, shop: Any, config: Any) -> None:
    before, shop.config = shop.credentials, config
    shop.save()
    assert change(root, shop, config='{"prices_include_vat": true}').status_code == 302
    shop.refresh_from_db()
    assert shop.config == {"prices_include_vat": True} and shop.credentials == before


def test_whoever_may_only_look_sees_no_settings(shop: Any) -> None:
    client = staff("looker", "view_connection")
    html = page(client, url("connection", "change", shop.pk))
    assert "canary" not in html and MASK not in html and "prices_include_vat" not in html
    assert "Test connection" not in html
    assert client.post(url("connection", "test", shop.pk)).status_code == 403
    assert client.post(url("connection", "re_enable", shop.pk)).status_code == 403
    assert client.get(url("connection", "delete", shop.pk)).status_code == 403


def test_test_and_re_enable(root: Client, shop: Any) -> None:
    host.Connection.objects.update(
        is_enabled=False, is_connected=False, auth_failure_count=3, disabled_reason="Refused."
    )
    assert "✗ Disabled" in page(root, url("connection"))
    html = root.post(url("connection", "re_enable", shop.pk), follow=True).content.decode()
    assert "1 re-enabled" in messages_of(html)
    shop.refresh_from_db()
    assert (shop.is_enabled, shop.is_connected, shop.auth_failure_count, shop.disabled_reason) == (True, False, 0, "")
    data = {"action": "test_connections", "_selected_action": [shop.pk]}
    html = root.post(url("connection"), data, follow=True).content.decode()
    assert "✓ Acme shop: The shop is open." in messages_of(html)
    shop.refresh_from_db()
    assert shop.is_connected
    host.Connection.objects.update(is_enabled=False, auth_failure_count=3)
    assert change(root, shop, is_enabled="on").status_code == 302
    shop.refresh_from_db()
    assert shop.is_enabled and shop.auth_failure_count == 0, "the next refusal is the first, not the fourth"


def test_not_more_are_tested_than_a_person_waits_for(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shops = [make_shop(name) for name in ("A", "B", "C")]
    monkeypatch.setattr("integrations.admin.integration.mixin.TESTED", 2)
    data = {"action": "test_connections", "_selected_action": [shop.pk for shop in shops]}
    said = messages_of(root.post(url("connection"), data, follow=True).content.decode())
    assert said.count("The shop is open.") == 2 and "choose fewer" in said


def test_an_unreadable_connection_has_its_page(root: Client, shop: Any) -> None:
    host.Connection.objects.update(credentials_encrypted="AAAA")
    assert "✓ Connected" in page(root, url("connection", "change", shop.pk))
    assert change(root, shop, display_name="B").status_code == 302
    assert host.Connection.objects.get().credentials_encrypted == "AAAA", "its key may come back"
    answer = change(root, shop, credentials=json.dumps(a_shop.VALID))
    assert "type webhook_secret again" in errors_of(answer)["config"][0], "nobody knows where it went before"
    assert change(root, shop, credentials=json.dumps(a_shop.VALID), config="{}").status_code == 302
    assert host.Connection.objects.get().credentials == a_shop.VALID


# -- what came and what is pulled --------------------------------------------------------------------------


def test_a_hosts_own_queryset_rules_lists_filters_and_actions(hints: list[Any]) -> None:
    mine, theirs = make_shop("acme"), make_shop("zulu")
    rows = [
        host.WebhookEvent.objects.create(
            connection=shop, idempotency_key=f"{shop.pk}:d-1", provider="x", event_type=f"{shop.company} made",
            signature_valid=True, status="failed",
        )
        for shop in (mine, theirs)
    ]  # fmt: skip
    client = staff("acme", "view_webhookevent", "change_webhookevent")
    for query in ("", "?q=d-1", f"?connection={theirs.pk}", f"?q={rows[1].pk}"):
        assert "zulu" not in page(client, url("webhookevent") + query), query
    assert "1 inbound webhook\n" in page(client, url("webhookevent") + "?q=d-1"), "found by the provider's id"
    assert client.post(url("webhookevent", "process_again", rows[1].pk)).status_code == 404
    assert client.post(url("webhookevent", "process_again", rows[0].pk)).status_code == 302
    for action in ("process_again", "replay"):
        data = {"action": action, "_selected_action": [rows[1].pk], "select_across": "1"}
        client.post(url("webhookevent"), data)
    rows[1].refresh_from_db()
    label = host.WebhookEvent._meta.app_label
    arguments = {"webhook_event_id": rows[0].pk, "app_label": label, "model_name": "WebhookEvent"}
    assert rows[1].status == "failed" and all(
        asked == ("integrations.tasks.process_webhook", arguments) for asked in hints
    )
    assert hints


def test_a_hosts_own_rule_for_a_row_holds_in_the_list_too(
    root: Client, shop: Any, hints: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = host.WebhookEvent.objects.create(
        connection=shop, idempotency_key="1:a", provider="x", signature_valid=True, status="failed"
    )
    state = host.SyncState.objects.create(connection=shop, resource_type="orders", cursor="page-7")
    monkeypatch.setattr(WebhookEventAdmin, "may_operate", lambda *_: False)
    monkeypatch.setattr(SyncStateAdmin, "has_change_permission", lambda _, request, obj=None: obj is None)
    for model, row, action in (("webhookevent", event, "process_again"), ("syncstate", state, "start_over")):
        assert root.post(url(model, action, row.pk)).status_code == 403
        data = {"action": action, "_selected_action": [row.pk]}
        said = messages_of(root.post(url(model), data, follow=True).content.decode())
        assert "1 skipped: you may not act on it" in said
    event.refresh_from_db(), state.refresh_from_db()
    assert (event.status, state.cursor, hints) == ("failed", "page-7", [])


def test_buttons_need_post_and_a_csrf_token(root: Client, shop: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(is_superuser=True))
    event = host.WebhookEvent.objects.create(
        connection=shop, idempotency_key="1:a", provider="x", signature_valid=True, status="failed"
    )
    state = host.SyncState.objects.create(connection=shop, resource_type="orders")
    for address in (url("webhookevent", "process_again", event.pk), url("syncstate", "start_over", state.pk)):
        assert strict.post(address).status_code == 403
        assert root.get(address).status_code == 405


def test_events_are_read_only_and_deleted_with_the_permission(shop: Any) -> None:
    event = host.WebhookEvent.objects.create(connection=shop, idempotency_key="1:a", provider="x")
    host.Company.objects.update(name="acme")
    client = staff("acme", "view_webhookevent", "change_webhookevent")
    assert client.post(url("webhookevent", "change", event.pk), {"status": "processed"}).status_code == 403
    assert client.post(url("webhookevent", "delete", event.pk), {"post": "yes"}).status_code == 403
    deleter = client_of(User.objects.get(username="acme"))
    User.objects.get(username="acme").user_permissions.add(Permission.objects.get(
        codename="delete_webhookevent", content_type__app_label=host.Connection._meta.app_label))  # fmt: skip
    assert deleter.post(url("webhookevent", "delete", event.pk), {"post": "yes"}).status_code == 302
    assert not host.WebhookEvent.objects.exists()
    told = AuditEntry.objects.get(action="deleted")
    assert (told.object_key, told.actor) == (str(event.pk), "acme")


@pytest.mark.usefixtures("_taken")
def test_pulls_of_a_host(root: Client, shop: Any, hints: list[Any]) -> None:
    later = timezone.now() + timedelta(hours=1)
    state = host.SyncState.objects.create(connection=shop, resource_type="orders", cursor="page-7", next_sync_at=later)
    values = {"resource_type": "products", "connection": shop.pk, "cursor": "forged", "status": "completed"}
    root.post(url("syncstate", "change", state.pk), values)
    state.refresh_from_db()
    assert (state.resource_type, state.cursor, state.status) == ("orders", "page-7", "idle")
    assert root.post(url("syncstate", "add"), values).status_code == 302
    assert host.SyncState.objects.get(resource_type="products").cursor == ""
    assert root.post(url("syncstate", "start_over", state.pk)).status_code == 302
    state.refresh_from_db()
    label = host.Connection._meta.app_label
    assert state.cursor == "" and state.next_sync_at is None
    assert hints == [("integrations.tasks.full_resync", {
        "connection_id": shop.pk, "resource_type": "orders", "app_label": label, "model_name": "Connection",
        "sync_state_app": label, "sync_state_model": "SyncState"})]  # fmt: skip


@pytest.fixture
def _taken() -> Iterator[None]:
    handles("shop", "orders")(lambda items, connection: None)
    yield
    forget("shop", "orders")


@pytest.mark.usefixtures("_taken")
def test_a_broker_that_is_away_is_said(root: Client, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.pull.by_hand.send_hint", lambda *_, **__: False)
    state = host.SyncState.objects.create(connection=shop, resource_type="orders")
    html = root.post(url("syncstate", "pull_now", state.pk), follow=True).content.decode()
    assert "the broker is away" in messages_of(html)


def test_importing_the_mixins_registers_our_pages_and_no_others() -> None:
    from integrations.admin.tenancy.panels import panels_of
    from integrations.models import SyncState, TenantIntegration, WebhookEvent
    from tasks.models import WorkItem

    assert {SyncState, TenantIntegration, WebhookEvent} <= set(admin.site._registry)
    assert [panel.title for panel in panels_of(WorkItem)].count("Deliveries") == 1
    assert not panels_of(host.Connection)


def test_an_error_report_of_a_page_repeats_no_secret(root: Client, settings: Any) -> None:
    settings.ADMINS = [("Ops", "ops@example.com")]
    root.raise_request_exception = False
    values = {
        "company": host.Company.objects.create(name="Acme").pk,
        "provider_name": a_shop.KEY,
        "display_name": "Shop",
        "credentials": json.dumps({**a_shop.VALID, "consumer_secret": "canary-typed"}),
        "config": "{}",
    }
    with failing(host.Connection):
        assert root.post(url("connection", "add"), values).status_code == 500
    report = str(mail.outbox[-1].body)
    assert "the disk is full" in report and "canary-typed" not in report


def test_spaces_around_a_secret_are_dropped_or_refused(root: Client, shop: Any) -> None:
    typed = {**a_shop.VALID, "consumer_secret": " canary-typed\u200b"}
    answer = change(root, shop, credentials=json.dumps(typed))
    field = ConnectorRegistry.type_of(a_shop.KEY).manifest.field("consumer_secret")
    assert field is not None and not field.trim
    assert "consumer_secret: begins or ends with a space" in str(errors_of(answer)["credentials"])
    page_of_many = {"company": shop.company_id, "provider_name": "woocommerce", "display_name": "Woo", "config": "{}"}
    keys = {"store_url": "https://a.example", "consumer_key": " ck_" + "a" * 40, "consumer_secret": "cs_1\n"}
    assert root.post(url("connection", "add"), {**page_of_many, "credentials": json.dumps(keys)}).status_code == 302
    stored = host.Connection.objects.get(provider_name="woocommerce").credentials
    assert (stored["consumer_key"], stored["consumer_secret"]) == ("ck_" + "a" * 40, "cs_1")
