"""Inbound webhooks: what providers told us about our integrations. Each leads to its story in the console, which shows
what came and may have it processed again; here many are processed again at once."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from integrations.admin.lists.filters import IntegrationFilter
from integrations.admin.lists.history import HistoryAdmin
from integrations.admin.lists.recent_filters import ActionFilter, EventTypeFilter, OutcomeFilter
from integrations.admin.pages.links import console_url, link, link_to_integration
from integrations.admin.tenancy.scoped_admin import TenantFilter
from integrations.connections.access import may_act_on
from integrations.inbound.models import WebhookEvent
from integrations.tenancy.capabilities import Capability

from .mixin import WebhookEventAdminMixin


@admin.register(WebhookEvent)
class WebhookEventAdmin(WebhookEventAdminMixin, HistoryAdmin):
    """Newest first; one without an integration is for superusers only."""

    list_display = (*WebhookEventAdminMixin.list_display, "console")
    readonly_fields = fields = ("status_now", "story", "connection_name", "what", "key", "times", "shown_error")
    fieldsets = None
    buttons = ()

    tenant_lookup = "connection__tenant"
    integration_field = "connection"
    capabilities: ClassVar = {"view": Capability.VIEW_DELIVERIES, "operate": Capability.PULL}
    list_filter = (OutcomeFilter, IntegrationFilter, ActionFilter, EventTypeFilter, TenantFilter)

    @admin.display(description="integration")
    def connection_name(self, obj: WebhookEvent) -> Any:
        return link_to_integration(obj.connection)

    @admin.display(description="")
    def console(self, obj: WebhookEvent) -> Any:
        return link("Story", console_url("inbound-event", obj.pk))

    @admin.display(description="story")
    def story(self, obj: WebhookEvent) -> Any:
        return link("What came, what it did here; process it again", console_url("inbound-event", obj.pk))

    def may_operate(self, request: HttpRequest, obj: Any) -> bool:
        is_theirs = super().may_operate(request, obj) and self.role_allows(request, "operate", obj)
        return is_theirs and (obj is None or obj.connection is None or may_act_on(request.user, obj.connection))

    def role_allows(self, request: HttpRequest, action: str, obj: Any) -> bool:
        return obj is None or obj.connection is None or super().role_allows(request, action, obj)

    def _in_scope(self, request: HttpRequest, obj: Any) -> bool:
        if obj is not None and obj.connection is None:
            return bool(request.user.is_active and request.user.is_superuser)
        return super()._in_scope(request, obj)
