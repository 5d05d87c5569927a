"""Where the other side calls us back, as a whole address that can be pasted, also where no setting says our name."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from integrations.connections.abstract import AbstractConnection

EVENTS = "events"  # any word that is no action: the webhook is for the application's own receivers
GUESSED = gettext_lazy(
    "The host in the address is the one of this page. Where others know us by another name, an operator sets "
    "INTEGRATIONS_WEBHOOK_BASE_URL or INTEGRATIONS_PUBLIC_URL."
)


def callback_address(request: HttpRequest, connection: Any, action: str) -> str:
    """Return the URL for `action`; its host is the request's where neither setting names one."""
    return request.build_absolute_uri(connection.webhook_url_for(action))


def is_guessed(connection: AbstractConnection) -> bool:
    """Tell whether no setting says under which name the world knows this installation."""
    return not connection.webhook_url_for(EVENTS).startswith(("https://", "http://"))
