"""The way to another site, from a form of the console.

Browsers apply ``form-action 'self'`` of the Content-Security-Policy to where a form is redirected, too. So a form that
leads elsewhere answers with a page that goes there at once; its link is for who comes without refreshes.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from .access import Access
from .page import show


def lead_to(request: HttpRequest, access: Access, response: HttpResponseRedirect, name: str) -> HttpResponse:
    """Return the page that leads where `response` does, which is called `name`."""
    found = show(request, access, "leaving.html", {"address": response["Location"], "name": name})
    found["Referrer-Policy"] = "no-referrer"
    return found
