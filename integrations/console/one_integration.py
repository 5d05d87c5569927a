"""The integration that a page of the console is about, and who may use its connector type."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import Manifest
from integrations.tenancy.capabilities import Capability

from .access import Access, Needed


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


def may_use_type(access: Access, manifest: Manifest, tenant: Any) -> bool:
    """Tell whether the person may use connectors of this type for `tenant`; with a role there, of every type."""
    return access.has_role(tenant.pk) or may_use(access.user, manifest, tenant)


def type_refused(type_name: str) -> PermissionDenied:
    """Return the refusal of a connector type that is not theirs to use: no role is too small, a permission is missing.

    Args:
        type_name: what people call it.
    """
    words = _("You may not set up or change integrations of the type {name}.")
    return PermissionDenied(words.format(name=type_name))


def tenants_to_manage(access: Access) -> list[Any]:
    """Return the tenants for which the person may set up integrations: the one that is looked at, or all of theirs."""
    offered = [access.tenant] if access.tenant is not None else access.tenants
    return [tenant for tenant in offered if access.may(Capability.ADD, tenant.pk)]
