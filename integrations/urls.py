"""The app's public URLs."""

from django.urls import path

from .observability.health import health

urlpatterns = [path("health/", health, name="health")]
