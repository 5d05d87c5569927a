"""Inbound webhooks and pulls in the admin: what is seen, what is hidden, what a click does; tenant by tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from integrations.admin.lists import history
from integrations.inbound.process import process
from integrations.models import SyncState, TenantIntegration, WebhookEvent
from integrations.pull.handlers import forget, handles
from integrations.tests import a_shop
from tenants.models import Tenant

from .admin_world import Side, client_of, make_side, messages_of, page, superuser, url

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]

EVIL = "<script>alert(1)</script>"
PAYLOAD = {"order": {"id": 7, "note": "it says canary-hook"}, "api_token": "canary-token"}
CANARIES = ("canary-hook", "canary-consumer", "canary-token", "canary-cookie")


@pytest.fixture(autouse=True)
def world(settings: Any) -> Iterator[None]:
    settings.SECURE_SSL_REDIRECT = False
    with a_shop.registered():
        yield


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What workers were asked for, while the broker answers."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask(task: str, kwargs: dict[str, Any], queue: str, **_: Any) -> bool:
        asked.append((task, kwargs))
        return True

    monkeypatch.setattr("integrations.inbound.by_hand.send_hint", ask)
    monkeypatch.setattr("integrations.pull.by_hand.send_hint", ask)
    return asked


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


@pytest.fixture
def other() -> Side:
    return make_side("Zulu")


def make_shop(tenant: Tenant, **values: Any) -> TenantIntegration:
    shop = TenantIntegration(tenant=tenant, name=f"{tenant.name} shop", integration_type=a_shop.KEY)
    shop.credentials = {"consumer_secret": "canary-consumer", "webhook_secret": "canary-hook"}
    shop.config = {"store_url": a_shop.VALID["store_url"]}
    for name, value in {"is_connected": True, **values}.items():
        setattr(shop, name, value)
    shop.save()
    return shop


def make_event(shop: TenantIntegration | None, key: str = "d-1", **values: Any) -> WebhookEvent:
    defaults = {
        "provider": a_shop.KEY, "event_type": "order.created", "action": "events", "body": json.dumps(PAYLOAD).encode(),
        "payload": PAYLOAD, "headers": {"Cookie": "canary-cookie", "X-Shop-Signature": "a" * 64},
        "signature_valid": True, "idempotency_key": f"{shop.pk if shop else 0}:{key}",
    }  # fmt: skip
    return WebhookEvent.objects.create(connection=shop, **{**defaults, **values})


def make_pull(shop: TenantIntegration, **values: Any) -> SyncState:
    return SyncState.objects.create(connection=shop, **{"resource_type": "orders", "interval_minutes": 15, **values})


def calling_back(side: Side, shop: TenantIntegration) -> str:
    """The tab of the console that says where the other side calls us."""
    return page(side.client, f"/console/integrations/{shop.public_id}/calling-back/")


def change_page(side: Side, shop: TenantIntegration) -> str:
    return page(side.client, url("tenantintegration", "change", shop.pk))


def act(client: Client, model: str, action: str, *rows: Any, across: str = "0") -> str:
    data = {"action": action, "_selected_action": [row.pk for row in rows], "select_across": across}
    return messages_of(client.post(url(model), data, follow=True).content.decode())


# -- another tenant ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["webhookevent", "syncstate"])
def test_nothing_of_another_tenant_is_seen_or_reached(model: str, acme: Side, other: Side, hints: list[Any]) -> None:
    mine, theirs = make_shop(acme.tenant), make_shop(other.tenant)
    make_event(mine), make_pull(mine)
    row = (make_event(theirs) if model == "webhookevent" else make_pull(theirs)).__class__.objects.order_by("-pk")[0]
    before = type(row).objects.values().get(pk=row.pk)
    actions = {"webhookevent": ("process_again", "replay"), "syncstate": ("pull_now", "start_over")}[model]
    html = page(acme.client, url(model))
    assert "Acme Corp shop" in html and "Zulu" not in html
    assert "Zulu Corp shop" in page(superuser(), url(model))
    for view in ("change", "history", "delete"):
        for method in (acme.client.get, acme.client.post):
            answer = method(url(model, view, row.pk), {"post": "yes"})
            assert answer.status_code in (302, 403, 404) and "Zulu" not in answer.content.decode(), view
    for action in actions:
        act(acme.client, model, action, row)
        assert not [kwargs for _, kwargs in hints if kwargs.get("webhook_event_id", kwargs.get("connection_id")) in
                    (row.pk, theirs.pk)]  # fmt: skip
    for query in (f"integration={theirs.pk}", f"connection={theirs.pk}", f"connection__id__exact={theirs.pk}",
                  f"tenant={other.tenant.pk}", "q=d-1", f"q={row.pk}", "integration=²"):  # fmt: skip
        assert "Zulu" not in acme.client.get(f"{url(model)}?{query}", follow=True).content.decode(), query
    assert type(row).objects.values().get(pk=row.pk) == before


def test_an_action_on_everything_stays_in_the_tenant(acme: Side, other: Side, hints: list[Any]) -> None:
    mine = make_event(make_shop(acme.tenant), status="failed")
    theirs = make_event(make_shop(other.tenant), status="failed")
    act(acme.client, "webhookevent", "process_again", mine, across="1")
    theirs.refresh_from_db(), mine.refresh_from_db()
    assert (mine.status, theirs.status) == ("received", "failed")


def test_a_pull_cannot_be_added_for_another_tenant(acme: Side, other: Side) -> None:
    theirs = make_shop(other.tenant)
    assert "Zulu" not in page(acme.client, url("syncstate", "add"))
    answer = acme.client.post(url("syncstate", "add"), {"connection": theirs.pk, "resource_type": "orders"})
    assert list(answer.context["adminform"].form.errors) == ["connection"]


def test_one_without_an_integration_is_for_superusers(acme: Side) -> None:
    event = make_event(None)
    assert acme.client.get(url("webhookevent", "change", event.pk)).status_code == 302
    assert "corner-shop" in page(superuser(), url("webhookevent", "change", event.pk))


def test_without_permissions(acme: Side, hints: list[Any]) -> None:
    shop = make_shop(acme.tenant)
    event, pull = make_event(shop, status="failed"), make_pull(shop)
    acme.user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = client_of(User.objects.get(pk=acme.user.pk))
    for model, row, actions in (("webhookevent", event, ("process_again", "replay")),
                                ("syncstate", pull, ("pull_now", "start_over"))):  # fmt: skip
        assert page(client, url(model, "change", row.pk))
        for action in actions:
            assert action not in page(client, url(model))
    assert client.get(url("syncstate", "add")).status_code == 403
    acme.user.user_permissions.set(Permission.objects.filter(codename="view_tenantintegration"))
    client = client_of(User.objects.get(pk=acme.user.pk))
    html = page(client, url("tenantintegration", "change", shop.pk))
    assert "You may not see pulls." in html
    assert "What came last" not in page(client, f"/console/integrations/{shop.public_id}/calling-back/")
    assert client.get(url("webhookevent")).status_code == 403
    assert hints == []


def test_whoever_may_not_use_the_family_does_not_act(acme: Side, hints: list[Any]) -> None:
    pull = make_pull(make_shop(acme.tenant), cursor="page-7")
    acme.user.user_permissions.remove(Permission.objects.get(codename="use_any_connector"),
                                      Permission.objects.get(codename="use_shop_connectors"))  # fmt: skip
    client = client_of(User.objects.get(pk=acme.user.pk))
    for action in ("pull_now", "start_over"):
        assert "1 skipped: you may not act on it." in act(client, "syncstate", action, pull)
    pull.refresh_from_db()
    assert pull.cursor == "page-7" and pull.next_sync_at is None and hints == []


def test_one_row_is_for_the_console(acme: Side) -> None:
    """No two pages for one job: what is done with one of them is done there."""
    shop = make_shop(acme.tenant)
    event, pull = make_event(shop, status="failed"), make_pull(shop)
    for model, row, name in (("webhookevent", event, "inbound-event"), ("syncstate", pull, "pull")):
        address = reverse(f"console:{name}", args=[row.pk])
        for place in (url(model), url(model, "change", row.pk)):
            html = page(acme.client, place)
            assert f'href="{address}"' in html, place
            assert "canary" not in html and 'class="ig-button' not in html
    html = page(acme.client, reverse("console:pull", args=[pull.pk]))
    assert f'href="{url("syncstate", "change", pull.pk)}"' in html, "how often is changed in the admin"


# -- what is shown -----------------------------------------------------------------------------------------


def test_no_page_shows_a_secret_or_runs_what_came(acme: Side) -> None:
    shop = make_shop(acme.tenant)
    event = make_event(
        shop, event_type=EVIL, action="a\u202eb", error=EVIL, headers={EVIL: EVIL, "Cookie": "canary-cookie"},
        payload={EVIL: EVIL, **PAYLOAD}, body=EVIL.encode() + b"\xff canary-hook", status="failed",
    )  # fmt: skip
    pull = make_pull(shop, cursor=f"{EVIL}{'x' * 400}canary-cursor-end", last_error=EVIL, error_count=1)
    for client in (acme.client, superuser()):
        for address in (url("webhookevent"), url("webhookevent", "change", event.pk), url("syncstate"),
                        url("webhookevent", "history", event.pk), url("syncstate", "change", pull.pk),
                        url("tenantintegration", "change", shop.pk)):  # fmt: skip
            html = page(client, address)
            assert not [canary for canary in (*CANARIES, "canary-cursor-end", EVIL, "\u202e") if canary in html], (
                address
            )
    html = page(acme.client, reverse("console:inbound-event", args=[event.pk]))
    assert not [canary for canary in (*CANARIES, EVIL, "\u202e") if canary in html]
    assert "\\xff" in html and "&lt;script&gt;" in html and "a\\u202eb" in html


@pytest.mark.parametrize(
    ("model", "query"),
    [
        ("webhookevent", "payload__api_token__startswith=canary"),
        ("webhookevent", "payload__regex=("),
        ("webhookevent", "headers__Cookie=canary-cookie"),
        ("webhookevent", "body__contains=x"),
        ("webhookevent", "status__regex=("),
        ("webhookevent", "pk__regex=("),
        ("webhookevent", "connection__credentials_encrypted__startswith=a"),
        ("syncstate", "cursor__startswith=page"),
        ("syncstate", "connection__config__startswith=a"),
        ("tenantintegration", "credentials_encrypted__startswith=a"),
        ("tenantintegration", "config__store_url__startswith=https"),
        ("executionlog", "request_payload__contains=x"),
        ("executionlog", "answer__regex=("),
        ("integrationsync", "last_error__regex=("),
    ],
)
def test_nobody_asks_a_list_for_what_its_pages_hide(model: str, query: str, acme: Side) -> None:
    make_event(make_shop(acme.tenant))
    for client in (acme.client, superuser()):
        assert client.get(f"{url(model)}?{query}").status_code == 400, query


def test_what_is_listed_filters_still(acme: Side) -> None:
    shop = make_shop(acme.tenant)
    make_event(shop), make_pull(shop)
    listed = {
        "webhookevent": ("outcome=failed", "outcome=rejected", "action_name=events", "q=d-1"),
        "syncstate": ("status__exact=idle", f"integration={shop.pk}", f"tenant={acme.tenant.pk}"),
        "tenantintegration": ("is_active__exact=1", "integration_type=webhook", "credentials=overdue", "q=Acme"),
        "integrationsync": (
            "created_at__gte=2026-01-01T00:00:00Z",
            "created_at__lt=2999-01-01T00:00:00Z",
            "event_type=x",
        ),
        "executionlog": ("integration=1", "p=1"),
    }
    for model, queries in listed.items():
        for query in queries:
            assert page(acme.client, f"{url(model)}?{query}"), query


def test_states_are_told_in_words_and_symbols(acme: Side) -> None:
    shop, soon = make_shop(acme.tenant), timezone.now() + timedelta(minutes=5)
    make_event(shop, "1", status="processed", duplicates=2)
    make_event(shop, "2", next_attempt_at=timezone.now() - timedelta(seconds=1))
    make_event(shop, "delivery-3", status="failed", error="There is no work item 77.", attempts=2, next_attempt_at=soon)
    make_event(shop, "4", signature_valid=False, error="The signature does not match.")
    html = page(acme.client, url("webhookevent"))
    for words in ("✓ Processed", "⚠ Received", "✗ Failed", "✗ Rejected", "due now", "attempt 3, at", "2 more copies",
                  "There is no work item 77."):  # fmt: skip
        assert words in html, words
    assert "does not match" not in page(acme.client, f"{url('webhookevent')}?outcome=failed")
    assert "no work item" in page(acme.client, f"{url('webhookevent')}?outcome=failed")
    assert "1 inbound webhook\n" in page(acme.client, f"{url('webhookevent')}?q=delivery-3")
    for query in ("action_name=events", "event_type=order.created", f"integration={shop.pk}"):
        assert "4 inbound webhooks" in page(acme.client, f"{url('webhookevent')}?{query}"), query


def test_the_badges_are_what_one_filters_by(acme: Side) -> None:
    shop = make_shop(acme.tenant)
    make_event(shop, "1", status="failed", error="There is no work item 77.")
    make_event(shop, "2", signature_valid=False, error="The signature does not match.")
    wanted = {"rejected": "does not match", "failed": "no work item"}
    for outcome, words in wanted.items():
        html = page(acme.client, f"{url('webhookevent')}?outcome={outcome}")
        assert "1 inbound webhook\n" in html and words in html, outcome


def test_where_there_is_no_event_type_the_action_stands_in_its_place(acme: Side) -> None:
    make_event(make_shop(acme.tenant), event_type="", action="workitem-note")
    html = page(acme.client, url("webhookevent"))
    assert '<span class="ig-break">workitem-note</span></td>' in html


@pytest.mark.parametrize(("switch", "words"), [("is_enabled", "re-enabled"), ("is_active", "active again")])
def test_what_came_for_a_switched_off_integration_waits(acme: Side, switch: str, words: str) -> None:
    shop = make_shop(acme.tenant)
    event = make_event(shop, next_attempt_at=timezone.now() - timedelta(seconds=1))
    detail = reverse("console:inbound-event", args=[event.pk])
    assert "Process again" in page(acme.client, detail)
    TenantIntegration.unannounced.filter(pk=shop.pk).update(**{switch: False})
    html = page(acme.client, detail)
    assert f"waits until the integration is {words}" in html.lower() and "Process again" not in html
    assert f"waits until the integration is {words}" in page(acme.client, url("webhookevent"))
    assert f"waits until the integration is {words}" in calling_back(acme, shop)


@pytest.mark.usefixtures("_taken")
def test_the_list_of_pulls(acme: Side) -> None:
    shop, now = make_shop(acme.tenant), timezone.now()
    make_pull(shop, status="completed", last_sync_at=now - timedelta(minutes=3), next_sync_at=now + timedelta(hours=2))
    make_pull(shop, resource_type="products", interval_minutes=1440, status="failed", error_count=4,
              last_error="The shop answered HTTP 503.")  # fmt: skip
    make_pull(shop, resource_type="prices", interval_minutes=None, status="running", lease_token="x",
              lease_expires_at=now - timedelta(minutes=1))  # fmt: skip
    html = page(acme.client, url("syncstate"))
    for words in (
        "✓ Completed",
        "✗ Failed",
        "⚠ Interrupted",
        "HTTP 503",
        "3\xa0minutes ago",
        "when asked",
        "15 min",
        "day",
    ):
        assert words in html, words
    panel = change_page(acme, shop)
    assert "every 15 min" in panel and "4 in a row" in panel and f"/syncstate/add/?connection={shop.pk}" in panel


@pytest.mark.parametrize("model", ["webhookevent", "syncstate"])
def test_lists_ask_few_questions_and_count_to_an_end(model: str, acme: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> int:
        with CaptureQueriesContext(
            database,
        ) as queries:
            page(acme.client, url(model))
        for query in queries:
            assert '"integrations_webhookevent"."body"' not in query["sql"]
        return len(queries)

    shop = make_shop(acme.tenant)
    make_event(shop), make_pull(shop)
    few = asked()
    for number in range(8):
        another = make_shop(acme.tenant, name=f"shop {number}")
        make_event(another, str(number)), make_pull(another)
    assert asked() == few
    monkeypatch.setattr(history, "PAGED", 3)
    assert "3 inbound webhooks" in page(acme.client, url("webhookevent"))


# -- the panel ---------------------------------------------------------------------------------------------


def test_what_to_paste_at_the_provider(acme: Side, settings: Any) -> None:
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "https://hooks.acme.example/webhooks/"}
    shop = make_shop(acme.tenant)
    html = calling_back(acme, shop)
    assert f"https://hooks.acme.example/webhooks/{shop.public_id}/events/" in html
    assert "HMAC-SHA256 in hex, header X-Shop-Signature" in html and "✓ Set" in html
    assert "Nothing has come in yet." in html and "Nothing is accepted" not in html
    make_event(shop, status="failed", error="There is no work item 77.")
    assert "There is no work item 77." in calling_back(acme, shop)


def test_what_stops_the_provider_is_said(acme: Side, settings: Any) -> None:
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "", "PUBLIC_URL": ""}
    shop = make_shop(acme.tenant, credentials={"consumer_secret": "canary-consumer"})
    html = calling_back(acme, shop)
    assert "enter “Webhook secret”" in html and "✗ Not set" in html and "INTEGRATIONS_WEBHOOK_BASE_URL" in html
    TenantIntegration.unannounced.filter(pk=shop.pk).update(is_active=False)
    assert "it does not exist (404)" in calling_back(acme, shop)
    TenantIntegration.unannounced.filter(pk=shop.pk).update(is_active=True, is_enabled=False)
    assert "processed when it is re-enabled" in calling_back(acme, shop)
    settings.INTEGRATIONS = {"PUBLIC_URL": "https://acme.example"}
    assert f"https://acme.example/webhooks/{shop.public_id}/" in calling_back(acme, shop)
    TenantIntegration.unannounced.filter(pk=shop.pk).update(credentials_encrypted="AAAA")
    assert "Nothing is accepted:" in calling_back(acme, shop)


def test_a_kind_that_never_calls_back_has_no_panel(acme: Side) -> None:
    from integrations.connectors.kinds.mock import MockConnector

    assert MockConnector.manifest.inbound is None
    plain = TenantIntegration.objects.create(tenant=acme.tenant, name="Plain", integration_type="mock")
    html = change_page(acme, plain)
    assert "Calling back" not in html and "Nothing is pulled" not in html


def test_a_kind_that_may_only_act_has_an_address_for_each_action(acme: Side, settings: Any) -> None:
    settings.INTEGRATIONS = {"WEBHOOK_BASE_URL": "https://hooks.acme.example/webhooks/"}
    n8n = TenantIntegration(tenant=acme.tenant, name="Workflow", integration_type="n8n")
    n8n.webhook_url = "https://n8n.example.com/webhook/x"
    n8n.credentials = {"webhook_secret": "canary-hook"}
    n8n.save()
    assert "Nothing is accepted (403)" in calling_back(acme, n8n)
    TenantIntegration.unannounced.filter(pk=n8n.pk).update(inbound_actions=["workitem-note", "gone"])
    html = calling_back(acme, n8n)
    address = f"https://hooks.acme.example/webhooks/{n8n.public_id}/"
    assert f">{address}workitem-note/<" in html and "gone (no longer offered)" in html
    assert f"{address}events/" not in html and "canary-hook" not in html
    settings.INTEGRATIONS = {"CONNECTION_MODEL": "integrations.ERPConnection"}
    assert "CONNECTION_MODEL names another model" in calling_back(acme, n8n)


def test_a_kind_that_takes_no_events_is_not_asked_for_any(acme: Side) -> None:
    acme.integration.delete()
    shop = make_shop(acme.tenant, is_connected=False)
    workbench = f"/console/integrations/{shop.public_id}/"
    for html in (change_page(acme, shop), page(acme.client, url("tenantintegration")), page(acme.client, workbench)):
        assert "○ Not tested" in html and "No events" not in html and "no event type" not in html
    assert "Breaker" not in page(acme.client, workbench) and "What was owed last" not in page(acme.client, workbench)
    make_pull(shop, last_sync_at=timezone.now() - timedelta(minutes=3))
    TenantIntegration.unannounced.filter(pk=shop.pk).update(is_connected=True, last_test_at=timezone.now())
    html = page(acme.client, workbench)
    assert "✓ Working" in html and "Last pull</dt><dd><time" in html


def test_who_takes_the_items_of_a_pull_is_said(acme: Side) -> None:
    pull = make_pull(make_shop(acme.tenant))
    address = url("syncstate", "change", pull.pk)
    never = "never: nobody takes the items"
    assert "⚠ Nobody" in page(acme.client, address)
    for place in (url("syncstate"), url("tenantintegration", "change", pull.connection_id)):
        assert never in page(acme.client, place) and "due now" not in page(acme.client, place)
    pull.next_sync_at = timezone.now()
    pull.save()
    handles("shop", "orders")(take_orders)
    try:
        assert "test_admin_inbound.take_orders" in page(acme.client, address)
        for place in (url("syncstate"), url("tenantintegration", "change", pull.connection_id)):
            assert never not in page(acme.client, place) and "due now" in page(acme.client, place)
    finally:
        forget("shop", "orders")


def take_orders(items: list[Any], connection: Any) -> None:
    """Nothing is done with them."""


@pytest.fixture
def _taken() -> Iterator[None]:
    names = ("orders", "products", "prices")
    for name in names:
        handles("shop", name)(take_orders)
    yield
    for name in names:
        forget("shop", name)


# -- actions -----------------------------------------------------------------------------------------------


def test_process_again(acme: Side, hints: list[Any]) -> None:
    shop = make_shop(acme.tenant)
    failed = make_event(shop, "1", status="failed", attempts=5, error="broken")
    waits = make_event(shop, "2", next_attempt_at=timezone.now() + timedelta(hours=1))
    others = [
        make_event(shop, "3", status="processed"), make_event(shop, "4", status="processing"),
        make_event(shop, "5", status="duplicate"), make_event(shop, "6", status="failed", signature_valid=False),
    ]  # fmt: skip
    before = list(WebhookEvent.objects.filter(pk__in=[row.pk for row in others]).order_by("pk").values())
    said = act(acme.client, "webhookevent", "process_again", failed, waits, *others)
    assert "2 inbound webhooks will be processed now." in said
    for words in ("processed already", "a worker is at it", "it repeats another one", "rejected"):
        assert f"1 skipped: {words}" in said, words
    for event in (failed, waits):
        event.refresh_from_db()
        assert (event.status, event.error) == ("received", "")
        assert event.next_attempt_at is not None and event.next_attempt_at <= timezone.now()
    assert list(WebhookEvent.objects.filter(pk__in=[row.pk for row in others]).order_by("pk").values()) == before
    names = {"app_label": "integrations", "model_name": "WebhookEvent"}
    assert hints == [
        ("integrations.tasks.process_webhook", {"webhook_event_id": event.pk, **names}) for event in (failed, waits)
    ]
    assert "Will be processed now" in page(acme.client, url("webhookevent", "history", failed.pk))


def test_replay_is_for_what_was_processed(acme: Side, hints: list[Any]) -> None:
    shop = make_shop(acme.tenant)
    done = make_event(shop, "1", status="processed", announced_at=timezone.now(), processed_at=timezone.now())
    assert "1 inbound webhook will be processed once more." in act(acme.client, "webhookevent", "replay", done)
    done.refresh_from_db()
    assert (done.status, done.announced_at, done.processed_at) == ("received", None, None)
    assert "not processed yet" in act(acme.client, "webhookevent", "replay", done) and len(hints) == 1


def test_a_worker_that_is_overtaken_by_a_person_writes_nothing(acme: Side, hints: list[Any]) -> None:
    done = make_event(make_shop(acme.tenant), status="processed", attempts=1)
    held = WebhookEvent.objects.filter(pk=done.pk, attempts=1)  # as a worker that still announces it knows it
    act(acme.client, "webhookevent", "replay", done)
    assert held.update(next_attempt_at=None) == 0
    assert process(WebhookEvent, done.pk) == "processed"
    done.refresh_from_db()
    assert done.status == "processed" and done.announced_at is not None and done.next_attempt_at is None


def test_without_a_broker_the_row_is_due_all_the_same(acme: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.inbound.by_hand.send_hint", lambda *_, **__: False)
    event = make_event(make_shop(acme.tenant), status="failed")
    assert "will be processed now" in act(acme.client, "webhookevent", "process_again", event)
    event.refresh_from_db()
    assert event.status == "received" and event.next_attempt_at is not None


@pytest.mark.usefixtures("_taken")
def test_pull_now_and_start_over_ask_a_worker(acme: Side, hints: list[Any]) -> None:
    shop = make_shop(acme.tenant)
    pull = make_pull(shop, cursor="page-7", status="failed", next_sync_at=timezone.now() + timedelta(hours=1))
    said = act(acme.client, "syncstate", "pull_now", pull)
    assert "Pulling now: 1. A worker was asked" in said
    pull.refresh_from_db()
    assert pull.cursor == "page-7" and pull.next_sync_at is not None and pull.next_sync_at <= timezone.now()
    SyncState.objects.filter(pk=pull.pk).update(lease_token="t", lease_expires_at=timezone.now() + timedelta(minutes=1))
    assert "a worker is reading already" in act(acme.client, "syncstate", "pull_now", pull)
    act(acme.client, "syncstate", "start_over", pull)
    pull.refresh_from_db()
    assert (pull.cursor, pull.lease_token, pull.status) == ("", "", "idle"), "the reader's page must not be kept"
    names = {
        "connection_id": shop.pk, "resource_type": "orders", "app_label": "integrations",
        "model_name": "TenantIntegration", "sync_state_app": "integrations", "sync_state_model": "SyncState",
    }  # fmt: skip
    assert hints == [("integrations.tasks.incremental_sync", names), ("integrations.tasks.full_resync", names)]


@pytest.mark.parametrize("action", ["pull_now", "start_over"])
def test_a_pull_that_nobody_takes_is_not_asked_for(action: str, acme: Side, hints: list[Any]) -> None:
    pull = make_pull(make_shop(acme.tenant), cursor="page-7", next_sync_at=timezone.now() + timedelta(hours=1))
    assert "1 skipped: nobody takes the items" in act(acme.client, "syncstate", action, pull)
    before = pull.next_sync_at
    pull.refresh_from_db()
    assert (pull.cursor, pull.next_sync_at, hints) == ("page-7", before, [])


@pytest.mark.parametrize("values", [{"is_enabled": False}, {"is_active": False}, {"is_connected": False}])
def test_what_is_switched_off_is_not_asked(values: dict[str, Any], acme: Side, hints: list[Any]) -> None:
    pull = make_pull(make_shop(acme.tenant, **values), cursor="page-7")
    assert "skipped: the connection is off" in act(acme.client, "syncstate", "start_over", pull)
    pull.refresh_from_db()
    assert pull.cursor == "page-7" and hints == []


def test_a_pull_is_added_and_only_its_interval_changes(acme: Side) -> None:
    shop = make_shop(acme.tenant)
    values = {"connection": shop.pk, "resource_type": "invoices", "interval_minutes": "15"}
    errors = acme.client.post(url("syncstate", "add"), values).context["adminform"].form.errors
    assert "it has: orders, products" in errors["resource_type"][0]
    errors = acme.client.post(url("syncstate", "add"), {**values, "interval_minutes": "0"}).context["errors"]
    assert errors
    assert acme.client.post(url("syncstate", "add"), {**values, "resource_type": "orders"}).status_code == 302
    pull = SyncState.objects.get()
    assert pull.next_sync_at is not None and pull.next_sync_at <= timezone.now(), "the sweep begins at once"
    SyncState.objects.update(cursor="page-7", last_sync_at=timezone.now(), status="completed")
    forged = {"interval_minutes": "60", "resource_type": "products", "cursor": "x", "status": "idle", "connection": "1"}
    assert acme.client.post(url("syncstate", "change", pull.pk), forged).status_code == 302
    pull.refresh_from_db()
    assert (pull.cursor, pull.status, pull.resource_type, pull.interval_minutes) == (
        "page-7",
        "completed",
        "orders",
        60,
    )
    assert timezone.now() + timedelta(minutes=59) < pull.next_sync_at < timezone.now() + timedelta(minutes=61)
    acme.client.post(url("syncstate", "change", pull.pk), {"interval_minutes": ""})
    pull.refresh_from_db()
    assert pull.next_sync_at is None
    chosen = acme.client.get(f"{url('syncstate', 'add')}?connection={shop.pk}").context["adminform"].form
    offered = [value for value, _ in chosen.fields["resource_type"].widget.choices]
    assert offered == ["", "orders", "products"]
    answer = acme.client.post(url("syncstate", "add"), {**values, "resource_type": "orders"})
    assert "already exists" in str(answer.context["errors"])
