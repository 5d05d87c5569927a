"""get_connector: by name and tenant to something that can be called, and nothing of another tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import (
    IntegrationAuthError,
    IntegrationDisabled,
    IntegrationNotConfigured,
    UnknownConnector,
)
from integrations.models import ExecutionLog, TenantIntegration
from integrations.services.lookup import get_connector, list_available_providers
from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Answer, Receiver
from tenants.models import Tenant
from tenants.scope import find_tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


class Ledger(BaseConnector):
    """A system of this test's own: one call that reads."""

    manifest = Manifest(
        key="ledger",
        label="Ledger",
        family="test",
        fields=(
            Field(name="base_url", kind="url", required=True),
            Field(name="token", kind="secret", required=True),
        ),
    )

    def default_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings['token']}"}

    def entries(self) -> Any:
        return self.http.get("/entries", headers=None, params={"token": "canary-query"})


@pytest.fixture(autouse=True)
def _ledger(receiver: Receiver) -> Iterator[None]:
    ConnectorRegistry.register("ledger", Ledger)
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [receiver.netloc], "HTTP_BASE_SECONDS": 0.001}):
        yield
    ConnectorRegistry.unregister("ledger")


def make(tenant: Tenant, receiver: Receiver, **values: Any) -> TenantIntegration:
    return TenantIntegration.objects.create(
        tenant=tenant,
        integration_type="ledger",
        **{
            "name": "Main ledger",
            "config": {"base_url": f"http://{receiver.netloc}"},
            "credentials": {"token": f"canary-{tenant.slug}"},
            **values,
        },
    )


def test_the_printed_call_finds_the_tenant_by_its_slug(receiver: Receiver) -> None:
    tenant = make_tenant("Acme Corp")
    assert tenant.slug == "acme-corp"
    make(tenant, receiver)
    receiver.answer_with(Answer(body=b'[{"id": 1}]'))
    for key in ("acme-corp", tenant.pk, str(tenant.pk), tenant):
        assert get_connector("ledger", tenant_id=key).entries() in ([{"id": 1}], {"ok": True})
    assert receiver.requests[0].headers["authorization"] == "Bearer canary-acme-corp"


def test_every_attempt_is_in_the_log_without_secrets(receiver: Receiver) -> None:
    integration = make(make_tenant(), receiver)
    receiver.answer_with(503, 200, Answer(401, body=b"you sent canary-acme-corp"))
    adapter = get_connector("ledger", tenant_id="acme-corp", actor="jane")
    adapter.entries()
    with pytest.raises(IntegrationAuthError):
        adapter.entries()
    rows = list(ExecutionLog.objects.filter(integration=integration).order_by("id"))
    assert [(row.response_status, row.attempt, row.actor, bool(row.error)) for row in rows] == [
        (503, 1, "jane", True), (200, 2, "jane", False), (401, 1, "jane", True),
    ]  # fmt: skip
    assert rows[0].action == f"GET http://{receiver.netloc}/entries?token=***"
    assert "canary" not in "".join(str(vars(row)) for row in rows)


def test_each_tenant_gets_its_own_credentials(receiver: Receiver) -> None:
    for name in ("Acme Corp", "Other"):
        make(make_tenant(name), receiver)
    get_connector("ledger", tenant_id="other").entries()
    assert receiver.requests[-1].headers["authorization"] == "Bearer canary-other"


def test_what_is_missing_is_said(receiver: Receiver) -> None:
    tenant = make_tenant()
    with pytest.raises(UnknownConnector, match=r"^Unknown connector type: 'fax'$"):
        get_connector("fax", tenant_id="acme-corp")
    for key in ("nobody", 999999, None, True, "9" * 30):
        with pytest.raises(IntegrationNotConfigured, match="no such tenant"):
            get_connector("ledger", tenant_id=key)
    with pytest.raises(IntegrationNotConfigured, match="Acme Corp has no Ledger integration"):
        get_connector("ledger", tenant_id="acme-corp")
    integration = make(tenant, receiver, credentials={})
    with pytest.raises(IntegrationNotConfigured, match="token"):
        get_connector("ledger", tenant_id="acme-corp")
    TenantIntegration.objects.filter(pk=integration.pk).update(is_active=False)
    with pytest.raises(IntegrationDisabled):
        get_connector("ledger", tenant_id="acme-corp")


def test_of_several_one_must_be_named(receiver: Receiver) -> None:
    tenant = make_tenant()
    make(tenant, receiver)
    make(tenant, receiver, name="Second", credentials={"token": "canary-second"})
    with pytest.raises(IntegrationNotConfigured, match="say which"):
        get_connector("ledger", tenant_id=tenant)
    get_connector("ledger", tenant_id=tenant, integration="Second").entries()
    assert receiver.requests[-1].headers["authorization"] == "Bearer canary-second"


def test_providers_are_listed_by_family() -> None:
    assert [manifest.key for manifest in list_available_providers(family="test")] == ["ledger"]
    assert {"ledger", "webhook", "n8n"} <= {manifest.key for manifest in list_available_providers()}


def test_slugs_are_made_once_and_stay_unique() -> None:
    first, second = Tenant.objects.create(name="Größe & Co"), Tenant.objects.create(name="grosse co")
    third = Tenant.objects.create(name="Große Co!")
    assert len({first.slug, second.slug, third.slug}) == 3
    first.name = "Renamed"
    first.save()
    assert Tenant.objects.get(pk=first.pk).slug == first.slug
    assert Tenant.objects.create(name="!!!").slug == "tenant"


def test_a_tenant_called_like_an_id_is_not_that_tenant() -> None:
    first = Tenant.objects.create(name="First")
    impostor = Tenant.objects.create(name=str(first.pk))
    assert impostor.slug == f"tenant-{first.pk}" and find_tenant(str(first.pk)) == first
    Tenant.objects.filter(pk=impostor.pk).update(slug=str(first.pk))  # past our validation
    assert find_tenant(str(first.pk)) == find_tenant(first.pk) == first
    with pytest.raises(ValidationError, match="taken for an id"):
        Tenant(name="x", slug="7").full_clean()
    assert find_tenant(10**30) is find_tenant("٣") is find_tenant("") is None
