"""Integration Syncs: what we owe, what arrived, what failed and why. Each row leads to its story in the console.

The last of an object are shown on its own page, too, whatever its model: did it arrive?
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from integrations.admin.lists.filters import EventTypeFilter, IntegrationFilter
from integrations.admin.lists.history import HistoryAdmin
from integrations.admin.pages.links import console_url, link, page_url
from integrations.admin.pages.page_context import PageContext
from integrations.admin.tenancy.panels import Panel, register_panel
from integrations.admin.tenancy.scoped_admin import TenantFilter
from integrations.admin.widgets.assets import CSS, Assets
from integrations.audit.notes import has_note_writer
from integrations.audit.why_not import WhyNot, why_not, why_nothing
from integrations.capture.trigger_handler import recorded_types_of
from integrations.label import permission
from integrations.outbox.models import IntegrationEvent, IntegrationSync, object_id_of
from integrations.pages.display import NOTHING, cause, exact, short, sync_badge, sync_story, when
from integrations.tenancy.boundary import owner_of, owner_path
from integrations.tenancy.capabilities import Capability

from .object_links import link_objects, search_objects

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


SHOWN = 20


def deliveries(request: HttpRequest, obj: Any) -> str:
    """Return the last syncs of `obj` as a table."""
    if not request.user.has_perm(permission("view", "integrationsync")):
        return "You may not see deliveries."
    content_type = ContentType.objects.get_for_model(obj)
    syncs = IntegrationSync.objects.filter(
        event__content_type=content_type, event__object_id=object_id_of(obj.pk), integration__tenant=owner_of(obj)
    )
    syncs = syncs.select_related("event__origin", "integration__lane").defer("event__body", "older_body")
    syncs = syncs.order_by("-event_id", "-id")
    shown = list(syncs[:SHOWN])
    rows = [
        (
            console_url("delivery", sync.pk) or page_url("integrationsync", "change", sync.pk),
            sync_badge(sync),
            sync_story(sync),
            sync.event.event_type,
            cause(sync.event),
            sync.integration.name,
            when(sync.settled_at or sync.created_at),
            short(sync.last_error or sync.reason, 60),
        )
        for sync in shown
    ]
    if not rows:
        return _why_nothing(obj)
    body = format_html_join(
        "",
        '<tr><td><a href="{}">{}</a><div class="ig-quiet">{}</div></td>'
        '<td>{}<div class="ig-quiet">{}</div></td><td>{}</td><td>{}</td><td>{}</td></tr>',
        rows,
    )
    newest = IntegrationEvent.objects.get(pk=shown[0].event_id)  # with its body
    left_out = why_not(newest)
    return format_html(
        '<div class="ig-scroll"><table class="ig-table"><thead><tr><th>Status</th><th>Event</th><th>Integration</th>'
        "<th>When</th><th>Error or reason</th></tr></thead><tbody>{}</tbody></table></div>{}{}",
        body,
        _everything(newest),
        _reasons(f"Not told of {newest.event_type} #{newest.pk}:", left_out),
    )


def _why_nothing(obj: Any) -> str:
    """Say why there is nothing: from the object's newest event, or, if it has none, from who wants such events."""
    key = {"content_type": ContentType.objects.get_for_model(obj), "object_id": object_id_of(obj.pk)}
    newest = IntegrationEvent.objects.filter(**key, tenant=owner_of(obj)).order_by("-id").first()
    if newest is not None:
        return format_html("Nothing was sent about this yet.{}", _reasons("", why_not(newest)))
    reasons = why_nothing(owner_of(obj), recorded_types_of(obj))
    if not reasons:
        return "Nothing was sent about this yet: this tenant has no integration."
    return format_html("Nothing was sent about this yet: nobody wanted what happened to it.{}", _reasons("", reasons))


def _everything(event: IntegrationEvent) -> str:
    """Lead to the console's page of the object: every attempt, its notes, and retry."""
    url = console_url("object", event.content_type_id, event.object_id)
    return (
        format_html('<p><a href="{}">Everything about this object, with each attempt; retry there</a></p>', url)
        if url
        else ""
    )


def _reasons(title: str, reasons: list[WhyNot]) -> str:
    if not reasons:
        return ""
    lines = format_html_join("", "<li><b>{}</b>: {}</li>", ((each.integration, each.sentence) for each in reasons))
    return format_html('<div class="ig-quiet">{}<ul>{}</ul></div>', title, lines)


def _has_deliveries(model: type[models.Model]) -> bool:
    return has_note_writer(model) and owner_path(model) is not None


# Not for each registered admin: another app's admin.py may import ours before its neighbours have registered theirs.
register_panel(None, Panel("Deliveries", deliveries, (CSS,), _has_deliveries))
