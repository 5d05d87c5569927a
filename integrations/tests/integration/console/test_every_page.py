"""Every page of the console, found by its address: what it costs, and that nobody else's tenant opens it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from app.demo.data.fill import fill
from app.demo.pages import Page, pages
from integrations.api_keys.keys import make_key
from integrations.models import SyncState
from integrations.tests.factories import make_integration, make_item
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

MOST_QUERIES = 15
OF_NOBODY = {"setup"}  # a new integration's form names a connector type, no row
OF_ONE_TENANT = {"person-remove"}  # which one does not stand in its address
MANY = 30  # tenants of one person


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def of_many(acme: Tenant) -> Client:
    """Return the browser of somebody who works for MANY tenants, and has chosen none to look at.

    Roles differ, and each tenant has something in every list.
    """
    user = User.objects.create_user("of-many", password="a long password")
    Membership.objects.create(tenant=acme, user=user, role="manager")
    for number in range(1, MANY):
        tenant = Tenant.objects.create(name=f"Tenant {number:02}")
        Membership.objects.create(tenant=tenant, user=user, role=("manager", "operator", "viewer", "")[number % 4])
        shop = make_integration(tenant, name=f"Shop {number}", integration_type="woocommerce", events=())
        SyncState.objects.create(connection=shop, resource_type="orders")
        make_integration(tenant, name=f"Hook {number}")
        make_item(tenant, reference_id=f"M-{number}")
        maker = User.objects.create_user(f"maker-{number}")
        for whose in (acme, tenant):
            Membership.objects.create(tenant=whose, user=maker, role="manager")
            make_key(whose, f"of maker {number}", ["read"], user=maker)
    return signed_in(user)


def addresses(page: Page, tenant: Tenant, who: str) -> list[str]:
    """Return the addresses to open: who looks at several tenants looks for something, too."""
    found = [url for _query, url in page.sought(tenant)] if who.endswith(("all", "many")) else []
    return [page.url, *found]


@pytest.mark.timeout(300)  # some hundreds of pages
def test_pages_cost_few_queries_and_open_for_their_tenant_alone() -> None:
    fill("http://127.0.0.1:8180", pace=0.12)
    root = User.objects.create_superuser("root", password="a long password")
    acme = Tenant.objects.get(name="Acme Corp")
    everywhere, operator, manager, stranger = (
        signed_in(user)
        for user in (
            root,
            root,
            User.objects.get(username="acme-manager"),
            User.objects.get(username="northwind-manager"),
        )
    )
    operator.post(reverse("console:tenant"), {"tenant": str(acme.pk)})
    people = {"operator": operator, "operator of all": everywhere, "manager": manager, "person of many": of_many(acme)}
    dear, wrong, opened, refused = [], [], 0, 0
    for page in pages(acme):
        operator.get(page.url)  # what a process remembers (content types, …) it asks for once
        for who, client in people.items():
            for url in addresses(page, acme, who):
                with CaptureQueriesContext(connection) as queries:
                    answer = client.get(url)
                if answer.status_code == 405 or (page.name in OF_ONE_TENANT and who.endswith(("all", "many"))):
                    continue
                opened += 1
                if answer.status_code not in (200, 302) and (who.startswith("operator") or answer.status_code != 403):
                    wrong.append(f"{url} as {who}: {answer.status_code}")
                if len(queries) > MOST_QUERIES:
                    asked = "\n    ".join(query["sql"][:200] for query in queries.captured_queries)
                    dear.append(f"{url} as {who}: {len(queries)} queries\n    {asked}")
        is_of_a_row = any(part.isdigit() or len(part) == 36 for part in page.url.split("/"))
        if is_of_a_row and page.name not in OF_NOBODY:
            for answer in (stranger.get(page.url), stranger.post(page.url)):
                refused += 1
                if answer.status_code not in (404, 405):
                    wrong.append(f"{page.name} opened by another tenant's manager: {answer.status_code}")
        else:
            answer = stranger.get(page.url)
            if answer.status_code == 200 and b"Acme Corp" in b"".join(answer):
                wrong.append(f"{page.name} names another tenant")
    assert not wrong, "\n".join(wrong)
    assert not dear, "\n".join(dear)
    assert opened > 20 and refused > 10
