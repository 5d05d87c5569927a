"""Bulk writes that say what they did.

Django sends no signals for ``bulk_create`` and ``update``. Rows of a tenant go through this queryset, which
sends two signals of its own, inside the transaction of the write:

    rows_created(sender=model, pks, tenant_ids, using)   after a bulk_create
    rows_updating(sender=model, queryset, using)         before an update; a receiver that wants to know what it did
                                                         answers with a `Watch`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import connections, models, transaction
from django.dispatch import Signal

from .boundary import only_tenant

rows_created = Signal()
rows_updating = Signal()

BATCH = 500


@dataclass(frozen=True, slots=True)
class Watch:
    """What a receiver of `rows_updating` wants to look at.

    The update goes batch by batch, in the order of `pks`: a million rows need no more memory than their keys.

    Attributes:
        tenant_ids: the tenants whose rows it watches.
        pks: their rows that the update may touch. Rows of these tenants that turn up later are left alone: they
            came after the update, as far as anybody can tell.
        look: locks and reads the rows of one batch before they are written; returns what to call afterwards.
    """

    tenant_ids: frozenset[Any]
    pks: tuple[Any, ...]
    look: Callable[[Sequence[Any]], Callable[[], None]]


class AnnouncingQuerySet(models.QuerySet[Any]):
    """A queryset whose bulk writes are announced; ``Model.unannounced`` writes silently.

    While something is said of one tenant (boundary.py), it finds that tenant's rows alone.
    """

    def __init__(self, model: Any = None, query: Any = None, using: Any = None, hints: Any = None) -> None:
        super().__init__(model=model, query=query, using=using, hints=hints)
        if query is None and (tenant_id := only_tenant()) is not None:
            self.query.add_q(models.Q(tenant_id=tenant_id))

    def bulk_create(
        self,
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> list[Any]:
        if ignore_conflicts or update_conflicts:
            raise ValueError(
                "bulk_create() with ignore_conflicts or update_conflicts does not tell which rows it wrote, so they "
                f"cannot be announced; use {self.model.__name__}.unannounced if nobody has to hear of them."
            )
        with own_transaction(self.db):
            created = super().bulk_create(objs, batch_size)
            if created:
                pks, tenant_ids = [obj.pk for obj in created], frozenset(obj.tenant_id for obj in created)
                rows_created.send(sender=self.model, pks=pks, tenant_ids=tenant_ids, using=self.db)
        return created

    def update(self, **kwargs: Any) -> int:
        if "tenant" in kwargs or "tenant_id" in kwargs:
            raise ValueError("Rows cannot move to another tenant; make new ones there.")
        if not rows_updating.has_listeners(self.model):
            return super().update(**kwargs)
        with own_transaction(self.db):
            answers = rows_updating.send(sender=self.model, queryset=self.all(), using=self.db)
            given: list[Any] = [answer for _, answer in answers]
            watches = [answer for answer in given if isinstance(answer, Watch)]
            if not watches:
                return super().update(**kwargs)
            return self._update_watched(watches, kwargs)

    def _update_watched(self, watches: list[Watch], values: dict[str, Any]) -> int:
        """Update exactly the rows that are watched, and whatever matches of everybody else's."""
        watched = frozenset[Any]().union(*(watch.tenant_ids for watch in watches))
        count = super(AnnouncingQuerySet, self.exclude(tenant_id__in=watched)).update(**values)
        for batch in batches(sorted({pk for watch in watches for pk in watch.pks})):
            afterwards = [watch.look(batch) for watch in watches]
            count += super(AnnouncingQuerySet, self.filter(pk__in=key_list(self.model, batch, self.db))).update(
                **values
            )
            for done in afterwards:
                done()
        return count

    update.alters_data = True  # type: ignore[attr-defined]


def own_transaction(using: str) -> AbstractContextManager[Any]:
    """Open a transaction unless the caller has one, whose course is then left alone: an exception that the
    caller handles must not spoil what else they do in it."""
    return nullcontext() if connections[using].in_atomic_block else transaction.atomic(using=using)


def batches(pks: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Cut `pks` into pieces that one statement may name."""
    return (pks[start : start + BATCH] for start in range(0, len(pks), BATCH))


def key_list(model: type[models.Model], pks: Sequence[Any], using: str) -> Any:
    """Return what to compare with in ``pk__in=…``: one parameter for all keys where there are arrays, unless they are
    composite."""
    has_arrays = connections[using].vendor == "postgresql" and not isinstance(
        model._meta.pk, models.CompositePrimaryKey
    )
    return _KeyArray(model._meta.pk, pks) if has_arrays else pks


class _KeyArray(models.Expression):
    def __init__(self, field: Any, pks: Sequence[Any]) -> None:
        super().__init__()
        self._pk, self._pks = field, pks

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        keys = [self._pk.get_db_prep_value(pk, connection) for pk in self._pks]
        return f"(SELECT unnest(%s::{self._pk.rel_db_type(connection)}[]))", (keys,)
