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
from app.demo.pages import pages
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

MOST_QUERIES = 15
OF_NOBODY = {"setup"}  # a new integration's form names a connector type, no row


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_pages_cost_few_queries_and_open_for_their_tenant_alone() -> None:
    fill("http://127.0.0.1:8180", pace=0.12)
    root = User.objects.create_superuser("root", password="a long password")
    acme = Tenant.objects.get(name="Acme Corp")
    operator, manager, stranger = (
        signed_in(user)
        for user in (
            root,
            User.objects.get(username="acme-manager"),
            User.objects.get(username="northwind-manager"),
        )
    )
    operator.post(reverse("console:tenant"), {"tenant": str(acme.pk)})
    dear, wrong, opened, refused = [], [], 0, 0
    for page in pages(acme):
        for who, client in (("operator", operator), ("manager", manager)):
            client.get(page.url)  # what a process remembers (content types, …) it asks for once
            with CaptureQueriesContext(
                connection,
            ) as queries:
                answer = client.get(page.url)
            if answer.status_code == 405:  # a button
                continue
            opened += 1
            if answer.status_code not in (200, 302) and not (who == "manager" and answer.status_code == 403):
                wrong.append(f"{page.name} as {who}: {answer.status_code}")
            if len(queries) > MOST_QUERIES:
                asked = "\n    ".join(query["sql"][:200] for query in queries.captured_queries)
                dear.append(f"{page.name} as {who}: {len(queries)} queries\n    {asked}")
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
