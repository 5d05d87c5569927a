"""Pulls: what is read from providers, and how often: set up, changed and ended here. Each leads to its story in the
console, which says how far it is and what went wrong, and pulls now. The page of an integration lists its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html

from integrations.admin.lists.filters import IntegrationFilter
from integrations.admin.lists.history import BoundedPaginator
from integrations.admin.pages.links import console_url, link, link_to_integration, page_url
from integrations.admin.tenancy.panels import Panel, register_panel
from integrations.admin.tenancy.scoped_admin import TenantFilter, TenantOwnedForm, TenantScopedAdmin, tenant_ids
from integrations.admin.widgets.assets import CSS
from integrations.connections.access import may_use, usable_by
from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.forms.choice import connector_of
from integrations.label import permission
from integrations.pages.display import Badge, every, next_pull, pull_badge, short, when
from integrations.pull import fetch
from integrations.pull.handlers import handler_for
from integrations.pull.models import SyncState
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless

from .mixin import SyncStateAdminMixin

NOBODY = Badge("warn", "⚠ Nobody")
NOT_ITS = "{label} has nothing called {name!r} to pull; it has: {known}."


def resources_of(integration_type: str) -> list[str]:
    """Return what a kind of system lets us pull with a cursor alone: ``orders`` for its ``get_orders``."""
    connector = connector_of(integration_type)
    return fetch.resources_of(connector) if connector is not None else []


class SyncStateForm(TenantOwnedForm):
    """What is pulled, from where, how often."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if {"connection", "resource_type"} <= self.fields.keys() and (names := self._offered()):
            # A widget only: what belongs to the chosen integration is for `clean` to say.
            choices = [("", "---------"), *((name, name) for name in names)]
            self.fields["resource_type"].widget = forms.Select(choices=choices)

    def _offered(self) -> list[str]:
        """Return what the chosen integration has to pull; if none is chosen yet, what any of them has."""
        mine: Any = self.fields["connection"].queryset  # type: ignore[attr-defined]
        chosen = str(self["connection"].value() or "")
        if chosen.isdecimal() and len(chosen) < 19 and not self.is_bound:
            mine = mine.filter(pk=chosen)
        kinds = mine.order_by().values_list("integration_type", flat=True).distinct()
        return sorted({name for kind in kinds for name in resources_of(kind)})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        connection = cleaned.get("connection")
        name = cleaned.get("resource_type")
        if connection is not None and name:
            self._check_resource(connection, name)
        return cleaned

    def _check_resource(self, connection: TenantIntegration, name: str) -> None:
        known = resources_of(connection.integration_type)
        connector = connector_of(connection.integration_type)
        if connector is None or name in known:
            return
        label = connector.manifest.label
        problem = NOT_ITS.format(label=label, name=name[:50], known=", ".join(known))
        if not known:
            problem = f"Nothing can be pulled from {label}: choose another integration."
        self.add_error("resource_type" if known else "connection", ValidationError(problem))


@admin.register(SyncState)
class SyncStateAdmin(SyncStateAdminMixin, TenantScopedAdmin):
    """A row per integration and kind of thing; the cursor is a worker's to write."""

    form = SyncStateForm
    capabilities: ClassVar = {
        "view": Capability.VIEW_DELIVERIES,
        "change": Capability.PULL,
        "delete": Capability.SETTINGS,
    }
    tenant_lookup = "connection__tenant"
    integration_field = "connection"
    list_filter = ("status", IntegrationFilter, TenantFilter)
    list_display = ("resource", "connection_name", "state", "interval", "last", "next", "errors", "console")
    buttons = ()
    list_select_related = ("connection__tenant",)
    search_fields = ("resource_type", "connection__name")
    paginator = BoundedPaginator
    fieldsets = None

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        names = ["connection", "resource_type", "interval_minutes"]
        return names if obj is None else ["integration", *names[1:], "taken_by", "story"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        return (*super().get_readonly_fields(request, obj), "integration", "taken_by", "story")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "connection" and field is not None:
            field.label = "Integration"
            for button in ("add", "change", "delete", "view"):
                setattr(field.widget, f"can_{button}_related", False)
        if db_field.name == "interval_minutes" and field is not None:
            field.label = "Every … minutes"
        if db_field.name == "resource_type" and field is not None:
            field.help_text = "What to pull, e.g. orders. Fixed once it is saved: the cursor belongs to it."
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "connection":
            kinds = [manifest.key for manifest in usable_by(request.user) if resources_of(manifest.key)]
            mine = TenantIntegration.objects.filter(integration_type__in=kinds)
            ids = tenant_ids(request)
            kwargs["queryset"] = (mine if ids is None else mine.filter(tenant__in=ids)).order_by("name", "id")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_use(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_use(request, obj)

    def save_model(self, request: HttpRequest, obj: SyncState, form: Any, change: bool) -> None:
        """A new interval counts from the last time; none at all: nothing is due any more."""
        if "interval_minutes" in form.changed_data or not change:
            step = timedelta(minutes=obj.interval_minutes or 0)
            obj.next_sync_at = max(clock.now(), (obj.last_sync_at or clock.now()) + step) if step else None
            if not obj.last_sync_at and step:
                obj.next_sync_at = clock.now()
        super().save_model(request, obj, form, change)
        if change and "interval_minutes" in form.changed_data:
            SyncState.objects.filter(pk=obj.pk).update(next_sync_at=obj.next_sync_at)

    @admin.display(description="integration")
    def integration(self, obj: SyncState) -> Any:
        return link_to_integration(obj.connection)

    @admin.display(description="integration")
    def connection_name(self, obj: SyncState) -> Any:
        return link_to_integration(obj.connection)

    @admin.display(description="")
    def console(self, obj: SyncState) -> Any:
        return link("Story", console_url("pull", obj.pk))

    @admin.display(description="story")
    def story(self, obj: SyncState) -> Any:
        return link("How far it is, and what went wrong; pull now, start over", console_url("pull", obj.pk))

    @admin.display(description="its items go to")
    def taken_by(self, obj: SyncState) -> Any:
        """A pull whose items nobody takes is never made by itself (pull/due.py)."""
        if handler := handler_for(obj.connection, obj.resource_type):
            return format_html("<code>{}.{}</code>", handler.__module__, getattr(handler, "__qualname__", ""))
        if obj.has_taker:
            return "receivers of sync_completed"
        return format_html("{} Register a handler (docs/pull.md): until then it is not pulled.", NOBODY)

    @admin.display(description="every", ordering="interval_minutes")
    def interval(self, obj: SyncState) -> str:
        return every(obj.interval_minutes).removeprefix("every ")


def _may_use(request: HttpRequest, obj: Any) -> bool:
    connector = connector_of(obj.connection.integration_type) if obj is not None else None
    return connector is None or may_use(request.user, connector.manifest, obj.connection.tenant)


SHOWN = 20


def pulls_panel(request: HttpRequest, obj: TenantIntegration) -> str:
    """Return the pulls of `obj` as a table."""
    if not request.user.has_perm(permission("view", "syncstate")):
        return "You may not see pulls."
    states = list(SyncState.objects.filter(connection=obj.pk).order_by("resource_type", "id")[:SHOWN])
    for state in states:
        state.connection = obj
    rows: list[dict[str, Any]] = [
        {
            "url": console_url("pull", state.pk) or page_url("syncstate", "change", state.pk),
            "resource": harmless(state.resource_type),
            "badge": pull_badge(state),
            "every": every(state.interval_minutes),
            "last": when(state.last_sync_at),
            "next": next_pull(state),
            "error": short(harmless(state.last_error), 80) if state.error_count else "",
            "errors": state.error_count,
        }
        for state in states
    ]
    may_add = request.user.has_perm(permission("add", "syncstate")) and bool(resources_of(obj.integration_type))
    add = page_url("syncstate", "add")
    add = f"{add}?connection={obj.pk}" if may_add and add else ""
    return render_to_string("admin/integrations/pulls.html", {"rows": rows, "add": add})


def _is_wanted(obj: TenantIntegration) -> bool:
    return bool(resources_of(obj.integration_type)) or obj.sync_states.exists()


register_panel(TenantIntegration, Panel("Pulls", pulls_panel, (CSS,), wanted=_is_wanted))
