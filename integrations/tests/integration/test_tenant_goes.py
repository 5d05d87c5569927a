"""A tenant takes its integrations and their history with it, whoever deletes it and without loading them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.db.models.deletion import Collector
from django.test.utils import CaptureQueriesContext

from integrations.models import (
    AuditEntry,
    EventSubscription,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
)
from integrations.tests.factories import make_integration, make_item, make_tenant
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
OURS = (TenantIntegration, EventSubscription, Lane, IntegrationEvent, IntegrationSync)


def one_by_one(tenant: Tenant) -> None:
    """As ``delete()`` of a model that has none of its own."""
    models.Model.delete(tenant)


def by_queryset(tenant: Tenant) -> None:
    models.QuerySet(Tenant).filter(pk=tenant.pk).delete()


@pytest.mark.parametrize("delete", [one_by_one, by_queryset])
def test_what_it_has_goes_with_it_and_nothing_of_others(delete: Any) -> None:
    acme, globex = make_tenant("Acme"), make_tenant("Globex")
    for tenant in (acme, globex):
        make_integration(tenant)
        make_item(tenant)
    make_integration(acme, name="another")
    delete(acme)
    for model in OURS:
        path = "tenant" if hasattr(model, "tenant") else "integration__tenant"
        assert set(model.objects.values_list(path, flat=True)) == {globex.pk}, model  # type: ignore[attr-defined]
    gone = AuditEntry.objects.filter(action="deleted").order_by("id")
    assert list(gone.values_list("tenant_name", "integration_name")) == [
        ("Acme", "Production n8n Workflow"),
        ("Acme", "another"),
        ("Acme", ""),
    ]


def test_its_history_is_not_loaded() -> None:
    """How many statements it takes does not depend on how much there is."""
    counts = []
    for many in (3, 60):
        tenant = make_tenant(f"With {many}")
        make_integration(tenant)
        for _ in range(many):
            make_item(tenant)
        with CaptureQueriesContext(connection) as asked:
            one_by_one(tenant)
        bodies = [query["sql"] for query in asked if '"integrations_integrationevent"."body"' in query["sql"]]
        assert not bodies
        counts.append(sum("integrations_" in query["sql"] for query in asked))
    assert counts[0] == counts[1]


def test_djangos_collector_sees_none_of_it() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant)
    collector = Collector(using="default")
    collector.collect([tenant])
    seen = {*collector.data, *(rows.model for rows in collector.fast_deletes)}
    assert seen.isdisjoint(OURS)
