"""``MIDDLEWARE``: what no view has to think of."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import Resolver404, resolve

from .acting import serving


class RefuseNul:
    """Answer 400 to an address with a NUL in its path or query: PostgreSQL takes none, and a page would fail with 500.

    What is posted the forms and schemas refuse themselves. So do views with ``takes_nul``: what strangers and providers
    send is answered in one way, whatever is wrong with it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        if ("\0" in request.path_info or "%00" in query or "\0" in query) and not _takes_nul(request):
            return _refused(request)
        return self.get_response(request)


def _refused(request: HttpRequest) -> HttpResponse:
    words = "The address contains a NUL character (%00)."
    try:
        is_api = "integrations-api-v1" in resolve(request.path_info).namespaces
    except Resolver404:
        is_api = False
    if is_api:
        from integrations.api.v1.problems import problem

        return problem(400, "nul", words)
    return HttpResponseBadRequest(words, content_type="text/plain")


class ActingUser:
    """Let what a request changes be written down as its user's doing, with address and path (audit/trail.py).

    It asks for the user when something is written, so its place in the list does not matter.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with serving(request):
            return self.get_response(request)


def _takes_nul(request: HttpRequest) -> bool:
    try:
        return bool(getattr(resolve(request.path_info).func, "takes_nul", False))
    except Resolver404:
        return False
