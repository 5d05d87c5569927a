"""Choose whose rows the lists show; which tenant a page is about that can be about one alone."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from integrations.console.access import CHOSEN, Access
from integrations.console.page import page
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import tenant_key


def chosen_tenant(request: HttpRequest, access: Access) -> Any:
    """Return the tenant that the request names as ``tenant``, else the one that is looked at; None: several are.

    A form names it: what is looked at may have changed in another window meanwhile.

    Raises:
        Http404: the person does not see the tenant that is named.
    """
    named = request.POST.get("tenant") or request.GET.get("tenant")
    if not named:
        return access.tenant
    key = tenant_key(named)
    return access.tenant_of(key)


@page(Role.VIEWER, is_button=True)
def choose_tenant(request: HttpRequest, access: Access) -> HttpResponse:
    """Remember the tenant that is posted, empty for all, and go back to where the person was."""
    request.session[CHOSEN] = request.POST.get("tenant", "")[:100]
    back = request.POST.get("next", "")
    is_safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(back if is_safe else reverse("console:overview"))
