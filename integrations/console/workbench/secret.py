"""Rotate the signing secret, and see the new one: once."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET

from integrations import conf
from integrations.connections.signing_keys import old_key_until, rotate_signing_secret
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.credentials.error_reports import hides_secrets
from integrations.errors import EncryptionError
from integrations.forms import shown_once
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role

from .actions import require
from .bench import open_bench


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
