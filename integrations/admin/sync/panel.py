"""Did it arrive? Shown on the page of every object that has events: its last syncs."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from integrations.admin.pages.links import page_url
from integrations.admin.tenancy.panels import Panel, register_panel
from integrations.admin.widgets.assets import CSS
from integrations.audit.notes import has_note_writer
from integrations.display import cause, short, sync_badge, sync_story, when
from integrations.label import permission
from integrations.outbox.models import IntegrationSync, object_id_of
from integrations.tenancy.boundary import owner_of, owner_path

SHOWN = 20


def deliveries(request: HttpRequest, obj: Any) -> str:
    """Return the last syncs of `obj` as a table."""
    if not request.user.has_perm(permission("view", "integrationsync")):
        return "You may not see deliveries."
    content_type = ContentType.objects.get_for_model(obj)
    syncs = IntegrationSync.objects.filter(
        event__content_type=content_type, event__object_id=object_id_of(obj.pk), integration__tenant=owner_of(obj)
    )
    syncs = syncs.select_related("event__origin", "integration__lane").defer("event__body").order_by("-event_id", "-id")
    rows = [
        (
            page_url("integrationsync", "change", sync.pk),
            sync_badge(sync),
            sync_story(sync),
            sync.event.event_type,
            cause(sync.event),
            sync.integration.name,
            when(sync.settled_at or sync.created_at),
            short(sync.last_error or sync.reason, 60),
        )
        for sync in syncs[:SHOWN]
    ]
    if not rows:
        return (
            "Nothing was sent about this yet: no integration of this tenant subscribes to what happened to it, or the "
            "only one that does caused it."
        )
    body = format_html_join(
        "",
        '<tr><td><a href="{}">{}</a><div class="ig-quiet">{}</div></td>'
        '<td>{}<div class="ig-quiet">{}</div></td><td>{}</td><td>{}</td><td>{}</td></tr>',
        rows,
    )
    return format_html(
        '<div class="ig-scroll"><table class="ig-table"><thead><tr><th>Status</th><th>Event</th><th>Integration</th>'
        "<th>When</th><th>Error or reason</th></tr></thead><tbody>{}</tbody></table></div>",
        body,
    )


def _has_deliveries(model: type[models.Model]) -> bool:
    return has_note_writer(model) and owner_path(model) is not None


# Not for each registered admin: another app's admin.py may import ours before its neighbours have registered theirs.
register_panel(None, Panel("Deliveries", deliveries, (CSS,), _has_deliveries))
