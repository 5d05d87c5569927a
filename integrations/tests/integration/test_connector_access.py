"""Teams: which families of connectors a person may use, and for which tenants."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from integrations.connections.access import ANY, codename_of, ensure_permissions, may_use, usable_by
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.tests.factories import make_tenant
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

CHAT = Manifest(key="acme-chat", label="Acme chat", family="chat-rooms")
CRM = Manifest(key="acme-crm", label="Acme CRM", family="crm")


@pytest.fixture
def own_tenant() -> Tenant:
    return make_tenant("Acme Corp")


@pytest.fixture(autouse=True)
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two connectors more, of families that nobody else has."""
    from integrations.connectors.base import BaseConnector

    kinds = {each.key: type(each.key, (BaseConnector,), {"manifest": each}) for each in (CHAT, CRM)}
    ConnectorRegistry.all()
    monkeypatch.setattr(ConnectorRegistry, "_connectors", {**ConnectorRegistry._connectors, **kinds})
    ensure_permissions("default")


@pytest.fixture
def person(own_tenant: Tenant) -> User:
    """Works for Acme Corp, in a team that looks after chat."""
    person = User.objects.create_user("person")
    Membership.objects.create(user=person, tenant=own_tenant)
    team = Group.objects.create(name="chat-team")
    team.permissions.add(Permission.objects.get(codename="use_chat_rooms_connectors"))
    person.groups.add(team)
    return person


def test_every_family_has_a_permission_and_making_them_twice_is_harmless(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        ensure_permissions("default")
    wanted = {ANY, *(codename_of(manifest.family) for manifest in manifests())}
    found = Permission.objects.filter(codename__startswith="use_").values_list("codename", flat=True)
    assert wanted <= set(found) and len(found) == len(set(found))
    assert Permission.objects.get(codename="use_crm_connectors").content_type.model == "tenantintegration"


def test_a_team_uses_its_own_family_for_its_own_tenants(person: User, own_tenant: Tenant) -> None:
    other = make_tenant("Globex")
    assert may_use(person, CHAT) and may_use(person, CHAT, own_tenant)
    assert not may_use(person, CRM) and not may_use(person, CRM, own_tenant)
    assert not may_use(person, CHAT, other)
    assert usable_by(person) == [CHAT]


def test_one_permission_covers_every_family(own_tenant: Tenant) -> None:
    person = User.objects.create_user("any")
    person.user_permissions.add(Permission.objects.get(codename=ANY))
    assert usable_by(person) == manifests()
    assert not may_use(person, CRM, own_tenant)  # works for nobody


def test_a_superuser_may_use_all(own_tenant: Tenant) -> None:
    root = User.objects.create_superuser("root")
    assert may_use(root, CRM, own_tenant) and usable_by(root) == manifests()


def test_who_left_or_is_not_there_may_use_nothing(person: User, own_tenant: Tenant) -> None:
    person.is_active = False
    for nobody in (person, AnonymousUser()):
        assert not may_use(nobody, CHAT, own_tenant) and usable_by(nobody) == []
    root = User.objects.create_superuser("root", is_active=False)
    assert not may_use(root, CHAT, own_tenant)
