"""The decorator of every view of the console, and the answer that a view gives.

@page(Role.VIEWER)
def deliveries(request: HttpRequest, access: Access) -> HttpResponse:
    return show(request, access, "deliveries.html", {"rows": …})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.cache import never_cache

from integrations.tenancy.roles import Role

from .access import Access, RoleNeeded
from .navigation import entries
from .sign_in.address import sign_in_url

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
FOLDER = "integrations/console/"

View = Callable[..., HttpResponse]


def page(role: Role, *, operators_only: bool = False) -> Callable[[View], View]:
    """Make a view of the console: it gets the request, the person's `Access`, and what its address names.

    Who is not signed in is sent to do so; who has no tenant, or a smaller role than `role` where one tenant is looked
    at, reads why not. A page of one row asks `access.one` and `access.require` itself.

    Args:
        operators_only: only people who run the product (staff) see it.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated or not request.user.is_active:
                return redirect_to_login(request.get_full_path(), sign_in_url())
            access = Access(request)
            try:
                if operators_only and not access.is_operator:
                    raise PermissionDenied("This page is for the people who run the product.")
                if access.role is None:
                    raise PermissionDenied("Your account does not belong to a tenant yet.")
                if access.role < role and access.tenant is not None:
                    raise RoleNeeded(role, access.role)
                response = view(request, access, *args, **kwargs)
            except PermissionDenied as error:
                response = show(request, access, "forbidden.html", {"error": error}, status=403)
            except Http404 as error:
                response = show(request, access, "not_found.html", {"error": error}, status=404)
            response.headers.setdefault("Content-Security-Policy", POLICY)
            response.headers.setdefault("Referrer-Policy", "same-origin")
            return response

        answered.console_role = role  # type: ignore[attr-defined]
        return never_cache(answered)

    return decorate


def show(
    request: HttpRequest, access: Access, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """Return a page, or a part of one, from ``templates/integrations/console/``.

    Templates get `access`, `Role`, the entries at the side and `is_part`: True if htmx asked, which then wants no frame
    around what it swaps.
    """
    values = {
        "access": access,
        "Role": Role,
        "entries": entries(request, access),
        "is_part": request.headers.get("HX-Request") == "true",
        "overview_url": reverse("console:overview"),
        **(context or {}),
    }
    return HttpResponse(render_to_string(FOLDER + template, values, request), status=status)
