"""What the buttons of the workbench do. Each asks for its role again, and leaves an entry in the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import router
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET

from integrations import conf
from integrations.audit.trail import record
from integrations.connections.models import TenantIntegration
from integrations.connections.signing_keys import old_key_until, reveal_signing_secret, rotate_signing_secret
from integrations.connectors.port import TestResult
from integrations.console.access import Access
from integrations.console.page import lead_to, page, show
from integrations.counted import count_up_to
from integrations.credentials.error_reports import hides_secrets
from integrations.delivery import operator_actions
from integrations.delivery.trial import run_trial, types_to_test
from integrations.errors import EncryptionError, IntegrationError
from integrations.forms import shown_once
from integrations.oauth_callback import to_provider
from integrations.outbox.models import NEWEST, IntegrationSync, of_lane
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.deletion import begin
from integrations.tenancy.roles import Role

from .bench import Bench, open_bench

COUNTED = 10_000

Act = Callable[[HttpRequest, Bench], HttpResponse | None]


def back(bench: Bench) -> HttpResponseRedirect:
    """Lead to the first tab."""
    return HttpResponseRedirect(reverse("console:integration", args=[bench.integration.public_id]))


@page(Role.VIEWER, is_button=True)
def act(request: HttpRequest, access: Access, public_id: UUID, name: str) -> HttpResponse:
    """Do what the button `name` says."""
    if name not in ACTIONS:
        raise Http404
    capability, action = ACTIONS[name]
    bench = open_bench(access, public_id)
    require(bench, capability)
    return action(request, bench) or back(bench)


def require(bench: Bench, capability: Capability) -> None:
    """Refuse who may not do it.

    Raises:
        PermissionDenied: the role is too small, the connector type is not theirs to use, or it is being deleted.
    """
    if (refusal := bench.refusal(capability)) is not None:
        raise refusal


def chosen_type(request: HttpRequest, integration: TenantIntegration) -> str | None:
    """Return the event type that was chosen for a test event; None: nobody chose one that there is."""
    posted = request.POST.get("event_type", "")
    return posted if posted in dict(types_to_test(integration)) else None


def _try(request: HttpRequest, bench: Bench, *, action: str) -> None:
    integration = bench.integration
    chosen = chosen_type(request, integration)
    result = run_trial(integration, action, actor=request.user.get_username(), event_type=chosen)
    keep_answer(request, integration, action, result)


def _pause(request: HttpRequest, bench: Bench) -> None:
    operator_actions.pause(bench.integration, actor=request.user.get_username())
    messages.success(request, _("Paused. Events wait until somebody resumes it."))


def _resume(request: HttpRequest, bench: Bench) -> None:
    operator_actions.resume(bench.integration, actor=request.user.get_username())
    messages.success(request, _("Resumed. What is pending goes out now."))


def _enable(request: HttpRequest, bench: Bench) -> None:
    operator_actions.re_enable(bench.integration, actor=request.user.get_username())
    messages.success(request, _("Re-enabled. What is pending goes out now."))


def _reveal(request: HttpRequest, bench: Bench) -> HttpResponse:
    secret = reveal_signing_secret(bench.integration)
    if secret is not None:
        shown_once.keep(request, bench.integration, secret)
    return HttpResponseRedirect(reverse("console:integration-secret", args=[bench.integration.public_id]))


def _connect(request: HttpRequest, bench: Bench) -> HttpResponse | None:
    """Send the person to the provider; they come back through oauth_callback.py."""
    try:
        response = to_provider(request, bench.integration, return_to=back(bench).url)
    except IntegrationError as error:
        messages.error(request, _("Not connected: {why}").format(why=error.message))
        return None
    record("asked the provider for access to", bench.integration)
    return lead_to(request, bench.access, response, bench.type_name)


ACTIONS: dict[str, tuple[Capability, Act]] = {
    "test": (Capability.TEST, partial(_try, action="test")),
    "check": (Capability.TEST, partial(_try, action="check")),
    "pause": (Capability.PAUSE, _pause),
    "resume": (Capability.PAUSE, _resume),
    "enable": (Capability.PAUSE, _enable),
    "reveal": (Capability.SECRETS, _reveal),
    "connect": (Capability.SETTINGS, _connect),
}


@page(Role.VIEWER)
def delete(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Ask, saying what goes too; then mark it: a worker deletes, in batches."""
    bench = open_bench(access, public_id)
    require(bench, Capability.DELETE)
    integration: Any = bench.integration
    if request.method == "POST":
        using = router.db_for_write(TenantIntegration)
        begin(TenantIntegration, [integration.pk], using=using, in_background=True, actor=request.user.get_username())
        words = _("{name} is being deleted, with everything that goes with it; the list shows how far it is.")
        messages.success(request, words.format(name=integration.name))
        return HttpResponseRedirect(reverse("console:integrations"))
    pending = integration.syncs.filter(status=IntegrationSync.Status.PENDING).order_by("object_key", "id")
    context = {
        "bench": bench,
        "pending": count_up_to(pending, COUNTED),
        "deliveries": count_up_to(IntegrationSync.objects.filter(of_lane(integration.pk)).order_by(*NEWEST), COUNTED),
    }
    return show(request, access, "workbench_delete.html", context)


KEY = "integrations_test_answer"  # in the session; what is in it is redacted


def answer_of(integration: TenantIntegration, action: str, result: TestResult) -> dict[str, Any]:
    """Return the answer as a session keeps it and a page shows it."""
    return {
        "integration": integration.pk,
        "action": action,
        "success": result.success,
        "message": result.message,
        "event_type": result.event_type,
        "remark": result.remark,
        "status": result.status,
        "latency_ms": round(result.latency_ms),
        "excerpt": result.excerpt,
    }


def keep_answer(request: HttpRequest, integration: TenantIntegration, action: str, result: TestResult) -> None:
    """Keep the answer for the next page."""
    request.session[KEY] = answer_of(integration, action, result)


def take_answer(request: HttpRequest, integration: TenantIntegration) -> dict[str, Any] | None:
    """Return the answer to the test that was just made of this integration, once."""
    kept: dict[str, Any] | None = request.session.get(KEY)
    if not kept or kept["integration"] != integration.pk:
        return None
    del request.session[KEY]
    return kept


@sensitive_post_parameters()
@hides_secrets
@page(Role.VIEWER)
def rotate(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Ask, saying how long the old one signs beside it; then make a new one, or take the given one."""
    bench = open_bench(access, public_id)
    require(bench, Capability.SECRETS)
    error = ""
    if request.method == "POST":
        try:
            secret = rotate_signing_secret(bench.integration, request.POST.get("secret", "").strip() or None)
        except (ValueError, EncryptionError) as problem:
            error = str(problem)
        else:
            shown_once.keep(request, bench.integration, secret)
            return HttpResponseRedirect(reverse("console:integration-secret", args=[public_id]))
    context = {"bench": bench, "error": error, "overlap_hours": round(conf.ROTATION_OVERLAP_SECONDS / 3600, 1)}
    return show(request, access, "workbench_rotate.html", context)


@require_GET
@hides_secrets
@page(Role.VIEWER)
def secret(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show a new signing secret: the first time only."""
    bench = open_bench(access, public_id)
    require(bench, Capability.SECRETS)
    shown = shown_once.take(request, bench.integration)
    keys = bench.integration.credentials.get("signing_keys") or [] if shown else []
    context = {"bench": bench, "secret": shown, "old_until": old_key_until(keys)}
    response = show(request, access, "workbench_secret.html", context)
    response["Cache-Control"] = "no-store, private"
    return response
