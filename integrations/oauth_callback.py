"""``webhooks/oauth/callback/<provider>/``: where a provider sends people back to, and how they get there.

Whatever is wrong: 400 (502 if the provider's token endpoint fails us) and a plain page with a sentence of ours. Nothing
of the query is repeated, and nothing of it leaks onwards in a Referer.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.sites import all_sites
from django.contrib.admin.utils import quote
from django.core.exceptions import DisallowedRedirect, PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from integrations import conf
from integrations.audit.calls import log_action
from integrations.audit.trail import record
from integrations.connections.abstract import AbstractConnection
from integrations.connections.authorization import (
    AuthorizationRefused,
    Visitor,
    asked_with,
    finish,
    missing_scopes,
    start,
)
from integrations.connections.models import TenantIntegration
from integrations.credentials.error_reports import hides_secrets
from integrations.delivery.operator_actions import free_lane
from integrations.errors import IntegrationError, IntegrationRateLimited, IntegrationTemporaryError
from integrations.tenancy.capabilities import Capability, may

CALLBACK = "oauth-callback"
LONGEST = 500  # characters of an address to return to
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


def to_provider(
    request: HttpRequest, connection: AbstractConnection, *, admin_site: str = "", return_to: str = ""
) -> HttpResponseRedirect:
    """Return the redirect to the provider's page, where the user of `request` may agree.

    Args:
        admin_site: the name of the admin site whose page has the button.
        return_to: where they are led afterwards, an address of this site.

    Raises:
        IntegrationError: something that the provider's page needs is missing; the message says what.
    """
    back = redirect_uri(request, connection.connector_key)
    address = start(connection, visitor_of(request), back, admin_site=admin_site, return_to=return_to)
    response = HttpResponseRedirect(address)
    response["Referrer-Policy"] = "no-referrer"
    return response


def connect(request: HttpRequest, connection: AbstractConnection, *, return_to: str = "") -> HttpResponseRedirect:
    """Send the user of `request` to the provider: for a view of a host, which has found the connection for them.

    Call it for a POST only, as everything that changes something.

    Args:
        return_to: where they are led afterwards, an address of this site; "": a page that says that it is done.

    Raises:
        PermissionDenied: `may_be_connected_by` of the connection says no.
        DisallowedRedirect: `return_to` leads elsewhere.
        IntegrationError: something that the provider's page needs is missing; the message says what.
    """
    if not (request.user.is_authenticated and connection.may_be_connected_by(request.user)):
        raise PermissionDenied("this user may not connect it; see may_be_connected_by")
    is_ours = url_has_allowed_host_and_scheme(return_to, {request.get_host()}, request.is_secure())
    if return_to and not (is_ours and len(return_to) <= LONGEST):
        raise DisallowedRedirect("return_to must be an address of this site")
    return to_provider(request, connection, return_to=return_to)


@transaction.non_atomic_requests  # what the provider has given is stored whatever becomes of the page
@hides_secrets
@never_cache
@require_GET
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """Finish what the button *Connect* or `connect` began, and lead back to where it began."""
    asked = asked_with(request.GET.get("state", ""))
    if not request.user.is_authenticated or not _may_ask(request.user, asked):
        return _page("You are not logged in, or may not do this. Log in and start again.")
    site = asked.admin_site if asked else ""
    may_connect = partial(_may_change, request, site) if site else None
    try:
        connection = finish(provider, request.GET.dict(), visitor_of(request), may_connect=may_connect)
    except AuthorizationRefused as refused:
        return _page(str(refused))
    except IntegrationError as error:
        is_theirs = isinstance(error, IntegrationTemporaryError | IntegrationRateLimited)
        return _page(f"{error.message}. Start again from the integration's page.", 502 if is_theirs else 400)
    if not isinstance(connection, TenantIntegration):
        log_action(connection, "connect", actor=request.user.get_username())
        record("connected", connection, request=request)
    elif connection.is_enabled:  # what has waited for this goes out now
        free_lane(connection, actor=request.user.get_username(), action="connected")
    return _back(request, connection, site, asked.return_to if asked else "")


# RefuseNul: its own page says what is wrong
callback.takes_nul = True  # type: ignore[attr-defined]


def _may_ask(user: Any, asked: Any) -> bool:
    """Tell whether `user` may connect an integration of ours at all; of a host's own connection the host says it."""
    if asked is None or asked.integration_id is None:
        return True
    tenants = TenantIntegration.objects.filter(pk=asked.integration_id).values_list("tenant", flat=True)
    return any(may(user, Capability.SETTINGS, key) for key in tenants)


def _may_change(request: HttpRequest, site_name: str, connection: AbstractConnection) -> bool:
    """Tell whether the page that began it would let this user begin it now."""
    model = type(connection)
    for site in all_sites:
        if site.name == site_name and site.is_registered(model) and site.has_permission(request):
            page: Any = site.get_model_admin(model)
            found = page.get_object(request, str(connection.pk))
            may = getattr(page, "may_operate", page.has_change_permission)
            return found is not None and bool(may(request, found))
    return False


def _back(request: HttpRequest, connection: AbstractConnection, site: str, return_to: str) -> HttpResponse:
    missing = missing_scopes(connection)
    level, text = messages.SUCCESS, f"{connection} is connected."
    if missing:
        level = messages.WARNING
        text = (
            f"{connection} is connected, but the provider granted less than was asked for: {', '.join(missing)} "
            "is missing, and calls that need it will be refused. Connect again and allow all of it."
        )
    if site or (isinstance(connection, TenantIntegration) and not return_to):
        opts = connection._meta if site else TenantIntegration._meta
        name = f"admin:{opts.app_label}_{opts.model_name}_change"
        with suppress(NoReverseMatch):  # a project may have no page for it
            return_to = reverse(name, args=[quote(connection.pk)], current_app=site or None)
    if not return_to:
        return _page(text, 200, "Connected")
    messages.add_message(request, level, text, fail_silently=True)  # a host may have none
    response = HttpResponseRedirect(return_to)
    response["Referrer-Policy"] = "no-referrer"
    return response


def _page(sentence: str, status: int = 400, title: str = "Not connected") -> HttpResponse:
    response = HttpResponse(format_html(_PAGE, title, title, sentence), status=status)
    response["Referrer-Policy"] = "no-referrer"
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return response
