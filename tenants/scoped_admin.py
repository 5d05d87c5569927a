"""The base of the example's admin pages: people to choose from are those who work for the tenant."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.admin.tenancy import scoped_admin
from integrations.admin.tenancy.scoped_admin import CountedDeletion, NothingToTell, TenantFilter, TenantOwnedForm

from .scope import people_of

__all__ = ["CountedDeletion", "NothingToTell", "TenantFilter", "TenantOwnedForm", "TenantScopedAdmin"]


class TenantScopedAdmin(scoped_admin.TenantScopedAdmin):
    """Base of the admin of everything that belongs to a tenant."""

    def people_of(self, request: HttpRequest, ids: list[Any]) -> QuerySet[Any]:
        return people_of(ids)
