"""Querysets of rows that belong to a tenant, and of writes that nobody has to hear of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connections, models, transaction

from .boundary import only_tenant


class OwnedQuerySet(models.QuerySet[Any]):
    """Rows that stay with their tenant.

    While something is said of one tenant (boundary.py), it finds that tenant's rows alone.
    """

    def __init__(self, model: Any = None, query: Any = None, using: Any = None, hints: Any = None) -> None:
        super().__init__(model=model, query=query, using=using, hints=hints)
        if query is None and (tenant_id := only_tenant()) is not None:
            self.query.add_q(models.Q(tenant_id=tenant_id))

    def update(self, **kwargs: Any) -> int:
        if "tenant" in kwargs or "tenant_id" in kwargs:
            raise ValueError("Rows cannot move to another tenant; make new ones there.")
        return super().update(**kwargs)

    update.alters_data = True  # type: ignore[attr-defined]


class UnannouncedQuerySet(models.QuerySet[Any]):
    """Its ``update()`` and ``bulk_create()`` are no events."""

    is_unannounced = True


def unannounced(model: type[models.Model]) -> models.QuerySet[Any]:
    """Return all rows of `model`, for bulk writes that are no events: ``unannounced(Invoice).update(…)``."""
    return UnannouncedQuerySet(model)


def own_transaction(using: str) -> AbstractContextManager[Any]:
    """Open a transaction unless the caller has one, whose course is then left alone: an exception that the
    caller handles must not spoil what else they do in it."""
    return nullcontext() if connections[using].in_atomic_block else transaction.atomic(using=using)
