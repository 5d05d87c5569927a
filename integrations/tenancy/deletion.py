"""Delete a row with everything that belongs to it, in batches: a tenant with all its history, an integration with its.

Django's own ``delete()`` loads all of it and names it in one statement. Here what belongs to the row goes first, a page
of rows per transaction, and the row itself last; whoever dies meanwhile leaves less to do. Inside of a caller's
transaction the batches are part of that one.

    begin     nothing new is made for the row from now on (`deletion_begins`)
    steps     page after page of what belongs to it; each takes its locks first (`batch_begins`)
    the row   locked against those who still insert, with what they have inserted meanwhile

What Django does at a deletion is done here too: its signals are sent, SET_NULL and the like are carried out, a database
that protects rows says so. Only rows that nobody listens to and nothing hangs on are deleted without being loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import models, router, transaction
from django.db.models.deletion import CASCADE, PROTECT, Collector, ProtectedError
from django.dispatch import Signal

from .key import TenantKey

PAGE = 1000  # rows per transaction, and parameters per statement
COMPOSITE_PAGE = 500  # the same where a key has several columns: SQLite's expressions are at most 1000 deep
LEAF_PAGE = 5000  # the same of rows that nobody has to see before they go

# Both are sent inside of a transaction, as (sender=model, pks, using): `sender` is never a proxy.
deletion_begins = Signal()  # also in_background: a task is to do the rest; actor: who wants it
batch_begins = Signal()  # rows that belong to these are deleted next: lock what must be locked before them

_roots: ContextVar[frozenset[Any]] = ContextVar("roots_of_deletions", default=frozenset())

Step = tuple[str, int]  # a model's label, and how many of its rows went


def begin(
    model: type[models.Model], pks: Iterable[Any], *, using: str, in_background: bool = False, actor: str = "system"
) -> None:
    """Announce that these rows are being deleted; what hears of it sees to it that they get nothing new.

    Args:
        actor: who wants it, for the log.

    Raises:
        ProtectedError: rows of another model protect one of them; nothing was done.
    """
    wanted = list(pks)
    concrete = _concrete(model)
    for start in range(0, len(wanted), PAGE):
        some = wanted[start : start + PAGE]
        with transaction.atomic(using=using, savepoint=False):
            _refuse_protected(concrete, some, using)
            deletion_begins.send(sender=concrete, pks=some, using=using, in_background=in_background, actor=actor)


def steps(obj: models.Model, *, using: str, origin: Any = None) -> Iterator[Step]:
    """Delete `obj` with what belongs to it; each step is one transaction, or a part of the caller's.

    Args:
        origin: what Django's signals name as the origin of the deletion; None: `obj`.
    """
    deletion = _Deletion(using, origin or obj, root=obj)
    yield from deletion.owned(_concrete(type(obj)), [obj.pk])
    yield from deletion.root_row()


@contextmanager
def _under_way(root: models.Model) -> Iterator[None]:
    token = _roots.set(_roots.get() | {(_concrete(type(root)), root.pk)})
    try:
        yield
    finally:
        _roots.reset(token)


def is_under_way(obj: models.Model) -> bool:
    """Tell whether `obj` is just being deleted in batches, so that `begin` has been called for it."""
    return (_concrete(type(obj)), obj.pk) in _roots.get()


def delete_keyed(tenant: models.Model, *, using: str, origin: Any = None) -> None:
    """Delete what refers to `tenant` through a `TenantKey`, in batches; what else it has is its project's."""
    deletion = _Deletion(using, origin or tenant)
    relations = [one for one in _owned_relations(_concrete(type(tenant))) if isinstance(one.field, TenantKey)]
    for _ in deletion.owned(_concrete(type(tenant)), [tenant.pk], relations):
        pass


def delete_batched(obj: models.Model, *, using: str | None = None) -> tuple[int, dict[str, int]]:
    """Delete `obj` with what belongs to it, and return when all of it is gone; the answer is that of ``delete()``."""
    if obj.pk is None:
        raise ValueError(f"{obj._meta.object_name} object can't be deleted because it has no primary key.")
    using = using or router.db_for_write(type(obj), instance=obj)
    begin(type(obj), [obj.pk], using=using)
    counts: Counter[str] = Counter()
    for label, count in steps(obj, using=using):
        counts[label] += count
    return counts.total(), dict(counts)


class BatchedDeletion:
    """Mixed into a queryset: ``delete()`` deletes one row after the other, each in batches."""

    def delete(self) -> tuple[int, dict[str, int]]:
        rows: Any = self
        rows._not_support_combined_queries("delete")
        if rows.query.is_sliced:
            raise TypeError("Cannot use 'limit' or 'offset' with delete().")
        if rows.query.distinct_fields or rows._fields is not None:
            raise TypeError("Cannot call delete() after .distinct(*fields), .values() or .values_list().")
        writer = rows._chain()
        writer._for_write = True
        using: str = writer.db
        pks = list(rows.using(using).order_by("pk").values_list("pk", flat=True))
        begin(rows.model, pks, using=using)
        counts: Counter[str] = Counter()
        for pk in pks:
            for obj in rows.model._base_manager.using(using).filter(pk=pk):
                for label, count in steps(obj, using=using, origin=rows):
                    counts[label] += count
        rows._result_cache = None
        return counts.total(), dict(counts)

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


def delete_page(rows: models.QuerySet[Any], pks: list[Any]) -> Counter[str]:
    """Delete those of `pks` that `rows` still finds once they are locked, with what belongs to them: one transaction.

    A row that somebody changed since `pks` were read, so that `rows` does not find it any more, stays.
    """
    using = rows.db
    counts: Counter[str] = Counter()
    with transaction.atomic(using=using):
        # In the order of the key, as everybody locks several rows.
        held = rows.filter(pk__in=pks).select_for_update(of=("self",)).order_by("pk")
        sure = list(held.values_list("pk", flat=True))
        if sure:
            deletion = _Deletion(using, rows)
            for label, count in deletion.page(rows.model, sure):
                counts[label] += count
    return counts


def count_owned(obj: models.Model, *, using: str) -> int:
    """Return how many rows a deletion of `obj` has before it, roughly: each table is counted once."""
    return _count(_concrete(type(obj)), [obj.pk], using, set())


def _count(model: type[models.Model], pks: list[Any], using: str, seen: set[type[models.Model]]) -> int:
    total = 0
    found = []
    for relation in _owned_relations(model):
        if relation.related_model not in seen:
            seen.add(relation.related_model)
            rows = related_rows(relation, pks, using)
            count = rows.count()
            total += count
            if 0 < count <= PAGE:
                found.append((relation.related_model, list(rows.values_list("pk", flat=True))))
    return total + sum(_count(each, some, using, seen) for each, some in found)


@dataclass
class _Deletion:
    """One deletion under way.

    Attributes:
        root: the row that goes last; None: only pages are deleted.
        owners: whose rows are being deleted, from the outside in.
    """

    using: str
    origin: Any
    root: models.Model | None = None
    owners: list[tuple[type[models.Model], list[Any]]] = field(default_factory=list)

    def owned(
        self, model: type[models.Model], pks: list[Any], relations: Iterable[Any] | None = None
    ) -> Iterator[Step]:
        """Delete what belongs to these rows (through `relations` only), rows that refer to others first."""
        self.owners.append((model, pks))
        path = {owner for owner, _ in self.owners}
        for relation in _owned_relations(model) if relations is None else relations:
            related = relation.related_model
            if related in path:
                continue  # a tree: Django's collector follows it
            rows = related_rows(relation, pks, self.using)
            if relation.one_to_one:
                # It goes with its owner (the lane is where it says that the integration is being deleted).
                if _owned_relations(related):
                    yield from self.owned(related, list(rows.values_list("pk", flat=True)))
                continue
            if self._collector().can_fast_delete(rows):
                yield from self.leaves(rows)
            else:
                for some in _pages(rows):
                    yield from self.page(related, some)
        self.owners.pop()

    def leaves(self, rows: models.QuerySet[Any]) -> Iterator[Step]:
        """Delete rows that nobody listens to and nothing hangs on: they are not even read."""
        last: Any = None
        while True:
            left = rows if last is None else rows.filter(pk__gt=last)
            end = list(left.order_by("pk").values_list("pk", flat=True)[LEAF_PAGE - 1 : LEAF_PAGE])
            with self._batch():
                count = (left.filter(pk__lte=end[0]) if end else left)._raw_delete(self.using)
            if count:
                yield rows.model._meta.label, count
            if not end:
                return
            last = end[0]

    def page(self, model: type[models.Model], pks: list[Any]) -> Iterator[Step]:
        """Delete these rows with what belongs to them."""
        rows = model._base_manager.using(self.using).filter(pk__in=pks)
        yield from self.owned(model, pks)
        self.owners.append((model, pks))
        with self._batch():
            if _is_plain(model) and not any(related_rows(one, pks, self.using).exists() for one in _relations(model)):
                counts = {model._meta.label: rows._raw_delete(self.using)}
            else:
                collector = self._collector()
                collector.collect(rows if _has_listeners(model) else rows.only("pk"))
                _, counts = collector.delete()
        self.owners.pop()
        yield from ((label, count) for label, count in counts.items() if count)

    def root_row(self) -> Iterator[Step]:
        """Delete the row itself, with what was made for it meanwhile."""
        assert self.root is not None  # noqa: S101 - steps() sets it
        model = _concrete(type(self.root))
        self.owners.append((model, [self.root.pk]))
        with _under_way(self.root), self._batch():
            # Whoever inserts a row that refers to this one either has it seen below, or fails.
            list(model._base_manager.using(self.using).select_for_update().filter(pk=self.root.pk).values_list("pk"))
            collector = self._collector()
            collector.collect([self.root])
            _, counts = collector.delete()
        yield from counts.items()

    def _collector(self) -> Collector:
        return Collector(using=self.using, origin=self.origin)

    @contextmanager
    def _batch(self) -> Iterator[None]:
        """Open the transaction of one batch and take its locks, from the outside in."""
        with transaction.atomic(using=self.using, savepoint=False):
            for model, pks in self.owners:
                batch_begins.send(sender=model, pks=pks, using=self.using)
            if self.root is not None:
                # Two who delete the same row take turns. Those who insert rows that refer to it need not wait.
                roots = _concrete(type(self.root))._base_manager.using(self.using).filter(pk=self.root.pk)
                list(roots.select_for_update(no_key=True).values_list("pk"))
            yield


def _pages(rows: models.QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield the keys of `rows`, page by page.

    Along the key and never back, past what is deleted: until it is vacuumed each look would read it again.
    """
    size = COMPOSITE_PAGE if isinstance(rows.model._meta.pk, models.CompositePrimaryKey) else PAGE
    last: Any = None
    while True:
        left = rows if last is None else rows.filter(pk__gt=last)
        pks = list(left.order_by("pk").values_list("pk", flat=True)[:size])
        if not pks:
            return
        last = pks[-1]
        yield pks


def _relations(model: type[models.Model]) -> list[Any]:
    """Return the relations of other rows to a row of `model`."""
    return [
        relation
        for relation in model._meta.get_fields(include_hidden=True)
        if relation.auto_created and not relation.concrete and (relation.one_to_one or relation.one_to_many)
    ]


def _owned_relations(model: type[models.Model]) -> list[Any]:
    """Return the relations whose rows go with a row of `model`; those that refer to others among them come first."""
    found = [relation for relation in _relations(model) if goes_with(relation)]
    ordered: list[Any] = []
    while found:
        free = [one for one in found if not any(_refers(other, one) for other in found)] or found[:1]
        ordered += free
        found = [one for one in found if one not in free]
    return ordered


def goes_with(relation: Any) -> bool:
    """Tell whether the rows that refer through `relation` go with the row that they refer to."""
    return relation.on_delete is CASCADE or isinstance(relation.field, TenantKey)


def _is_plain(model: type[models.Model]) -> bool:
    """Tell whether rows of `model` to which nothing refers may be deleted without Django's collector."""
    has_generic = any(hasattr(key, "bulk_related_objects") for key in model._meta.private_fields)
    return not (has_generic or _has_listeners(model) or any(_concrete(model)._meta.parents.values()))


def _refers(relation: Any, to: Any) -> bool:
    if relation.related_model is to.related_model:
        return False
    return any(
        key.is_relation
        and key.related_model is to.related_model
        and key.remote_field is not None
        and getattr(key.remote_field, "on_delete", models.DO_NOTHING) is not models.DO_NOTHING
        for key in relation.related_model._meta.concrete_fields
    )


def related_rows(relation: Any, pks: list[Any], using: str | None) -> models.QuerySet[Any]:
    """Return the rows that refer to these through `relation`."""
    rows: models.QuerySet[Any] = relation.related_model._base_manager.using(using)
    return rows.filter(**{f"{relation.field.name}__in": pks})


def _refuse_protected(model: type[models.Model], pks: list[Any], using: str) -> None:
    for relation in _relations(model):
        if relation.on_delete is PROTECT:
            protecting = related_rows(relation, pks, using)[:10]
            if protecting:
                name = f"{relation.related_model.__name__}.{relation.field.name}"
                raise ProtectedError(
                    f"Cannot delete some instances of model {model.__name__!r} because they are referenced through "
                    f"protected foreign keys: {name!r}.",
                    set(protecting),
                )


def _has_listeners(model: type[models.Model]) -> bool:
    return any(
        signal.has_listeners(each)
        for signal in (models.signals.pre_delete, models.signals.post_delete)
        for each in (model, *model._meta.all_parents)
    )


def _concrete(model: type[models.Model]) -> type[models.Model]:
    found: Any = model._meta.concrete_model
    return found
