"""Tenant Integrations: list, form and status page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from integrations.connections.models import TenantIntegration
from integrations.connections.signing_keys import rotate_signing_secret
from integrations.credentials.masking import mask_values
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import EncryptionError
from integrations.outbox.models import IntegrationSync
from integrations.transport.redaction import mask_url
from tenants.scoped_admin import CountedDeletion, TenantFilter, TenantScopedAdmin

from . import advice, shown_once
from .bounded import BoundedCount
from .display import NOTHING, Assets, Badge, when
from .integration_buttons import PREFIX, IntegrationButtons, take_test_result
from .integration_form import IntegrationForm
from .integration_state import COUNTED, Health, badge


@admin.register(TenantIntegration)
class TenantIntegrationAdmin(CountedDeletion, IntegrationButtons, TenantScopedAdmin):
    """Where a tenant's events go."""

    form = IntegrationForm
    list_display = ("name", "state", "tenant", "host", "events", "last_success", "pending", "is_active")
    list_filter = (TenantFilter, "integration_type", "is_active", "is_enabled")
    list_per_page = 50
    search_fields = ("name", "tenant__name")
    Media = Assets

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request).select_related("tenant", "lane")
        match = request.resolver_match
        if match is None or match.url_name != f"{PREFIX}changelist":
            return queryset
        pending = IntegrationSync.objects.filter(integration=OuterRef("pk"), status=IntegrationSync.Status.PENDING)
        pending_count = BoundedCount(pending.order_by("next_attempt_at", "id").values("pk")[: COUNTED + 1])
        return queryset.annotate(pending_count=pending_count).prefetch_related("subscriptions")

    # -- list -------------------------------------------------------------------------------------

    @admin.display(description="destination")
    def host(self, obj: TenantIntegration) -> Any:
        try:
            url: Any = mask_url(obj.webhook_url) if obj.webhook_url else NOTHING
        except EncryptionError:
            url = Badge("bad", "✗ unreadable", "No key of ours opens the stored address.")
        return format_html('{}<div class="ig-quiet">{}</div>', url, obj.get_integration_type_display())

    @admin.display(description="events")
    def events(self, obj: TenantIntegration) -> Any:
        lines = sorted(subscription.event_type for subscription in obj.subscriptions.all())
        return format_html_join("", '<div class="ig-nowrap">{}</div>', ((line,) for line in lines)) or NOTHING

    @admin.display(description="state")
    def state(self, obj: TenantIntegration) -> Badge:
        return badge(obj, subscribed=bool(obj.subscriptions.all()))

    @admin.display(description="last success", ordering="lane__last_success_at")
    def last_success(self, obj: TenantIntegration) -> Any:
        return when(obj.lane.last_success_at) if hasattr(obj, "lane") else NOTHING

    @admin.display(description="pending")
    def pending(self, obj: Any) -> Any:
        count = obj.pending_count
        if not count:
            return NOTHING
        url = reverse("admin:integrations_integrationsync_changelist")
        text = f"{COUNTED}+" if count > COUNTED else count
        return format_html('<a href="{}?integration={}&status__exact=pending">{}</a>', url, obj.pk, text)

    # -- form -------------------------------------------------------------------------------------

    def own_fieldsets(self, request: HttpRequest, obj: Any) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            # Nothing here may name an encrypted attribute: Django would print its value.
            fields = ("tenant", "name", "integration_type", "is_active", "events", "host", "header_names", "is_signed")
            return [(None, {"fields": fields})]
        return [
            (None, {"fields": ("tenant", "name", "integration_type", "is_active", "version")}),
            ("Events", {"fields": ("event_types",)}),
            ("Destination", {"fields": ("webhook_url", "headers")}),
            (
                "Authentication",
                {
                    "fields": ("is_signed", ("username", "password"), ("api_key", "api_key_header")),
                    "description": "Instead of, or beside, the headers above. Secrets are write-only: dots stand for "
                    "a stored value, an emptied field removes it.",
                },
            ),
            (
                "Order and limits",
                {
                    "classes": ("collapse",),
                    "fields": (
                        "ordering",
                        ("max_in_flight", "rate_limit_per_minute"),
                        ("timeout_seconds", "max_attempts"),
                    ),
                },
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        shown = ("events", "host", "header_names") if obj is not None else ()
        return (*super().get_readonly_fields(request, obj), *shown)

    @admin.display(description="headers")
    def header_names(self, obj: TenantIntegration) -> str:
        try:
            return ", ".join(f"{name}: {dots}" for name, dots in mask_values(obj.headers).items()) or NOTHING
        except EncryptionError:
            return "unreadable"

    def save_model(self, request: HttpRequest, obj: TenantIntegration, form: Any, change: bool) -> None:
        if not change:
            obj.save()
        elif form.has_changed():
            # Only what was changed here: the workers write the switches of the same row.
            obj.save(update_fields=form.columns)
        form.save_event_types()
        if obj.is_signed:
            keys = _signing_keys(obj)
            if keys is not None and (not keys or not change):
                shown_once.keep(request, obj, keys[0]["secret"] if keys else rotate_signing_secret(obj))
        wake_on_commit({obj.pk})  # an address was mended, or pending rows are to be cancelled
        headers, credentials = form.cleaned_data["headers"], form.cleaned_data
        for text in advice.about_url(form.cleaned_data["webhook_url"]) if form.url_is_new else ():
            messages.warning(request, text)
        for text in advice.about_integration(obj, headers, credentials):
            messages.warning(request, text)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        return self._show_secret(request, obj, super().response_add(request, obj, post_url_continue))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._show_secret(request, obj, super().response_change(request, obj))

    def _show_secret(self, request: HttpRequest, obj: Any, response: HttpResponse) -> HttpResponse:
        """Lead past the new signing secret, if there is one."""
        kept = request.session.get(shown_once.KEY)
        if kept and kept["integration"] == obj.pk:
            return HttpResponseRedirect(reverse(f"admin:{PREFIX}secret", args=[obj.pk]))
        return response

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context["health"] = Health(obj)
            context["test_result"] = take_test_result(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)


def _signing_keys(integration: TenantIntegration) -> list[dict[str, Any]] | None:
    try:
        return integration.credentials.get("signing_keys") or []
    except EncryptionError:
        return None  # unreadable is not missing; the page says so
