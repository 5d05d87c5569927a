"""Every page of the console, found by its address: what it costs, and that nobody else's tenant opens it."""

from __future__ import annotations

from html.parser import HTMLParser
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
OF_EVERYBODY = {"event-type"}  # the catalogue's example is of a tenant that is called so, too
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


class _Cells(HTMLParser):
    """Finds cells of lists that hold several things: on a phone each would be a column of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []  # elements of the cell that is being read
        self._label, self._things, self._is_list = "", 0, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        if tag == "table":
            self._is_list = "list" in classes
        elif tag == "td" and self._is_list and "data-label" in given:
            self._label, self._things, self._open = str(given["data-label"]), 0, ["td"]
        elif self._open:
            self._things += len(self._open) == 1 and "unseen" not in classes and given.get("type") != "hidden"
            if tag not in ("br", "input", "wbr", "path", "rect", "circle", "line"):
                self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
            if not self._open and self._things > 1:
                self.found.append(self._label)

    def handle_data(self, data: str) -> None:
        self._things += len(self._open) == 1 and bool(data.strip())


def crowded_cells(page: str) -> set[str]:
    """Return the labels of cells that hold more than one thing."""
    cells = _Cells()
    cells.feed(page)
    return set(cells.found)


def test_a_cell_with_several_things_is_found() -> None:
    table = '<table class="list"><tr><td data-label="{}">{}</td></tr></table>'
    assert crowded_cells(table.format("Values", "<code>a</code>, <code>b</code>")) == {"Values"}
    assert crowded_cells(table.format("Values", "<div><code>a</code>, <code>b</code></div>")) == set()
    assert crowded_cells(table.format("Name", 'a<span class="unseen">b</span>')) == set()


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
    named = {page.name for page in pages(acme)}
    assert {"event-type", "audit-entry", "delivery", "event", "object", "push", "inbound-event"} <= named
    people = {"operator": operator, "operator of all": everywhere, "manager": manager, "person of many": of_many(acme)}
    dear: list[str] = []
    wrong: list[str] = []
    opened, refused = 0, 0
    for page in pages(acme):
        shown: Any = operator.get(page.url)  # what a process remembers (content types, …) it asks for once
        if shown.status_code == 200 and "html" in shown["Content-Type"]:
            wrong += [f"{page.name}: several things in {cell}" for cell in crowded_cells(shown.content.decode())]
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
            if page.name not in OF_EVERYBODY and answer.status_code == 200 and b"Acme Corp" in b"".join(answer):
                wrong.append(f"{page.name} names another tenant")
    assert not wrong, "\n".join(wrong)
    assert not dear, "\n".join(dear)
    assert opened > 20 and refused > 10
