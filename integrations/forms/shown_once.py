"""A new signing secret on its way to the one page that shows it.

It waits in the session, sealed for this user and integration and for a few minutes; looking takes it away.
Not in a message or a cookie: both are kept in plain text.
"""

from __future__ import annotations

from django.http import HttpRequest

from integrations.connections.models import TenantIntegration
from integrations.credentials.encryption import EncryptionService
from integrations.database import clock
from integrations.errors import EncryptionError

KEY = "integrations_new_secret"
SECONDS = 300


def keep(request: HttpRequest, integration: TenantIntegration, secret: str) -> None:
    """Keep `secret` for the next page."""
    token = EncryptionService.seal(secret, _context(request, integration))
    request.session[KEY] = {"integration": integration.pk, "until": clock.timestamp() + SECONDS, "token": token}


def take(request: HttpRequest, integration: TenantIntegration) -> str | None:
    """Return the secret that was kept for this integration and forget it; None: shown already, or too late."""
    kept = request.session.get(KEY)
    if not kept or kept["integration"] != integration.pk:
        return None
    del request.session[KEY]
    if kept["until"] < clock.timestamp():
        return None
    try:
        return EncryptionService.open(kept["token"], _context(request, integration))
    except EncryptionError:
        return None


def _context(request: HttpRequest, integration: TenantIntegration) -> str:
    return f"shown-once:{request.user.pk}:{integration.public_id}"
