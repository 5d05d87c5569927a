"""The execution log: every attempt, test and call. What people did is in the console's audit trail."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, QuerySet, Value
from django.http import HttpRequest
from django.utils.html import format_html

from integrations.admin.lists.filters import IntegrationFilter
from integrations.admin.lists.history import HistoryAdmin
from integrations.admin.pages.links import link, page_url, sees
from integrations.admin.tenancy.scoped_admin import TenantFilter
from integrations.admin.widgets.assets import Assets
from integrations.audit.models import ExecutionLog
from integrations.pages.display import NOTHING, Badge, exact, short


@admin.register(ExecutionLog)
class ExecutionLogAdmin(HistoryAdmin):
    """Newest first; redacted when it was written."""

    list_display = ("time", "action", "actor", "whose", "sync_link", "tried", "result", "took", "message")
    list_filter = (IntegrationFilter, TenantFilter)
    fields = ("time", "action", "actor", "whose", "sync_link", "tried", "result", "method", "url", "took", "error",
              "answer")  # fmt: skip
    readonly_fields = ("time", "whose", "sync_link", "tried", "result", "took", "answer")
    Media = Assets

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request).defer("request_payload").select_related("integration", "sync")
        return queryset.annotate(
            sees_syncs=Value(sees(request.user, "integrationsync"), BooleanField()),
            sees_integrations=Value(sees(request.user, "tenantintegration"), BooleanField()),
        )

    def limit_to(self, queryset: QuerySet[Any], ids: list[int]) -> QuerySet[Any]:
        return queryset.filter(tenant__in=ids)  # of integrations that are gone, too

    @admin.display(description="time")
    def time(self, obj: ExecutionLog) -> str:
        return exact(obj.created_at)

    @admin.display(description="integration")
    def whose(self, obj: Any) -> Any:
        """The names of that time, as `TenantIntegration.__str__` puts them."""
        name = f"{obj.integration_name} ({obj.tenant_name})"
        if obj.integration is None:
            return format_html('{}<div class="ig-quiet">deleted</div>', name)
        url = page_url("tenantintegration", "change", obj.integration_id) if obj.sees_integrations else ""
        return link(name, url)

    @admin.display(description="sync")
    def sync_link(self, obj: Any) -> Any:
        if obj.sync is None:
            return NOTHING if obj.sync_id is None else f"sync {obj.sync_id} (deleted)"
        url = page_url("integrationsync", "change", obj.sync_id) if obj.sees_syncs else ""
        return link(f"sync {obj.sync_id}", url)

    @admin.display(description="attempt")
    def tried(self, obj: ExecutionLog) -> Any:
        return obj.attempt or NOTHING

    @admin.display(description="result")
    def result(self, obj: ExecutionLog) -> Any:
        if obj.action not in ("deliver", "test", "check"):
            return NOTHING  # what people did
        if obj.error:
            return Badge("bad", f"✗ {obj.response_status or 'no answer'}")
        return Badge("ok", f"✓ {obj.response_status or ''}")

    @admin.display(description="took")
    def took(self, obj: ExecutionLog) -> str:
        return f"{obj.duration_ms} ms" if obj.duration_ms else NOTHING

    @admin.display(description="error")
    def message(self, obj: ExecutionLog) -> Any:
        return short(obj.error)

    @admin.display(description="answer (redacted)")
    def answer(self, obj: ExecutionLog) -> Any:
        return format_html('<pre class="ig-code">{}</pre>', obj.answer) if obj.answer else NOTHING
