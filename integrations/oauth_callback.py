"""``webhooks/oauth/callback/<provider>/``: where a provider sends people back to, and how they get there.

Whatever is wrong: 400 (502 if the provider's token endpoint fails us) and a plain page with a sentence of ours. Nothing
of the query is repeated, and nothing of it leaks onwards in a Referer.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from integrations import conf
from integrations.connections.authorization import AuthorizationRefused, Visitor, finish, missing_scopes
from integrations.connections.models import TenantIntegration
from integrations.credentials.error_reports import hides_secrets
from integrations.delivery.operator_actions import resume
from integrations.errors import IntegrationError, IntegrationRateLimited, IntegrationTemporaryError

CALLBACK = "oauth-callback"
_PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>{}</title><h1>{}</h1><p>{}</p></html>'


def visitor_of(request: HttpRequest) -> Visitor:
    """Return who is asking; a user without a session has none to be bound to."""
    if not request.session.session_key:
        request.session.create()
    return Visitor(request.user, str(request.session.session_key))


def redirect_uri(request: HttpRequest, provider: str) -> str:
    """Return our address as the provider knows it: below PUBLIC_URL, or as this request reached us."""
    path = reverse(CALLBACK, args=[provider])
    return conf.PUBLIC_URL.rstrip("/") + path if conf.PUBLIC_URL else request.build_absolute_uri(path)


@hides_secrets
@never_cache
@require_GET
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """Finish what the button *Connect* began, and lead back to the integration."""
    if not request.user.has_perm("integrations.change_tenantintegration"):
        return _page("You are not logged in, or may not do this. Log in and start again.")
    try:
        integration = finish(provider, request.GET.dict(), visitor_of(request))
    except AuthorizationRefused as refused:
        return _page(str(refused))
    except IntegrationError as error:
        is_theirs = isinstance(error, IntegrationTemporaryError | IntegrationRateLimited)
        return _page(f"{error.message}. Start again from the integration's page.", 502 if is_theirs else 400)
    if integration.is_enabled:  # what has waited for this goes out now
        resume(integration, actor=request.user.get_username(), action="connect")
    return _back(request, integration)


# RefuseNul: its own page says what is wrong
callback.takes_nul = True  # type: ignore[attr-defined]


def _back(request: HttpRequest, integration: TenantIntegration) -> HttpResponse:
    missing = missing_scopes(integration)
    if missing:
        messages.warning(
            request,
            f"{integration.name} is connected, but the provider granted less than was asked for: {', '.join(missing)} "
            "is missing, and calls that need it will be refused. Connect again and allow all of it.",
        )
    else:
        messages.success(request, f"{integration.name} is connected.")
    response = HttpResponseRedirect(reverse("admin:integrations_tenantintegration_change", args=[integration.pk]))
    response["Referrer-Policy"] = "no-referrer"
    return response


def _page(sentence: str, status: int = 400) -> HttpResponse:
    title = "Not connected"
    response = HttpResponse(format_html(_PAGE, title, title, sentence), status=status)
    response["Referrer-Policy"] = "no-referrer"
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return response
