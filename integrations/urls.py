"""The app's public URLs."""

from django.urls import include, path, re_path

from .api.routes import api
from .api.v1.api import api as api_v1
from .api.v1.problems import no_such_call
from .dashboards import connectors_tab
from .metrics.view import live, metrics, ready
from .observability.health import health

urlpatterns = [
    path("health/", health, name="health"),
    path("health/live", live, name="health-live"),
    path("health/ready", ready, name="health-ready"),
    path("metrics", metrics, name="metrics"),
    path("api/v1/", api_v1.urls),
    re_path(r"^api/v1/(?P<rest>[\s\S]+)$", no_such_call),  # [\s\S]: a line break in it, too
    path("api/", api.urls),
    *connectors_tab.urlpatterns,
    path("console/", include("integrations.console.urls")),
    path("webhooks/", include("integrations.webhooks.urls")),
]
