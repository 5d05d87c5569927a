"""Which tenants a person may see: ``INTEGRATIONS_TENANTS_OF = "accounts.access.accounts_of"``.

    def accounts_of(user):
        return Account.objects.filter(members=user)

Without that setting superusers see all tenants, and everybody else none.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Manager, QuerySet
from django.db.models.query import ModelIterable
from django.utils.module_loading import import_string

from .tenant import tenant_model


def tenants_of(user: Any) -> QuerySet[Any]:
    """Return the tenants that `user` may see, as the project's function says.

    Raises:
        ImproperlyConfigured: it returned no queryset of tenants.
    """
    path = getattr(settings, "INTEGRATIONS_TENANTS_OF", "")
    return _filterable(path, import_string(path)(user)) if path else all_for_superusers(user)


def _filterable(path: str, found: Any) -> QuerySet[Any]:
    """Return what the function at `path` returned as a queryset that can be filtered further."""
    model = tenant_model()
    rows = found.all() if isinstance(found, Manager) else found
    is_queryset = isinstance(rows, QuerySet) and issubclass(rows._iterable_class, ModelIterable)
    if not is_queryset or not issubclass(rows.model, model):
        raise ImproperlyConfigured(
            f"INTEGRATIONS_TENANTS_OF: {path} returned a {type(found).__name__}; it must return a queryset of "
            f"{model._meta.label}, without values()."
        )
    if rows.query.is_sliced or rows.query.combinator:
        return model._default_manager.filter(pk__in=[tenant.pk for tenant in rows])
    return rows


def all_for_superusers(user: Any) -> QuerySet[Any]:
    """Return all tenants for an active superuser, else none."""
    tenants = tenant_model()._default_manager
    return tenants.all() if user.is_active and user.is_superuser else tenants.none()
