"""Which tenants a person may see: ``INTEGRATIONS_TENANTS_OF = "accounts.access.accounts_of"``.

    def accounts_of(user):
        return Account.objects.filter(members=user)

Without that setting superusers see all tenants, and everybody else none.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from .tenant import tenant_model


def tenants_of(user: Any) -> QuerySet[Any]:
    """Return the tenants that `user` may see, as the project's function says."""
    path = getattr(settings, "INTEGRATIONS_TENANTS_OF", "")
    found: QuerySet[Any] = import_string(path)(user) if path else all_for_superusers(user)
    return found


def all_for_superusers(user: Any) -> QuerySet[Any]:
    """Return all tenants for an active superuser, else none."""
    tenants = tenant_model()._default_manager
    return tenants.all() if user.is_active and user.is_superuser else tenants.none()
