"""What stands where on the page of an integration. The parts that depend on the connector are marked ``ig-kind``:
they are what admin.js swaps when another one is chosen."""

from __future__ import annotations

from typing import Any

from integrations.connections.models import LIMITS, SIGNING, TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.forms.choice import NOT_INSTALLED, about, offers_actions, offers_events
from integrations.forms.fields import names_of

Fieldset = tuple[str | None, dict[str, Any]]

# Nothing here may name an encrypted attribute: Django would print its value.
_SEEN = ("host", "header_names")


def view_fieldsets(connector: type[BaseConnector] | None) -> list[Fieldset]:
    """Return the page for whoever may only look."""
    signed = SIGNING if connector is not None and connector.manifest.signs else ()
    receives = ("events",) if connector is None or connector.manifest.takes_events else ()
    return [(None, {"fields": ("tenant", "name", "connector", "is_active", *receives, *_SEEN, *signed)})]


def edit_fieldsets(connector: type[BaseConnector] | None, *, integration: TenantIntegration | None) -> list[Fieldset]:
    """Return the form; of a new integration if there is none.

    With no connector: none is chosen yet, or it is not installed (any more).
    """
    is_new = integration is None
    kind = "integration_type" if is_new else "connector"
    fieldsets: list[Fieldset] = [
        (None, {"fields": ("tenant", "name", kind, "is_active", "version", "shown_type")}),
    ]
    delivers = connector is None or connector.manifest.takes_events
    if connector is None or offers_events(connector.manifest, integration):
        fieldsets.append(_part("Events", ("event_types",)))
    if connector is not None:
        manifest = connector.manifest
        signed = SIGNING if manifest.signs else ()
        fieldsets.append(_part("Connection", (*names_of(manifest), *signed), description=about(manifest)))
        if advanced := names_of(manifest, advanced=True):
            fieldsets.append(_part("Advanced", tuple(advanced), "collapse"))
        if offers_actions(connector, integration):
            fieldsets.append(_part("Calling back", ("inbound_actions",)))
    elif not is_new:
        fieldsets.append(_part("Connection", _SEEN, description=NOT_INSTALLED))
    if delivers:
        fieldsets.append(_part("Order and limits", tuple(LIMITS), "collapse"))
    return fieldsets


def _part(name: str, fields: tuple[Any, ...], *css: str, **more: Any) -> Fieldset:
    return name, {"fields": fields, "classes": ("ig-kind", *css), **more}
