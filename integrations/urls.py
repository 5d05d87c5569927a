"""The app's public URLs."""

from django.urls import path

from .oauth_callback import CALLBACK, callback
from .observability.health import health

urlpatterns = [
    path("health/", health, name="health"),
    path("webhooks/oauth/callback/<slug:provider>/", callback, name=CALLBACK),
]
