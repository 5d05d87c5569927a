"""Set up an integration: connection, the provider's consent, events, a test with its answer, done.

The row is made by the first step, switched off and without events, so that whoever leaves half way leaves nothing that
sends. The last step switches it on.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from integrations.connections.authorization import missing_scopes, wants_authorization
from integrations.connections.event_types import offered_to
from integrations.connections.models import TenantIntegration
from integrations.connections.token_store import GrantTokens
from integrations.connectors.gallery import needs_of
from integrations.connectors.manifest import Manifest
from integrations.console.access import Access, RoleNeeded
from integrations.console.one_integration import integration_of, may_use_type, tenants_to_manage, type_refused
from integrations.console.page import lead_to, page, show
from integrations.console.settings import ConsoleForm
from integrations.console.workbench.actions import answer_of, chosen_type
from integrations.credentials.error_reports import hides_secrets
from integrations.delivery.trial import run_trial, types_to_test
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import IntegrationError
from integrations.forms import advice, shown_once
from integrations.forms.choice import connector_of
from integrations.forms.store import store
from integrations.oauth_callback import connect
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.tenant import name_of, tenant_model

TESTED = "integrations_console_tested"  # in the session: the answer to the test, redacted
ANOTHER = gettext_lazy(
    "The tenant has an active integration of this type, and may have one only: switch that one off first."
)


@hides_secrets
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
@page(Capability.ADD)
def setup(request: HttpRequest, access: Access, key: str) -> HttpResponse:
    """Ask for what the connector type needs; make the integration, switched off."""
    connector = connector_of(key)
    if connector is None:
        raise Http404
    manifest = connector.manifest
    managed = tenants_to_manage(access)
    tenants = [tenant for tenant in managed if may_use_type(access, manifest, tenant)]
    if not tenants:
        raise type_refused(manifest.label) if managed else RoleNeeded(Capability.ADD, access.role, access.tenant)
    instance = TenantIntegration(integration_type=key, name="")
    posted = request.POST if request.method == "POST" else None
    form = NewConnectionForm(posted, instance=instance, tenants=tenants, initial={"name": manifest.label})
    form.user = access.user
    with transaction.atomic():
        if form.is_valid():
            integration = form.save(commit=False)
            secret = store(form, is_new=True)
            if secret:
                shown_once.keep(request, integration, secret)
            for text in advice.about_url(str(form.settings.get("url") or "")):
                messages.warning(request, text)
            step = "setup-connect" if wants_authorization(integration) else "setup-events"
            return HttpResponseRedirect(_url(step, integration))
    context = {"form": form, "manifest": manifest, "needs": needs_of(manifest), "steps": _steps(manifest, "connection")}
    return show(request, access, "setup.html", context)


@require_http_methods(["GET", "POST"])
@page(Capability.SETTINGS)
def setup_connect(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Send the person to the provider, where they agree; they come back to the next step."""
    integration, manifest = _of(access, public_id)
    if request.method == "POST":
        try:
            there = connect(request, integration, return_to=_url("setup-connect", integration))
            return lead_to(request, access, there, manifest.label)
        except IntegrationError as error:
            messages.error(request, _("Not connected: {why}").format(why=error.message))
    grant = GrantTokens(integration).grant()
    context = {
        "grant": grant,
        "is_connected": grant is not None and grant.is_connected,
        "missing": missing_scopes(integration) if grant is not None else (),
        "next_url": _url("setup-events", integration),
    }
    return _step(request, access, integration, manifest, "connect", context)


@require_http_methods(["GET", "POST"])
@page(Capability.SETTINGS)
def setup_events(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Ask which events it wants; what was set beside them stays."""
    integration, manifest = _of(access, public_id)
    offered = offered_to(manifest)
    if not offered:
        return HttpResponseRedirect(_url("setup-test", integration))
    if request.method == "POST":
        known = dict(offered)
        integration.subscribe(*(name for name in request.POST.getlist("events") if name in known))
        return HttpResponseRedirect(_url("setup-test", integration))
    wanted = set(integration.subscriptions.values_list("event_type", flat=True))
    rows = [{"type": name, "label": label, "is_wanted": name in wanted} for name, label in offered]
    return _step(request, access, integration, manifest, "events", {"rows": rows})


@require_http_methods(["GET", "POST"])
@page(Capability.SETTINGS)
def setup_test(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Send a test event, or ask the system whether the credentials are right; show the answer."""
    integration, manifest = _of(access, public_id)
    if request.method == "POST":
        action = "check" if request.POST.get("action") == "check" and "check" in manifest.does else "test"
        chosen = chosen_type(request, integration)
        result = run_trial(integration, action, actor=access.user.get_username(), event_type=chosen)
        request.session[TESTED] = answer_of(integration, action, result)
        return HttpResponseRedirect(_url("setup-test", integration) + "#answer")
    answer = request.session.get(TESTED)
    context = {
        "answer": answer if answer and answer["integration"] == integration.pk else None,
        "secret": shown_once.take(request, integration),
        "can_test": "deliver" in manifest.does,
        "types_to_test": types_to_test(integration),
        "can_check": "check" in manifest.does and _can_check(integration),
        "done_url": _url("setup-done", integration),
    }
    return _step(request, access, integration, manifest, "test", context)


@require_http_methods(["GET", "POST"])
@page(Capability.SETTINGS)
def setup_done(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Say what will happen, and switch it on."""
    integration, manifest = _of(access, public_id)
    problem = ""
    if request.method == "POST":
        problem = _switch_on(integration)
        if not problem:
            request.session.pop(TESTED, None)
            messages.success(request, _("{name} is on.").format(name=integration.name))
            return HttpResponseRedirect(_url("integration", integration))
    answer = request.session.get(TESTED)
    context = {
        "problem": problem,
        "subscriptions": integration.subscriptions.order_by("event_type"),
        "answer": answer if answer and answer["integration"] == integration.pk else None,
        "wants_connect": wants_authorization(integration) and not _is_connected(integration),
    }
    return _step(request, access, integration, manifest, "done", context)


@page(Capability.SETTINGS, is_button=True)
def setup_discard(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Delete what was begun; only before it was ever switched on."""
    integration = _of(access, public_id)[0]
    if integration.is_active or integration.syncs.exists():
        raise Http404
    integration.delete()
    messages.success(request, _("{name} was not set up; nothing of it was kept.").format(name=integration.name))
    return HttpResponseRedirect(reverse("console:gallery"))


def _of(access: Access, public_id: UUID) -> tuple[TenantIntegration, Manifest]:
    """Return the integration that is set up, and its type's manifest; 403 for whoever may not change it."""
    integration = integration_of(access, public_id, Capability.SETTINGS)
    connector = connector_of(integration.integration_type)
    if connector is None:
        raise Http404
    if not may_use_type(access, connector.manifest, integration.tenant):
        raise type_refused(connector.manifest.label)
    return integration, connector.manifest


def _switch_on(integration: TenantIntegration) -> str:
    """Switch it on; return what is wrong instead, "" if nothing is."""
    integration.is_active = True
    try:
        integration.clean()
        integration.validate_constraints()
        with transaction.atomic():
            integration.save(update_fields=["is_active", "updated_at"])
            wake_on_commit({integration.pk})
    except (ValidationError, IntegrityError):
        integration.is_active = False
        return str(ANOTHER)
    return ""


def _is_connected(integration: TenantIntegration) -> bool:
    grant = GrantTokens(integration).grant()
    return grant is not None and grant.is_connected


def _can_check(integration: TenantIntegration) -> bool:
    """Tell whether it can be checked as it is set up: a type may need a token for that, and have an address only."""
    try:
        return integration.get_adapter().can_check
    except IntegrationError:
        return True  # the check will say what is wrong


def _url(name: str, integration: TenantIntegration) -> str:
    return reverse(f"console:{name}", args=[integration.public_id])


def _step_url(name: str, integration: TenantIntegration) -> str:
    return _url("integration-settings" if name == "connection" else f"setup-{name}", integration)


def _steps(manifest: Manifest, current: str, integration: TenantIntegration | None = None) -> list[dict[str, Any]]:
    """Return the steps of this type's set-up: title, whether it is over, now, or to come."""
    titles = {
        "connection": _("Connection"),
        "connect": _("Connect"),
        "events": _("Events"),
        "test": _("Test"),
        "done": _("Done"),
    }
    asks = manifest.oauth is not None and (integration is None or wants_authorization(integration))
    left_out = {*(() if asks else ("connect",)), *(() if offered_to(manifest) else ("events",))}
    names = [name for name in titles if name not in left_out]
    if integration is None and "connect" in names:
        names.remove("connect")  # its own settings say whether a person must agree
    at = names.index(current) if current in names else 0
    return [
        {
            "title": titles[name],
            "is_over": place < at,
            "is_now": place == at,
            "url": _step_url(name, integration) if integration is not None else "",
        }
        for place, name in enumerate(names)
    ]


def _step(
    request: HttpRequest,
    access: Access,
    integration: TenantIntegration,
    manifest: Manifest,
    name: str,
    context: dict[str, Any],
) -> HttpResponse:
    common = {"integration": integration, "manifest": manifest, "steps": _steps(manifest, name, integration)}
    return show(request, access, f"setup_{name}.html", {**common, **context})


class NewConnectionForm(ConsoleForm):
    """The first step of a set-up: a name, and what the connector type asks for. Nothing is sent before the last step.

    Args:
        tenants: those for which the person may set one up; a choice where there are several.
    """

    class Meta:
        model = TenantIntegration
        fields = ("name", "is_signed")
        help_texts = {
            "is_signed": gettext_lazy(
                "Sign every request (Standard Webhooks). The secret is shown once, after this step."
            ),
        }

    def __init__(self, *args: Any, tenants: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.is_active = False
        if len(tenants) == 1:
            self.instance.tenant = tenants[0]
        else:
            rows = tenant_model()._default_manager.filter(pk__in=[tenant.pk for tenant in tenants])
            choice: Any = forms.ModelChoiceField(rows, label=_("Tenant"), empty_label=_("Choose …"))
            choice.label_from_instance = name_of
            self.fields = {"tenant": choice, **self.fields}
            self.order_fields(["tenant", "name"])

    @property
    def own(self) -> list[forms.BoundField]:
        return self.part("tenant", "name")

    def clean(self) -> dict[str, Any]:
        tenant = self.cleaned_data.get("tenant")
        if tenant is not None:
            self.instance.tenant = tenant
        return super().clean()

    def _take_turns(self, cleaned: dict[str, Any]) -> None:
        """Nothing to do: it is not active yet, and of those there may be any number."""
