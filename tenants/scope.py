"""Which tenants a person may see."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from .models import Tenant


def tenants_of(user: Any) -> QuerySet[Tenant]:
    """Return the tenants that `user` may see: all for a superuser, else those of their memberships."""
    if user.is_active and user.is_superuser:
        return Tenant.objects.all()
    return Tenant.objects.filter(membership__user_id=user.pk)
