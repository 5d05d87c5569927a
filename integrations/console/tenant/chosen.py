"""Which tenant a page is about that can be about one alone."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest

from integrations.console.access import Access
from integrations.tenancy.scope import tenants_of
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
    found = tenants_of(access.user).filter(pk=key).first() if key is not None else None
    if found is None:
        raise Http404
    return found
