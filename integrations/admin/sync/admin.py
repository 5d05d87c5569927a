"""Integration Syncs: what we owe, what arrived, what failed and why; every attempt; retry, replay, cancel."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.lists.filters import EventTypeFilter, IntegrationFilter
from integrations.admin.lists.history import HistoryAdmin
from integrations.admin.pages.links import link, page_name, page_url
from integrations.admin.pages.object_links import link_objects, search_objects
from integrations.admin.pages.page_context import PageContext
from integrations.admin.sync.attempt import attempt_badge
from integrations.admin.tenancy.scoped_admin import TenantFilter
from integrations.admin.widgets.assets import Assets
from integrations.connections.payloads import PayloadFailed, bytes_of
from integrations.display import NOTHING, cause, exact, short, sync_badge, sync_story, when
from integrations.jobs import chosen as sync_actions
from integrations.label import permission
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.tenancy.capabilities import Capability

ATTEMPTS_SHOWN = 200
FOUND = 1000  # events that a search may find
BUTTONS = {
    "retry": sync_actions.retry,
    "replay": sync_actions.replay,
    "send_anyway": sync_actions.send_anyway,
    "cancel": sync_actions.cancel,
}


class _SyncList(ChangeList):
    """Finds the objects of one page of syncs with one query per kind."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        link_objects(request, [sync.event for sync in self.result_list])


@admin.register(IntegrationSync)
class IntegrationSyncAdmin(PageContext, HistoryAdmin):
    """One row per event and subscribed integration."""

    change_form_template = "admin/integrations/integrationsync/change_form.html"
    tenant_lookup = "integration__tenant"
    capabilities: ClassVar = {"view": Capability.VIEW_DELIVERIES, "operate": Capability.RETRY}
    list_display = ("state", "what", "destination", "tries", "error", "created")
    list_filter = ("status", IntegrationFilter, EventTypeFilter, TenantFilter, "created_at")
    search_fields = ("event__idempotency_key",)  # get_search_results does more
    search_help_text = "A webhook-id, an object's id or words of the object, such as its reference."
    actions = ("retry", "replay", "send_anyway", "cancel")
    readonly_fields = ("status_now", "event_type", "object", "destination", "tries", "last_error", "reason", "times",
                       "webhook_id", "sequence", "sent")  # fmt: skip
    fieldsets = (
        (None, {"fields": readonly_fields[:8]}),
        ("On the wire", {"fields": readonly_fields[8:]}),
    )
    heavy = ("event__body",)
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

    @admin.display(description="payload")
    def sent(self, obj: IntegrationSync) -> SafeString:
        """What is sent, indented for reading; on the wire it is one line."""
        try:
            body = bytes_of(obj.payload, obj.event.body).decode() if obj.payload else obj.event.body
            text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        except PayloadFailed as error:
            text = error.message
        except ValueError:
            text = obj.event.body
        return format_html('<pre class="ig-code ig-payload">{}</pre>', text)

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        context = super().page_context(request, obj)
        link_objects(request, [obj.event])
        logs = list(obj.logs.order_by("-id")[:ATTEMPTS_SHOWN])
        context["attempts"] = [
            {"log": log, "at": exact(log.created_at), "badge": attempt_badge(log)} for log in reversed(logs)
        ]
        if self.has_operate_permission(request) and self.role_allows(request, "operate", obj):
            again = {IntegrationSync.Status.SYNCED: "replay", IntegrationSync.Status.SKIPPED: "send_anyway"}
            names = [again.get(obj.status, "retry")]
            names += ["cancel"] if obj.status == IntegrationSync.Status.PENDING else []
            context["buttons"] = [(name, page_url("integrationsync", name, obj.pk)) for name in names]
        return context

    # -- actions ----------------------------------------------------------------------------------

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may retry and cancel: rows stay read-only even for them."""
        return bool(request.user.has_perm(permission("change", "integrationsync")))

    @admin.action(permissions=["operate"], description="Retry (deliver now)")
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, sync_actions.retry)

    @admin.action(permissions=["operate"], description="Replay (send again what was delivered)")
    def replay(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, sync_actions.replay)

    @admin.action(permissions=["operate"], description="Send anyway (what its condition kept out)")
    def send_anyway(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, sync_actions.send_anyway)

    @admin.action(permissions=["operate"], description="Cancel")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, sync_actions.cancel)

    def _act(self, request: HttpRequest, queryset: QuerySet[Any], action: Callable[..., sync_actions.Done]) -> None:
        keys = queryset.order_by().values_list("integration__tenant", flat=True).distinct()
        refused = [key for key in keys if not self.tenant_allows(request, "operate", key)]
        allowed = queryset.exclude(integration__tenant__in=refused) if refused else queryset
        done = action(allowed, actor=request.user.get_username())
        messages.add_message(request, messages.SUCCESS if done.count else messages.WARNING, str(done))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path(f"<int:pk>/{name}/", wrap(partial(self.button_view, action)), name=page_name("integrationsync", name))
            for name, action in BUTTONS.items()
        ]
        return own + super().get_urls()

    def button_view(self, action: Callable[..., sync_actions.Done], request: HttpRequest, pk: int) -> HttpResponse:
        """One of the buttons on the detail page."""
        if not self.get_queryset(request).filter(pk=pk).exists():
            raise Http404
        if not self.has_operate_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self._act(request, self.get_queryset(request).filter(pk=pk), action)
        return HttpResponseRedirect(page_url("integrationsync", "change", pk))
