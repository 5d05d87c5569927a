"""Two views that a project names, so that people of its console read a page instead of Django's bare words.

    CSRF_FAILURE_VIEW = "integrations.console.trouble.views.csrf_failure"      # settings
    handler500 = "integrations.console.trouble.views.server_error"             # the root URLs

For addresses that are not the console's both answer as Django does.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views import defaults
from django.views.csrf import csrf_failure as djangos_csrf_failure

from integrations.console.page import FOLDER, framed


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that the page was opened before somebody signed in anew, and lead back to it."""
    if not _is_ours(request):
        return djangos_csrf_failure(request, reason=reason)
    on = urlsplit(request.headers.get("Referer", ""))
    home = reverse("console:overview")
    is_there = on.netloc == request.get_host() and on.path.startswith(home)
    back = f"{on.path}?{on.query}" if on.query else on.path
    return _show("too_late.html", 403, back=back if is_there else home)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that it is our fault; without a query, for the database may be what failed."""
    return _show("failed.html", 500) if _is_ours(request) else defaults.server_error(request)


def _is_ours(request: HttpRequest) -> bool:
    return request.path.startswith(reverse("console:overview"))


def _show(template: str, status: int, **context: str) -> HttpResponse:
    values = {"overview_url": reverse("console:overview"), **context}
    return framed(HttpResponse(render_to_string(FOLDER + template, values), status=status))
