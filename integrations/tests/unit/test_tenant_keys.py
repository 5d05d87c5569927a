"""What may be a key of a tenant, whatever its type, and what cannot be one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations import conf
from integrations.models import ConnectionGrant, Heartbeat, Lane, TenantIntegration
from integrations.tenancy.tenant import key_of, tenant_model

ONE = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("model", "value", "expected"),
    [
        (TenantIntegration, 7, 7),
        (TenantIntegration, "7", 7),
        (TenantIntegration, 2**63 - 1, 2**63 - 1),
        (TenantIntegration, str(2**63 - 1), 2**63 - 1),
        (TenantIntegration, 2**63, None),
        (TenantIntegration, str(2**63), None),
        (TenantIntegration, 7.0, None),
        (TenantIntegration, True, None),
        (TenantIntegration, [7], None),
        (TenantIntegration, "²", None),
        (TenantIntegration, "9" * 100, None),
        (TenantIntegration, "1_000", None),
        (TenantIntegration, "-7", None),
        (TenantIntegration, "", None),
        (Lane, "7", 7),  # its key is that of another row
        (ConnectionGrant, str(ONE), ONE),
        (ConnectionGrant, ONE.hex, ONE),
        (ConnectionGrant, ONE, ONE),
        (ConnectionGrant, "acme", None),
        (ConnectionGrant, 7, None),
        (ConnectionGrant, {"id": 7}, None),
        (Heartbeat, "acme", "acme"),
        (Heartbeat, 7, None),
        (Heartbeat, "a\0b", None),
        (Heartbeat, "\ud800", None),
        (Heartbeat, "", None),
    ],
)
def test_a_key_is_read_as_its_type_wants(model: Any, value: Any, expected: Any) -> None:
    assert key_of(model, value) == expected


@pytest.mark.parametrize("label", ["", "Account", "accounts.models.Account", None, 7])
def test_a_tenant_model_must_be_named(settings: Any, label: Any) -> None:
    settings.INTEGRATIONS_TENANT_MODEL = label
    with pytest.raises(ImproperlyConfigured, match=r'INTEGRATIONS_TENANT_MODEL must name .* "accounts.Account"'):
        conf.tenant_label()


def test_a_tenant_model_must_be_there(settings: Any) -> None:
    settings.INTEGRATIONS_TENANT_MODEL = "accounts.Account"
    with pytest.raises(ImproperlyConfigured, match=r"'accounts[.]Account', and there is no such model"):
        tenant_model()
