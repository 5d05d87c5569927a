"""Pulls: what is read from this integration, how far and how often; on the page of an integration that can be read."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string

from integrations.admin.pages.links import console_url, page_url
from integrations.admin.tenancy.panels import Panel, register_panel
from integrations.admin.widgets.assets import CSS
from integrations.connections.models import TenantIntegration
from integrations.label import permission
from integrations.pages.display import every, next_pull, pull_badge, short, when
from integrations.pull.models import SyncState
from integrations.tenancy.harmless_text import harmless

from .admin import resources_of

SHOWN = 20


def pulls_panel(request: HttpRequest, obj: TenantIntegration) -> str:
    """Return the pulls of `obj` as a table."""
    if not request.user.has_perm(permission("view", "syncstate")):
        return "You may not see pulls."
    states = list(SyncState.objects.filter(connection=obj.pk).order_by("resource_type", "id")[:SHOWN])
    for state in states:
        state.connection = obj
    rows: list[dict[str, Any]] = [
        {
            "url": console_url("pull", state.pk) or page_url("syncstate", "change", state.pk),
            "resource": harmless(state.resource_type),
            "badge": pull_badge(state),
            "every": every(state.interval_minutes),
            "last": when(state.last_sync_at),
            "next": next_pull(state),
            "error": short(harmless(state.last_error), 80) if state.error_count else "",
            "errors": state.error_count,
        }
        for state in states
    ]
    may_add = request.user.has_perm(permission("add", "syncstate")) and bool(resources_of(obj.integration_type))
    add = page_url("syncstate", "add")
    add = f"{add}?connection={obj.pk}" if may_add and add else ""
    return render_to_string("admin/integrations/pulls.html", {"rows": rows, "add": add})


def _is_wanted(obj: TenantIntegration) -> bool:
    return bool(resources_of(obj.integration_type)) or obj.sync_states.exists()


register_panel(TenantIntegration, Panel("Pulls", pulls_panel, (CSS,), wanted=_is_wanted))
