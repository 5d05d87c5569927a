"""The frame of every page: sign-in, roles, the tenant that is looked at, refusals in words, what a browser may load."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.template import Context, Template
from django.test import Client
from django.urls import reverse

from integrations.console.access import CHOSEN, Access
from integrations.models import TenantIntegration
from tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def person(*tenants: Tenant, may: str = "view_tenantintegration", name: str = "ada") -> User:
    user = User.objects.create_user(name, password="a long password")
    user.user_permissions.add(Permission.objects.get(codename=may))
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user)
    return user


def test_a_stranger_is_asked_to_sign_in_and_comes_back() -> None:
    tenant = Tenant.objects.create(name="Acme")
    person(tenant)
    client = Client()
    answer = client.get("/console/?range=7d")
    assert answer.status_code == 302
    assert answer["Location"] == "/console/sign-in/?next=/console/%3Frange%3D7d"
    sign_in = {"username": "ada", "password": "a long password", "next": "/console/?range=7d"}
    assert client.post("/console/sign-in/", sign_in)["Location"] == "/console/?range=7d"
    assert client.get("/console/").status_code == 200
    client.post("/console/sign-out/")
    assert client.get("/console/").status_code == 302


def test_who_pressed_a_button_too_late_comes_back_to_its_page() -> None:
    """Not to the button's address, which has no page."""
    client = Client()
    for on, back in (("http://testserver/console/jobs/7/?a=1", "/console/jobs/7/%3Fa%3D1"), ("", "/console/")):
        answer = client.post("/console/jobs/7/pause/", headers={"Referer": on} if on else {})
        assert answer["Location"] == f"/console/sign-in/?next={back}"


def test_the_address_of_a_button_says_that_there_is_nothing() -> None:
    client = Client()
    client.force_login(person(Tenant.objects.create(name="Acme")))
    answer = client.get("/console/jobs/7/pause/")
    assert answer.status_code == 405 and answer["Allow"] == "POST"
    assert b"There is nothing here" in answer.content and b"Go to the overview" in answer.content


def test_a_button_of_an_earlier_sign_in_leads_back_to_its_page() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(Tenant.objects.create(name="Acme")))
    on = "http://testserver/console/jobs/?page=2"
    answer = client.post("/console/tenant/", headers={"Referer": on})
    assert answer.status_code == 403 and b"opened before you signed in" in answer.content
    assert b'href="/console/jobs/?page=2"' in answer.content
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    answer = client.post("/console/tenant/", headers={"Referer": "http://evil.example/console/"})
    assert b'href="/console/"' in answer.content and b"evil" not in answer.content
    assert b"opened before" not in client.post("/admin/login/").content


def test_an_error_of_ours_is_a_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("canary")

    monkeypatch.setattr("integrations.console.overview._system", broken)
    client = Client(raise_request_exception=False)
    client.force_login(person(Tenant.objects.create(name="Acme")))
    answer = client.get("/console/")
    assert answer.status_code == 500 and b"Something went wrong here" in answer.content
    assert b"canary" not in answer.content and "default-src 'none'" in answer["Content-Security-Policy"]


def test_nobody_is_sent_to_another_site() -> None:
    person(Tenant.objects.create(name="Acme"))
    sign_in = {"username": "ada", "password": "a long password", "next": "https://evil.example/"}
    client = Client()
    assert client.post("/console/sign-in/", sign_in)["Location"] == reverse("console:overview")
    assert client.post("/console/tenant/", {"next": "//evil.example"})["Location"] == reverse("console:overview")


def test_a_wrong_password_keeps_the_name_and_says_so() -> None:
    person(Tenant.objects.create(name="Acme"))
    answer = Client().post("/console/sign-in/", {"username": "ada", "password": "wrong"})
    assert answer.status_code == 200
    assert b'value="ada"' in answer.content and b"correct username and password" in answer.content


def test_an_account_without_a_tenant_reads_why_it_sees_nothing() -> None:
    client = Client()
    client.force_login(person())
    answer = client.get("/console/")
    assert answer.status_code == 403
    assert b"does not belong to a tenant yet. A manager adds you by its name, ada." in answer.content
    assert b"There is nothing for you here yet" in answer.content


def test_pages_load_nothing_from_elsewhere_and_run_nothing_in_line() -> None:
    client = Client()
    client.force_login(person(Tenant.objects.create(name="Acme")))
    for answer in (client.get("/console/"), Client().get("/console/sign-in/")):
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        text = answer.content.decode()
        assert "style=" not in text and "onclick" not in text and "//" not in text.replace("<!doctype html>", "")


def test_lists_show_the_chosen_tenant_and_never_one_of_others(rf: Any) -> None:
    acme, bolt, other = (Tenant.objects.create(name=name) for name in ("Acme", "Bolt", "Other"))
    user = person(acme, bolt)
    for tenant in (acme, bolt, other):
        TenantIntegration.objects.create(tenant=tenant, name=f"hook of {tenant}", integration_type="webhook")
    client = Client()
    client.force_login(user)

    def shown() -> list[str]:
        request = rf.get("/")
        request.user, request.session = user, client.session
        rows = Access(request).rows(TenantIntegration.objects.order_by("name"))
        return [row.name for row in rows]

    assert shown() == ["hook of Acme", "hook of Bolt"]
    client.post("/console/tenant/", {"tenant": str(bolt.pk), "next": "/console/"})
    assert shown() == ["hook of Bolt"]
    for chosen in (str(other.pk), "no key", "99999999999999999999999"):  # another one's, and nonsense: all of their own
        client.post("/console/tenant/", {"tenant": chosen})
        assert shown() == ["hook of Acme", "hook of Bolt"]
        assert client.session[CHOSEN] == chosen
        assert b"Other" not in client.get("/console/").content


def test_whose_only_tenant_it_is_has_nothing_to_choose() -> None:
    acme = Tenant.objects.create(name="Acme")
    Tenant.objects.create(name="Other")
    client = Client()
    client.force_login(person(acme))
    text = client.get("/console/").content.decode()
    assert "Acme" in text and "tenant-switch" not in text


def test_what_no_page_has_is_said_in_the_console() -> None:
    client = Client()
    assert client.get("/console/nothing/at/all/").status_code == 302  # who are you?
    client.force_login(person(Tenant.objects.create(name="Acme")))
    answer = client.get("/console/nothing/at/all/")
    assert answer.status_code == 404 and b"Go to the overview" in answer.content
    assert client.post("/console/nothing").status_code == 404
    assert client.get("/console/integrations?q=a")["Location"] == "/console/integrations/?q=a"
    assert client.get("/console/nothing").status_code == 404


def test_a_page_of_a_host_links_to_pages_that_there_are() -> None:
    written = Template(
        '{% load console %}{% page_of "event" 7 as event %}{% page_of "map" as map %}[{{ event }}] [{{ map }}]'
    )
    assert written.render(Context()) == "[/console/events/7/] []"
