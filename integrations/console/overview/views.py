"""What happens now, at one look."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.tenancy.roles import Role


@page(Role.VIEWER)
def overview(request: HttpRequest, access: Access) -> HttpResponse:
    """Show the first page."""
    return show(request, access, "overview.html")
