"""What comes back through a connection of anybody's model: where the provider calls us, and what was received."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from integrations.connections.registered import connection_model
from integrations.forms.choice import calls_back, connector_of
from integrations.inbound.address import EVENTS, GUESSED, callback_address, is_guessed
from integrations.inbound.by_hand import has_field
from integrations.inbound.models import AbstractWebhookEvent
from integrations.pull.models import AbstractSyncState

ELSEWHERE = "INTEGRATIONS_CONNECTION_MODEL names another model: at this address nothing is accepted (404)."


def way_back(request: HttpRequest, site: Any, connection: Any) -> dict[str, Any]:
    """Return ``address``, ``hints`` about it, and ``links`` to the rows that a person may see; {} for none of it."""
    connector = connector_of(connection.connector_key)
    address, hints = "", []
    if connector is not None and calls_back(connector):
        address = callback_address(request, connection, EVENTS)
        hints = [str(GUESSED)] if is_guessed(connection) else []
        if connection_model() is not type(connection):
            hints.append(ELSEWHERE)
    links = _links(request, site, connection)
    return {"address": address, "hints": hints, "links": links} if address or links else {}


def _links(request: HttpRequest, site: Any, connection: Any) -> list[tuple[str, str]]:
    found = []
    for model, admin in site._registry.items():
        if not issubclass(model, AbstractWebhookEvent | AbstractSyncState) or not has_field(model, "connection"):
            continue
        if model._meta.get_field("connection").related_model is not type(connection):
            continue
        if admin.has_view_permission(request):
            opts = model._meta
            url = reverse(f"{site.name}:{opts.app_label}_{opts.model_name}_changelist")
            found.append((f"Its {opts.verbose_name_plural}", f"{url}?connection={connection.pk}"))
    return sorted(found)
