"""The integration that a page of the console is about, and who may change it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.forms.choice import connector_of
from integrations.tenancy.capabilities import Capability

from .access import Access, Needed, RoleNeeded


def integration_of(access: Access, public_id: UUID, needed: Needed = Capability.VIEW) -> TenantIntegration:
    """Return the integration of that id.

    Raises:
        Http404: there is none, it is being deleted, or it is another tenant's.
        RoleNeeded: the person may not do what is `needed` for its tenant.
    """
    rows = TenantIntegration.objects.present().select_related("tenant")
    found: TenantIntegration = access.one(rows, public_id=public_id)
    access.require(needed, found.tenant_id)
    return found


def may_change(access: Access, integration: TenantIntegration) -> bool:
    """Tell whether the person may change its settings and events, and use connectors of its type."""
    if not access.may(Capability.SETTINGS, integration.tenant_id):
        return False
    connector = connector_of(integration.integration_type)
    return connector is not None and may_use(access.user, connector.manifest, integration.tenant)


def require_change(access: Access, integration: TenantIntegration) -> None:
    """Refuse who may not change it.

    Raises:
        RoleNeeded: what the page of the refusal says.
    """
    if not may_change(access, integration):
        raise RoleNeeded(Capability.SETTINGS, access.role_in(integration.tenant_id), integration.tenant)


def tenants_to_manage(access: Access) -> list[Any]:
    """Return the tenants for which the person may set up integrations: the one that is looked at, or all of theirs."""
    offered = [access.tenant] if access.tenant is not None else access.tenants
    return [tenant for tenant in offered if access.may(Capability.ADD, tenant.pk)]
