"""Pulls in the admin of anybody's model: how far, when next, what went wrong; pull now, start over."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from integrations.admin.lists.listed_filters import ListedFilters
from integrations.admin.lists.recent_filters import ConnectionFilter
from integrations.admin.pages.object_buttons import Button, ObjectButtons
from integrations.admin.widgets.assets import Assets
from integrations.pages.display import NOTHING, Badge, exact, next_pull, pull_badge, short, when
from integrations.pull import by_hand as pull_actions
from integrations.pull.models import AbstractSyncState
from integrations.tenancy.harmless_text import harmless

Status = AbstractSyncState.Status
CURSOR_SHOWN = 16
_OURS = {field.name for field in AbstractSyncState._meta.get_fields()}
_RUN_TIME = ("state", "last", "next", "progress", "errors", "shown_cursor")


class SyncStateAdminMixin(ListedFilters, ObjectButtons):
    """For the ModelAdmin of a model derived from AbstractSyncState; only what is pulled, and from whom, is editable."""

    list_display: Any = ("resource", "connection_name", "state", "last", "next", "errors", "shown_cursor")
    list_filter: ClassVar[Any] = ("status", ConnectionFilter)
    list_per_page = 50
    ordering: ClassVar[Any] = ("-pk",)
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions: Any = ("pull_now", "start_over")
    buttons: tuple[Button, ...] = (
        Button("pull-now", "Pull now", "pull_now", "Asks a worker to go on from the cursor", is_main=True),
        Button("start-over", "Start over (full resync)", "start_over", "Forgets the cursor and reads everything again"),
    )
    Media = Assets
    change_list_template = "admin/integrations/dense_change_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.select_related("connection") if hasattr(self.model, "connection") else queryset

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.fields or self.fieldsets:
            return super().get_fields(request, obj)
        model = self.model
        own = [field.name for field in (*model._meta.fields, *model._meta.many_to_many) if field.editable]
        mine = [name for name in own if name not in _OURS and name != model._meta.pk.name]
        return ["resource_type", *mine, *(() if obj is None else _RUN_TIME)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        ours = tuple(name for name in _OURS - {"resource_type"} if name != self.model._meta.pk.name)
        # The cursor belongs to one kind of thing of one provider.
        fixed = ("resource_type", *(("connection",) if hasattr(self.model, "connection") else ())) if obj else ()
        return (*fields, *fixed, *ours, *_RUN_TIME)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write only what was changed: a worker may be writing the same row."""
        if not change:
            super().save_model(request, obj, form, change)
        elif columns := [field.name for field in obj._meta.concrete_fields if field.name in form.changed_data]:
            obj.save(update_fields=columns)

    # -- columns ----------------------------------------------------------------------------------

    @admin.display(description="resource")
    def resource(self, obj: Any) -> str:
        return harmless(obj.resource_type) or NOTHING

    @admin.display(description="connection")
    def connection_name(self, obj: Any) -> Any:
        return getattr(obj, "connection", None) or NOTHING

    @admin.display(description="state")
    def state(self, obj: Any) -> Badge:
        return pull_badge(obj)

    @admin.display(description="last completed")
    def last(self, obj: Any) -> Any:
        return when(obj.last_sync_at)

    @admin.display(description="next")
    def next(self, obj: Any) -> Any:
        return next_pull(obj)

    @admin.display(description="errors in a row")
    def errors(self, obj: Any) -> Any:
        if not obj.error_count:
            return NOTHING
        return format_html('{}<div class="ig-quiet">{}</div>', obj.error_count, short(harmless(obj.last_error), 200))

    @admin.display(description="pages in this run")
    def progress(self, obj: Any) -> str:
        until = f", leased until {exact(obj.lease_expires_at)}" if pull_actions.is_leased(obj) else ""
        return f"{obj.pages_in_run}{until}"

    @admin.display(description="cursor")
    def shown_cursor(self, obj: Any) -> Any:
        """A provider's cursor may be a token that reads on: only its beginning is shown."""
        if not obj.cursor:
            return "at the beginning"
        start = harmless(obj.cursor[:CURSOR_SHOWN])
        if len(obj.cursor) <= CURSOR_SHOWN:
            return format_html('<code class="ig-break">{}</code>', start)
        length = f"{len(obj.cursor)} characters"
        return format_html('<code class="ig-break">{}…</code><div class="ig-quiet">{}</div>', start, length)

    # -- actions ----------------------------------------------------------------------------------

    def may_operate(self, request: HttpRequest, obj: Any) -> bool:
        return bool(self.has_change_permission(request, obj))

    @admin.action(permissions=["operate"], description="Pull now")
    def pull_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, pull_actions.pull_now)

    @admin.action(permissions=["operate"], description="Start over (full resync)")
    def start_over(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, pull_actions.start_over)

    def _act(self, request: HttpRequest, queryset: QuerySet[Any], action: Any) -> None:
        done = action(queryset, partial(self.may_operate, request))
        for obj in done.rows:
            self.log_change(request, obj, f"{done.did}.")
        for is_good, words in done.messages():
            messages.add_message(request, messages.SUCCESS if is_good else messages.WARNING, words)
