"""API keys as the admin lists them; they are made in the console, where a new one is shown."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.admin.tenancy.scoped_admin import TenantFilter, TenantScopedAdmin
from integrations.api_keys.keys import revoke
from integrations.api_keys.models import APIKey
from integrations.counted import counted
from integrations.label import permission
from integrations.pages.display import NOTHING, Badge, when
from integrations.tenancy.capabilities import Capability


@admin.register(APIKey)
class APIKeyAdmin(TenantScopedAdmin):
    """Look and revoke."""

    capabilities: ClassVar = {"view": Capability.KEYS, "operate": Capability.KEYS}
    list_display = ("name", "tenant", "state", "shown", "may", "last_used", "made_by")
    list_filter = (TenantFilter,)
    search_fields = ("name", "prefix")
    actions = ("revoke_keys",)
    fields = readonly_fields = (
        "name",
        "state",
        "shown",
        "may",
        "last_used",
        "last_used_from",
        "made_by",
        "created_at",
        "expires_at",
        "revoked_at",
        "revoked_by",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what a key did stays told

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may revoke keys: who may change them."""
        return bool(request.user.has_perm(permission("change", "apikey")))

    @admin.display(description="state")
    def state(self, obj: APIKey) -> Badge:
        why = obj.why_not()
        return Badge("off", f"– {why.capitalize()}") if why else Badge("ok", "✓ Taken")

    @admin.display(description="key")
    def shown(self, obj: APIKey) -> str:
        return obj.shown

    @admin.display(description="may")
    def may(self, obj: APIKey) -> str:
        return ", ".join(obj.scopes)

    @admin.display(description="last used")
    def last_used(self, obj: APIKey) -> Any:
        return when(obj.last_used_at) if obj.last_used_at else NOTHING

    @admin.action(permissions=["revoke"], description="Revoke (refused from the next request on)")
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        allowed = [key for key in queryset if self.role_allows(request, "operate", key)]
        count = sum(revoke(key, actor=request.user) for key in allowed)
        words = f"{counted(count, 'API key')} revoked." if count else "None of them was in use."
        messages.add_message(request, messages.SUCCESS if count else messages.WARNING, words)
