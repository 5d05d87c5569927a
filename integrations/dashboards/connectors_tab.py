"""The connectors' dashboard: ``/dashboards/connectors/`` leads to the console's list of integrations.

That list has its facts: authentication, rate limits, error rates, breakers (open since when, failures, the next probe)
and the button that resets one. ``?show=failing`` still narrows it.
"""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse

from integrations.pages.admin_pages import has_admin


def connectors_tab(request: HttpRequest) -> HttpResponse:
    """Lead to the console's list."""
    narrowed = "?health=failing" if request.GET.get("show") == "failing" else ""
    return HttpResponseRedirect(reverse("console:integrations") + narrowed)


# That list asks who may see it, too.
_view = admin.site.admin_view(connectors_tab) if has_admin() else connectors_tab
urlpatterns = [path("dashboards/connectors/", _view, name="connectors-tab")]
