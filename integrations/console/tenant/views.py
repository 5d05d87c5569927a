"""Choose whose rows the lists show."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from integrations.console.access import CHOSEN, Access
from integrations.console.page import page
from integrations.tenancy.roles import Role


@page(Role.VIEWER, is_button=True)
def choose_tenant(request: HttpRequest, access: Access) -> HttpResponse:
    """Remember the tenant that is posted, empty for all, and go back to where the person was."""
    request.session[CHOSEN] = request.POST.get("tenant", "")[:100]
    back = request.POST.get("next", "")
    is_safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(back if is_safe else reverse("console:overview"))
