"""Which tenants a person may see, and who works for them: what the example tells the library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from integrations.tenancy.roles import BY_PERMISSIONS
from integrations.tenancy.tenant import find_tenant

from .models import Membership, Tenant

__all__ = ["find_tenant", "people_of", "role_of", "roles_of", "tenants_of"]


def tenants_of(user: Any) -> QuerySet[Tenant]:
    """Return the tenants that `user` may see: all for a superuser, else those of their memberships.

    One that is being deleted is gone for everybody but superusers.
    """
    if user.is_active and user.is_superuser:
        return Tenant.objects.all()
    return Tenant.objects.filter(membership__user_id=user.pk, deleting_since=None)


def role_of(user: Any, tenant_key: Any) -> str | None:
    """Return the role of `user` for one tenant, "permissions" if nobody gave them one, None if they are not of it."""
    roles = Membership.objects.filter(user_id=user.pk, tenant_id=tenant_key).values_list("role", flat=True)
    return next((role or BY_PERMISSIONS for role in roles), None)


def roles_of(user: Any) -> dict[Any, str]:
    """Return the same for all tenants of `user`, by the tenant's key."""
    roles = Membership.objects.filter(user_id=user.pk).values_list("tenant_id", "role")
    return {key: role or BY_PERMISSIONS for key, role in roles}


def people_of(tenant_ids: Iterable[Any]) -> QuerySet[Any]:
    """Return the people who work for these tenants."""
    return get_user_model()._default_manager.filter(tenants__in=tenant_ids).distinct()
