"""The page that describes the API, for people: Swagger UI, from files of our own, under a strict policy.

Nothing is loaded from another host, so it works offline. It asks for nothing: who may call what is decided when a call
is sent. Whoever is signed in may send calls as themselves, so their page alone has a CSRF token.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


class DocsPage(DocsBase):
    """The page ``docs`` of an API."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        is_known = getattr(getattr(request, "user", None), "is_authenticated", False)
        context = {
            "title": f"{api.title} {api.version}",
            "document": self.get_openapi_url(api, kwargs),
            "token": get_token(request) if is_known else "",
        }
        response = render(request, "integrations/api/docs.html", context)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response
