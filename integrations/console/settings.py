"""The tab *Settings* of an integration: the form for managers, what may be shown for everybody else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from integrations.connections.destinations import shown_target
from integrations.connections.models import LIMITS, SIGNING, TenantIntegration
from integrations.connections.settings import shown_settings
from integrations.connectors.manifest import Manifest
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.console.workbench.actions import require
from integrations.console.workbench.bench import open_bench
from integrations.credentials.error_reports import hides_secrets
from integrations.errors import EncryptionError, IntegrationNotConfigured
from integrations.forms import advice, shown_once
from integrations.forms.choice import NOT_INSTALLED, connector_of, version
from integrations.forms.connector_form import SHOWN_TYPE
from integrations.forms.fields import names_of
from integrations.forms.inbound_actions import CallsBackForm
from integrations.forms.settings_form import SettingsForm
from integrations.forms.store import store
from integrations.tenancy.capabilities import Capability


class ConsoleForm(SettingsForm):
    """Base of both: the connector type is fixed, and the page shows the fields in parts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop(SHOWN_TYPE, None)  # nobody chooses another type here

    def chosen_type(self) -> str | None:
        return self.instance.integration_type

    @property
    def manifest(self) -> Manifest:
        assert self.connector is not None  # noqa: S101 - views make no form for a type that is not installed
        return self.connector.manifest

    def part(self, *names: str) -> list[forms.BoundField]:
        """Return the fields of these names that the form has, in this order."""
        return [self[name] for name in names if name in self.fields]

    @property
    def field_errors(self) -> list[forms.BoundField]:
        """The fields with which something is wrong."""
        return [field for field in self if field.errors]

    @property
    def connection(self) -> list[forms.BoundField]:
        """What the connector type asks for."""
        return self.part(*names_of(self.manifest))

    @property
    def advanced(self) -> list[forms.BoundField]:
        """What most people never touch."""
        return self.part(*names_of(self.manifest, advanced=True), *SIGNING)

    @property
    def has_advanced_errors(self) -> bool:
        """True: the part that is closed at first must be open."""
        return any(field.errors for field in self.advanced)


class ChangeForm(ConsoleForm, CallsBackForm):
    """Everything that a person sets on an integration but its events."""

    class Meta:
        model = TenantIntegration
        fields = ("name", "is_active", *SIGNING, *LIMITS, "inbound_actions")
        help_texts = {
            "is_active": gettext_lazy("Off: no event is recorded for it, and what is pending is cancelled."),
            "is_signed": gettext_lazy("Sign every request (Standard Webhooks)."),
        }

    @property
    def own(self) -> list[forms.BoundField]:
        return self.part("name", "is_active")

    @property
    def calling_back(self) -> list[forms.BoundField]:
        """What it may do here; only where its type calls back."""
        return self.part("inbound_actions")

    @property
    def limits(self) -> list[forms.BoundField]:
        """How much it gets at once; only where something is sent."""
        return self.part(*LIMITS) if self.manifest.takes_events else []

    @property
    def has_limit_errors(self) -> bool:
        return any(field.errors for field in self.limits)


@hides_secrets
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
@page(Capability.VIEW)
def settings(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show the settings; take new ones from a manager, unless somebody else was faster."""
    bench = open_bench(access, public_id, "settings")
    integration, connector = bench.integration, bench.connector
    is_editable = connector is not None and bench.may_change
    if request.method == "POST":
        require(bench, Capability.SETTINGS)
    form = None
    if is_editable:
        posted = request.POST if request.method == "POST" else None
        with transaction.atomic():
            form = ChangeForm(posted, instance=integration)
            form.user = access.user
            if form.is_valid():
                return _saved(request, form)
        if form.errors:
            bench = open_bench(access, public_id, "settings")  # the form has put on the other what is not stored
    context = {
        "bench": bench,
        "version": version(connector.manifest, integration.connector_version) if connector is not None else "",
        "form": form,
        "facts": [] if form is not None else _facts(integration),
        "not_installed": NOT_INSTALLED if connector is None else "",
        "is_unfinished": is_editable and not integration.is_active and not integration.syncs.exists(),
        "secret": shown_once.take(request, integration) if is_editable else None,
    }
    return show(request, access, "integration_settings.html", context)


def _saved(request: HttpRequest, form: ChangeForm) -> HttpResponse:
    integration = form.save(commit=False)
    has_changed = bool(form.columns)
    secret = store(form, is_new=False)
    if secret:
        shown_once.keep(request, integration, secret)
    messages.success(request, _("The settings are saved.") if has_changed else _("Nothing was changed."))
    for text in advice.about(integration, form) if has_changed else ():
        messages.warning(request, text)
    return HttpResponseRedirect(reverse("console:integration-settings", args=[integration.public_id]))


def _facts(integration: TenantIntegration) -> list[tuple[str, Any]]:
    """Return (label, value) of what may be shown: secrets as dots, of the address its host."""
    connector = connector_of(integration.integration_type)
    try:
        shown = shown_settings(integration)
        target = shown_target(integration)
    except (EncryptionError, IntegrationNotConfigured):
        shown, target = {}, ""
    titles = {field.name: _(field.title) for field in connector.manifest.fields} if connector is not None else {}
    facts: list[tuple[str, Any]] = [(_("Destination"), target)] if target else []
    for name, value in shown.items():
        if value not in (None, "", [], {}):
            text = "\n".join(map(str, value)) if isinstance(value, list | tuple) else value
            facts.append((titles.get(name, name), text))
    facts += [
        (_("Active"), _("yes") if integration.is_active else _("no")),
        *((capfirst(_title(name)), _limit(integration, name) or default) for name, default in LIMITS.items()),
    ]
    return facts


def _title(column: str) -> str:
    found: Any = TenantIntegration._meta.get_field(column)
    return str(found.verbose_name)


def _limit(integration: TenantIntegration, column: str) -> Any:
    return integration.get_ordering_display() if column == "ordering" else getattr(integration, column)
