"""The tab *Settings* of an integration: the form for managers, what may be shown for everybody else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from integrations.connections.destinations import shown_target
from integrations.connections.models import LIMITS, TenantIntegration
from integrations.connections.settings import shown_settings
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.console.setup.form import ChangeForm
from integrations.console.workbench.actions import require
from integrations.console.workbench.bench import open_bench
from integrations.credentials.error_reports import hides_secrets
from integrations.errors import EncryptionError, IntegrationNotConfigured
from integrations.forms import advice, shown_once
from integrations.forms.choice import NOT_INSTALLED, connector_of, version
from integrations.forms.store import store
from integrations.tenancy.capabilities import Capability


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
