"""The pages about people, keys and secrets; sign-in, and what a refusal says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from integrations.api_keys.keys import make_key
from integrations.api_keys.models import APIKey
from integrations.audit.trail import AuditEntry
from integrations.connections.signing_keys import rotate_signing_secret
from integrations.database import clock
from integrations.models import IntegrationEvent, TenantIntegration
from integrations.tests.integration.admin_world import CANARIES, client_of, make_integration
from tasks.models import WorkItem
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

PASSWORD = "a long password"


@pytest.fixture(autouse=True)
def _plain(settings: Any) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def acme() -> Tenant:
    return Tenant.objects.create(name="Acme")


def person(tenant: Tenant | None, role: str, name: str = "", **values: Any) -> User:
    user = User.objects.create_user(name or role, f"{name or role}@example.com", PASSWORD, **values)
    if tenant is not None:
        Membership.objects.create(tenant=tenant, user=user, role=role)
    return user


def roles(tenant: Tenant) -> dict[str, str]:
    return dict(Membership.objects.filter(tenant=tenant).values_list("user__username", "role"))


def text(answer: Any) -> str:
    return str(answer.content.decode())


# -- people ------------------------------------------------------------------------------------------------


def test_a_manager_adds_changes_and_removes(acme: Tenant) -> None:
    client = client_of(person(acme, "manager"))
    bob = person(None, "", "bob", first_name="Bob", last_name="Ross")
    people = reverse("console:people")
    page = text(client.post(people, {"account": "bob@example.com", "role": "operator"}, follow=True))
    assert roles(acme) == {"manager": "manager", "bob": "operator"} and "Bob Ross is added as operator" in page
    client.post(reverse("console:person", args=[bob.pk]), {"role": "viewer", "tenant": acme.pk})
    assert roles(acme)["bob"] == "viewer"
    page = text(client.get(reverse("console:person-remove", args=[bob.pk])))
    assert "Remove Bob Ross from Acme?" in page and "API keys that they made" not in page
    client.post(reverse("console:person-remove", args=[bob.pk]), {"tenant": acme.pk})
    assert roles(acme) == {"manager": "manager"}
    told = [
        (entry.action, entry.changes, entry.tenant_key)
        for entry in AuditEntry.objects.filter(source="console").order_by("id")
    ]
    assert told == [
        ("added", {"role": [None, "operator"]}, str(acme.pk)),
        ("changed role", {"role": ["operator", "viewer"]}, str(acme.pk)),
        ("removed", {"role": ["viewer", None]}, str(acme.pk)),
    ]
    assert {entry.actor for entry in AuditEntry.objects.filter(source="console")} == {"manager"}


def test_what_cannot_be_done_with_people_is_said(acme: Tenant) -> None:
    manager = person(acme, "manager")
    client = client_of(manager)
    people = reverse("console:people")
    assert "There is no account" in text(client.post(people, {"account": "nobody", "role": "viewer"}))
    answer = text(client.post(people, {"account": "manager", "role": "viewer"}))
    assert "works for the tenant already" in answer and 'value="manager"' in answer
    for address in ("console:person", "console:person-remove"):
        page = text(
            client.post(reverse(address, args=[manager.pk]), {"role": "viewer", "tenant": acme.pk}, follow=True)
        )
        assert "is the only manager of Acme" in page
    assert roles(acme) == {"manager": "manager"} and not AuditEntry.objects.filter(source="console").exists()
    clock.measured(0.0, local=1_800_000_010.0, at=clock.elapsed())  # in the midst of a minute
    pages = [text(client.post(people, {"account": f"guess-{n}", "role": "viewer"})) for n in range(11)]
    assert "There is no account" in pages[9] and "Too many tries" in pages[10]


def test_others_only_look_at_people(acme: Tenant) -> None:
    person(acme, "manager")
    bob = person(acme, "", "bob")
    for role in ("viewer", "operator"):
        client = client_of(person(acme, role))
        page = text(client.get(reverse("console:people")))
        assert (
            "manager" in page
            and "<form" not in page.split("<main")[1].split("</main>")[0]
            and "@example.com" not in page
        )
        for address in ("console:person", "console:person-remove"):
            answer = client.post(reverse(address, args=[bob.pk]), {"role": "manager", "tenant": acme.pk})
            assert answer.status_code == 403
        assert client.post(reverse("console:people"), {"account": "bob", "role": "manager"}).status_code == 403
    assert roles(acme)["bob"] == ""


def test_another_tenants_people_do_not_exist(acme: Tenant) -> None:
    other = Tenant.objects.create(name="Umbrella")
    eve = person(other, "manager", "eve")
    client = client_of(person(acme, "manager"))
    for tenant in (acme, other):
        for address in ("console:person", "console:person-remove"):
            answer = client.post(reverse(address, args=[eve.pk]), {"role": "viewer", "tenant": tenant.pk})
            assert answer.status_code == 404
    assert client.get(reverse("console:people") + f"?tenant={other.pk}").status_code == 404
    assert (
        client.post(reverse("console:people"), {"account": "eve", "role": "viewer", "tenant": other.pk}).status_code
        == 404
    )
    assert roles(other) == {"eve": "manager"}


def test_who_sees_several_tenants_chooses_and_a_form_names_its_own(acme: Tenant) -> None:
    bolt = Tenant.objects.create(name="Bolt")
    user = person(acme, "manager")
    Membership.objects.create(tenant=bolt, user=user, role="viewer")
    person(None, "", "bob")
    client = client_of(user)
    page = text(client.get(reverse("console:people")))
    assert "Choose a tenant" in page and f"?tenant={bolt.pk}" in page
    client.post("/console/tenant/", {"tenant": str(bolt.pk)})  # in another window
    client.post(reverse("console:people"), {"account": "bob", "role": "viewer", "tenant": acme.pk})
    assert roles(acme)["bob"] == "viewer" and "bob" not in roles(bolt)
    answer = client.post(reverse("console:people"), {"account": "bob", "role": "viewer", "tenant": bolt.pk})
    assert answer.status_code == 403


def test_without_the_hosts_class_the_page_says_so(acme: Tenant) -> None:
    client = client_of(person(acme, "manager"))
    with override_settings(INTEGRATIONS_PEOPLE=""):
        assert "People are managed elsewhere" in text(client.get(reverse("console:people")))
        assert client.post(reverse("console:people"), {"account": "x", "role": "viewer"}).status_code == 403


# -- keys --------------------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_used_and_revoked(acme: Tenant) -> None:
    client = client_of(person(acme, "manager"))
    assert "No API keys yet" in text(client.get(reverse("console:keys")))
    values = {"name": "Nightly", "scopes": ["read"], "ends": "30", "tenant": acme.pk}
    answer = client.post(reverse("console:keys-new"), values)
    shown = text(answer).split('id="key">')[1].split("<")[0]
    assert shown.startswith("iok_") and "no-store" in answer["Cache-Control"]
    key = APIKey.objects.get()
    assert key.expires_at is not None and key.expires_at > timezone.now() + timedelta(days=29)
    used = Client().get("/api/connections/", headers={"Authorization": f"Bearer {shown}"})
    assert used.status_code == 200
    page = text(client.get(reverse("console:keys")))
    assert "Nightly" in page and key.shown in page and "127.0.0.1" in page and shown not in page
    again = text(client.post(reverse("console:keys-new"), values))
    assert "There is a key called Nightly already" in again and 'value="Nightly"' in again
    client.post(reverse("console:keys-revoke", args=[key.pk]))
    assert Client().get("/api/connections/", headers={"Authorization": f"Bearer {shown}"}).status_code == 401
    assert "Revoked on" in text(client.get(reverse("console:keys")))


def test_a_wrong_form_for_a_key_keeps_what_was_typed(acme: Tenant) -> None:
    client = client_of(person(acme, "manager"))
    page = text(client.post(reverse("console:keys-new"), {"name": "x", "ends": "never", "tenant": acme.pk}))
    assert "Choose what the key may do" in page and 'value="x"' in page
    client.post(reverse("console:keys-new"), {"name": "x", "scopes": ["read"], "ends": "never", "tenant": acme.pk})
    assert APIKey.objects.get().expires_at is None


def test_keys_are_for_managers_and_of_their_tenant(acme: Tenant) -> None:
    other = Tenant.objects.create(name="Umbrella")
    theirs, _ = make_key(other, "theirs", ["read"], user=person(other, "manager", "eve"))
    client = client_of(person(acme, "manager"))
    assert "theirs" not in text(client.get(reverse("console:keys")))
    assert client.post(reverse("console:keys-revoke", args=[theirs.pk])).status_code == 404
    assert client.get(reverse("console:keys-new") + f"?tenant={other.pk}").status_code == 404
    for role in ("viewer", "operator"):
        answer = client_of(person(acme, role)).get(reverse("console:keys"))
        assert answer.status_code == 403
        assert "You need the role manager to make and revoke API keys." in text(answer)
        assert f"Your role for Acme is {role}" in text(
            answer
        ) and "These people can give you another one: manager" in text(answer)
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_keys_of_people_who_left_are_marked_and_may_go_with_them(acme: Tenant) -> None:
    client = client_of(person(acme, "manager"))
    eve = person(acme, "manager", "eve")
    made = [make_key(acme, name, ["read"], user=eve)[0] for name in ("kept", "ended")]
    assert "does not work here" not in text(client.get(reverse("console:keys")))
    page = text(client.get(reverse("console:person-remove", args=[eve.pk])))
    assert "API keys that they made" in page and "kept" in page
    client.post(reverse("console:person-remove", args=[eve.pk]), {"tenant": acme.pk, "key": [made[1].pk]})
    assert dict(APIKey.objects.values_list("name", "revoked_by")) == {"kept": "", "ended": "manager"}
    assert "eve does not work here any more" in text(client.get(reverse("console:keys")))
    User.objects.filter(pk=eve.pk).update(is_active=False)
    assert "eve may not sign in any more" in text(client.get(reverse("console:keys")))
    eve.delete()
    assert "eve has no account any more" in text(client.get(reverse("console:keys")))


# -- secrets -----------------------------------------------------------------------------------------------


def test_secrets_are_told_of_and_never_told(acme: Tenant) -> None:
    signed = make_integration(acme, "signed hook")
    rotate_signing_secret(signed)
    old = make_integration(acme, "old hook", is_signed=False)
    TenantIntegration.objects.filter(pk=old.pk).update(credentials_rotated_at=timezone.now() - timedelta(days=200))
    other = make_integration(Tenant.objects.create(name="Umbrella"), "umbrella hook")
    client = client_of(person(acme, "manager"))
    page = text(client.get(reverse("console:secrets")))
    assert page.index("old hook") < page.index("signed hook")  # what is due comes first
    assert "200 days old" in page and "The previous one signs too until" in page and "Header X-Token" in page
    secrets = [key["secret"] for row in (signed, old, other) for key in row.credentials["signing_keys"]]
    assert not any(value in page for value in (*CANARIES, *secrets)) and "umbrella" not in page
    assert client_of(person(acme, "operator")).get(reverse("console:secrets")).status_code == 403


# -- sign-in -----------------------------------------------------------------------------------------------


def test_guesses_are_limited_for_a_name_from_one_address(acme: Tenant) -> None:
    person(acme, "viewer")
    clock.measured(0.0, local=1_800_000_010.0, at=clock.elapsed())  # in the midst of a minute
    address = reverse("console:sign-in")
    with override_settings(INTEGRATIONS={"SIGN_IN_PER_MINUTE": 2}):
        for _ in range(2):
            assert Client().post(address, {"username": "viewer", "password": "wrong"}).status_code == 200
        answer = Client().post(address, {"username": "viewer", "password": PASSWORD})
        assert answer.status_code == 429 and "Too many wrong passwords" in text(answer)
        assert 1 <= int(answer["Retry-After"]) <= 60 and 'value="viewer"' in text(answer)
        elsewhere = Client().post(address, {"username": "viewer", "password": PASSWORD}, REMOTE_ADDR="203.0.113.9")
        assert elsewhere.status_code == 302
        for n in range(4):
            Client().post(address, {"username": f"guess-{n}", "password": "wrong"})
        assert Client().post(address, {"username": "another", "password": "wrong"}).status_code == 429


def test_another_spelling_of_a_name_is_the_same_guess(acme: Tenant) -> None:
    person(acme, "viewer")
    clock.measured(0.0, local=1_800_000_010.0, at=clock.elapsed())
    address = reverse("console:sign-in")
    with override_settings(INTEGRATIONS={"SIGN_IN_PER_MINUTE": 2}):
        for name in (" viewer", "\uff56iewer"):  # the form takes both for "viewer"
            assert Client().post(address, {"username": name, "password": "wrong"}).status_code == 200
        right = {"username": "v\uff49ewer\u3000", "password": PASSWORD}
        assert Client().post(address, right).status_code == 429


@pytest.mark.urls("integrations.tests.integration.console.urls_with_sign_in")
@pytest.mark.parametrize("login_url", ["own-sign-in", "/accounts/login/"])
def test_a_projects_own_sign_in_is_not_gone_around(acme: Tenant, login_url: str) -> None:
    person(acme, "viewer")
    with override_settings(LOGIN_URL=login_url):
        answer = Client().get("/console/?range=7d")
        assert answer["Location"] == "/accounts/login/?next=/console/%3Frange%3D7d"
        answer = Client().post("/console/sign-in/?next=/console/", {"username": "viewer", "password": PASSWORD})
        assert answer["Location"] == "/accounts/login/?next=/console/"
        client = client_of(User.objects.get(username="viewer"))
        assert client.get("/console/password/").status_code == 404


def test_people_change_their_password_and_stay_signed_in(acme: Tenant) -> None:
    user = person(acme, "viewer")
    client = client_of(user)
    values = {"old_password": "wrong", "new_password1": "another long one", "new_password2": "another long one"}
    assert "old password was entered incorrectly" in text(client.post("/console/password/", values))
    page = client.post("/console/password/", {**values, "old_password": PASSWORD}, follow=True)
    assert "Your password is changed" in text(page)
    user.refresh_from_db()
    assert user.check_password("another long one")


def test_a_part_of_a_page_is_refused_as_a_part() -> None:
    tenant = Tenant.objects.create(name="Acme")
    htmx = {"HX-Request": "true", "HX-Current-URL": "https://app.example.com/console/keys/?a=1"}
    answer = Client().get(reverse("console:keys"), headers=htmx)
    assert answer.status_code == 200 and not answer.content
    assert answer["HX-Redirect"] == "/console/sign-in/?next=/console/keys/%3Fa%3D1"
    answer = client_of(person(tenant, "viewer")).get(reverse("console:keys"), headers=htmx)
    assert answer.status_code == 403 and "<html" not in text(answer) and "You need the role manager" in text(answer)


# -- whose rows --------------------------------------------------------------------------------------------


def test_a_tenant_without_a_role_is_not_there(acme: Tenant) -> None:
    """Also not for somebody who has a role for another tenant, whichever is looked at."""
    bolt = Tenant.objects.create(name="Bolt")
    user = person(bolt, "viewer")
    Membership.objects.create(tenant=acme, user=user)  # Django's permissions say it, and they say nothing
    for tenant in (acme, bolt):
        WorkItem.objects.create(tenant=tenant, reference_id=f"item of {tenant}")
        make_integration(tenant, f"hook of {tenant}")
    WorkItem.objects.create(tenant=acme, reference_id="second item of Acme")
    theirs = IntegrationEvent.objects.filter(tenant=acme).first()
    client = client_of(user)
    assert theirs is not None
    for chosen in ("", str(acme.pk)):
        client.post("/console/tenant/", {"tenant": chosen})
        assert "Acme" not in text(client.get("/console/events/")) + text(client.get("/console/"))
        assert client.get(f"/console/events/{theirs.pk}/").status_code == 404
        assert client.get(f"/console/people/?tenant={acme.pk}").status_code == 404
    Membership.objects.filter(user=user, tenant=bolt).delete()
    answer = client.get("/console/")
    assert answer.status_code == 403 and "Your account has no role yet" in text(answer)


def test_permissions_show_what_they_name_and_no_more(acme: Tenant) -> None:
    """Payloads are for those who may view syncs; integrations alone are not enough."""
    bolt = Tenant.objects.create(name="Bolt")
    user = person(acme, "", "ada")
    user.user_permissions.add(Permission.objects.get(codename="view_tenantintegration"))
    make_integration(acme, "hook of Acme")
    WorkItem.objects.create(tenant=acme, reference_id="item of Acme")
    event = IntegrationEvent.objects.get(tenant=acme)
    client = client_of(user)
    assert client.get("/console/").status_code == 200
    assert client.get("/console/events/").status_code == client.get(f"/console/events/{event.pk}/").status_code == 403
    hook = TenantIntegration.objects.get()
    for name in ("integration", "integration-event"):
        args = [hook.public_id, *(["workitem_created"] if name == "integration-event" else [])]
        shown = client.get(reverse(f"console:{name}", args=args))
        assert shown.status_code == 200 and "item of Acme" not in text(shown)
    Membership.objects.create(tenant=bolt, user=user, role="manager")  # what they may there opens nothing here
    client = client_of(user)
    page = client.get("/console/events/")
    assert page.status_code == 200 and "item of Acme" not in text(page)
    assert client.get(f"/console/events/{event.pk}/").status_code == 403


def test_many_tenants_cost_no_more_queries(acme: Tenant, django_assert_max_num_queries: Any) -> None:
    user = person(acme, "manager")
    for number in range(40):
        Membership.objects.create(tenant=Tenant.objects.create(name=f"T{number}"), user=user, role="viewer")
    client = client_of(user)
    for name in ("events", "keys", "secrets", "people", "overview"):
        with django_assert_max_num_queries(15):
            assert client.get(reverse(f"console:{name}")).status_code == 200
