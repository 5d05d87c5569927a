"""Whose rows, and who may: asked by every call of the API. What is another tenant's does not exist here (404)."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from integrations.connections.access import may_use
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.label import permission
from integrations.tenancy.scope import tenants_of


def visible(request: HttpRequest) -> QuerySet[TenantIntegration]:
    """Return the connections of the tenants that the person works for; one that is being deleted is gone."""
    return TenantIntegration.objects.present().filter(tenant__in=tenants_of(request.user))


def one(request: HttpRequest, connection_id: UUID, *, lock: bool = False) -> TenantIntegration:
    """Return one of them, locked until the end of the transaction if asked."""
    rows = visible(request)
    found = (rows.select_for_update(of=("self",)) if lock else rows.select_related("tenant")).filter(
        public_id=connection_id
    )
    integration = found.first()
    if integration is None:
        raise Http404
    return integration


def require(request: HttpRequest, action: str) -> None:
    """Refuse who lacks Django's permission for `action` (view, add, change) on integrations."""
    if not request.user.has_perm(permission(action, "tenantintegration")):
        raise PermissionDenied


def require_kind(request: HttpRequest, key: str) -> None:
    """Refuse kinds of systems that are not this person's to use (docs/COLLABORATION.md)."""
    if not may_use(request.user, ConnectorRegistry.type_of(key).manifest):
        raise PermissionDenied
