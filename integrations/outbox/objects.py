"""The objects that events are about, by `IntegrationEvent.object_id`, and what they are called.

Their tables and their words are the host's: that one cannot be read must not cost the page that names them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, ProgrammingError, connections
from django.db.models import QuerySet

from integrations.tenancy.boundary import hosts_code
from integrations.tenancy.harmless_text import harmless
from integrations.tenancy.tenant import as_key

from .models import object_id_of

logger = logging.getLogger("integrations.outbox")


def model_of(content_type_id: int) -> Any:
    """Return the model of a content type; None if it is gone, or never was: anybody may make an event by hand."""
    try:
        return ContentType.objects.get_for_id(content_type_id).model_class()
    except ContentType.DoesNotExist:
        return None


def by_object_id(rows: QuerySet[Any], object_ids: Iterable[str]) -> dict[str, Any]:
    """Return those of `rows` that have one of `object_ids`, by that: one query; none where nothing can have one."""
    keys = [key for object_id in object_ids if (key := as_key(rows.model._meta.pk, object_id)) is not None]
    return {object_id_of(obj.pk): obj for obj in readable(rows.filter(pk__in=keys))} if keys else {}


def readable(rows: QuerySet[Any]) -> list[Any]:
    """Return `rows`; none if their table is not where we look, as in another schema than a tenant's."""
    try:
        with _spoiling_nothing(rows.db):
            return list(rows)
    except (OperationalError, ProgrammingError):
        logger.warning("no %s can be read, so they are named by their keys", rows.model._meta.label, exc_info=True)
        return []


def _spoiling_nothing(using: str) -> AbstractContextManager[None]:
    """Pages read in autocommit, where a statement that fails spoils nothing; under ATOMIC_REQUESTS all of the page."""
    return hosts_code(using) if connections[using].settings_dict.get("ATOMIC_REQUESTS") else nullcontext()


def called(obj: Any) -> str:
    """Return what `obj` says that it is called; its key if it cannot."""
    try:
        with _spoiling_nothing(obj._state.db or "default"):
            return harmless(str(obj))
    except Exception:  # anybody's code
        logger.warning("%s %s cannot say what it is called", obj._meta.label, obj.pk, exc_info=True)
        return harmless(object_id_of(obj.pk))
