"""The objects that events are about, by `IntegrationEvent.object_id`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from integrations.tenancy.tenant import as_key

from .models import object_id_of


def by_object_id(rows: QuerySet[Any], object_ids: Iterable[str]) -> dict[str, Any]:
    """Return those of `rows` that have one of `object_ids`, by that: one query; none where nothing can have one."""
    keys = [key for object_id in object_ids if (key := as_key(rows.model._meta.pk, object_id)) is not None]
    return {object_id_of(obj.pk): obj for obj in rows.filter(pk__in=keys)} if keys else {}
