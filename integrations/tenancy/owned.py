"""The base of every row that belongs to a tenant, its querysets, and the transaction around its writes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connections, models, router, transaction
from django.db.models.signals import class_prepared
from django.dispatch import receiver

from integrations import conf

from .boundary import bound_relations, only_tenant
from .checked_texts import CheckedTexts


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


class TenantOwned(CheckedTexts):
    """A row that belongs to a tenant.

    ``save()`` and ``delete()`` open the transaction themselves: in autocommit Django sends ``post_save``
    only after the row is durable, so whatever a signal handler records would be a second, separate commit,
    and a crash between the two would lose it (docs/adr/0002).

    A row never changes its tenant: what the one wrote would be told to the other.
    """

    tenant = models.ForeignKey(conf.tenant_label(), on_delete=models.CASCADE)

    objects = OwnedQuerySet.as_manager()
    unannounced = UnannouncedQuerySet.as_manager()  # for bulk writes that nobody has to hear of

    class Meta:
        abstract = True
        # Django writes through this one itself: related_set.add(), and SET_NULL when a customer is deleted.
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        loaded = self.__dict__.get("_loaded_tenant_id")
        if loaded is not None and loaded != self.tenant_id and not self._state.adding and self._is_anothers(using):
            raise ValueError(f"A {self._meta.verbose_name} cannot move to another tenant; make a new one there.")
        with own_transaction(using):
            super().save(*args, **kwargs)
        self._loaded_tenant_id = self.tenant_id

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        with own_transaction(kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            return super().delete(*args, **kwargs)

    def _is_anothers(self, using: str) -> bool:
        """Tell whether the row is there, and of another tenant: what was loaded or saved may have been rolled back."""
        rows = type(self)._base_manager.using(using).filter(pk=self.pk)
        return rows.exclude(tenant_id=self.tenant_id).exists()

    @classmethod
    def from_db(cls, db: str | None, field_names: Any, values: Any, **options: Any) -> Any:
        instance: Any = super().from_db(db, field_names, values, **options)
        instance._loaded_tenant_id = instance.__dict__.get("tenant_id")
        return instance


@receiver(class_prepared, dispatch_uid="bound-relations")
def _bound_relations(sender: type[models.Model], **_: Any) -> None:
    if issubclass(sender, TenantOwned):
        bound_relations(sender)
