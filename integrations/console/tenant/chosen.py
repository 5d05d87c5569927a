"""Which tenant a page is about that can be about one alone."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from integrations.console.access import Access
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
