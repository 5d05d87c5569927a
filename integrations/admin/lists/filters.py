"""Filters of the lists; each offers only what the user may see."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.connections.models import TenantIntegration
from integrations.tenancy.scope import tenants_of
from integrations.tenancy.tenant import key_of

OFFERED = 30  # links beside a list; the others are reached from the integration's own page


class IntegrationFilter(admin.SimpleListFilter):
    """Filter by integration (the rows' `integration_field`): the first OFFERED by name, and the chosen one."""

    title = "integration"
    parameter_name = "integration"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self._field = model_admin.integration_field
        mine = TenantIntegration.objects.filter(tenant__in=tenants_of(request.user)).order_by("name", "id")
        found = dict(mine.values_list("pk", "name")[:OFFERED])
        chosen = key_of(TenantIntegration, self.value() or "")
        if chosen is not None and chosen not in found:
            found |= dict(mine.filter(pk=chosen).values_list("pk", "name"))
        return [(str(pk), name) for pk, name in found.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        pk = key_of(TenantIntegration, self.value() or "")
        return queryset if pk is None else queryset.filter(**{self._field: pk})


class EventTypeFilter(admin.SimpleListFilter):
    """Filter by event type."""

    title = "event type"
    parameter_name = "event_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(event_type, event_type) for event_type, _ in TenantIntegration.EVENT_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(event__event_type=self.value()) if self.value() else queryset


class CredentialsFilter(admin.SimpleListFilter):
    """Filter by credentials that are due to be changed."""

    title = "credentials"
    parameter_name = "credentials"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("overdue", "overdue"), ("fresh", "fresh")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "overdue":
            return queryset.overdue()
        return queryset.overdue(False) if self.value() == "fresh" else queryset
