"""The decorator of every view of the console, and the answer that a view gives.

@page(Role.VIEWER)
def deliveries(request: HttpRequest, access: Access) -> HttpResponse:
    return show(request, access, "deliveries.html", {"rows": …})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from integrations.tenancy.capabilities import Capability
from integrations.tenancy.people import managers_of
from integrations.tenancy.roles import Role
from integrations.tenancy.scope import tenants_of

from .access import Access, Needed, RoleNeeded
from .navigation import entries
from .sign_in.address import has_password, sign_in_url

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
FOLDER = "integrations/console/"

View = Callable[..., HttpResponse]


def page(needed: Needed, *, operators_only: bool = False, is_button: bool = False) -> Callable[[View], View]:
    """Make a view of the console: it gets the request, the person's `Access`, and what its address names.

    Who is not signed in is sent to do so; who has no tenant, or may not do it for the tenant that is looked at (where
    several are: for none of them), reads why not. A page of one row asks `access.one` and `access.require` itself.

    Args:
        needed: what the person must be allowed to do, or the role that it takes.
        operators_only: only people who run the product (staff) see it.
        is_button: it takes a POST alone; whoever types its address reads that there is nothing there (405).
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated or not request.user.is_active:
                return _to_sign_in(request)
            access = Access(request, needed)
            if is_button and request.method != "POST":
                response = show(request, access, "not_found.html", status=405)
                response.headers["Allow"] = "POST"
                return framed(response)
            try:
                if operators_only and not access.is_operator:
                    raise PermissionDenied(_("This page is for the people who run the product."))
                if access.role is None:
                    raise PermissionDenied(_why_nothing(access.user))
                if not access.may_here(needed):
                    raise RoleNeeded(needed, access.role, access.tenant)
                response = view(request, access, *args, **kwargs)
            except PermissionDenied as error:
                template = "parts/refused.html" if is_part(request) else "forbidden.html"
                response = show(request, access, template, _refusal(error, access), status=403)
            except Http404:
                template = "parts/gone.html" if is_part(request) else "not_found.html"
                response = show(request, access, template, status=404)
            return framed(response)

        answered.console_needs = needed  # type: ignore[attr-defined]
        return never_cache(answered)

    return decorate


def framed(response: HttpResponse) -> HttpResponse:
    """Add the headers that every page has; one that a view has set stays."""
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Lead to the sign-in, and from there back: after a button or a form to the page that it is on."""
    if request.method in ("GET", "HEAD") and not is_part(request):
        return redirect_to_login(request.get_full_path(), sign_in_url())
    whole = urlsplit(request.headers.get("HX-Current-URL" if is_part(request) else "Referer", ""))
    back = f"{whole.path}?{whole.query}" if whole.query else whole.path
    to = redirect_to_login(back or reverse("console:overview"), sign_in_url())
    return HttpResponse(headers={"HX-Redirect": to.url}) if is_part(request) else to


def _why_nothing(user: Any) -> str:
    """Say why somebody without any role sees nothing."""
    if not tenants_of(user).exists():
        words = _("Your account does not belong to a tenant yet. A manager adds you by its name, {name}.")
        return words.format(name=user.get_username())
    return _("Your account has no role yet. Ask a manager of your tenant to give you one.")


def _refusal(error: PermissionDenied, access: Access) -> dict[str, Any]:
    tenant = getattr(error, "tenant", None) or access.tenant
    managers = managers_of(tenant) if isinstance(error, RoleNeeded) and tenant is not None else []
    return {"error": error, "managers": managers[:3], "of": tenant}


def is_part(request: HttpRequest) -> bool:
    """Tell whether htmx asks, for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def show(
    request: HttpRequest, access: Access, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """Return a page, or a part of one, from ``templates/integrations/console/``.

    Templates get `access`, `Role`, `Capability`, the entries at the side and `is_part`: True if htmx asked, which then
    wants no frame around what it swaps.
    """
    values = {
        "access": access,
        "Role": Role,
        "Capability": Capability,
        "entries": entries(request, access),
        "is_part": is_part(request),
        "overview_url": reverse("console:overview"),
        "may_change_password": has_password(access.user),
        **(context or {}),
    }
    return HttpResponse(render_to_string(FOLDER + template, values, request), status=status)


def lead_to(request: HttpRequest, access: Access, response: HttpResponseRedirect, name: str) -> HttpResponse:
    """Return the page that leads from a form to another site: to where `response` does, which is called `name`.

    Browsers apply ``form-action 'self'`` of the Content-Security-Policy to where a form is redirected, too. So the form
    is answered with a page that goes there at once; its link is for who comes without refreshes.
    """
    found = show(request, access, "leaving.html", {"address": response["Location"], "name": name})
    found["Referrer-Policy"] = "no-referrer"
    return found
