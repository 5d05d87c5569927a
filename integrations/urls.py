"""The app's public URLs."""

from django.urls import path

from .api.routes import api
from .dashboards import connectors_tab
from .oauth_callback import CALLBACK, callback
from .observability.health import health

urlpatterns = [
    path("health/", health, name="health"),
    path("api/", api.urls),
    *connectors_tab.urlpatterns,
    path("webhooks/oauth/callback/<slug:provider>/", callback, name=CALLBACK),
]
