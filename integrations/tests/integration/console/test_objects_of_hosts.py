"""What a host's objects do when pages ask them: they cost their names, and no page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from integrations.label import app_label
from integrations.models import IntegrationSync
from integrations.tests.factories import make_integration, make_item, make_tenant
from tasks.models import Customer, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def boss(settings: Any) -> Client:
    settings.SECURE_SSL_REDIRECT = False
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def sync() -> IntegrationSync:
    tenant = make_tenant()
    make_integration(tenant, events=("workitem_updated",))
    item = make_item(tenant, reference_id="RMA-7")
    item.customer = Customer.objects.create(tenant=tenant, name="Ann")
    item.save()
    return IntegrationSync.objects.get()


def read_all(client: Client, sync: IntegrationSync) -> str:
    event = sync.event
    pages = [
        reverse("console:deliveries"),
        reverse("console:delivery", args=[sync.pk]),
        reverse("console:events"),
        reverse("console:event", args=[event.pk]),
        reverse("console:object", args=[event.content_type_id, event.object_id]),
        reverse(f"admin:{app_label()}_integrationsync_changelist"),
    ]
    answers = [client.get(page) for page in pages]
    assert [answer.status_code for answer in answers] == [200] * len(pages)
    return answers[1].content.decode()


def test_an_object_that_cannot_say_what_it_is_called(boss: Client, sync: IntegrationSync, monkeypatch: Any) -> None:
    assert "RMA-7" in read_all(boss, sync)

    def furious(self: Any) -> str:
        raise AttributeError("'NoneType' object has no attribute 'name'")

    for model in (WorkItem, Customer):
        monkeypatch.setattr(model, "__str__", furious)
    assert f">{sync.event.object_id}<" in read_all(boss, sync).replace(" ", "").replace("\n", "")


def test_an_object_whose_page_is_at_another_address(boss: Client, sync: IntegrationSync, monkeypatch: Any) -> None:
    def elsewhere(self: Any) -> str:
        raise NoReverseMatch("no workitem here")

    monkeypatch.setattr(WorkItem, "get_absolute_url", elsewhere, raising=False)
    assert "RMA-7" in read_all(boss, sync)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [False, True])
def test_a_table_that_is_in_another_schema(
    boss: Client, sync: IntegrationSync, is_atomic: bool, monkeypatch: Any
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)
    with connection.schema_editor() as editor:
        editor.alter_db_table(WorkItem, WorkItem._meta.db_table, "elsewhere")
        editor.alter_db_table(Customer, Customer._meta.db_table, "elsewhere_too")
    try:
        read_all(boss, sync)
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(WorkItem, "elsewhere", WorkItem._meta.db_table)
            editor.alter_db_table(Customer, "elsewhere_too", Customer._meta.db_table)
