"""Whose rows, and who may: asked by every call of the API. What is another tenant's does not exist here (404)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest

from integrations.connections.models import TenantIntegration
from integrations.errors import ConfigurationError
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import find_tenant

from .caller import caller_of


def visible(request: HttpRequest, capability: Capability) -> QuerySet[TenantIntegration]:
    """Return the connections of the tenants for which the caller may do it; one that is being deleted is gone.

    Raises:
        PermissionDenied: there is no such tenant.
    """
    return TenantIntegration.objects.present().filter(tenant__in=allowed_tenants(request, capability))


def allowed_tenants(request: HttpRequest, capability: Capability) -> QuerySet[Any]:
    """Return the tenants for which the caller may do it.

    Raises:
        PermissionDenied: there is none, although the caller has tenants.
    """
    caller = caller_of(request)
    tenants = caller.tenants_where(capability)
    if not tenants.exists() and caller.tenants().exists():
        raise PermissionDenied(caller.lacks(capability))
    return tenants


def one(request: HttpRequest, connection_id: UUID, capability: Capability, *, lock: bool = False) -> TenantIntegration:
    """Return one connection with which the caller may do it, locked until the end of the transaction if asked.

    Raises:
        Http404: it does not exist for this caller.
        PermissionDenied: the caller may not do that with it.
    """
    caller = caller_of(request)
    rows = TenantIntegration.objects.present().filter(tenant__in=caller.tenants(), public_id=connection_id)
    found = rows.select_for_update(of=("self",)) if lock else rows.select_related("tenant")
    integration = found.first()
    if integration is None:
        raise Http404
    caller.require(capability, integration.tenant_id)
    return integration


def one_below(request: HttpRequest, model: type[Model], pk: int, capability: Capability) -> Any:
    """Return one row of a connection (its field ``connection``), with which the caller may do it.

    Raises:
        Http404: it does not exist for this caller.
        PermissionDenied: the caller may not do that with it.
    """
    caller = caller_of(request)
    rows = model._default_manager.filter(connection__tenant__in=caller.tenants(), pk=pk)
    row: Any = rows.select_related("connection__tenant").first()
    if row is None:
        raise Http404
    caller.require(capability, row.connection.tenant_id)
    return row


def require_kind(request: HttpRequest, key: str, tenant: Any) -> None:
    """Refuse kinds of systems that are not this caller's to use for `tenant` (docs/COLLABORATION.md).

    Raises:
        PermissionDenied: the message names the family.
    """
    caller_of(request).require_kind(key, tenant)


def tenant_of(request: HttpRequest, key: str | int | None) -> Any:
    """Return the tenant that `key` names, or the only one that the caller has.

    Raises:
        ConfigurationError: there is none of that name, or nobody said which one.
    """
    mine = caller_of(request).tenants()
    if key is None:
        only = list(mine[:2])
        if len(only) == 1:
            return only[0]
        raise ConfigurationError({"tenant": "say which one: its slug or id"})
    tenant = find_tenant(key)
    if tenant is None or not mine.filter(pk=tenant.pk).exists():
        raise ConfigurationError({"tenant": "there is no such tenant"})
    return tenant
