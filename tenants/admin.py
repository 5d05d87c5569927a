"""The admin pages of tenants and the people in them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from .models import Membership, Tenant
from .scoped_admin import CountedDeletion, TenantFilter, TenantScopedAdmin, tenant_ids


class _ManagedBySuperusers(TenantScopedAdmin):
    """Staff of a tenant may look, if they have the permission; who belongs where is not theirs to say."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


class MembershipInline(admin.TabularInline):
    """The people of a tenant, on its page."""

    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    verbose_name_plural = "people"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user", "tenant")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # whoever may see the tenant

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    has_change_permission = has_delete_permission = has_add_permission


@admin.register(Tenant)
class TenantAdmin(CountedDeletion, _ManagedBySuperusers):
    """Who our customers are."""

    tenant_lookup = "pk"
    list_display = ("name", "created_at")
    search_fields = ("name",)
    fields = ("name",)
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(_ManagedBySuperusers):
    """Who works for which tenant."""

    list_display = ("user", "tenant")
    list_filter = (TenantFilter,)
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "tenant__name")
    autocomplete_fields = ("user",)


class PeopleAdmin(UserAdmin):
    """Accounts: staff may look at those of their own tenants; whoever may edit accounts can become anybody."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        ids = tenant_ids(request)
        return queryset if ids is None else queryset.filter(tenants__in=ids).distinct()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    has_delete_permission = has_change_permission


if type(admin.site._registry.get(get_user_model())) is UserAdmin:  # a host's own admin is left alone
    admin.site.unregister(get_user_model())
    admin.site.register(get_user_model(), PeopleAdmin)
