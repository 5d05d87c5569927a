"""Which objects words mean: those that the search of their own admin finds, of the tenants that a person may see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest

from integrations.audit.notes import has_note_writer
from integrations.console.access import Access
from integrations.outbox.models import object_id_of
from integrations.pages.admin_pages import has_admin
from integrations.tenancy.boundary import owner_path

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
