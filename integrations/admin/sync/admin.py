"""Integration Syncs: what we owe, what arrived, what failed and why. Each row leads to its story in the console."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.lists.filters import EventTypeFilter, IntegrationFilter
from integrations.admin.lists.history import HistoryAdmin
from integrations.admin.pages.links import console_url, link, page_url
from integrations.admin.pages.object_links import link_objects, search_objects
from integrations.admin.pages.page_context import PageContext
from integrations.admin.tenancy.scoped_admin import TenantFilter
from integrations.admin.widgets.assets import Assets
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.pages.display import NOTHING, cause, exact, short, sync_badge, sync_story, when
from integrations.tenancy.capabilities import Capability

FOUND = 1000  # events that a search may find


class _SyncList(ChangeList):
    """Finds the objects of one page of syncs with one query per kind."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        link_objects(request, [sync.event for sync in self.result_list])


@admin.register(IntegrationSync)
class IntegrationSyncAdmin(PageContext, HistoryAdmin):
    """One row per event and subscribed integration."""

    tenant_lookup = "integration__tenant"
    capabilities: ClassVar = {"view": Capability.VIEW_DELIVERIES}
    list_display = ("state", "what", "destination", "tries", "error", "created", "console")
    list_filter = ("status", IntegrationFilter, EventTypeFilter, TenantFilter, "created_at")
    search_fields = ("event__idempotency_key",)  # get_search_results does more
    search_help_text = "A webhook-id, an object's id or words of the object, such as its reference."
    actions = None
    readonly_fields = ("status_now", "story", "event_type", "object", "destination", "tries", "last_error", "reason",
                       "times", "webhook_id", "sequence")  # fmt: skip
    fieldsets = ((None, {"fields": readonly_fields}),)
    heavy = ("event__body", "older_body")
    Media = Assets

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.select_related("event__origin", "integration__tenant", "integration__lane")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _SyncList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by webhook-id, object id or the object's own words; each is a walk in an index of events."""
        term = search_term.strip()
        if not term:
            return queryset, False
        objects = Q(content_type__in=list(ContentType.objects.values_list("pk", flat=True)), object_id=term)
        for content_type_id, object_ids in search_objects(request, term):
            objects |= Q(content_type=content_type_id, object_id__in=object_ids)
        events = IntegrationEvent.objects.order_by("-id").values_list("pk", flat=True)
        by_key = list(events.filter(idempotency_key=term))
        return queryset.filter(event__in=by_key or list(events.filter(objects)[:FOUND])), False

    # -- columns ----------------------------------------------------------------------------------

    @admin.display(description="status")
    def state(self, obj: IntegrationSync) -> Any:
        story = sync_story(obj)
        if not story:
            return sync_badge(obj)
        return format_html('{}<div class="ig-quiet">{}</div>', sync_badge(obj), story)

    @admin.display(description="event type, object")
    def what(self, obj: IntegrationSync) -> SafeString:
        row = format_html("{}<div>{}</div>", obj.event.event_type, self.object(obj))
        by = cause(obj.event)
        return format_html('{}<div class="ig-quiet">{}</div>', row, by) if by else row

    @admin.display(description="event type")
    def event_type(self, obj: IntegrationSync) -> str:
        by = cause(obj.event)
        return f"{obj.event.event_type}, {by}" if by else obj.event.event_type

    @admin.display(description="object")
    def object(self, obj: IntegrationSync) -> Any:
        return getattr(obj.event, "object_link", NOTHING)

    @admin.display(description="integration")
    def destination(self, obj: IntegrationSync) -> SafeString:
        return link(obj.integration, page_url("tenantintegration", "change", obj.integration_id))

    @admin.display(description="attempts")
    def tries(self, obj: IntegrationSync) -> int:
        return obj.attempts

    @admin.display(description="last error")
    def error(self, obj: IntegrationSync) -> Any:
        return short(obj.last_error)

    @admin.display(description="created, settled")
    def created(self, obj: IntegrationSync) -> Any:
        if obj.settled_at is None:
            return when(obj.created_at)
        return format_html('{}<div class="ig-quiet">settled {}</div>', when(obj.created_at), when(obj.settled_at))

    @admin.display(description="")
    def console(self, obj: IntegrationSync) -> Any:
        return link("Story", console_url("delivery", obj.pk))

    # -- detail -----------------------------------------------------------------------------------

    @admin.display(description="status")
    def status_now(self, obj: IntegrationSync) -> SafeString:
        return format_html('{} <span class="ig-quiet">{}</span>', sync_badge(obj), sync_story(obj))

    @admin.display(description="times")
    def times(self, obj: IntegrationSync) -> str:
        times = {"created": obj.created_at, "retried": obj.retried_at, "settled": obj.settled_at}
        return " · ".join(f"{word} {exact(at)}" for word, at in times.items() if at or word != "retried")

    @admin.display(description="webhook-id")
    def webhook_id(self, obj: IntegrationSync) -> SafeString:
        return format_html("<code>{}</code>", obj.event.idempotency_key)

    @admin.display(description="webhook-sequence")
    def sequence(self, obj: IntegrationSync) -> int:
        return obj.event_id

    @admin.display(description="story")
    def story(self, obj: IntegrationSync) -> Any:
        """Lead to the console, which has every attempt with its request and answer, and the buttons."""
        return link("Every attempt with its request and answer; retry, replay, cancel", console_url("delivery", obj.pk))

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        context = super().page_context(request, obj)
        link_objects(request, [obj.event])
        return context
