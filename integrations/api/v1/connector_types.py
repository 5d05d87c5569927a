"""Connector types: the kinds of systems that there are, and what each asks for."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from ninja import Router

from integrations.api.caller import allowed_tenants
from integrations.api.schemas import ConnectorOut, connector_shown
from integrations.connectors.registry import manifests
from integrations.tenancy.capabilities import Capability

from .document import example
from .paging import Page
from .problems import PROBLEMS, ROW_PROBLEMS

router = Router(tags=["Connector types"])


class ConnectorTypeOut(ConnectorOut):
    """One kind of system that can be connected, and what it asks for.

    Attributes:
        type: its name, as `connector_type` of an integration has it.
        events: the event types that it can take.
        fields: of `settings`: name, kind, whether it is required.
    """

    model_config = example(
        {
            "type": "webhook",
            "label": "Webhook",
            "family": "automation",
            "version": "1.0.0",
            "description": "Any HTTPS endpoint that takes JSON.",
            "does": ["deliver"],
            "events": ["workitem_created"],
            "docs_url": "",
            "fields": [{"name": "url", "kind": "url", "required": True, "label": "URL"}],
        }
    )


class ConnectorPage(Page):
    data: list[ConnectorTypeOut]


@router.get("", response={200: ConnectorPage, **PROBLEMS}, summary="List connector types")
def connector_types(request: HttpRequest, family: str = "") -> Any:
    """List the connector types, each with the settings that it asks for; all of them on one page."""
    allowed_tenants(request, Capability.VIEW)
    return {"data": [connector_shown(each) for each in manifests(family or None)], "next": None}


@router.get("/{key}", response={200: ConnectorTypeOut, **ROW_PROBLEMS}, summary="Read one connector type")
def connector_type(request: HttpRequest, key: str) -> Any:
    """Return one connector type, with the settings that it asks for."""
    allowed_tenants(request, Capability.VIEW)
    found = next((each for each in manifests() if each.key == key), None)
    if found is None:
        raise Http404
    return connector_shown(found)
