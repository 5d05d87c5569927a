"""Find a tenant's integration by its connector's name, ready to be called.

salesforce = get_connector("salesforce", tenant_id="acme-corp")
contacts = salesforce.query("SELECT Id, Name FROM Contact LIMIT 10")
"""

from __future__ import annotations

from typing import Any

from integrations.audit.calls import log_calls
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.errors import IntegrationDisabled, IntegrationNotConfigured
from integrations.tenancy.tenant import find_tenant


def get_connector(name: str, tenant_id: Any, *, integration: str | None = None, actor: str = "system") -> BaseConnector:
    """Return connector `name`, bound to the integration that the tenant has configured.

    Its calls are written to the execution log.

    Args:
        tenant_id: a Tenant, its id or its slug.
        integration: the integration's name, where the tenant has several of this kind.
        actor: who calls, for the log.

    Raises:
        UnknownConnector: nothing of that name is registered.
        IntegrationNotConfigured: the tenant is unknown, or has no such integration, or several, or an incomplete one.
        IntegrationDisabled: it is switched off.
    """
    label = ConnectorRegistry.type_of(name).manifest.label
    tenant = find_tenant(tenant_id)
    if tenant is None:
        raise IntegrationNotConfigured("there is no such tenant; pass its id or its slug")
    rows = TenantIntegration.objects.present().filter(tenant=tenant, integration_type=name)
    if integration is not None:
        rows = rows.filter(name=integration)
    configured = list(rows.order_by("id"))
    if not configured:
        raise IntegrationNotConfigured(
            f"{tenant} has no {label} integration" + (" of that name" if integration else "")
        )
    usable = [row for row in configured if row.is_active and row.is_enabled]
    if not usable:
        raise IntegrationDisabled(f"the {label} integration of {tenant} is switched off")
    if len(usable) > 1:
        raise IntegrationNotConfigured(f"{tenant} has {len(usable)} {label} integrations; say which: integration='…'")
    adapter = usable[0].get_adapter()
    log_calls(adapter, usable[0], actor=actor)
    return adapter


def list_available_providers(family: str | None = None) -> list[Manifest]:
    """Return the manifests of all connectors (of `family`), sorted by key."""
    return manifests(family)
