"""The workbench of one integration: what each tab says, what each button does, for which role, and whose it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.audit.trail import AuditEntry
from integrations.connections.health import refused_reason
from integrations.connections.signing_keys import rotate_signing_secret
from integrations.delivery.deletion import delete_marked
from integrations.delivery.drain import drain
from integrations.models import ExecutionLog, IntegrationSync, Lane, TenantIntegration, WebhookEvent
from integrations.pages.display import clock
from integrations.statistics.models import IntegrationFigures
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Receiver
from tenants.models import Membership

from .people import client_of, operator_of_all, person

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def target(receiver: Receiver, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    return make_integration(make_tenant("Acme"), receiver.url, name="Hook of Acme")


def url(integration: TenantIntegration, *parts: str) -> str:
    return "/".join(["/console/integrations", str(integration.public_id), *parts, ""])


def bench(client: Client, integration: TenantIntegration, *parts: str) -> str:
    answer = client.get(url(integration, *parts))
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def lane(integration: TenantIntegration, **columns: Any) -> None:
    Lane.objects.filter(pk=integration.pk).update(**columns)


def press(client: Client, integration: TenantIntegration, name: str) -> Any:
    return client.post(url(integration, "do", name), follow=True)


def entries() -> list[tuple[str, str]]:
    """What people did: the action, and who."""
    return list(AuditEntry.objects.exclude(actor="system").order_by("id").values_list("action", "actor"))


# -- who sees it, who may do what -------------------------------------------------------------------------------

PAGES = ((), ("calling-back",), ("rotate",), ("secret",), ("delete",))
ACTIONS = ("test", "check", "pause", "resume", "enable", "reveal", "connect")


def test_another_tenants_does_not_exist(target: TenantIntegration) -> None:
    stranger = person("manager", make_tenant("Other"))
    for parts in PAGES:
        assert stranger.get(url(target, *parts)).status_code == 404, parts
        assert b"Hook of Acme" not in stranger.get(url(target, *parts)).content
    for name in ACTIONS:
        assert stranger.post(url(target, "do", name)).status_code == 404, name
    assert stranger.post(url(target, "rotate")).status_code == stranger.post(url(target, "delete")).status_code == 404
    assert AuditEntry.objects.exclude(actor="system").count() == ExecutionLog.objects.count() == 0


@pytest.mark.parametrize(
    ("role", "offered", "allowed"),
    [
        ("viewer", set(), set()),
        ("operator", {"test", "pause"}, {"test", "check", "pause", "resume", "enable"}),
        ("manager", {"test", "pause"}, set(ACTIONS)),
    ],
)
def test_each_role_may_do_its_own(target: TenantIntegration, role: str, offered: set[str], allowed: set[str]) -> None:
    client = person(role, target.tenant)
    html = bench(client, target)
    assert {name for name in ACTIONS if url(target, "do", name) in html} == offered
    for name in ACTIONS:
        answer = client.post(url(target, "do", name))
        assert answer.status_code == (302 if name in allowed else 403), name
        if answer.status_code == 403:
            assert b"You may not do this" in answer.content
    is_manager = role == "manager"
    for name in ("rotate", "delete", "secret"):
        assert client.get(url(target, name)).status_code == (200 if is_manager else 403), name
        assert (url(target, name) in html) == (is_manager and name != "secret"), name


def test_who_has_permissions_and_no_role_uses_only_their_connector_types(target: TenantIntegration) -> None:
    mia = User.objects.create_user("mia")
    names = ("view_tenantintegration", "change_tenantintegration", "delete_tenantintegration", "use_chat_connectors")
    mia.user_permissions.add(*Permission.objects.filter(codename__in=names))
    Membership.objects.create(tenant=target.tenant, user=mia)
    client = client_of(mia)
    assert "What you can do" not in bench(client, target)
    answer = client.post(url(target, "do", "pause"))
    assert answer.status_code == 403 and b"integrations of the type Webhook" in answer.content
    mia.user_permissions.add(Permission.objects.get(codename="use_webhook_connectors"))
    assert "What you can do" in bench(client_of(User.objects.get(pk=mia.pk)), target)


def test_what_is_no_button_is_not_there(target: TenantIntegration) -> None:
    client = operator_of_all()
    assert client.post(url(target, "do", "explode")).status_code == 404
    assert client.get(url(target, "do", "pause")).status_code == 405


# -- what the buttons do ----------------------------------------------------------------------------------------


def test_a_test_event_and_its_answer(receiver: Receiver, target: TenantIntegration) -> None:
    client = person("operator", target.tenant, name="olga")
    html = press(client, target, "test").content.decode()
    assert "✓ The test event was taken" in html and "HTTP 200" in html
    assert receiver.requests[0].headers["webhook-test"] == "true"
    assert "The test event was taken" not in bench(client, target), "it is shown once"
    receiver.answer_with(default=500)
    html = press(client, target, "test").content.decode()
    assert "✗ The test event was not taken" in html and "HTTP 500" in html
    assert entries() == [("tested", "olga")] * 2
    assert ExecutionLog.objects.filter(action="test", actor="olga").count() == 2
    assert statuses() == []


def test_the_answer_is_shown_to_who_asked_and_on_that_integration(
    receiver: Receiver, target: TenantIntegration
) -> None:
    client, other = person("operator", target.tenant), person("operator", target.tenant)
    neighbour = make_integration(target.tenant, name="neighbour")
    client.post(url(target, "do", "test"))
    assert "The test event was taken" not in bench(client, neighbour) + bench(other, target)
    assert "The test event was taken" in bench(client, target)


def test_a_test_of_a_refused_address_says_why(target: TenantIntegration) -> None:
    target.webhook_url = "https://10.0.0.1/x"
    target.save()
    html = press(person("operator", target.tenant), target, "test").content.decode()
    assert "✗ The test event was not taken" in html and "no HTTP answer" in html


def test_a_refused_test_counts_for_nothing(receiver: Receiver, target: TenantIntegration) -> None:
    receiver.answer_with(default=401)
    assert "HTTP 401" in press(person("operator", target.tenant), target, "test").content.decode()
    target.refresh_from_db()
    assert target.is_enabled and target.auth_failure_count == 0


def test_who_may_see_no_deliveries_sees_none_here(target: TenantIntegration) -> None:
    make_item(target.tenant)
    jo = User.objects.create_user("jo")
    jo.user_permissions.add(Permission.objects.get(codename="view_tenantintegration"))
    Membership.objects.create(tenant=target.tenant, user=jo)
    assert "What was owed last" not in bench(client_of(jo), target)
    assert "What was owed last" in bench(person("viewer", target.tenant), target)


def test_pause_and_resume(receiver: Receiver, target: TenantIntegration) -> None:
    client = person("operator", target.tenant, name="olga")
    html = press(client, target, "pause").content.decode()
    assert "Events wait until somebody resumes it" in html and "Paused by olga" in html and "Resume</button>" in html
    make_item(target.tenant)
    drain(target.pk)
    assert statuses() == ["pending"] and "waits: paused by olga" in bench(client, target)
    press(client, target, "resume")
    drain(target.pk)
    assert statuses() == ["synced"] and url(target, "do", "resume") not in bench(client, target)
    assert entries() == [("paused", "olga"), ("resumed", "olga")]


def test_what_resume_ends_and_what_waits_for_it_is_said(target: TenantIntegration) -> None:
    make_item(target.tenant)
    IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(hours=3))
    client = person("operator", target.tenant)
    assert "Next delivery</dt><dd>due now" in bench(client, target)
    open_until = timezone.now() + timedelta(hours=1)
    lane(target, times_opened=2, opened_at=timezone.now(), paused_until=open_until, pause_reason="circuit breaker")
    html = bench(client, target)
    assert "Sends what is pending now" in html and "Ends the pause" not in html, "nobody paused it"
    assert f"Next delivery</dt><dd>paused until {clock(open_until)}" in html
    lane(target, paused_since=timezone.now(), paused_by="olga")
    html = bench(client, target)
    assert "Ends the pause" in html and "Next delivery</dt><dd>waits: paused by olga" in html


def test_a_refusal_says_once_what_to_do(target: TenantIntegration) -> None:
    make_item(target.tenant)
    client = person("operator", target.tenant)
    for why in ("", "Teams: the channel is gone"):
        row = {"is_enabled": False, "auth_failure_count": 3, "disabled_reason": refused_reason(3, why)}
        TenantIntegration.objects.filter(pk=target.pk).update(**row)
        delivery = f"/console/deliveries/{IntegrationSync.objects.get().pk}/"
        for address, advice in (("/console/", "at fault"), (url(target), "at fault"), (delivery, "Mend that")):
            html = client.get(address).content.decode()
            assert "3 times in a row." in html and html.count("then re-enable") == html.count(advice) == 1, address


def test_a_viewer_is_not_asked_to_change_the_events(target: TenantIntegration) -> None:
    events = url(target, "events")
    assert f'<a href="{events}">Look</a>' in bench(person("viewer", target.tenant), target)
    assert f'<a href="{events}">Change</a>' in bench(person("manager", target.tenant), target)


def test_no_role_is_asked_for_where_the_connector_type_is_missing(target: TenantIntegration) -> None:
    TenantIntegration.unannounced.filter(pk=target.pk).update(integration_type="vanished")
    client = person("manager", target.tenant)
    for parts in (("settings",), ("events",), ("events", "workitem_created")):
        assert "takes the role manager" not in bench(client, target, *parts), parts


def test_enable(target: TenantIntegration) -> None:
    reason = {"is_enabled": False, "auth_failure_count": 3, "disabled_reason": "refused three times"}
    TenantIntegration.objects.filter(pk=target.pk).update(**reason)
    client = person("operator", target.tenant, name="olga")
    html = bench(client, target)
    assert "refused three times" in html and "Re-enable</button>" in html
    press(client, target, "enable")
    target.refresh_from_db()
    assert target.is_enabled and target.auth_failure_count == 0
    assert ("re-enabled", "olga") in entries()


def test_rotate_shows_the_secret_once_and_says_how_long_the_old_one_signs(target: TenantIntegration) -> None:
    client = person("manager", target.tenant, name="mia")
    assert "24 hours the present secret signs beside it" in bench(client, target, "rotate")
    answer = client.post(url(target, "rotate"), {"secret": ""}, follow=True)
    target.refresh_from_db()
    secret = target.credentials["signing_keys"][0]["secret"]
    html = answer.content.decode()
    assert secret in html and secret != SECRET and "The previous secret signs too until" in html
    assert "no-store" in answer["Cache-Control"]
    assert secret not in bench(client, target, "secret") and "shown already" in bench(client, target, "secret")
    assert secret not in bench(client, target) and "the previous secret signs too until" in bench(client, target)
    assert ("rotated", "mia") in entries() and secret not in str(list(AuditEntry.objects.values()))


def test_a_secret_that_is_none_is_refused_beside_its_field(target: TenantIntegration) -> None:
    client = person("manager", target.tenant)
    html = client.post(url(target, "rotate"), {"secret": "whsec_short"}).content.decode()
    assert 'id="secret-error"' in html and "whsec_short" not in html
    target.refresh_from_db()
    assert [key["secret"] for key in target.credentials["signing_keys"]] == [SECRET]


def test_a_secret_that_the_schedule_made_is_revealed_once(target: TenantIntegration) -> None:
    secret = rotate_signing_secret(target, is_seen=False)
    client = person("manager", target.tenant)
    assert "A new signing secret was made by schedule" in bench(client, target)
    assert secret in press(client, target, "reveal").content.decode()
    assert url(target, "do", "reveal") not in bench(client, target)


def test_delete_asks_and_goes_in_the_background(target: TenantIntegration) -> None:
    make_item(target.tenant)
    client = person("manager", target.tenant, name="mia")
    html = bench(client, target, "delete")
    assert "cannot be undone" in html and "which will never be sent" in html
    assert TenantIntegration.objects.count() == 1, "looking deletes nothing"
    answer = client.post(url(target, "delete"), follow=True)
    assert b"is being deleted" in answer.content and "– Being deleted" in answer.content.decode()
    html = bench(client, target)
    assert "– Being deleted" in html and "What you can do" not in html
    assert client.post(url(target, "do", "resume")).status_code == 403
    delete_marked()
    assert TenantIntegration.objects.count() == 0 and IntegrationSync.objects.count() == 0
    assert client.get(url(target)).status_code == 404
    assert ("deleted", "mia") in entries()


# -- what the first tab says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "columns", "said"),
    [
        ({"is_active": False}, {}, "The tenant switched it off"),
        ({"is_enabled": False, "disabled_reason": "refused three times"}, {}, "refused three times"),
        ({}, {"attention": "it moved for good"}, "it moved for good"),
        ({}, {"pause_reason": "the destination asked us to wait"}, "The destination asked us to wait"),
        ({}, {"trouble": "3 events wait for a retry"}, "3 events wait for a retry"),
        ({"integration_type": "vanished"}, {}, "No connector called vanished is installed"),
        ({"webhook_url_encrypted": ""}, {}, "Nothing can be sent"),
        ({"webhook_url_encrypted": "ag1:rubbish"}, {}, "A stored secret cannot be opened"),
    ],
)
def test_s1_59_why_nothing_arrives(
    values: dict[str, Any], columns: dict[str, Any], said: str, target: TenantIntegration
) -> None:
    if "pause_reason" in columns:
        columns["paused_until"] = timezone.now() + timedelta(minutes=5)
    if "trouble" in columns:
        columns["last_success_at"] = timezone.now()
    TenantIntegration.unannounced.filter(pk=target.pk).update(**values)
    lane(target, **columns)
    html = bench(person("viewer", target.tenant), target)
    heading = "What needs a look" if "trouble" in columns else "Why does nothing arrive?"
    assert said in html and heading in html


def test_s1_59_no_event_no_subscription_no_worker(target: TenantIntegration) -> None:
    client = person("viewer", target.tenant)
    assert "nothing of Acme brought about workitem_created" in bench(client, target)
    make_item(target.tenant)
    IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(hours=1))
    assert "no worker was seen" in bench(client, target)
    target.subscribe()
    assert "no event type is ticked" in bench(client, target)


def test_conditions_and_old_credentials_are_said(target: TenantIntegration) -> None:
    target.subscribe("workitem_created", conditions={"workitem_created": "workitem.priority == 'Urgent'"})
    TenantIntegration.objects.filter(pk=target.pk).update(credentials_rotated_at=timezone.now() - timedelta(days=91))
    html = bench(person("viewer", target.tenant), target)
    assert "workitem_created is sent only if workitem.priority" in html and "91 days old" in html


def test_what_was_sent_and_what_failed(receiver: Receiver, target: TenantIntegration) -> None:
    receiver.answer_with(default=400)
    make_item(target.tenant)
    drain(target.pk)
    IntegrationFigures.objects.all().delete()
    minute = int(timezone.now().timestamp() // 60)
    IntegrationFigures.objects.create(integration=target, resolution=1, start=minute, delivered=3, retrying=1)
    html = bench(person("viewer", target.tenant), target)
    for words in (
        "✗ Failing",
        "answered 400 Bad Request",
        "workitem_created",
        "⚠ Pending",
        "75 %",
        'data-chart="chart-day"',
    ):
        assert words in html, words
    assert f"{receiver.netloc}/•••" in html and receiver.url not in html


def test_it_costs_a_bounded_number_of_queries(target: TenantIntegration) -> None:
    client = person("manager", target.tenant)
    bench(client, target)
    for number in range(12):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    with CaptureQueriesContext(connection) as found:
        bench(client, target)
    assert len(found) <= 15, "\n".join(query["sql"][:150] for query in found.captured_queries)


# -- calling back -----------------------------------------------------------------------------------------------


def test_calling_back_says_where_what_and_what_came(target: TenantIntegration) -> None:
    client = person("viewer", target.tenant)
    html = bench(client, target, "calling-back")
    assert "Nothing is accepted" in html and "Nothing has come in yet" in html
    target.inbound_actions = ["workitem-note"]
    target.credentials = {**target.credentials, "inbound_secret": "whsec_" + "A" * 43 + "="}
    target.save()
    WebhookEvent.objects.create(connection=target, action="workitem-note", body=b"{}", idempotency_key="1")
    html = bench(client, target, "calling-back")
    assert f"/webhooks/{target.public_id}/workitem-note/" in html and "Add a note" in html
    assert "A" * 40 not in html
    assert "✗ Rejected" in html or "⚠ Received" in html


def test_one_that_never_calls_has_no_such_tab(target: TenantIntegration) -> None:
    mute = make_integration(target.tenant, integration_type="teams", name="mute", signed=False)
    client = person("viewer", target.tenant)
    assert client.get(url(mute, "calling-back")).status_code == 404
    assert url(mute, "calling-back") not in bench(client, mute)
