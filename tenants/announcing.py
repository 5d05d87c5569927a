"""Bulk writes that say what they did.

Django sends no signals for ``bulk_create`` and ``update``. Rows of a tenant go through this queryset, which
sends two signals of its own, inside the transaction of the write:

    rows_created(sender=model, pks, using)           after a bulk_create
    rows_updating(sender=model, queryset, using)     before an update; a receiver may return a function
                                                     without arguments, which is called after the update
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models, transaction
from django.dispatch import Signal

rows_created = Signal()
rows_updating = Signal()


class AnnouncingQuerySet(models.QuerySet[Any]):
    """A queryset whose bulk writes are announced; ``_base_manager`` writes silently."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        if kwargs.get("ignore_conflicts") or kwargs.get("update_conflicts"):
            raise ValueError(
                "bulk_create() with ignore_conflicts or update_conflicts does not tell which rows it wrote, so "
                f"they cannot be announced; use {self.model.__name__}._base_manager if nobody has to hear of them."
            )
        with transaction.atomic(using=self.db, savepoint=False):
            created = super().bulk_create(objs, *args, **kwargs)
            if created:
                rows_created.send(sender=self.model, pks=[obj.pk for obj in created], using=self.db)
        return created

    def update(self, **kwargs: Any) -> int:
        if not rows_updating.has_listeners(self.model):
            return super().update(**kwargs)
        with transaction.atomic(using=self.db, savepoint=False):
            answers = rows_updating.send(sender=self.model, queryset=self.all(), using=self.db)
            count = super().update(**kwargs)
            for _, afterwards in answers:
                if callable(afterwards):
                    afterwards()
        return count

    update.alters_data = True  # type: ignore[attr-defined]
