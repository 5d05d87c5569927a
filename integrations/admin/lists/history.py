"""Pages of what happened: newest first, read-only, quick however much there is, for counting stops."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.admin.tenancy.scoped_admin import TenantScopedAdmin

from .listed_filters import ListedFilters

PAGED = 5_000  # rows that can be paged through; older ones are found by filter and search


class BoundedPaginator(Paginator):
    """Pages through the newest PAGED rows."""

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[:PAGED].count()  # type: ignore[attr-defined]


def is_list(request: HttpRequest) -> bool:
    """Tell whether a list is asked for: its rows are many, and their long columns not shown."""
    match = request.resolver_match
    return match is not None and (match.url_name or "").endswith("_changelist")


class History(ListedFilters):
    """Mixed into the ModelAdmin of anybody's model.

    Attributes:
        heavy: columns that no list reads.
    """

    heavy: ClassVar[tuple[str, ...]] = ()
    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering: ClassVar[Any] = ("-pk",)
    sortable_by: ClassVar[Any] = ()  # any other order would sort the whole table

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.defer(*self.heavy) if is_list(request) else queryset


class HistoryAdmin(History, TenantScopedAdmin):
    """Base of our own such pages.

    Attributes:
        integration_field: what the model calls its key to the integration.
    """

    integration_field = "integration"
    actions_on_bottom = False
    list_display_links: tuple[str, ...] | None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def limit_to(self, queryset: QuerySet[Any], ids: list[int]) -> QuerySet[Any]:
        # Integration ids as plain numbers, not a join: the planner then knows how rare they are.
        from integrations.connections.models import TenantIntegration

        mine = TenantIntegration.objects.filter(tenant__in=ids).values_list("pk", flat=True)
        return queryset.filter(**{f"{self.integration_field}__in": list(mine)})
