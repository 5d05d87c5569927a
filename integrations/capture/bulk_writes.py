"""Writes of captured models say what they do.

Django saves outside of any transaction, and sends no signals for ``bulk_create`` and ``update``. So

- `save_base()` of a captured model opens a transaction where there is none: Django sends ``post_save`` after an
  autocommit save is durable, and whatever a receiver records would be a second commit (docs/adr/0002). Where the
  caller has one, an exception of some receiver that the caller handles leaves the row written, so that receivers after
  it get

    save_failed(sender, instance, using)                   after a save that raised; the transaction goes on

- ``QuerySet.bulk_create`` and ``QuerySet.update`` ask whether the model is captured, and if so send

    rows_created(sender=model, objs, using)                after a bulk_create
    rows_updating(sender=model, queryset, values, using)   before an update; a receiver that wants to know what it did
                                                           answers with a `Watch`

Both are replaced on Django's own class, once, when the first handler connects: related managers, base managers and
every queryset class of a host end there (docs/adr/0031). Other models pay one look into a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.db import connections, models, router
from django.dispatch import Signal

from integrations.tenancy.owned import own_transaction

rows_created = Signal(use_caching=True)
rows_updating = Signal(use_caching=True)
save_failed = Signal(use_caching=True)

BATCH = 500
_SAVES = "_outbox_saves"  # on an instance while it is being saved
_MARK = "_announces_writes"  # on what is replaced already


@dataclass(frozen=True)
class Watch:
    """What a receiver of `rows_updating` wants to look at.

    The update goes batch by batch, in the order of `pks`: a million rows need no more memory than their keys.

    Attributes:
        others: the rows that it does not watch, which are updated as usual; None: it watches all. Rows that it watches
            and that turn up later are left alone: they came after the update, as far as anybody can tell.
        pks: the rows that it watches and that the update may touch.
        look: locks and reads the rows of one batch before they are written; returns what to call afterwards.
    """

    others: models.Q | None
    pks: tuple[Any, ...]
    look: Callable[[Sequence[Any]], Callable[[], None]]


def announce_writes(model: type[models.Model]) -> None:
    """Let saves of `model`, and of what inherits from it, open a transaction, and bulk writes say what they do."""
    _replace(model, "save_base", _saving)
    _replace(models.QuerySet, "update", _updating)
    _replace(models.QuerySet, "bulk_create", _creating)


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    if not hasattr(original, _MARK):
        replaced = wraps(original)(make(original))  # keeps alters_data: templates must not call it
        setattr(replaced, _MARK, True)
        setattr(owner, name, replaced)


def _saving(original: Callable[..., None]) -> Callable[..., None]:
    def save_base(self: models.Model, *args: Any, **kwargs: Any) -> None:
        using = args[3] if len(args) > 3 else kwargs.get("using")
        using = using or router.db_for_write(type(self), instance=self)
        is_callers = connections[using].in_atomic_block
        # A stack: a receiver may save the object once more.
        saves = vars(self).setdefault(_SAVES, [])
        saves.append({})
        try:
            with own_transaction(using):
                original(self, *args, **kwargs)
        except BaseException:
            if is_callers and not connections[using].needs_rollback:
                save_failed.send(sender=type(self), instance=self, using=using)
            raise
        finally:
            saves.pop()
            if not saves:
                del vars(self)[_SAVES]

    return save_base


def kept_of_save(instance: models.Model) -> dict[str, Any]:
    """Return what receivers keep between the signals of the save that `instance` is in."""
    saves: list[dict[str, Any]] = vars(instance).setdefault(_SAVES, [{}])  # somebody may go past our save_base()
    return saves[-1]


def _creating(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def bulk_create(
        self: models.QuerySet[Any],
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> list[Any]:
        if not _is_announced(self, rows_created):
            return original(self, objs, batch_size, ignore_conflicts, update_conflicts, *args, **kwargs)
        if ignore_conflicts or update_conflicts:
            raise ValueError(
                "bulk_create() with ignore_conflicts or update_conflicts does not tell which rows it wrote, so they "
                "cannot be announced. If nobody has to hear of them: from integrations.capture import unannounced; "
                f"unannounced({self.model.__name__}).bulk_create(…)."
            )
        self._for_write = True  # type: ignore[attr-defined]
        with own_transaction(self.db):
            created = original(self, objs, batch_size, *args, **kwargs)
            if created:
                rows_created.send(sender=self.model, objs=created, using=self.db)
        return created

    return bulk_create


def _updating(original: Callable[..., int]) -> Callable[..., int]:
    def update(self: models.QuerySet[Any], **kwargs: Any) -> int:
        if not _is_announced(self, rows_updating) or self.query.is_sliced or self.query.combinator:
            return original(self, **kwargs)
        self._for_write = True  # type: ignore[attr-defined]
        with own_transaction(self.db):
            rows = _without_distinct(self)
            answers = rows_updating.send(sender=self.model, queryset=_unlocked(rows), values=kwargs, using=self.db)
            given: list[Any] = [answer for _, answer in answers]
            watches = [answer for answer in given if isinstance(answer, Watch)]
            count = _update_watched(rows, original, watches, kwargs) if watches else original(self, **kwargs)
        self._result_cache = None
        return count

    return update


def _unlocked(rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
    """Return `rows` to ask about: PostgreSQL takes no locks in a question with DISTINCT, and who watches locks them."""
    copy = rows.all()
    copy.query.select_for_update = False
    return copy


def _without_distinct(rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
    """Return `rows` without a ``distinct("client")`` that an update of one table ignores, and our conditions do not."""
    return rows.distinct() if rows.query.distinct_fields and rows.query.count_active_tables() <= 1 else rows


def _is_announced(rows: models.QuerySet[Any], signal: Signal) -> bool:
    return signal.has_listeners(rows.model) and not getattr(rows, "is_unannounced", False)


def _update_watched(
    rows: models.QuerySet[Any], update: Callable[..., int], watches: list[Watch], values: dict[str, Any]
) -> int:
    """Update exactly the rows that are watched, and whatever matches of everybody else's."""
    count = 0
    others = [watch.others for watch in watches if watch.others is not None]
    if len(others) == len(watches):
        count += update(rows.filter(*others), **values)
    for batch in batches(sorted({pk for watch in watches for pk in watch.pks})):
        afterwards = [watch.look(batch) for watch in watches]
        count += update(rows.filter(pk__in=key_list(rows.model, batch, rows.db)), **values)
        for done in afterwards:
            done()
    return count


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut `items` into pieces that one statement may name."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


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
