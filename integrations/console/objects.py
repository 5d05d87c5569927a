"""The objects that events are about: named as people know them, with a link where there is a page; found by words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils.translation import gettext as _

from integrations.audit.notes import has_note_writer
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.outbox.objects import by_object_id, called, model_of
from integrations.pages.admin_pages import admin_address, has_admin
from integrations.tenancy.boundary import is_own, owner_of, owner_path
from integrations.tenancy.harmless_text import harmless

from .access import Access


@dataclass(frozen=True, slots=True)
class Named:
    """One object in words.

    Attributes:
        kind: what it is, such as "work item".
        name: what it is called; its number, if it is gone or no model of ours.
        url: its page, "" if there is none that this person may open.
        is_there: it exists.
    """

    kind: str
    name: str
    url: str = ""
    is_there: bool = True


def name_objects(access: Access, events: Iterable[IntegrationEvent]) -> None:
    """Set ``event.named`` (a `Named`) on each of `events`: one query for each kind of object."""
    by_type: dict[int, list[IntegrationEvent]] = defaultdict(list)
    for event in events:
        by_type[event.content_type_id].append(event)
    for content_type_id, group in by_type.items():
        model = model_of(content_type_id)
        # A proxy stands for objects that are no model of ours: an order's id is not a push's.
        ids = {event.object_id for event in group}
        found = by_object_id(model._base_manager.all(), ids) if model is not None and not model._meta.proxy else {}
        kind = str(model._meta.verbose_name) if model is not None else _("object")
        kind = _("order") if model is not None and model._meta.proxy else kind
        for event in group:
            obj = found.get(event.object_id)
            if obj is not None and is_own(owner_of(obj), event.tenant_id):
                named = Named(kind, called(obj), page_of(access, obj))
            else:
                named = Named(kind, harmless(event.object_id), is_there=False)
            event.named = named  # type: ignore[attr-defined]


def page_of(access: Access, obj: Any) -> str:
    """Return the object's own address: the project's page of it, else the admin's for those who may open it."""
    if hasattr(obj, "get_absolute_url"):
        try:
            return str(obj.get_absolute_url())
        except NoReverseMatch:  # the page is at another of the project's addresses
            return ""
    opts, user = obj._meta, access.user
    if not user.is_staff or not user.has_perm(f"{opts.app_label}.view_{opts.model_name}"):
        return ""
    return admin_address(f"{opts.app_label}_{opts.model_name}_change", quote(obj.pk))


FOUND = 50  # objects of one kind
LONGEST = 100  # characters that are searched for


def finder(request: HttpRequest, access: Access) -> Any:
    """Return what `SyncFilter.q` asks: words in, (content type, object ids) out.

    A person who may see deliveries may see the objects that they tell of, in the payload; so this asks for no
    permission of the admin, and looks at no object of another tenant.
    """

    def find(words: str) -> Iterator[tuple[int, list[str]]]:
        for model, model_admin in list(admin.site._registry.items()) if has_admin() else ():
            path = owner_path(model)
            if path is None or not has_note_writer(model) or len(words) > LONGEST:
                continue
            if not model_admin.get_search_fields(request):
                continue
            rows = access.visible(model._base_manager.order_by(), path)
            found, _ = model_admin.get_search_results(request, rows, words)
            if ids := [object_id_of(pk) for pk in found.values_list("pk", flat=True)[:FOUND]]:
                yield ContentType.objects.get_for_model(model).pk, ids

    return find
