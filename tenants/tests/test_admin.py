"""A tenant's staff see, choose, reach and change nothing of another tenant, on any URL of the admin."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from app.demo.urls import sign_in_path
from integrations.configuration.models import GitHubConfiguration
from integrations.delivery.deletion import delete_marked
from integrations.models import ExecutionLog, IntegrationSync
from integrations.tests.integration.admin_world import (
    Side,
    client_of,
    form_values,
    make_side,
    page,
    pending,
    shown_values,
    superuser,
    url,
)
from tasks.models import Customer, WorkItem
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]

MODELS = (
    "tenantintegration", "integrationsync", "executionlog", "workitem", "customer", "customerasset", "dropoffpoint",
    "tenant", "membership",
)  # fmt: skip


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


@pytest.fixture
def other() -> Side:
    return make_side("Zulu")


def rows_of(side: Side) -> dict[str, Any]:
    return {
        "tenantintegration": side.integration,
        "integrationsync": side.sync,
        "executionlog": side.log,
        "workitem": side.item,
        "customer": side.customer,
        "customerasset": side.asset,
        "dropoffpoint": side.point,
        "tenant": side.tenant,
        "membership": Membership.objects.get(tenant=side.tenant),
    }


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_filters_name_only_ones_own(model: str, acme: Side, other: Side) -> None:
    html = page(acme.client, url(model))
    assert "Zulu" not in html
    assert "Acme" in html
    assert "Zulu" in page(superuser(), url(model))


@pytest.mark.parametrize("model", MODELS)
def test_pages_of_another_tenant_do_not_exist(model: str, acme: Side, other: Side) -> None:
    row = rows_of(other)[model]
    for view in ("change", "history", "delete"):
        for method in (acme.client.get, acme.client.post):
            response = method(url(model, view, row.pk), {"post": "yes"}, follow=False)
            assert response.status_code in (302, 403, 404), (view, response.status_code)
            assert "Zulu" not in response.content.decode()
    row.refresh_from_db()


@pytest.mark.parametrize("model", MODELS)
def test_ones_own_pages_do(model: str, acme: Side) -> None:
    row = rows_of(acme)[model]
    assert "Acme" in page(acme.client, url(model, "change", row.pk))
    page(acme.client, url(model, "history", row.pk))


@pytest.mark.parametrize("view", ["retry", "replay", "cancel"])
def test_buttons_of_another_tenants_sync(view: str, acme: Side, other: Side) -> None:
    assert acme.client.post(reverse("console:delivery-act", args=[other.sync.pk, view])).status_code == 404
    other.sync.refresh_from_db()
    assert other.sync.status == "pending" and not ExecutionLog.objects.filter(action=view).exists()


@pytest.mark.parametrize("action", ["retry", "replay", "cancel"])
def test_actions_ignore_another_tenants_rows(action: str, acme: Side, other: Side) -> None:
    pending(other.sync, attempts=4)
    data = {"act": action, "pk": [other.sync.pk]}
    html = acme.client.post(reverse("console:deliveries-act"), data, follow=True).content.decode()
    assert "Zulu" not in html
    acme.client.post(reverse("console:deliveries-act"), {**data, "pk": [other.sync.pk, acme.sync.pk]})
    other.sync.refresh_from_db()
    assert other.sync.status == "pending" and other.sync.attempts == 4


def test_the_delete_action_ignores_another_tenants_rows(acme: Side, other: Side) -> None:
    for model, row in (("tenantintegration", other.integration), ("workitem", other.item)):
        data = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        acme.client.post(url(model), data, follow=True)
        row.refresh_from_db()


@pytest.mark.parametrize("query", ["integration={}", "tenant={}", "q={}", "integration__id__exact={}"])
def test_filters_and_search_reach_nothing_of_another_tenant(query: str, acme: Side, other: Side) -> None:
    for value in (other.integration.pk, other.tenant.pk, other.item.pk, "Zulu-1", other.sync.event.idempotency_key):
        html = acme.client.get(f"{url('integrationsync')}?{query.format(value)}", follow=True).content.decode()
        assert "Zulu</a>" not in html and "Zulu hook" not in html and "Zulu-1</a>" not in html


@pytest.mark.parametrize("field", ["customer", "customer_asset", "dropoff_point"])
def test_autocomplete_offers_only_ones_own(field: str, acme: Side, other: Side) -> None:
    query = {"app_label": "tasks", "model_name": "workitem", "field_name": field, "term": ""}
    answer = acme.client.get(reverse("admin:autocomplete"), query).json()
    assert answer["results"] and all("Acme" in result["text"] for result in answer["results"])


def item_values(side: Side, **changes: Any) -> dict[str, Any]:
    return {
        "tenant": side.tenant.pk, "reference_id": "NEW-1", "description": "", "status": "new", "priority": "standard",
        "type": "diagnostic", "intake_method": "walk_in", "created_date_0": "2026-01-01", "created_date_1": "10:00:00",
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize("field", ["customer", "customer_asset", "dropoff_point", "owner", "technician", "tenant"])
def test_posted_relations_of_another_tenant_are_errors(field: str, acme: Side, other: Side) -> None:
    foreign = {
        "customer": other.customer, "customer_asset": other.asset, "dropoff_point": other.point, "owner": other.user,
        "technician": other.user, "tenant": other.tenant,
    }[field]  # fmt: skip
    for client in (acme.client, superuser() if field != "tenant" else acme.client):
        response = client.post(url("workitem", "add"), item_values(acme, **{field: foreign.pk}))
        assert list(response.context["adminform"].form.errors) == [field]
    assert not WorkItem.objects.filter(reference_id="NEW-1").exists()


@pytest.mark.parametrize("field", ["customer", "owner"])
def test_a_change_cannot_cross_tenants_either(field: str, acme: Side, other: Side) -> None:
    foreign = other.customer if field == "customer" else other.user
    values = item_values(acme, **{field: foreign.pk})
    assert field in acme.client.post(url("workitem", "change", acme.item.pk), values).context["adminform"].form.errors
    assert acme.client.post(url("workitem", "add"), item_values(acme)).status_code == 302


def test_somebody_who_left_stays_assigned(acme: Side) -> None:
    left = User.objects.create_user("left")
    WorkItem.unannounced.filter(pk=acme.item.pk).update(technician=left)
    response = acme.client.post(url("workitem", "change", acme.item.pk), item_values(acme, technician=left.pk))
    assert response.status_code == 302
    acme.item.refresh_from_db()
    assert acme.item.technician == left and acme.item.reference_id == "NEW-1"


def test_member_of_two_tenants_cannot_mix_them(acme: Side, other: Side) -> None:
    Membership.objects.create(tenant=other.tenant, user=acme.user)
    response = acme.client.post(url("workitem", "add"), item_values(acme, customer=other.customer.pk))
    assert "belongs to another tenant" in str(response.context["adminform"].form.errors["customer"])
    html = page(acme.client, url("tenantintegration"))
    assert "Zulu" in html and "By tenant" in html


def test_no_tenant_no_rows() -> None:
    make_side("Zulu")
    user = User.objects.create_user("nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["tasks", "integrations"]))
    for model in MODELS[:7]:
        assert "Zulu" not in page(client_of(user), url(model))


def test_history_of_another_tenant_stays_hidden(acme: Side, other: Side) -> None:
    renamed = shown_values(other.client, other.integration, name="Zulu renamed")
    other.client.post(url("tenantintegration", "change", other.integration.pk), renamed)
    assert LogEntry.objects.filter(object_id=str(other.integration.pk)).exists()
    assert "Changed Name" in page(other.client, url("tenantintegration", "history", other.integration.pk))
    assert acme.client.get(url("tenantintegration", "history", other.integration.pk)).status_code == 302
    assert "Zulu" not in page(acme.client, reverse("admin:index"))


def test_tenants_and_memberships_are_for_superusers_to_manage(acme: Side) -> None:
    membership = Membership.objects.get(user=acme.user)
    assert acme.client.get(url("tenant", "add")).status_code == 403
    assert acme.client.post(url("tenant", "change", acme.tenant.pk), {"name": "Mine"}).status_code == 403
    assert acme.client.post(url("membership", "delete", membership.pk), {"post": "yes"}).status_code == 403
    client = superuser()
    values = {"name": "Fresh", "membership_set-TOTAL_FORMS": 0, "membership_set-INITIAL_FORMS": 0}
    assert client.post(url("tenant", "add"), values).status_code == 302
    assert Tenant.objects.filter(name="Fresh").exists()
    assert client.post(url("membership", "delete", membership.pk), {"post": "yes"}).status_code == 302


def test_accounts_of_other_tenants_are_hidden_and_nobody_edits_accounts(acme: Side, other: Side) -> None:
    acme.user.user_permissions.add(*Permission.objects.filter(content_type__app_label="auth"))
    html = page(acme.client, reverse("admin:auth_user_changelist"))
    assert "Acme-staff" in html and "Zulu" not in html
    assert acme.client.get(reverse("admin:auth_user_change", args=[other.user.pk])).status_code == 302
    address = reverse("admin:auth_user_change", args=[acme.user.pk])
    assert acme.client.post(address, {"username": "x", "is_superuser": "on"}).status_code == 403


def test_permissions_count_inside_the_own_tenant(acme: Side) -> None:
    acme.user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = client_of(User.objects.get(pk=acme.user.pk))
    html = page(client, url("tenantintegration", "change", acme.integration.pk))
    workbench = f"/console/integrations/{acme.integration.public_id}/"
    assert "Save" not in html and "canary" not in html
    assert "Send test event" not in page(client, workbench)
    assert client.post(f"{workbench}do/test/").status_code == 403
    assert client.post(f"{workbench}rotate/").status_code == 403
    assert client.post(reverse("console:delivery-act", args=[acme.sync.pk, "retry"])).status_code == 403
    assert 'value="retry"' not in page(client, reverse("console:deliveries"))
    assert client.get(url("tenantintegration", "add")).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_nobody_gets_in_without_logging_in(model: str, acme: Side, client: Any) -> None:
    assert client.get(url(model)).status_code == 302
    assert client.post(f"/console/integrations/{acme.integration.public_id}/do/test/").status_code == 302


def test_buttons_need_a_csrf_token_and_post(acme: Side) -> None:
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(acme.user)
    workbench = f"/console/integrations/{acme.integration.public_id}/"
    for name in ("do/test/", "rotate/", "do/enable/", "do/resume/", "delete/"):
        assert strict.post(workbench + name).status_code == 403
    assert strict.post(reverse("console:delivery-act", args=[acme.sync.pk, "retry"])).status_code == 403
    for name in ("test", "enable", "resume"):
        assert acme.client.get(f"{workbench}do/{name}/").status_code == 405
    assert acme.client.get(reverse("console:delivery-act", args=[acme.sync.pk, "retry"])).status_code == 405


def test_deleting_an_integration_counts_what_goes_with_it(acme: Side) -> None:
    html = page(acme.client, url("tenantintegration", "delete", acme.integration.pk))
    assert "Integration syncs: 1" in html and "Execution log" not in html.split("Summary")[1], "the log stays"
    assert "Lanes" not in html, "a part of the integration that nobody made"
    assert acme.client.post(url("tenantintegration", "delete", acme.integration.pk), {"post": "yes"}).status_code == 302
    assert delete_marked()["done"] == 1
    assert not IntegrationSync.objects.filter(pk=acme.sync.pk).exists()


def test_deleting_a_tenant_as_superuser(acme: Side) -> None:
    client = superuser()
    assert "Work items: 1" in page(client, url("tenant", "delete", acme.tenant.pk))
    assert client.post(url("tenant", "delete", acme.tenant.pk), {"post": "yes"}).status_code == 302
    assert delete_marked()["done"] == 1
    assert not Customer.objects.filter(tenant_id=acme.tenant.pk).exists()


def test_the_add_form_of_one_with_two_tenants_preselects_none(acme: Side, other: Side) -> None:
    Membership.objects.create(tenant=other.tenant, user=acme.user)
    form = acme.client.get(url("tenantintegration", "add")).context["adminform"].form
    assert "tenant" not in form.initial
    assert acme.client.post(url("tenantintegration", "add"), form_values(other.tenant)).status_code == 302


@pytest.mark.parametrize(
    "page_name", ["auth_group", "django_celery_beat_periodictask", "django_celery_beat_intervalschedule"]
)
def test_what_acts_on_all_tenants_is_for_superusers(acme: Side, page_name: str) -> None:
    acme.user.user_permissions.set(Permission.objects.all())
    for view in ("changelist", "add"):
        assert acme.client.get(reverse(f"admin:{page_name}_{view}")).status_code == 403


# -- what is not yours is not there: the same answer ------------------------------------------------------------------

MISSING = 987_654
IN_CONSOLE = {"integrationsync": ("retry", "replay", "send", "cancel")}


def unowned_rows() -> list[Any]:
    """Return rows of other pages of the admin: of no tenant, but not for everybody's eyes."""
    every = IntervalSchedule.objects.create(every=7, period="minutes")
    task = PeriodicTask.objects.create(name="theirs", task="x", interval=every)
    return [every, task, Group.objects.create(name="theirs"), GitHubConfiguration.objects.create()]


def answers(client: Any, row: Any, pk: Any) -> list[Any]:
    """Return what the pages of `row` answer under the key `pk`, without the key."""
    opts = row._meta
    prefix = f"admin:{opts.app_label}_{opts.model_name}_"
    pages = [reverse(prefix + view, args=[pk]) for view in ("change", "history", "delete")]
    pages.append(f"/admin/r/{ContentType.objects.get_for_model(row, for_concrete_model=False).pk}/{pk}/")
    found = [client.get(page) for page in pages]
    buttons = [reverse("console:delivery-act", args=[pk, act]) for act in IN_CONSOLE.get(opts.model_name, ())]
    found += [client.get(reverse("console:delivery", args=[pk]))] if opts.model_name in IN_CONSOLE else []
    found += [client.post(page, {"post": "yes"}) for page in (*pages[:1], *buttons)]
    told = []
    for answer in found:
        text = answer.content.decode() if answer.status_code >= 400 else ""
        text = re.sub(r'(csrfmiddlewaretoken" value=")[^"]*', r"\1", text)
        if answer.wsgi_request.path.startswith("/console/"):  # its page has other numbers, too
            text = re.sub('<ul class="messages".*?</ul>', "", text)  # of earlier pages
            told.append([answer.status_code, text.replace(f"/{pk}/", "/KEY/")])
            continue
        place = answer.headers.get("Location", "")
        words = " ".join(str(message) for message in answer.wsgi_request._messages._queued_messages)
        told.append([answer.status_code, *(re.sub(rf"\b{pk}\b", "KEY", part) for part in (text, place, words))])
    return told


@pytest.mark.parametrize("names", ["", "add view change delete"])
def test_what_is_not_yours_is_answered_as_what_is_not_there(names: str, acme: Side, other: Side) -> None:
    granted = Permission.objects.filter(codename__regex=f"^({'|'.join(names.split()) or 'nothing'})_")
    acme.user.user_permissions.set(granted)
    client = client_of(User.objects.get(pk=acme.user.pk))
    for row in [*rows_of(other).values(), other.user, *unowned_rows()]:
        assert answers(client, row, row.pk) == answers(client, row, MISSING), row._meta.label


def test_whoever_may_see_nothing_is_told_nothing_of_ones_own_tenant(acme: Side) -> None:
    acme.user.user_permissions.clear()
    client = client_of(User.objects.get(pk=acme.user.pk))
    for row in [*rows_of(acme).values(), acme.user]:
        assert answers(client, row, row.pk) == answers(client, row, MISSING), row._meta.label


@pytest.mark.parametrize("query", ["tenants__id=1", "tenants=1", "owned_work_items=1", "groups__id__exact=1"])
def test_people_cannot_be_asked_about_their_other_tenants(acme: Side, query: str) -> None:
    acme.user.user_permissions.set(Permission.objects.all())
    answer = acme.client.get(reverse("admin:auth_user_changelist") + f"?{query}")
    assert answer.status_code in (302, 400)


@pytest.mark.parametrize("value", ["²", "9" * 30, "-1", "x"])
def test_forged_filters_are_no_server_error(acme: Side, value: str) -> None:
    client = superuser()
    for name in ("tasks_workitem", "integrations_integrationsync", "integrations_tenantintegration"):
        assert client.get(reverse(f"admin:{name}_changelist"), {"tenant": value}).status_code in (200, 302)
    assert acme.client.get(url("integrationsync"), {"integration": value}).status_code in (200, 302)


def test_the_demos_sign_in_link_works_once(settings: Any, client: Any) -> None:
    settings.ROOT_URLCONF = "app.demo.urls"
    user = User.objects.create(username="demo", is_staff=True)
    link = sign_in_path(user)
    assert client.get(link).status_code == 302
    assert client.get(link).status_code == 302  # this browser is signed in already
    client.logout()
    used = client.get(link)
    assert used.status_code == 410 and b"make run" in used.content and "_auth_user_id" not in client.session
