"""The ERP push log: the pushes under the column names of `ERPPushLog`; the page of a push's sync has the buttons."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, Q, QuerySet, Value
from django.db.models.functions import Substr
from django.http import HttpRequest
from django.utils.html import format_html

from integrations.admin.lists.filters import IntegrationFilter
from integrations.admin.lists.history import HistoryAdmin, is_list
from integrations.admin.pages.links import link, page_url, sees
from integrations.admin.tenancy.scoped_admin import TenantFilter
from integrations.admin.widgets.assets import Assets
from integrations.display import NOTHING, Badge, Kind, exact, short
from integrations.erp.connection import ERPConnection
from integrations.erp.push_log import ERPPushLog

COLUMNS = ("id", "org", "draft_order", "connector", "state", "request", "response", "error", "key", "retries",
           "latency", "created")  # fmt: skip
SHOWN = 60  # characters of a body in the list
_KINDS: dict[str, Kind] = {"SUCCESS": "ok", "FAILED": "bad", "PENDING": "warn", "RETRYING": "warn"}


class PushStatusFilter(admin.SimpleListFilter):
    """Filter by the status of pushes."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in ERPPushLog.Status.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(ERPPushLog)
class ERPPushLogAdmin(HistoryAdmin):
    """Read-only, newest first."""

    tenant_lookup = "integration__tenant"
    list_display = COLUMNS
    list_filter = (PushStatusFilter, IntegrationFilter, TenantFilter)
    search_fields = ("event__idempotency_key",)  # get_search_results does it
    search_help_text = "An order's id or an idempotency key."
    fields = COLUMNS
    readonly_fields = COLUMNS
    Media = Assets

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        sees_syncs = Value(sees(request.user, "integrationsync"), BooleanField())
        queryset = super().get_queryset(request).annotate(sees_syncs=sees_syncs)
        if not is_list(request):
            return queryset
        # Ids as plain numbers: pushes are few among the rows of all integrations, and their own index finds them.
        mine = list(ERPConnection.objects.values_list("pk", flat=True))
        queryset = queryset.filter(integration__in=mine).defer("event__body")
        return queryset.annotate(start=Substr("event__body", 1, SHOWN))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by the whole term: an order's id may have blanks in it."""
        term = search_term.strip()
        found = queryset.filter(Q(event__object_id=term) | Q(event__idempotency_key=term)) if term else queryset
        return found, False

    @admin.display(description="org id")
    def org(self, obj: ERPPushLog) -> int:
        return obj.org_id

    @admin.display(description="draft order id")
    def draft_order(self, obj: ERPPushLog) -> str:
        return obj.draft_order_id

    @admin.display(description="connector type")
    def connector(self, obj: ERPPushLog) -> str:
        return obj.connector_type

    @admin.display(description="status")
    def state(self, obj: ERPPushLog) -> Badge:
        return Badge(_KINDS[obj.status], str(ERPPushLog.Status(obj.status).label), obj.reason)

    @admin.display(description="request json")
    def request(self, obj: ERPPushLog) -> Any:
        start = getattr(obj, "start", None)
        return _code(obj.request_json) if start is None else f"{start}…"

    @admin.display(description="response json")
    def response(self, obj: ERPPushLog) -> Any:
        if not obj.response_json:
            return NOTHING
        is_list = hasattr(obj, "start")
        return short(json.dumps(obj.response_json, ensure_ascii=False), SHOWN) if is_list else _code(obj.response_json)

    @admin.display(description="error message")
    def error(self, obj: ERPPushLog) -> Any:
        return short(obj.error_message)

    @admin.display(description="idempotency key")
    def key(self, obj: Any) -> Any:
        url = page_url("integrationsync", "change", obj.pk) if obj.sees_syncs else ""
        return link(obj.idempotency_key, url, "The sync, with every attempt")

    @admin.display(description="retry count")
    def retries(self, obj: ERPPushLog) -> int:
        return obj.retry_count

    @admin.display(description="latency ms")
    def latency(self, obj: ERPPushLog) -> int:
        return obj.latency_ms

    @admin.display(description="created at")
    def created(self, obj: ERPPushLog) -> str:
        return exact(obj.created_at)


def _code(value: Any) -> Any:
    return format_html('<pre class="ig-code ig-payload">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))
