"""The list of integrations by their secrets; a value is never shown."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.console.keyset import key_in
from integrations.console.page import page, show
from integrations.credentials.error_reports import hides_secrets
from integrations.services.secrets import secrets_of
from integrations.tenancy.capabilities import Capability

PAGE = 50


@hides_secrets
@page(Capability.SECRETS)
def secrets(request: HttpRequest, access: Access) -> HttpResponse:
    """List the integrations for which the person may change secrets, a page at a time."""
    rows = access.rows(TenantIntegration.objects.present()).select_related("tenant").order_by("id")
    after = key_in(request, "after")
    if after is not None:
        rows = rows.filter(pk__gt=after)
    read = list(rows[: PAGE + 1])
    found = read[:PAGE]
    shown = [(row, secrets_of(row)) for row in found]
    address = reverse("console:secrets")
    context = {
        "rows": sorted(shown, key=lambda row: not row[1].needs_somebody),
        "newer": address if after is not None else "",
        "older": f"{address}?after={found[-1].pk}" if len(read) > PAGE else "",
        "every": conf.ROTATE_EVERY_DAYS,
    }
    return show(request, access, "secrets.html", context)
