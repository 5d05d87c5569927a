"""The admin pages of tenants and the people in them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.admin.tenancy.scoped_admin import NoNumberTooLarge, tenant_ids

from .models import Membership, Tenant
from .scoped_admin import CountedDeletion, NothingToTell, TenantFilter, TenantScopedAdmin


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
    list_display = ("name", "slug", "state", "created_at")
    search_fields = ("name", "slug")
    fields = ("name", "slug")
    inlines = (MembershipInline,)

    @admin.display(description="state", ordering="deleting_since")
    def state(self, obj: Tenant) -> str:
        if obj.deleting_since is None:
            return ""
        left = obj.deleting_rows_left
        return "being deleted: " + ("waits for a worker" if left is None else f"{left:,} rows left")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and getattr(obj, "deleting_since", None) is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and getattr(obj, "deleting_since", None) is None


@admin.register(Membership)
class MembershipAdmin(_ManagedBySuperusers):
    """Who works for which tenant."""

    list_display = ("user", "tenant", "role")
    list_filter = (TenantFilter, "role")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "tenant__name")
    autocomplete_fields = ("user",)


class PeopleAdmin(NothingToTell, NoNumberTooLarge, UserAdmin):
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

    # What staff could filter by, they could ask about people's other tenants.
    def get_list_filter(self, request: HttpRequest) -> Any:
        return super().get_list_filter(request) if request.user.is_superuser else ("is_staff", "is_active")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        if request is not None and request.user.is_superuser:
            return super().lookup_allowed(lookup, value, request)
        return lookup.removesuffix("__exact") in {"is_staff", "is_active"}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if request.user.is_superuser:
            return fieldsets
        hidden = {"groups", "user_permissions"}
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in fieldsets
        ]


class _SuperusersOnly(NothingToTell):
    """Pages whose rows belong to no tenant and act on all of them: groups of permissions, schedules."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


def take_from_staff(app_labels: frozenset[str] = frozenset({"auth", "django_celery_beat"})) -> None:
    """Leave the stock admin pages of these apps to superusers; called when every admin is registered."""
    for model, page in list(admin.site._registry.items()):
        kind = type(page)
        ours = issubclass(kind, (PeopleAdmin, _SuperusersOnly))
        if model._meta.app_label in app_labels and not ours:
            admin.site.unregister(model)
            admin.site.register(model, type(kind.__name__, (_SuperusersOnly, kind), {}))


if type(admin.site._registry.get(get_user_model())) is UserAdmin:  # a host's own admin is left alone
    admin.site.unregister(get_user_model())
    admin.site.register(get_user_model(), PeopleAdmin)
