"""Connections in the admin of anybody's model: does it work, since when not, why; test it, switch it on again."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from integrations.admin.lists.listed_filters import ListedFilters
from integrations.admin.pages.object_buttons import Button, ObjectButtons
from integrations.admin.widgets.assets import Assets
from integrations.audit.trail import record
from integrations.connections.abstract import AbstractConnection
from integrations.connections.authorization import wants_authorization
from integrations.connections.registered import connection_model
from integrations.database.clock import now as clock_now
from integrations.errors import IntegrationError
from integrations.forms.choice import calls_back, connector_of
from integrations.forms.grant_state import GrantState
from integrations.health.reading import facts_of_connection
from integrations.health.rule import judge
from integrations.inbound.address import EVENTS, GUESSED, callback_address, is_guessed
from integrations.inbound.by_hand import has_field
from integrations.inbound.models import AbstractWebhookEvent
from integrations.oauth_callback import to_provider
from integrations.pages.display import NOTHING, Badge, when
from integrations.pull.models import AbstractSyncState
from integrations.tenancy.harmless_text import harmless

from .mixin_form import CONFIG, CREDENTIALS, FAMILY, PROVIDER, ConnectionForm

TESTED = 10  # connections per click
TEST_SECONDS = 20.0  # when no further one is begun; the request must end
_OURS = {field.name for field in AbstractConnection._meta.get_fields()}
_RUN_TIME = ("health", "last_test", "refusals", "disabled_reason", "version", "public_id")
GRANT = "oauth_grant"


def connection_badge(connection: Any) -> Badge:
    """Return the state of `connection` in one word."""
    health = judge(facts_of_connection(connection), clock_now())
    return Badge(health.kind, health.label, f"{health.why} {health.what_to_do}".strip())


class ConnectionAdminMixin(ListedFilters, ObjectButtons):
    """For the ModelAdmin of a model derived from AbstractConnection.

    Credentials are set as JSON and never shown; run-time columns are read-only; saving writes only what was changed,
    because workers write the same row.
    """

    form: Any = ConnectionForm
    list_display: Any = ("label", "provider", "health", "is_enabled", "is_connected", "last_test")
    list_filter: ClassVar[Any] = ("provider_family", "is_enabled", "is_connected")
    search_fields: ClassVar[Any] = ("display_name", "provider_name")
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions: Any = ("test_connections", "re_enable")
    buttons = (
        Button("test", "Test connection", "test_connections", "Tries the saved credentials; changes nothing there"),
        Button("connect", "Connect", "connect", "Leads to the provider, where you allow us the access", is_main=True),
        Button(
            "re-enable", "Re-enable", "re_enable", "Switch it on again, after the credentials were mended", is_main=True
        ),
    )
    Media = Assets
    change_list_template = "admin/integrations/dense_change_list.html"
    change_form_template = "admin/integrations/connection_change_form.html"

    # -- list -------------------------------------------------------------------------------------

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return (shown[0], *self._host_keys(), *shown[1:]) if shown == ConnectionAdminMixin.list_display else shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self._host_keys())

    def _host_keys(self) -> tuple[str, ...]:
        """Return the host's own foreign keys: one of them is whose connection it is."""
        fields = self.model._meta.concrete_fields
        return tuple(field.name for field in fields if field.many_to_one and field.name not in _OURS)

    @admin.display(description="connection", ordering="display_name")
    def label(self, obj: Any) -> str:
        return harmless(str(obj)) or NOTHING

    @admin.display(description="provider", ordering="provider_name")
    def provider(self, obj: Any) -> Any:
        connector = connector_of(obj.connector_key)
        words = connector.manifest.label if connector is not None else f"{obj.connector_key} (not installed)"
        return format_html('{}<div class="ig-quiet">{}</div>', words, obj.provider_family)

    @admin.display(description="state")
    def health(self, obj: Any) -> Badge:
        return connection_badge(obj)

    @admin.display(description="last successful test", ordering="last_test_at")
    def last_test(self, obj: Any) -> Any:
        return when(obj.last_test_at)

    # -- form -------------------------------------------------------------------------------------

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whose it is, what it is, its settings; then what happened to it."""
        if self.fields or self.fieldsets:
            return super().get_fields(request, obj)
        model = self.model
        own = [field.name for field in (*model._meta.fields, *model._meta.many_to_many) if field.editable]
        mine = [name for name in own if name not in _OURS and name != model._meta.pk.name]
        kind = [PROVIDER] if obj is None else ["provider"]
        run_time = [] if obj is None else [*_RUN_TIME]
        access = [GRANT] if obj is not None and wants_authorization(obj) else []
        return [*mine, *kind, "display_name", "is_enabled", CREDENTIALS, CONFIG, *access, *run_time]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whoever may only look sees no settings: Django would print them as they are."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        hidden = (CREDENTIALS, CONFIG)
        return [
            (title, {**options, "fields": [name for name in flatten(options["fields"]) if name not in hidden]})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        found = super().get_readonly_fields(request, obj)
        fields = tuple(name for name in found if name not in (CREDENTIALS, CONFIG))  # Django would print them
        fixed = (PROVIDER, FAMILY, "provider") if obj is not None else ()
        return (*fields, *fixed, "is_connected", GRANT, *_RUN_TIME)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The credentials are no column; the form draws them where the page has a place for them."""
        wanted = kwargs.pop("fields", None)
        if wanted is None:
            wanted = flatten_fieldsets(self.get_fieldsets(request, obj))
        form = super().get_form(request, obj, change, fields=[n for n in wanted if n != CREDENTIALS], **kwargs)
        if CREDENTIALS in wanted:
            form = type(form.__name__, (form,), {CREDENTIALS: forms.CharField(required=False)})
        return form

    def page_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {**super().page_context(request, obj), "way_back": way_back(request, self.admin_site, obj)}

    @admin.display(description="credentials refused")
    def refusals(self, obj: Any) -> Any:
        if not obj.auth_failure_count:
            return "not since the last success"
        if obj.last_auth_failure_at is None:
            return f"{obj.auth_failure_count} in a row"
        return format_html("{} in a row, the last {}", obj.auth_failure_count, when(obj.last_auth_failure_at))

    @admin.display(description="access granted")
    def oauth_grant(self, obj: Any) -> Any:
        """Who agreed, when, to what, and whether it still holds; never a token."""
        state = GrantState(obj)
        return format_html('{}<div class="ig-quiet">{}</div>', state.summary, state.scope)

    @admin.display(description="settings saved by")
    def version(self, obj: Any) -> str:
        return f"version {obj.connector_version} of the connector" if obj.connector_version else NOTHING

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        is_switched_on = "is_enabled" in form.changed_data and obj.is_enabled
        columns = [name for name in form.columns if not (is_switched_on and name == "is_enabled")]
        if is_switched_on:
            obj.is_enabled = False  # as it is stored; re_enable below also ends the count of refusals
        if columns:
            automatic = [field.name for field in obj._meta.concrete_fields if getattr(field, "auto_now", False)]
            obj.save(update_fields=[*columns, *automatic])
        if is_switched_on:
            obj.re_enable()

    # -- actions ----------------------------------------------------------------------------------

    def may_operate(self, request: HttpRequest, obj: Any) -> bool:
        return bool(self.has_change_permission(request, obj))

    def buttons_of(self, request: HttpRequest, obj: Any) -> tuple[Button, ...]:
        left_out = {"re-enable"} if obj.is_enabled else set()
        if not wants_authorization(obj):
            left_out.add("connect")
        return tuple(button for button in self.buttons if button.name not in left_out)

    def connect(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Send the person to the provider; they come back through oauth_callback.py."""
        connection = queryset.get()
        try:
            response = to_provider(request, connection, admin_site=self.admin_site.name)
        except IntegrationError as error:
            messages.error(request, f"Not connected: {error.message}")
            return None
        self.log_change(request, connection, "Asked the provider for access.")
        return response

    @admin.action(permissions=["change"], description="Test connection")
    def test_connections(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Try each one's saved credentials, one after the other, for as long as a person waits."""
        end = time.monotonic() + TEST_SECONDS
        left = 0
        for number, connection in enumerate(queryset.order_by("pk")[: TESTED + 1]):
            if number >= TESTED or time.monotonic() > end:
                left += 1
                continue
            if not self.may_operate(request, connection):
                messages.error(request, f"{connection}: you may not test it.")
                continue
            result = connection.test_connection()
            words = harmless(
                result.message or ("The connection works." if result.success else "The connection failed.")
            )
            record("tested", connection, details={"result": words})
            sign = "✓" if result.success else "✗"
            messages.add_message(
                request, messages.SUCCESS if result.success else messages.ERROR, f"{sign} {connection}: {words}"
            )
        if left:
            messages.warning(request, "Not all of them were tested: choose fewer at a time.")

    @admin.action(permissions=["change"], description="Re-enable")
    def re_enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch on again what was disabled; the next test or pull says whether it works."""
        done = 0
        for connection in queryset.filter(is_enabled=False).order_by("pk")[:1000]:
            if self.may_operate(request, connection):
                connection.re_enable()
                self.log_change(request, connection, "Re-enabled.")
                record("re-enabled", connection)
                done += 1
        if done:
            messages.success(request, f"{done} re-enabled. Test the connection to see whether it works.")
        else:
            messages.warning(request, "None of them was disabled.")


ELSEWHERE = "INTEGRATIONS_CONNECTION_MODEL names another model: at this address nothing is accepted (404)."


def way_back(request: HttpRequest, site: Any, connection: Any) -> dict[str, Any]:
    """Return ``address``, ``hints`` about it, and ``links`` to the rows that a person may see; {} for none of it."""
    connector = connector_of(connection.connector_key)
    address, hints = "", []
    if connector is not None and calls_back(connector):
        address = callback_address(request, connection, EVENTS)
        hints = [str(GUESSED)] if is_guessed(connection) else []
        if connection_model() is not type(connection):
            hints.append(ELSEWHERE)
    links = _links(request, site, connection)
    return {"address": address, "hints": hints, "links": links} if address or links else {}


def _links(request: HttpRequest, site: Any, connection: Any) -> list[tuple[str, str]]:
    found = []
    for model, model_admin in site._registry.items():
        if not issubclass(model, AbstractWebhookEvent | AbstractSyncState) or not has_field(model, "connection"):
            continue
        if model._meta.get_field("connection").related_model is not type(connection):
            continue
        if model_admin.has_view_permission(request):
            opts = model._meta
            url = reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_changelist")
            found.append((f"Its {opts.verbose_name_plural}", f"{url}?connection={connection.pk}"))
    return sorted(found)
