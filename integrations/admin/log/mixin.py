"""The execution log in the admin of anybody's model: every call, as it was redacted when it was written."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.admin.lists.history import History
from integrations.admin.lists.recent_filters import ConnectionFilter
from integrations.admin.widgets.assets import Assets
from integrations.pages.display import NOTHING, Badge, exact, short
from integrations.pages.received import shown_json
from integrations.tenancy.harmless_text import harmless


class ExecutionLogAdminMixin(History):
    """For the ModelAdmin of a model derived from AbstractExecutionLog: read-only, newest first."""

    list_display = ("time", "call", "connection_name", "result", "took", "message")
    list_filter: ClassVar[Any] = (ConnectionFilter,)
    readonly_fields = ("time", "call", "connection_name", "method", "shown_url", "result", "took", "shown_error",
                       "question", "shown_answer")  # fmt: skip
    fieldsets: ClassVar[Any] = (
        (None, {"fields": readonly_fields[:8]}),
        ("Said (redacted when it was written)", {"fields": readonly_fields[8:]}),
    )
    heavy = ("request_payload", "response_payload")
    Media = Assets
    change_list_template = "admin/integrations/dense_change_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.select_related("connection") if hasattr(self.model, "connection") else queryset

    @admin.display(description="time")
    def time(self, obj: Any) -> str:
        return exact(obj.created_at)

    @admin.display(description="call")
    def call(self, obj: Any) -> Any:
        return short(harmless(obj.action))

    @admin.display(description="connection")
    def connection_name(self, obj: Any) -> Any:
        return getattr(obj, "connection", None) or NOTHING

    @admin.display(description="URL")
    def shown_url(self, obj: Any) -> str:
        return harmless(obj.url) or NOTHING

    @admin.display(description="result")
    def result(self, obj: Any) -> Any:
        status = obj.response_status
        if obj.error or (status or 0) >= 400:
            return Badge("bad", f"✗ {status or 'no answer'}")
        return Badge("ok", f"✓ {status}") if status else NOTHING

    @admin.display(description="took")
    def took(self, obj: Any) -> str:
        return f"{obj.duration_ms} ms" if obj.duration_ms else NOTHING

    @admin.display(description="error")
    def message(self, obj: Any) -> Any:
        return short(harmless(obj.error))

    @admin.display(description="error")
    def shown_error(self, obj: Any) -> str:
        return harmless(obj.error) or NOTHING

    @admin.display(description="request")
    def question(self, obj: Any) -> Any:
        return shown_json(obj.request_payload)

    @admin.display(description="answer")
    def shown_answer(self, obj: Any) -> Any:
        return shown_json(obj.response_payload)
