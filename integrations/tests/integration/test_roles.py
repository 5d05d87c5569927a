"""Roles: what each may, whichever way it comes, and that the table in the guide is the one in code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import call_command
from django.test import override_settings
from django.urls import reverse

from integrations.connections.access import GROUPS, codenames_of, may_use, usable_by
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.models import IntegrationSync
from integrations.tenancy.capabilities import Capability, may, tenants_where
from integrations.tenancy.people import change_role, find_user, managers_of, people, remove
from integrations.tenancy.roles import BY_PERMISSIONS, Role, role_of, said_role
from integrations.tenancy.scope import tenants_of
from tenants.models import Membership, Tenant

from .admin_world import make_side, settled, url

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

GUIDE = Path(__file__).parents[3] / "docs" / "COLLABORATION.md"


@pytest.fixture(autouse=True)
def _http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def tenant() -> Tenant:
    return Tenant.objects.create(name="Acme")


def person(tenant: Tenant, role: str = "", *codenames: str, name: str = "ada", **values: Any) -> User:
    user = User.objects.create_user(name, **values)
    Membership.objects.create(tenant=tenant, user=user, role=role)
    mine = Permission.objects.filter(content_type__app_label="integrations", codename__in=codenames)
    user.user_permissions.add(*mine)
    return user


def test_the_guides_table_is_the_one_in_code() -> None:
    def line(capability: Capability) -> str:
        cells = " | ".join("✓" if role >= capability.role else "" for role in Role)
        named = ", ".join(f"`{action}_{model}`" for action, model in capability.permissions) or "a superuser"
        return f"| {capability.words} | {cells} | {named} |".replace("|  |", "| |").replace("|  |", "| |")

    written = GUIDE.read_text()
    assert [capability for capability in Capability if line(capability) not in written] == []
    assert len(re.findall(r"^\| [a-z].*\| ✓ \| .*\|$", written, re.MULTILINE)) == len(Capability)


@pytest.mark.parametrize("word", ["viewer", "operator", "manager"])
def test_a_role_allows_what_the_table_says(tenant: Tenant, word: str) -> None:
    user = person(tenant, word)
    role = Role.named(word)
    assert role_of(user, tenant.pk) == role
    for capability in Capability:
        assert may(user, capability, tenant.pk) == (role >= capability.role)
        assert list(tenants_where(user, capability)) == ([tenant] if role >= capability.role else [])


def test_without_a_role_permissions_say_it_as_before(tenant: Tenant) -> None:
    """A team that sets up chat alone keeps exactly that."""
    codes = ("add_tenantintegration", "change_tenantintegration", "view_tenantintegration", "use_chat_connectors")
    user = person(tenant, "", *codes)
    assert said_role(user, tenant.pk) == BY_PERMISSIONS and role_of(user, tenant.pk) == Role.VIEWER
    mays = {capability for capability in Capability if may(user, capability, tenant.pk)}
    assert {Capability.ADD, Capability.SETTINGS, Capability.SECRETS, Capability.TEST} <= mays
    assert not {Capability.DELETE, Capability.KEYS, Capability.PEOPLE, Capability.RETRY} & mays
    families = {manifest.family for manifest in usable_by(user, tenant)}
    assert families == {"chat"}


def test_a_role_uses_every_family_for_its_tenant_alone(tenant: Tenant) -> None:
    other = Tenant.objects.create(name="Umbrella")
    user = person(tenant, "manager", "use_chat_connectors")
    Membership.objects.create(tenant=other, user=user)
    webhook = ConnectorRegistry.type_of("webhook").manifest
    assert may_use(user, webhook, tenant) and not may_use(user, webhook, other)
    assert usable_by(user, tenant) == manifests()
    stranger = Tenant.objects.create(name="Stranger")
    assert not may_use(user, webhook, stranger) and usable_by(user, stranger) == []


def test_nobody_has_a_role_where_they_do_not_work(tenant: Tenant) -> None:
    other = Tenant.objects.create(name="Umbrella")
    user = person(tenant, "manager")
    assert role_of(user, other.pk) is None and not may(user, Capability.VIEW, other.pk)
    root = User.objects.create_superuser("root")
    assert role_of(root, other.pk) == Role.MANAGER and may(root, Capability.PEOPLE, other.pk)
    for someone in (user, root):
        User.objects.filter(pk=someone.pk).update(is_active=False)
        gone = User.objects.get(pk=someone.pk)
        assert role_of(gone, tenant.pk) is None and not tenants_where(gone, Capability.VIEW)


def test_a_project_without_roles_asks_permissions(tenant: Tenant) -> None:
    user = person(tenant, "manager", "view_tenantintegration")
    with override_settings(INTEGRATIONS_ROLE_OF=""):
        assert role_of(user, tenant.pk) == Role.VIEWER and not may(user, Capability.SETTINGS, tenant.pk)
    with override_settings(INTEGRATIONS_ROLE_OF=f"{__name__}.wrong"), pytest.raises(ImproperlyConfigured, match="boss"):
        role_of(user, tenant.pk)


def wrong(user: Any, tenant_key: Any) -> str:
    return "boss"


ANSWERS: dict[str, tuple[Any, bool]] = {
    "a queryset": (lambda: Tenant.objects.all(), True),
    "a manager": (lambda: Tenant.objects, True),
    "a slice": (lambda: Tenant.objects.order_by("pk")[:1], True),
    "a union": (lambda: Tenant.objects.none().order_by().union(Tenant.objects.order_by()), True),
    "a list": (lambda: list(Tenant.objects.all()), False),
    "nothing": (lambda: None, False),
    "keys": (lambda: Tenant.objects.values_list("pk", flat=True), False),
    "others": (lambda: User.objects.all(), False),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_function_that_says_which_tenants_returns_a_queryset(answer: str, tenant: Tenant, monkeypatch: Any) -> None:
    returned, is_taken = ANSWERS[answer]
    monkeypatch.setattr(f"{__name__}.given", returned)
    with override_settings(INTEGRATIONS_TENANTS_OF=f"{__name__}.as_given"):
        if is_taken:
            assert list(tenants_of(User()).filter(pk=tenant.pk).values_list("pk", flat=True)) == [tenant.pk]
        else:
            with pytest.raises(ImproperlyConfigured, match=r"as_given returned a \w+; it must return a queryset of"):
                tenants_of(User())


given: Any = None


def as_given(user: Any) -> Any:
    return given()


def test_groups_come_with_migrate_and_come_back() -> None:
    Group.objects.get(name=GROUPS[Role.VIEWER]).delete()
    manager = Group.objects.get(name=GROUPS[Role.MANAGER])
    extra = Permission.objects.get(codename="view_user")
    manager.permissions.set([extra])
    call_command("migrate", verbosity=0)
    assert extra in manager.permissions.all()
    for role, name in GROUPS.items():
        has = set(Group.objects.get(name=name).permissions.values_list("codename", flat=True)) - {"view_user"}
        assert has == codenames_of(role) and has  # every permission that is named exists


def test_staff_in_the_shipped_groups_find_their_pages() -> None:
    """The role of the guide met a blank 403 behind "Its syncs"."""
    side = make_side("acme", permissions=())
    settled(side.sync, "failed")
    for role, group in GROUPS.items():
        side.user.groups.set([Group.objects.get(name=group)])
        Membership.objects.filter(user=side.user).update(role=role.word)
        page = side.client.get(url("tenantintegration", "change", side.integration.pk))
        assert page.status_code == 200
        workbench = f"/console/integrations/{side.integration.public_id}/"
        assert workbench in page.content.decode() and side.client.get(workbench).status_code == 200
        answer = side.client.post(reverse("console:delivery-act", args=[side.sync.pk, "retry"]))
        assert answer.status_code == (302 if role >= Role.OPERATOR else 403)


def test_no_page_links_to_what_its_reader_may_not_see() -> None:
    side = make_side("acme", permissions=())
    codes = ("add_tenantintegration", "change_tenantintegration", "view_tenantintegration", "use_any_connector")
    side.user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    text = side.client.get(url("tenantintegration", "change", side.integration.pk)).content.decode()
    text += side.client.get(url("tenantintegration")).content.decode()
    for address in sorted(set(re.findall(r'href="(/(?:admin|console|dashboards)/[^"]*)"', text))):
        answer = side.client.get(address.replace("&amp;", "&"))
        assert answer.status_code in (200, 302), address


def test_a_viewers_permissions_do_not_help_in_the_admin() -> None:
    side = make_side("acme")
    other = make_side("umbrella")
    Membership.objects.create(tenant=other.tenant, user=side.user, role="viewer")
    settled(other.sync, "failed")
    settled(side.sync, "failed")
    change = url("tenantintegration", "change", other.integration.pk)
    assert side.client.get(change).status_code == 200
    assert side.client.post(change, {"name": "mine"}).status_code == 403
    assert side.client.post(f"/console/integrations/{other.integration.public_id}/do/test/").status_code == 403
    assert side.client.get(url("tenantintegration", "delete", other.integration.pk)).status_code == 403
    both = [other.sync.pk, side.sync.pk]
    side.client.post(reverse("console:deliveries-act"), {"act": "retry", "pk": both})
    status = dict(IntegrationSync.objects.filter(pk__in=both).values_list("pk", "status"))
    assert status == {other.sync.pk: "failed", side.sync.pk: "pending"}
    add = side.client.get(url("tenantintegration", "add")).content.decode()
    assert "acme Corp" in add and "umbrella Corp" not in add


# -- people ------------------------------------------------------------------------------------------------


def test_the_last_manager_stays(tenant: Tenant) -> None:
    ada = person(tenant, "manager")
    for act in (lambda: change_role(tenant, ada, Role.OPERATOR), lambda: remove(tenant, ada)):
        with pytest.raises(ValidationError, match="ada is the only manager of Acme"):
            act()
    bob = person(tenant, "viewer", name="bob")
    change_role(tenant, bob, Role.MANAGER)
    assert managers_of(tenant) == ["ada", "bob"]
    User.objects.filter(pk=bob.pk).update(is_active=False)  # who cannot sign in manages nothing
    with pytest.raises(ValidationError):
        remove(tenant, ada)
    User.objects.filter(pk=bob.pk).update(is_active=True)
    remove(tenant, ada)
    assert managers_of(tenant) == ["bob"]


def test_accounts_are_found_by_their_exact_name_or_address(tenant: Tenant) -> None:
    ada = User.objects.create_user("ada", "Ada@example.com")
    assert find_user(" ada ") == find_user("ada@EXAMPLE.com") == ada
    for text in ("", "a", "example.com", "ADA", "nobody@example.com"):
        with pytest.raises(ValidationError, match="There is no account"):
            find_user(text)
    User.objects.create_user("ada2", "ada@example.com")
    with pytest.raises(ValidationError, match="Several accounts"):
        find_user("ada@example.com")
    User.objects.filter(username="ada").update(is_active=False)
    with pytest.raises(ValidationError, match="There is no account"):
        find_user("ada")


def test_a_class_that_lacks_something_is_named() -> None:
    with override_settings(INTEGRATIONS_PEOPLE=""):
        assert people() is None and managers_of(None) == []
    with (
        override_settings(INTEGRATIONS_PEOPLE="builtins.object"),
        pytest.raises(ImproperlyConfigured, match="has no members"),
    ):
        people()
