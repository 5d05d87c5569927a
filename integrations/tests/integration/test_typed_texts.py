"""What people type and what addresses hold: a NUL is 400, a name can be seen, nothing paints a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from integrations.models import TenantIntegration
from integrations.tests.factories import make_tenant
from integrations.tests.integration.admin_world import form_values, make_side, superuser, url
from tasks.models import Customer, WorkItem
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]
UNSEEN = ["   ", "\u200b", "\u200b \u2060\ufeff", "\u00a0", "\u3164", "\u2800", "\u00ad", "\u0301"]
ACTING = ["Shop\nCRITICAL", "Sh\rop", "Shop\x1b[31m", "a\x00b", "a\x85b", "a\u2028b", "gpj.\u202egnp", "a\tb", "a\x7f"]
FINE = ["Zoë & Søn — «Größe»", "東京", "עברית\u200f ltd", "👩‍👩‍👧 shop", "می\u200cخواهم", "x", "-", "☎"]


@pytest.fixture(autouse=True)
def _plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def lists() -> list[str]:
    reverse("admin:index")  # the pages are registered with the first address
    return [reverse(f"admin:{one._meta.app_label}_{one._meta.model_name}_changelist") for one in admin.site._registry]


def test_a_nul_in_an_address_is_a_bad_request_on_every_list() -> None:
    client = superuser()
    for address in lists():
        for query in ("?status__exact=%00", "?q=a%00b", "?id__exact=%00", "?unknown=%00", "?%00=1", "?p=%00"):
            assert client.get(address + query).status_code == 400, address + query
        assert client.get(f"{address}%00/change/").status_code == 400
        assert client.get(f"{address}add/?name=%00").status_code == 400


def test_a_nul_in_an_address_is_a_bad_request_for_everybody() -> None:
    for address in (
        "/health/?x=%00",
        "/api/connectors/?family=%00",
        "/api/connections/%00",
        "/%00",
    ):
        assert Client().get(address).status_code == 400, address
    assert Client().get("/health/?x=%2500").status_code != 400, "percent, nought, nought is a text like any other"


@pytest.mark.parametrize("name", [*UNSEEN, *ACTING])
def test_no_model_takes_a_name_that_cannot_be_seen_or_acts(name: str) -> None:
    tenant = make_tenant()
    rows: list[Any] = [
        Tenant(name=name),
        Customer(tenant=tenant, name=name),
        WorkItem(tenant=tenant, reference_id=name),
        TenantIntegration(tenant=tenant, name=name, integration_type="webhook"),
    ]
    for row in rows:
        field = next(each for each in ("reference_id", "name") if hasattr(row, each))
        with pytest.raises(ValidationError) as refused:
            row.clean_fields()
        assert field in refused.value.message_dict, row


@pytest.mark.parametrize("name", FINE)
def test_whatever_people_are_called_is_taken(name: str) -> None:
    tenant = Tenant(name=name)
    tenant.clean_fields(exclude=["slug"])
    side = make_side("Acme")
    assert api(side.client, "post", name=name).status_code == 201
    assert TenantIntegration.objects.filter(name=name).exists()


def test_a_text_of_several_lines_may_have_them() -> None:
    item = WorkItem(tenant=make_tenant(), reference_id="RMA-1", description="one\r\n\ttwo\n")
    item.clean_fields()
    item.description = "one\x1b[2J"
    with pytest.raises(ValidationError, match=r"control characters \(U\+001B\)"):
        item.clean_fields()


def api(client: Client, method: str, address: str = "/api/connections/", **values: Any) -> Any:
    given = {"type": "webhook", "settings": {"url": "https://hooks.example.com/in"}, **values}
    return getattr(client, method)(address, json.dumps(given), content_type="application/json")


@pytest.mark.parametrize("name", [*UNSEEN, *ACTING, ""])
def test_the_api_takes_no_such_name(name: str) -> None:
    side = make_side("Acme")
    before = TenantIntegration.objects.count()
    assert api(side.client, "post", name=name).status_code == 422
    one = f"/api/connections/{side.integration.public_id}"
    changed = side.client.patch(one, json.dumps({"name": name}), content_type="application/json")
    assert changed.status_code == 422
    assert TenantIntegration.objects.count() == before
    side.integration.refresh_from_db()
    assert side.integration.name == "Acme hook"


def test_the_api_strips_as_the_admin_does() -> None:
    side = make_side("Acme")
    assert api(side.client, "post", name="  Shop ").status_code == 201
    assert TenantIntegration.objects.filter(name="Shop").exists()


@pytest.mark.parametrize("name", ["\u200b", "Shop\x1b[31m", "gpj.\u202egnp"])
def test_the_admin_takes_no_such_name(name: str) -> None:
    side = make_side("Acme")
    response = side.client.post(url("tenantintegration", "add"), form_values(side.tenant, name=name))
    assert response.status_code == 200 and response.context["adminform"].form.errors["name"]
    client = superuser()
    response = client.post(url("tenant", "add"), {"name": name, "slug": ""})
    assert response.status_code == 200 and response.context["adminform"].form.errors["name"]
    response = side.client.post(url("customer", "add"), {"tenant": side.tenant.pk, "name": name})
    assert response.status_code == 200 and response.context["adminform"].form.errors["name"]


@pytest.mark.parametrize("channel", ["\u200b", "a\x1bb", "a\u202eb"])
def test_no_setting_of_a_connector_takes_such_a_text(channel: str) -> None:
    side = make_side("Acme")
    settings = {"tenant_id": "contoso", "client_id": channel, "client_secret": "x" * 30, "sender": "a@example.com"}
    response = api(side.client, "post", name="Mail", type="microsoft_graph", settings=settings)
    assert response.status_code == 422 and list(response.json()["fields"]) == ["client_id"]
