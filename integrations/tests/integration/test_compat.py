"""Other guides' names for our columns, wherever Django takes a name of a column."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from django.db import models
from django.db.models import Manager, Q, QuerySet

from integrations.erp.push import PushOrchestrator
from integrations.models import ERPConnection, ERPPushLog, TenantIntegration
from integrations.tests.factories import make_integration, make_tenant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.integration, pytest.mark.portable]


@pytest.fixture
def pushes() -> dict[str, Any]:
    """One push that succeeded and one that failed, of two tenants."""
    found = {}
    for mode in ("success", "permanent"):
        tenant = make_tenant(mode)
        connection = ERPConnection(org_id=tenant.pk, connector_type="MOCK", name=mode)
        connection.set_config({"mode": mode})
        connection.save()
        found[mode] = PushOrchestrator().push_order(tenant.pk, {"id": f"SO-{mode}"})
    assert [found["success"].status, found["permanent"].status] == ["SUCCESS", "FAILED"]
    return found


def test_an_integration_is_found_by_one_of_its_event_types() -> None:
    tenant = make_tenant()
    wanted = make_integration(tenant, events=("workitem_created", "workitem_updated"))
    other = make_integration(tenant, events=("workitem_deleted",))
    rows = TenantIntegration.objects

    for event_type in ("workitem_created", "workitem_updated"):
        assert list(rows.filter(Q(event_type=event_type))) == [wanted]
        assert list(rows.filter(Q(is_active=True) & ~Q(event_type=event_type))) == [other]
        assert list(rows.exclude(event_type=event_type)) == [other]
        assert rows.get(Q(event_type__startswith=event_type[:-1]) | Q(name="nobody")) == wanted
    assert list(rows.filter(pk=other.pk).values("event_type")) == [{"event_type": "workitem_deleted"}]
    assert list(rows.filter(pk=other.pk).values_list("event_type", flat=True)) == ["workitem_deleted"]


def test_an_integration_has_the_names_of_a_connection() -> None:
    tenant = make_tenant()
    make_integration(tenant, name="b", integration_type="slack")
    make_integration(tenant, name="a", integration_type="webhook")
    rows = TenantIntegration.objects
    assert [row.name for row in rows.order_by("-provider_name", "display_name")] == ["a", "b"]
    assert rows.filter(Q(Q(provider_name="slack"), display_name__in=["b"])).get().provider_name == "slack"
    assert list(rows.order_by("display_name").values("display_name", "id", "provider_name"))[1:] == [
        {"display_name": "b", "id": rows.get(name="b").pk, "provider_name": "slack"}
    ]


def test_a_connection_of_an_erp_has_the_names_of_its_table(pushes: dict[str, Any]) -> None:
    rows = ERPConnection.objects
    off = rows.get(name="permanent")
    off.status = "DISABLED"
    off.save()
    on = rows.get(Q(status="ACTIVE"), Q(connector_type="MOCK"), ~Q(org_id=off.org_id))
    assert on.name == "success"
    assert list(rows.order_by("-status", "org_id").values_list("status", "connector_type", "org_id")) == [
        ("DISABLED", "MOCK", off.tenant_id),
        ("ACTIVE", "MOCK", on.tenant_id),
    ]
    assert list(rows.filter(status="ACTIVE").values("uuid", "name")) == [{"uuid": on.public_id, "name": "success"}]


def test_a_push_has_the_names_of_its_table(pushes: dict[str, Any]) -> None:
    rows = ERPPushLog.objects
    good, bad = pushes["success"].push_log, pushes["permanent"].push_log
    names = ("org_id", "draft_order_id", "connector_type", "status", "error_message", "idempotency_key",
             "retry_count", "latency_ms", "created_at")  # fmt: skip

    assert rows.get(Q(status="SUCCESS")) == good
    assert rows.get(~Q(status="SUCCESS") & Q(connector_type="MOCK")) == bad
    assert [row.status for row in rows.order_by("-status")] == ["SUCCESS", "FAILED"]
    assert [row.status for row in rows.order_by("connector_type", "-created_at")] == ["FAILED", "SUCCESS"]
    for row in (good, bad):
        (shown,) = rows.filter(org_id=row.org_id).values(*names)
        assert shown == {name: getattr(row, name) for name in names}
        assert list(rows.filter(org_id=row.org_id).values_list("status", flat=True)) == [row.status]
    assert list(rows.values("status").filter(status="FAILED")) == [{"status": "FAILED"}]
    assert set(rows.values_list("status", "retry_count", named=True).get(status="FAILED")) == {"FAILED", 0}


def test_no_query_goes_through_a_private_method_of_django() -> None:
    """Those change between releases of Django, and no mistake is said where they do."""
    private = {
        name
        for base in (QuerySet, Manager, models.Model)
        for name, _ in inspect.getmembers(base, inspect.isfunction)
        if name.startswith("_") and not name.startswith("__")
    }
    for model in (TenantIntegration, ERPConnection, ERPPushLog):
        for owner in (*model.objects.all().__class__.__mro__, *type(model.objects).__mro__, *model.__mro__):
            if owner.__module__.startswith("django."):
                continue
            assert private.isdisjoint(vars(owner)), owner
