"""Addresses below the console that no page has."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import resolve

from integrations.console.access import Access
from integrations.console.page import page
from integrations.tenancy.roles import Role


@page(Role.VIEWER)
def elsewhere(request: HttpRequest, access: Access, rest: str) -> HttpResponse:
    """Say in the console's own words that there is nothing; lead to the page where only the last slash is missing."""
    if not rest.endswith("/") and request.method == "GET":
        address = f"{request.path_info}/"
        if resolve(address).url_name != "elsewhere":
            query = request.META.get("QUERY_STRING", "")
            return HttpResponseRedirect(f"{request.path}/{'?' if query else ''}{query}")
    raise Http404
