"""Whoever may change something, by whichever page, call or shell, leaves an entry that says what was there before."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from integrations.acting import acting_as
from integrations.api.routes import api
from integrations.audit.watch import WATCHED
from integrations.models import AuditEntry, SyncState, TenantIntegration
from integrations.tests.factories import make_integration, make_tenant
from tenants.models import Membership, Tenant
from tenants.people import People

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]

BUSINESS = {"tasks"}  # apps whose rows are what a product is about, and no configuration


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "x"))
    return client


def told(do: Callable[[], Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what the audit trail says of `do`."""
    AuditEntry.objects.all().delete()  # what is changed next in this transaction would belong to the last one
    do()
    entries = AuditEntry.objects.order_by("pk")
    return [(entry.action, entry.object_name, entry.changes) for entry in entries]


def test_each_page_of_the_admin_that_writes_is_watched(root: Client) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.get(username="root")
    writable = set()
    for model, page in admin.site._registry.items():
        if page.has_add_permission(request) or page.has_change_permission(request):
            writable.add(model)
            writable |= {inline.model for inline in page.get_inline_instances(request)}
    left_out = {model._meta.label for model in writable - WATCHED if model._meta.app_label not in BUSINESS}
    assert left_out == set(), "watch them (integrations/audit/watch.py), or whoever changes them leaves no trace"
    assert {Membership, Tenant, TenantIntegration, SyncState, User, Group, PeriodicTask} <= writable


# -- who works for whom ---------------------------------------------------------------------------------------------


ADDED: dict[str, Callable[[Client, Tenant, User], Any]] = {
    "the tenant's page in the admin": lambda root, tenant, user: root.post(
        reverse("admin:tenants_tenant_change", args=[tenant.pk]),
        {
            "name": tenant.name,
            "slug": tenant.slug,
            "membership_set-TOTAL_FORMS": 1,
            "membership_set-INITIAL_FORMS": 0,
            "membership_set-0-tenant": tenant.pk,
            "membership_set-0-user": user.pk,
            "membership_set-0-role": "operator",
        },
    ),
    "the console": lambda root, tenant, user: root.post(
        f"{reverse('console:people')}?tenant={tenant.pk}",
        {"tenant": tenant.pk, "account": user.username, "role": "operator"},
    ),
    "a shell": lambda root, tenant, user: Membership.objects.create(tenant=tenant, user=user, role="operator"),
    "the project's class": lambda root, tenant, user: People().set_role(tenant, user, "operator"),
    "the relation": lambda root, tenant, user: tenant.members.add(user, through_defaults={"role": "operator"}),
    "the relation's other side": lambda root, tenant, user: user.tenants.add(
        tenant, through_defaults={"role": "operator"}
    ),
}


def _saved(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


CHANGED: dict[str, Callable[[Client, Membership], Any]] = {
    "the admin": lambda root, row: root.post(
        reverse("admin:tenants_membership_change", args=[row.pk]),
        {"tenant": row.tenant_id, "user": row.user_id, "role": "viewer"},
    ),
    "the console": lambda root, row: root.post(
        reverse("console:person", args=[row.user_id]), {"tenant": row.tenant_id, "role": "viewer"}
    ),
    "a shell": lambda root, row: _saved(row, role="viewer"),
}
REMOVED: dict[str, Callable[[Client, Membership], Any]] = {
    "the admin": lambda root, row: root.post(
        reverse("admin:tenants_membership_delete", args=[row.pk]), {"post": "yes"}
    ),
    "the admin's list": lambda root, row: root.post(
        reverse("admin:tenants_membership_changelist"),
        {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"},
    ),
    "the console": lambda root, row: root.post(
        reverse("console:person-remove", args=[row.user_id]), {"tenant": row.tenant_id}
    ),
    "a shell": lambda root, row: Membership.objects.filter(pk=row.pk).delete(),
    "the relation": lambda root, row: row.tenant.members.clear(),
    "the end of the account": lambda root, row: row.user.delete(),
}
WHO = "Ann Smith (ann)"


def ann() -> User:
    return User.objects.create_user("ann", first_name="Ann", last_name="Smith")


@pytest.mark.parametrize("way", ADDED)
def test_a_person_is_added(way: str, root: Client) -> None:
    tenant, user = make_tenant(), ann()
    assert told(lambda: ADDED[way](root, tenant, user)) == [("added", WHO, {"role": [None, "operator"]})]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.tenant_name, entry.object_key) == (tenant.name, str(user.pk))
    assert entry.actor == ("root" if "admin" in way or "console" in way else "system")


@pytest.mark.parametrize("way", CHANGED)
def test_a_role_is_changed(way: str, root: Client) -> None:
    row = Membership.objects.create(tenant=make_tenant(), user=ann(), role="operator")
    assert told(lambda: CHANGED[way](root, row)) == [("changed role", WHO, {"role": ["operator", "viewer"]})]


@pytest.mark.parametrize("way", REMOVED)
def test_a_person_is_removed(way: str, root: Client) -> None:
    row = Membership.objects.create(tenant=make_tenant(), user=ann(), role="operator")
    (gone, *more) = told(lambda: REMOVED[way](root, row))
    assert gone == ("removed", WHO, {"role": ["operator", None]})
    assert [action for action, *_ in more] == (["deleted"] if "account" in way else [])


def test_who_is_removed_is_named_whatever_else_the_form_said(root: Client) -> None:
    """The page of a tenant sets what was typed in a row of it also where its deletion is ticked."""
    row = Membership.objects.create(tenant=make_tenant(), user=ann(), role="operator")
    typed = {
        "name": row.tenant.name,
        "slug": row.tenant.slug,
        "membership_set-TOTAL_FORMS": 1,
        "membership_set-INITIAL_FORMS": 1,
        "membership_set-0-id": row.pk,
        "membership_set-0-tenant": row.tenant_id,
        "membership_set-0-user": User.objects.create_user("bob").pk,
        "membership_set-0-role": "manager",
        "membership_set-0-DELETE": "on",
    }
    page = reverse("admin:tenants_tenant_change", args=[row.tenant_id])
    assert told(lambda: root.post(page, typed)) == [("removed", WHO, {"role": ["operator", None]})]
    assert not Membership.objects.exists()


def test_what_is_deleted_is_told_as_it_was_stored() -> None:
    integration = make_integration(make_tenant(), name="Ops", events=("workitem_created",))
    subscription, group = integration.subscriptions.get(), Group.objects.create(name="Night shift")
    subscription.event_type, subscription.condition, group.name = "workitem_deleted", "event_type", "Never stored"
    assert told(subscription.delete) == [("changed", "Ops", {"subscription workitem_created": ["", None]})]
    assert told(group.delete) == [("deleted", "Night shift", {})]


def test_who_moves_leaves_one_and_joins_the_other() -> None:
    row = Membership.objects.create(tenant=make_tenant(), user=ann(), role="")
    other = make_tenant("Other")
    assert told(lambda: _saved(row, tenant=other)) == [
        ("removed", WHO, {"role": ["by permissions", None]}),
        ("added", WHO, {"role": [None, "by permissions"]}),
    ]
    assert told(row.save) == []


def test_permissions_of_accounts_and_groups(root: Client) -> None:
    user, group = ann(), Group.objects.create(name="Night shift")
    may_view = Permission.objects.get(codename="view_integrationsync")
    assert told(lambda: user.groups.add(group)) == [("changed", WHO, {"groups": [[], ["Night shift"]]})]
    assert told(lambda: user.groups.add(group)) == []
    assert told(lambda: group.user_set.clear()) == [("changed", WHO, {"groups": [["Night shift"], []]})]
    ((action, name, changes),) = told(lambda: group.permissions.set([may_view]))
    assert (action, name, changes) == ("changed", "Night shift", {"permissions": [[], [str(may_view)]]})
    ((_, _, changes),) = told(lambda: user.user_permissions.set([may_view]))
    assert changes == {"user_permissions": [[], [str(may_view)]]}
    assert told(lambda: _saved(user, is_staff=True, first_name="Anna"))[0][2] == {"is_staff": [False, True]}
    assert told(lambda: root.force_login(user)) == [], "signing in changes nothing"
    assert told(group.delete) == [("deleted", "Night shift", {})]


def test_many_permissions_are_named_in_as_many_queries_as_two() -> None:
    costs = []
    for number in (2, 60):
        group = Group.objects.create(name=f"{number} permissions")
        with CaptureQueriesContext(connection) as queries:
            group.permissions.set(Permission.objects.order_by("pk")[:number])
        assert group.permissions.count() == number
        costs.append(len(queries))
    assert costs[0] == costs[1]


# -- pulls, schedules, tenants -----------------------------------------------------------------------------


def test_a_permission_comes_before_its_content_type() -> None:
    """As `loaddata` and `serialized_rollback` of Django's test cases put them back."""
    group = Group.objects.create(name="Night shift")
    may_view = Permission.objects.get(codename="view_integrationsync")
    whose = may_view.content_type_id
    Permission.objects.filter(pk=may_view.pk).update(content_type=10**6)
    assert told(lambda: group.permissions.add(may_view)) == [
        ("changed", "Night shift", {"permissions": [[], [f"permission {may_view.pk}"]]})
    ]
    Permission.objects.filter(pk=may_view.pk).update(content_type=whose)


def test_a_pull_is_made_changed_and_ended(root: Client) -> None:
    shop = make_integration(make_tenant(), integration_type="woocommerce", events=())
    page = {"connection": shop.pk, "resource_type": "orders", "interval_minutes": "30"}
    add = reverse("admin:integrations_syncstate_add")
    (made,) = told(lambda: root.post(add, page))
    assert made == ("created", "orders", {"resource_type": [None, "orders"], "interval_minutes": [None, 30]})
    state = SyncState.objects.get()
    entry = AuditEntry.objects.latest("pk")
    assert (entry.integration_key, entry.tenant_name, entry.actor) == (shop.pk, shop.tenant.name, "root")
    change = reverse("admin:integrations_syncstate_change", args=[state.pk])
    assert told(lambda: root.post(change, {"interval_minutes": "60"})) == [
        ("changed", "orders", {"interval_minutes": [30, 60]})
    ]
    assert told(lambda: state.mark_completed("next")) == [], "how far it is, is no configuration"
    assert told(lambda: SyncState.objects.all().delete()) == [("deleted", "orders", {})]


def test_a_schedule_is_changed() -> None:
    task = PeriodicTask.objects.get(task="integrations.tasks.retry_failed_syncs")
    every = IntervalSchedule.objects.create(every=7, period="minutes")
    with acting_as("root"):
        ((action, _, changes),) = told(lambda: _saved(task, interval=every, total_run_count=99))
    assert (action, list(changes)) == ("changed", ["interval"])
    ((action, _, changes),) = told(lambda: _saved(every, every=9))
    assert (action, changes) == ("changed", {"every": [7, 9]})
    assert told(lambda: _saved(task, total_run_count=100)) == [], "beat counts"


def test_a_tenant_is_renamed() -> None:
    tenant = make_tenant()
    assert told(lambda: _saved(tenant, name="Renamed")) == [("changed", "Renamed", {"name": ["Acme Corp", "Renamed"]})]


# -- the API --------------------------------------------------------------------------------------------------------


def test_each_call_of_the_api_that_writes_leaves_an_entry(root: Client) -> None:
    tenant = make_tenant()
    one = make_integration(tenant, events=())
    address = f"/api/connections/{one.public_id}"
    calls: dict[tuple[str, str], Any] = {
        ("post", "/api/connections/"): {
            "tenant": tenant.slug,
            "type": "webhook",
            "name": "New",
            "settings": {"url": "https://hooks.example.com/new"},
        },
        ("patch", address): {"name": "Renamed"},
        ("post", f"{address}/test"): {},
    }
    listed = {
        (method, path.replace("{connection_id}", str(one.public_id)))
        for path, item in api.get_openapi_schema()["paths"].items()
        for method in item
        if method != "get"
    }
    assert listed - calls.keys() == {("post", f"{address}/push")}, "a push is a delivery, which has its own log"
    for (method, path), body in calls.items():
        found = told(lambda: getattr(root, method)(path, json.dumps(body), "application/json"))  # noqa: B023
        wanted = "tested" if path.endswith("/test") else "changed" if method == "patch" else "created"
        assert wanted in {action for action, *_ in found}, (method, path)
