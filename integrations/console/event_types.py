"""What can happen: every event type, when, and what its payload holds."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

from integrations.catalogue.entries import entry, titles
from integrations.connections.offered_fields import offered_fields
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.tenancy.roles import Role


@page(Role.VIEWER)
def event_types(request: HttpRequest, access: Access) -> HttpResponse:
    """List every event type."""
    return show(request, access, "event_types.html", {"found": titles()})


@page(Role.VIEWER)
def event_type(request: HttpRequest, access: Access, name: str) -> HttpResponse:
    """Show one event type: its fields, an example, its schema."""
    found = entry(name)
    if found is None:
        raise Http404
    values = {
        "each": found,
        "fields": offered_fields(name, [found.example] if found.example else ()),
        "example": _indented(found.example),
        "schema": _indented(found.schema),
        "older": [
            {
                "version": older.version,
                "newer": older.version + 1,
                "changes": older.changes,
                "example": _indented(older.example),
                "schema": _indented(older.schema),
            }
            for older in found.older
        ],
    }
    return show(request, access, "event_type.html", values)


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""
