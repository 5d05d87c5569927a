"""What a host mounts: ``path("webhooks/", include("integrations.webhooks.urls"))``."""

from django.urls import path

from integrations.inbound.view import webhook_receiver
from integrations.oauth_callback import CALLBACK, callback

urlpatterns = [
    path("oauth/callback/<slug:provider>/", callback, name=CALLBACK),
    path("<str:connection_id>/<str:action>/", webhook_receiver, name="webhook-receiver"),
    # A provider does not follow the redirect that would add the slash.
    path("<str:connection_id>/<str:action>", webhook_receiver),
]
