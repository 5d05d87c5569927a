"""From (content type, object id) to a link on the object's own admin page, for any kind of object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from integrations.label import app_label
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.outbox.objects import by_object_id, called, model_of
from integrations.tenancy.boundary import is_own, owner_of, owner_path

FOUND = 50  # objects that a search by their own words may find


def link_objects(request: HttpRequest, events: Iterable[IntegrationEvent]) -> None:
    """Set ``event.object_link`` on each of `events`: one query per kind of object.

    What the user may not see, or is deleted, is named without a link.
    """
    by_type: dict[int, list[IntegrationEvent]] = defaultdict(list)
    for event in events:
        by_type[event.content_type_id].append(event)
    for content_type_id, group in by_type.items():
        model = model_of(content_type_id)
        name = model._meta.verbose_name if model else "object"
        found = _found(request, model, {event.object_id for event in group}) if model else {}
        for event in group:
            obj = found.get(event.object_id)
            if obj is None or not is_own(owner_of(obj), event.tenant_id):
                link: Any = f"{name} {event.object_id}"
            else:
                opts = obj._meta
                url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[quote(obj.pk)])
                link = format_html('<a href="{}">{}</a>', url, called(obj))
            event.object_link = link  # type: ignore[attr-defined]


def _found(request: HttpRequest, model: type[Any], object_ids: Iterable[str]) -> dict[str, Any]:
    try:
        model_admin = admin.site.get_model_admin(model)
    except NotRegistered:
        return {}
    if model._meta.proxy or not model_admin.has_view_permission(request):
        return {}  # a proxy stands for objects that are no model of ours: an order's id is not a push's
    found = by_object_id(model_admin.get_queryset(request), object_ids)
    return {key: obj for key, obj in found.items() if model_admin.has_view_permission(request, obj)}


def search_objects(request: HttpRequest, term: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (content type id, object ids) of the objects that their own admin finds for `term`."""
    for model, model_admin in list(admin.site._registry.items()):
        if owner_path(model) in (None, "pk") or model._meta.app_label == app_label():
            continue
        if not model_admin.get_search_fields(request) or not model_admin.has_view_permission(request):
            continue
        queryset = model_admin.get_queryset(request).order_by()
        found, _ = model_admin.get_search_results(request, queryset, term)
        if ids := [object_id_of(pk) for pk in found.values_list("pk", flat=True)[:FOUND]]:
            yield ContentType.objects.get_for_model(model).pk, ids
