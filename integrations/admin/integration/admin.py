"""Tenant Integrations: list, form and status page.

The parts of the form that depend on the connector are marked ``ig-kind``: they are what admin.js swaps when another one
is chosen.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import BooleanField, OuterRef, QuerySet, Value
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from integrations import conf
from integrations.admin.lists.filters import CredentialsFilter
from integrations.admin.lists.history import is_list
from integrations.admin.lists.listed_filters import ListedFilters
from integrations.admin.pages.links import console_url, link, page_url, sees
from integrations.admin.pages.page_context import PageContext
from integrations.admin.tenancy.scoped_admin import CountedDeletion, TenantFilter, TenantScopedAdmin
from integrations.admin.widgets.assets import Assets
from integrations.connections.access import may_use
from integrations.connections.destinations import shown_target
from integrations.connections.models import LIMITS, SIGNING, TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.counted import BoundedCount
from integrations.credentials.masking import mask_values
from integrations.delivery.models import Lane
from integrations.errors import EncryptionError
from integrations.forms import advice, shown_once
from integrations.forms.choice import (
    NOT_INSTALLED,
    about,
    calls_back,
    connector_of,
    offers_actions,
    offers_events,
    title,
)
from integrations.forms.fields import all_names, names_of
from integrations.forms.store import store
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.outbox.models import IntegrationSync
from integrations.pages.display import NOTHING, Badge, clock, exact, when
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import tenant_field

from .form import IntegrationForm


@admin.register(TenantIntegration)
class TenantIntegrationAdmin(CountedDeletion, ListedFilters, PageContext, TenantScopedAdmin):
    """Where a tenant's events go."""

    form = IntegrationForm
    capabilities: ClassVar = {
        "view": Capability.VIEW,
        "add": Capability.ADD,
        "change": Capability.SETTINGS,
        "delete": Capability.DELETE,
    }
    list_display = ("name", "state", "tenant", "host", "events", "last_success", "pending", "is_active")
    list_filter = (TenantFilter, "integration_type", "is_active", "is_enabled", CredentialsFilter)
    list_per_page = 50
    change_form_template = "admin/integrations/tenantintegration/change_form.html"
    change_list_template = "admin/integrations/tenantintegration/change_list.html"
    Media = Assets

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request).select_related("tenant", "lane", "oauth_grant")
        if not is_list(request):
            return queryset
        pending = IntegrationSync.objects.filter(integration=OuterRef("pk"), status=IntegrationSync.Status.PENDING)
        pending_count = BoundedCount(pending.order_by("next_attempt_at", "id").values("pk")[: COUNTED + 1])
        sees_syncs = Value(sees(request.user, "integrationsync"), BooleanField())
        return queryset.annotate(pending_count=pending_count, sees_syncs=sees_syncs).prefetch_related("subscriptions")

    # -- list -------------------------------------------------------------------------------------

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Judge all that the page shows at once."""
        changelist = super().get_changelist_instance(request)
        shown = list(changelist.result_list)
        health = health_of(shown)
        changelist.result_list = [row for row in shown if row.pk in health]
        for row in changelist.result_list:
            row.health = health[row.pk]
        return changelist

    @admin.display(description="destination")
    def host(self, obj: TenantIntegration) -> Any:
        try:
            target: Any = shown_target(obj) or NOTHING
        except EncryptionError:
            target = Badge("bad", "✗ unreadable", "No key of ours opens the stored address.")
        return format_html('{}<div class="ig-quiet">{}</div>', target, title(obj))

    @admin.display(description="events")
    def events(self, obj: TenantIntegration) -> Any:
        lines = sorted(subscription.event_type for subscription in obj.subscriptions.all())
        return format_html_join("", '<div class="ig-nowrap">{}</div>', ((line,) for line in lines)) or NOTHING

    @admin.display(description="state")
    def state(self, obj: Any) -> Any:
        shown: list[Any] = [badge_of(obj.health), rotation_badge(obj)]
        if obj.health.state is State.DELETING:
            shown.append(format_html('<span class="ig-quiet">{}</span>', obj.health.why))
        return format_html_join("", "<div>{}</div>", ((each,) for each in shown if each))

    @admin.display(description="last success", ordering="lane__last_success_at")
    def last_success(self, obj: TenantIntegration) -> Any:
        return when(obj.lane.last_success_at) if hasattr(obj, "lane") else NOTHING

    @admin.display(description="pending")
    def pending(self, obj: Any) -> Any:
        count = obj.pending_count
        if not count:
            return NOTHING
        url = page_url("integrationsync", "changelist") if obj.sees_syncs else ""
        text = f"{COUNTED}+" if count > COUNTED else count
        return link(text, f"{url}?integration={obj.pk}&status__exact=pending" if url else "")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "tenant__name") if tenant_field("name") else ("name",)

    # -- form -------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if fields := kwargs.get("fields"):
            # The connector's fields are no columns; the form adds them itself.
            connector = self._connector(request, obj)
            others = set(all_names(connector.manifest)) if connector is not None else set()
            kwargs["fields"] = [name for name in fields if name not in others]
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.user = request.user
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Also the buttons ask this: a person changes only kinds of systems that are theirs to use."""
        return super().has_change_permission(request, obj) and _may_use(request, obj) and not is_being_deleted(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_use(request, obj) and not is_being_deleted(obj)

    def _connector(self, request: HttpRequest, obj: Any) -> type[BaseConnector] | None:
        chosen = request.POST if request.method == "POST" else request.GET
        return connector_of(obj.integration_type if obj is not None else chosen.get("integration_type"))

    def own_fieldsets(self, request: HttpRequest, obj: Any) -> Any:
        connector = self._connector(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            return view_fieldsets(connector)
        return edit_fieldsets(connector, integration=obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        readonly = super().get_readonly_fields(request, obj)
        if obj is None:
            return readonly
        readonly += ("connector",)
        is_editable = self._connector(request, obj) is not None and self.has_change_permission(request, obj)
        # Only where they are shown: a connector may call a field of its own "host".
        return readonly if is_editable else (*readonly, "events", "host", "header_names")

    @admin.display(description="integration type")
    def connector(self, obj: TenantIntegration) -> SafeString:
        return format_html('{}<div class="ig-quiet">Fixed: the stored secrets belong to it.</div>', title(obj))

    @admin.display(description="headers")
    def header_names(self, obj: TenantIntegration) -> str:
        try:
            return ", ".join(f"{name}: {dots}" for name, dots in mask_values(obj.headers).items()) or NOTHING
        except EncryptionError:
            return "unreadable"

    def save_model(self, request: HttpRequest, obj: TenantIntegration, form: Any, change: bool) -> None:
        secret = store(form, is_new=not change)
        form.save_event_types()
        if secret:
            shown_once.keep(request, obj, secret)
        for text in advice.about(obj, form):
            messages.warning(request, text)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        return self._show_secret(request, obj, super().response_add(request, obj, post_url_continue))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._show_secret(request, obj, super().response_change(request, obj))

    def _show_secret(self, request: HttpRequest, obj: Any, response: HttpResponse) -> HttpResponse:
        """Lead past the new signing secret, if there is one."""
        kept = request.session.get(shown_once.KEY)
        if kept and kept["integration"] == obj.pk and console_url("integrations"):
            return HttpResponseRedirect(console_url("integration-secret", obj.public_id))
        return response

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        found = health_of([obj]).get(obj.pk)
        own = {
            "badge": badge_of(found) if found is not None else None,
            "rotation": rotation_badge(obj),
            "workbench": console_url("integration", obj.public_id),
            "calling_back": console_url("integration-calling-back", obj.public_id) if _calls_back(obj) else "",
        }
        return {**super().page_context(request, obj), **own}


def _calls_back(obj: TenantIntegration) -> bool:
    connector = connector_of(obj.integration_type)
    return connector is not None and calls_back(connector)


def _may_use(request: HttpRequest, obj: Any) -> bool:
    connector = connector_of(obj.integration_type) if obj is not None else None
    return connector is None or may_use(request.user, connector.manifest, obj.tenant)


COUNTED = 1000


def badge_of(health: Health) -> Badge:
    """Return the state of an integration in one word."""
    hint = f"{health.why} {health.what_to_do}".strip()
    if health.since is not None:
        hint = f"Since {exact(health.since)}. {hint}"
    if health.until is not None:
        hint = f"{hint} Until {clock(health.until)}."
    return Badge(health.kind, health.label, hint)


def is_being_deleted(integration: TenantIntegration | None) -> bool:
    """Tell whether somebody deleted it and its rows are still on their way out; needs its lane joined."""
    lane: Lane | None = getattr(integration, "lane", None)
    return lane is not None and lane.deleting_since is not None


def rotation_badge(integration: TenantIntegration) -> Badge | None:
    """Return an amber badge for credentials that are due to be changed."""
    days = integration.overdue_days
    if days is None:
        return None
    return Badge(
        "warn", "⚠ Rotate", f"The credentials are {days} days old; change them every {conf.ROTATE_EVERY_DAYS} days."
    )


Fieldset = tuple[str | None, dict[str, Any]]

# Nothing here may name an encrypted attribute: Django would print its value.
_SEEN = ("host", "header_names")


def view_fieldsets(connector: type[BaseConnector] | None) -> list[Fieldset]:
    """Return the page for whoever may only look."""
    signed = SIGNING if connector is not None and connector.manifest.signs else ()
    receives = ("events",) if connector is None or connector.manifest.takes_events else ()
    return [(None, {"fields": ("tenant", "name", "connector", "is_active", *receives, *_SEEN, *signed)})]


def edit_fieldsets(connector: type[BaseConnector] | None, *, integration: TenantIntegration | None) -> list[Fieldset]:
    """Return the form; of a new integration if there is none.

    With no connector: none is chosen yet, or it is not installed (any more).
    """
    is_new = integration is None
    kind = "integration_type" if is_new else "connector"
    fieldsets: list[Fieldset] = [
        (None, {"fields": ("tenant", "name", kind, "is_active", "version", "shown_type")}),
    ]
    delivers = connector is None or connector.manifest.takes_events
    if connector is None or offers_events(connector.manifest, integration):
        fieldsets.append(_part("Events", ("event_types",)))
    if connector is not None:
        manifest = connector.manifest
        signed = SIGNING if manifest.signs else ()
        fieldsets.append(_part("Connection", (*names_of(manifest), *signed), description=about(manifest)))
        if advanced := names_of(manifest, advanced=True):
            fieldsets.append(_part("Advanced", tuple(advanced), "collapse"))
        if offers_actions(connector, integration):
            fieldsets.append(_part("Calling back", ("inbound_actions",)))
    elif not is_new:
        fieldsets.append(_part("Connection", _SEEN, description=NOT_INSTALLED))
    if delivers:
        fieldsets.append(_part("Order and limits", tuple(LIMITS), "collapse"))
    return fieldsets


def _part(name: str, fields: tuple[Any, ...], *css: str, **more: Any) -> Fieldset:
    return name, {"fields": fields, "classes": ("ig-kind", *css), **more}
