"""A tenant model whose rows are marked first and deleted by a worker, however much belongs to them.

Nobody needs it: ``delete()`` of any tenant model takes integrations with it. It is for a page that must answer at once.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.db.models.signals import class_prepared
from django.dispatch import receiver

from .deletion import BatchedDeletion, delete_batched, deletion_begins


class MarkedDeletionQuerySet(BatchedDeletion, models.QuerySet[Any]):
    """Deletes rows in batches."""


class MarkedDeletion(models.Model):
    """Base of a tenant model that says of itself that it is being deleted; `delete()` goes in batches (deletion.py)."""

    deleting_since = models.DateTimeField(null=True, blank=True, editable=False)
    deleting_rows_left = models.PositiveBigIntegerField(null=True, blank=True, editable=False)  # null: nobody began yet

    objects = MarkedDeletionQuerySet.as_manager()

    class Meta:
        abstract = True

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Delete the row with all it has, in batches; return when it is gone."""
        return delete_batched(self, using=using)


def _mark(sender: type[models.Model], pks: list[Any], using: str, **_: Any) -> None:
    rows = sender._base_manager.using(using).filter(pk__in=pks, deleting_since=None)
    rows.update(deleting_since=Now())


@receiver(class_prepared, dispatch_uid="mark what is being deleted")
def _listen(sender: type[models.Model], **_: Any) -> None:
    if issubclass(sender, MarkedDeletion):
        deletion_begins.connect(_mark, sender=sender, dispatch_uid=f"mark {sender._meta.label}")
