"""Did it arrive? Shown on the page of every object that has events: its last syncs."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from integrations.admin.pages.links import console_url, page_url
from integrations.admin.tenancy.panels import Panel, register_panel
from integrations.admin.widgets.assets import CSS
from integrations.audit.notes import has_note_writer
from integrations.audit.why_not import WhyNot, why_not, why_nothing
from integrations.capture.trigger_handler import recorded_types_of
from integrations.label import permission
from integrations.outbox.models import IntegrationEvent, IntegrationSync, object_id_of
from integrations.pages.display import cause, short, sync_badge, sync_story, when
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
    syncs = syncs.select_related("event__origin", "integration__lane").defer("event__body", "older_body")
    syncs = syncs.order_by("-event_id", "-id")
    shown = list(syncs[:SHOWN])
    rows = [
        (
            console_url("delivery", sync.pk) or page_url("integrationsync", "change", sync.pk),
            sync_badge(sync),
            sync_story(sync),
            sync.event.event_type,
            cause(sync.event),
            sync.integration.name,
            when(sync.settled_at or sync.created_at),
            short(sync.last_error or sync.reason, 60),
        )
        for sync in shown
    ]
    if not rows:
        return _why_nothing(obj)
    body = format_html_join(
        "",
        '<tr><td><a href="{}">{}</a><div class="ig-quiet">{}</div></td>'
        '<td>{}<div class="ig-quiet">{}</div></td><td>{}</td><td>{}</td><td>{}</td></tr>',
        rows,
    )
    newest = IntegrationEvent.objects.get(pk=shown[0].event_id)  # with its body
    left_out = why_not(newest)
    return format_html(
        '<div class="ig-scroll"><table class="ig-table"><thead><tr><th>Status</th><th>Event</th><th>Integration</th>'
        "<th>When</th><th>Error or reason</th></tr></thead><tbody>{}</tbody></table></div>{}{}",
        body,
        _everything(newest),
        _reasons(f"Not told of {newest.event_type} #{newest.pk}:", left_out),
    )


def _why_nothing(obj: Any) -> str:
    """Say why there is nothing: from the object's newest event, or, if it has none, from who wants such events."""
    key = {"content_type": ContentType.objects.get_for_model(obj), "object_id": object_id_of(obj.pk)}
    newest = IntegrationEvent.objects.filter(**key, tenant=owner_of(obj)).order_by("-id").first()
    if newest is not None:
        return format_html("Nothing was sent about this yet.{}", _reasons("", why_not(newest)))
    reasons = why_nothing(owner_of(obj), recorded_types_of(obj))
    if not reasons:
        return "Nothing was sent about this yet: this tenant has no integration."
    return format_html("Nothing was sent about this yet: nobody wanted what happened to it.{}", _reasons("", reasons))


def _everything(event: IntegrationEvent) -> str:
    """Lead to the console's page of the object: every attempt, its notes, and retry."""
    url = console_url("object", event.content_type_id, event.object_id)
    return (
        format_html('<p><a href="{}">Everything about this object, with each attempt; retry there</a></p>', url)
        if url
        else ""
    )


def _reasons(title: str, reasons: list[WhyNot]) -> str:
    if not reasons:
        return ""
    lines = format_html_join("", "<li><b>{}</b>: {}</li>", ((each.integration, each.sentence) for each in reasons))
    return format_html('<div class="ig-quiet">{}<ul>{}</ul></div>', title, lines)


def _has_deliveries(model: type[models.Model]) -> bool:
    return has_note_writer(model) and owner_path(model) is not None


# Not for each registered admin: another app's admin.py may import ours before its neighbours have registered theirs.
register_panel(None, Panel("Deliveries", deliveries, (CSS,), _has_deliveries))
