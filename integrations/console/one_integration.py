"""The integration that a page of the console is about, and who may use its connector type."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from integrations.connections import access as access_rules
from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import manifests
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


def may_act_on(access: Access, integration: TenantIntegration) -> bool:
    """Tell whether the connector type of `integration` is the person's to use; one not installed has no family."""
    return access.has_role(integration.tenant_id) or access_rules.may_act_on(access.user, integration)


def require_use(access: Access, integration: TenantIntegration) -> None:
    """Refuse a person who may not use the connector type of `integration`.

    Raises:
        PermissionDenied: what the page of the refusal says.
    """
    if not may_act_on(access, integration):
        raise type_refused(label_of(integration.integration_type))


def not_usable(access: Access, tenant: Any) -> list[str]:
    """Return the labels of the connector types of which `tenant` has integrations, and which are not the person's."""
    if access.has_role(tenant.pk):
        return []
    keys = access_rules.types_of(tenant.pk)
    return [label_of(key) for key in access_rules.not_usable(access.user, keys, tenant)]


def label_of(key: str) -> str:
    """Return what people call the connector type `key`."""
    return next((manifest.label for manifest in manifests() if manifest.key == key), key)


def tenants_to_manage(access: Access) -> list[Any]:
    """Return the tenants for which the person may set up integrations: the one that is looked at, or all of theirs."""
    offered = [access.tenant] if access.tenant is not None else access.tenants
    return [tenant for tenant in offered if access.may(Capability.ADD, tenant.pk)]
