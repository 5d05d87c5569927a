"""The buttons of an integration's page: test, check, connect, rotate the secret, see it once, re-enable, resume.

Each acts on the saved row, needs the change permission, and leaves a line in the object's history.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import patch_cache_control

from integrations import conf
from integrations.admin.pages.links import page_name, page_url
from integrations.connections.models import TenantIntegration
from integrations.connections.signing_keys import old_key_until, reveal_signing_secret, rotate_signing_secret
from integrations.connectors.port import Client, TestResult
from integrations.delivery import operator_actions
from integrations.delivery.trial import check_connection, log_trial, send_test_event
from integrations.errors import EncryptionError
from integrations.forms import shown_once
from integrations.transport.process_client import client

from .oauth_connect import ConnectButton

TEST_RESULT = "integrations_test_result"  # session key; what is in it is redacted
Trial = Callable[[TenantIntegration, Client], TestResult]


class IntegrationButtons(ConnectButton):
    """Mixed into the ModelAdmin of `TenantIntegration`."""

    def get_urls(self) -> list[URLPattern]:
        buttons = {
            "test": partial(self.trial_view, "test", send_test_event),
            "check": partial(self.trial_view, "check", check_connection),
            "rotate-secret": self.rotate_view,
            "secret": self.secret_view,
            "show-secret": self.show_secret_view,
            "re-enable": partial(self.switch_view, operator_actions.re_enable, "Re-enabled."),
            "connect": self.connect_view,
            "resume": partial(self.switch_view, operator_actions.resume, "Resumed deliveries."),
        }
        wrap = self.admin_site.admin_view  # type: ignore[attr-defined]
        own = [
            path(f"<int:pk>/{name}/", wrap(view), name=page_name("tenantintegration", name.replace("-", "_")))
            for name, view in buttons.items()
        ]
        return own + super().get_urls()  # type: ignore[misc]

    def _of(self, request: HttpRequest, pk: int) -> TenantIntegration:
        """Return the integration, 404 for one of another tenant, 403 without the permission."""
        integration = self.get_object(request, str(pk))  # type: ignore[attr-defined]
        if integration is None:
            raise Http404
        if not self.has_change_permission(request, integration):  # type: ignore[attr-defined]
            raise PermissionDenied
        return integration

    def _back(self, integration: TenantIntegration, anchor: str = "") -> HttpResponseRedirect:
        return HttpResponseRedirect(page_url("tenantintegration", "change", integration.pk) + anchor)

    def trial_view(self, action: str, attempt: Trial, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test event or check the connection, with the saved settings; the page that follows has the answer."""
        integration = self._of(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        result = attempt(integration, client())
        log_trial(integration, action, result, actor=request.user.get_username())
        request.session[TEST_RESULT] = {
            "integration": integration.pk,
            "action": action,
            "success": result.success,
            "message": result.message,
            "status": result.status,
            "latency_ms": round(result.latency_ms),
            "excerpt": result.excerpt,
        }
        return self._back(integration, "#status")

    def switch_view(self, action: Any, done: str, request: HttpRequest, pk: int) -> HttpResponse:
        """Re-enable or resume."""
        integration = self._of(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        action(integration, actor=request.user.get_username())
        self.log_change(request, integration, done)  # type: ignore[attr-defined]
        messages.success(request, f"{done} What is pending goes out now.")
        return self._back(integration)

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then make a new signing secret (or take the given one) and show it once."""
        integration = self._of(request, pk)
        error = ""
        if request.method == "POST":
            try:
                secret = rotate_signing_secret(integration, request.POST.get("secret", "").strip() or None)
            except (ValueError, EncryptionError) as problem:
                error = str(problem)
            else:
                shown_once.keep(request, integration, secret)
                self.log_change(request, integration, "Rotated the signing secret.")  # type: ignore[attr-defined]
                return HttpResponseRedirect(page_url("tenantintegration", "secret", pk))
        context = {
            **self._context(request, integration, "Rotate the signing secret"),
            "error": error,
            "overlap_hours": round(conf.ROTATION_OVERLAP_SECONDS / 3600, 1),
        }
        return TemplateResponse(request, "admin/integrations/rotate_secret.html", context)

    def show_secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the signing secret that the schedule has made: the first time only."""
        integration = self._of(request, pk)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        secret = reveal_signing_secret(integration)
        if secret is not None:
            shown_once.keep(request, integration, secret)
            self.log_change(request, integration, "Saw the new signing secret.")  # type: ignore[attr-defined]
        return HttpResponseRedirect(page_url("tenantintegration", "secret", pk))

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show a new signing secret: the first time only."""
        integration = self._of(request, pk)
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        secret = shown_once.take(request, integration)
        context = {
            **self._context(request, integration, "Signing secret"),
            "secret": secret,
            "old_until": old_key_until(integration.credentials.get("signing_keys") or []) if secret else None,
        }
        response = TemplateResponse(request, "admin/integrations/secret.html", context)
        patch_cache_control(response, no_store=True, private=True)
        return response

    def _context(self, request: HttpRequest, integration: TenantIntegration, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "integration": integration,
            "title": title,
            "subtitle": str(integration),
            "media": self.media,  # type: ignore[attr-defined]
        }


def take_test_result(request: HttpRequest, integration: TenantIntegration) -> dict[str, Any] | None:
    """Return the answer to the trial that was just made for this integration, once."""
    result = request.session.get(TEST_RESULT)
    if not result or result["integration"] != integration.pk:
        return None
    del request.session[TEST_RESULT]
    return result
