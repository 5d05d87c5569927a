"""From a write to its events: a save, a deletion, ``bulk_create()``, ``update()``.

    save_base    opens a transaction where there is none
    pre_save     does anybody want this?  and if so the old row, under its lock: one statement
    post_save    the row as stored, with its relations in one join; what changed; publish
                 (of a new row: does anybody want this?  and if so the row as stored: one statement)
    save_failed  the same, if a receiver of post_save raised before and the transaction goes on
    pre_delete   the payload, while the row is still there;  post_delete  publish
    rows_created, rows_updating    the same for bulk writes

Django saves outside of any transaction, and sends no signals for ``bulk_create`` and ``update``. So `announce_writes`
replaces

- ``save_base()`` of a captured model: Django sends ``post_save`` after an autocommit save is durable, and whatever a
  receiver records would be a second commit (docs/adr/0002). Where the caller has a transaction, an exception of some
  receiver that the caller handles leaves the row written: receivers get `save_failed`;
- ``QuerySet.bulk_create`` and ``QuerySet.update``, on Django's own class, once: related managers, base managers and
  every queryset class of a host end there (docs/adr/0031). Models that nobody captures pay one look into a dict.

The lock makes two writers take turns, so that the second reports what the first left, and makes event ids ascend per
object. A row that a write takes to another tenant is deleted, as far as the old one's integrations can tell, and
created for those of the new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.db import connections, models, router, transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal

from integrations.outbox.models import object_id_of
from integrations.tenancy.boundary import OtherTenant
from integrations.tenancy.owned import own_transaction
from integrations.tenancy.tenant import is_tenant, tenant_model

from .publishing import Happening, publish_all
from .questions import Subscribers, batches, key_list, subscribers_of
from .rows import STAYS, UNKNOWN, Foreign, OldRow, OldRows, RowReader

if TYPE_CHECKING:
    from .trigger_handler import TriggerHandler

logger = logging.getLogger("integrations.signals")

# (sender=model, instance, using): after a save that raised; the transaction goes on.
save_failed = Signal(use_caching=True)
# (sender=model, objs, using): after a bulk_create.
rows_created = Signal(use_caching=True)
# (sender=model, queryset, values, using): before an update; who wants to know what it did answers with a `Watch`.
rows_updating = Signal(use_caching=True)

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


@dataclass(slots=True)
class Capture:
    """What we remember between the signal before a write and the one after it.

    Attributes:
        subscribers: who wants to know; None: to be asked afterwards.
        old: the rows before the write.
        happenings: made before it.
    """

    subscribers: Subscribers | None
    old: OldRows
    happenings: tuple[Happening, ...] = ()


# -- what is replaced ------------------------------------------------------------------------------------------------


def announce_writes(model: type[models.Model]) -> None:
    """Make saves of `model` and its subclasses open a transaction, and bulk writes send signals."""
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


def _kept_of_save(instance: models.Model) -> dict[str, Capture]:
    """Return what is kept between the signals of the save that `instance` is in, by the name of the handler."""
    saves: list[dict[str, Capture]] = vars(instance).setdefault(_SAVES, [{}])  # somebody may go past our save_base()
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
            rows = self
            if rows.query.distinct_fields and rows.query.count_active_tables() <= 1:
                rows = rows.distinct()  # an update of one table ignores ``distinct("client")``, our conditions do not
            asked = rows.all()
            asked.query.select_for_update = False  # PostgreSQL locks nothing in a question with DISTINCT; a Watch does
            answers = rows_updating.send(sender=self.model, queryset=asked, values=kwargs, using=self.db)
            given: list[Any] = [answer for _, answer in answers]
            watches = [answer for answer in given if isinstance(answer, Watch)]
            count = _update_watched(rows, original, watches, kwargs) if watches else original(self, **kwargs)
        self._result_cache = None
        return count

    return update


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


# -- what is recorded ------------------------------------------------------------------------------------------------


class Writes:
    """Records the events of what is written of one model, as its trigger handler describes them."""

    def __init__(self, handler: TriggerHandler, rows: RowReader) -> None:
        self._handler, self._model, self._name = handler, handler.model, handler.name
        self._rows, self._path, self._may_move = rows, rows.path, handler.may_move
        self._created, self._deleted = handler.created, handler.deleted
        self._updated, self._status_changed, self._status = (
            handler.updated,
            handler.status_changed,
            handler.status_apart,
        )
        kinds = ("created", "updated", "status_changed")
        self._types_of_save = handler.types_of(*kinds, "deleted") if self._may_move else handler.types_of(*kinds)
        # On the instance between the signal before its deletion and the one after it.
        self._deletion = f"_outbox_deletion_{handler.name}"
        self.receivers: tuple[tuple[Signal, Callable[..., Any]], ...] = (
            (pre_save, self._before_save),
            (post_save, self._after_save),
            (save_failed, self._after_failed_save),
            (pre_delete, self._before_delete),
            (post_delete, self._after_delete),
            (rows_created, self._after_bulk_create),
            (rows_updating, self._before_bulk_update),
        )

    # -- one object -------------------------------------------------------------------------------

    def _before_save(self, instance: Any, raw: bool, using: str, **_: Any) -> None:
        if raw:  # loaddata: rows that exist elsewhere already
            return
        kept = _kept_of_save(instance)
        if not instance._is_pk_set():
            kept[self._name] = Capture(None, {})  # nothing to lock; asked together with the row as it is then stored
            return
        holder = self._holder(instance)
        subscribers, old = self._rows.ask_locked(self._types_of_save, holder, instance.pk, using)
        if holder is UNKNOWN and self._path.holder in vars(instance):  # to whomever: they are asked afterwards
            old = old or self._rows.locked([instance.pk], using)
            kept[self._name] = Capture(subscribers if old else None, old)
        elif subscribers:
            if any(holder not in (UNKNOWN, row.holder) for row in old.values()):
                subscribers = self._with_holders(old, subscribers, using)
                self._remember_gone(old, subscribers, using)
            kept[self._name] = Capture(subscribers, old)

    def _after_save(self, instance: Any, created: bool, using: str, raw: bool = False, **_: Any) -> None:
        capture = None if raw else _kept_of_save(instance).pop(self._name, None)
        if capture is None:
            return
        with _together(using):
            if capture.subscribers is not None:
                rows = self._rows.stored([instance.pk], using)
                self._publish(rows, created=created, subscribers=capture.subscribers, old=capture.old, using=using)
            elif created:
                types = self._handler.types_of("created")
                subscribers, row = self._rows.ask_stored(types, self._holder(instance), instance.pk, using)
                if row is not None:
                    self._publish([row], created=True, subscribers=subscribers, old={}, using=using)

    def _after_failed_save(self, instance: Any, using: str, **_: Any) -> None:
        # Whether it was written shows by what is stored: nothing, or the same as before, if it was not.
        capture = _kept_of_save(instance).get(self._name)
        if capture is not None and instance._is_pk_set():
            try:
                self._after_save(instance, created=not capture.old, using=using)
            except Exception:  # the transaction is to be rolled back, and the caller hears why the save failed
                logger.exception("%s %s: the event of a save that failed cannot be recorded", self._name, instance.pk)

    def _holder(self, instance: Any) -> Any:
        """Return the key that leads to the tenant; `UNKNOWN` if it is not loaded, or an expression for the database."""
        holder = vars(instance).get(self._path.holder, UNKNOWN)
        return UNKNOWN if self._may_move and hasattr(holder, "resolve_expression") else holder

    def _before_delete(self, instance: Any, using: str, origin: Any = None, **_: Any) -> None:
        vars(instance).pop(self._deletion, None)
        begun: Any = getattr(origin, "model", type(origin))
        if isinstance(begun, type) and issubclass(begun, models.Model) and is_tenant(begun):
            return  # the tenant goes with all it has: its integrations too, so nobody is left to tell
        # Locked: our id comes after that of any change still being committed.
        types = self._handler.types_of("deleted")
        subscribers, old = self._rows.ask_locked(types, self._holder(instance), instance.pk, using)
        if subscribers:
            subscribers = self._with_holders(old, subscribers, using)
            rows = self._rows.stored([instance.pk], using)
            gone = tuple(self._handler.happening(self._deleted, row, using=using) for row in rows)
            setattr(instance, self._deletion, Capture(subscribers, {}, gone))

    def _after_delete(self, instance: Any, using: str, **_: Any) -> None:
        capture: Capture | None = vars(instance).pop(self._deletion, None)
        if capture is not None:
            with _together(using):
                publish_all(capture.happenings, capture.subscribers or {}, model=self._model, using=using)

    # -- many objects -----------------------------------------------------------------------------

    def _after_bulk_create(self, objs: list[Any], using: str, **_: Any) -> None:
        holders = {self._holder(obj) for obj in objs}
        owners = self._path.owners_of(holders - {UNKNOWN}, using)
        if UNKNOWN in holders:
            unknown = [obj.pk for obj in objs if self._holder(obj) is UNKNOWN]
            for batch in batches(unknown):
                owners += {self._path.owner(row) for row in self._rows.stored(batch, using)}
        subscribers = subscribers_of(self._handler.types_of("created"), owners, using=using)
        if not subscribers:
            return
        with _together(using):
            for batch in batches([obj.pk for obj in objs]):
                rows = self._rows.stored(batch, using)
                self._publish(rows, created=True, subscribers=subscribers, old={}, using=using)

    def _before_bulk_update(
        self, queryset: models.QuerySet[Any], values: Mapping[str, Any], using: str, **_: Any
    ) -> Watch | None:
        key, destination = self._path.key, self._path.destination(values, using)
        moves = destination is not STAYS
        if moves and not self._may_move and (destination is UNKNOWN or queryset.exclude(**{key: destination}).exists()):
            raise OtherTenant(f"A {self._model._meta.verbose_name} cannot move to another tenant; nothing was done.")
        owners = queryset.order_by().values_list(key, flat=True).distinct()
        kinds = ("updated", "status_changed", "deleted") if moves else ("updated", "status_changed")
        subscribers = subscribers_of(self._handler.types_of(*kinds), owners, using=using)
        # Whoever is told what has come to them is told of all of it.
        created = self._handler.types_of("created")
        is_for_all = moves and (destination is UNKNOWN or bool(subscribers_of(created, [destination], using=using)))
        if not subscribers and not is_for_all:
            return None
        watched = models.Q() if is_for_all else models.Q(**{f"{key}__in": list(subscribers)})
        pks = tuple(queryset.order_by("pk").filter(watched).values_list("pk", flat=True))

        def look(batch: Sequence[Any]) -> Callable[[], None]:
            old = self._rows.locked(batch, using)
            present = self._with_holders(old, subscribers, using)
            if moves:
                self._remember_gone(old, present, using)

            def afterwards() -> None:
                with _together(using):
                    rows = self._rows.stored(batch, using)
                    self._publish(rows, created=False, subscribers=present, old=old, using=using)

            return afterwards

        return Watch(None if is_for_all else ~watched, pks, look)

    # -- rows that move to another tenant ---------------------------------------------------------

    def _with_holders(self, old: OldRows, subscribers: Subscribers, using: str) -> Subscribers:
        """Add the subscribers of the tenants that have the rows now: somebody else may have moved a row while we waited
        for its lock."""
        owners = {row.owner for row in old.values() if row.owner not in subscribers}
        if not owners:
            return subscribers
        return {**subscribers, **subscribers_of(self._handler.recorded_types, owners, using=using)}

    def _remember_gone(self, old: OldRows, subscribers: Subscribers, using: str) -> None:
        """Keep the event that a row is gone for its tenant, in case the write takes it to another."""
        wanted = [pk for pk, row in old.items() if self._deleted in subscribers.get(row.owner, {})]
        for batch in batches(wanted):
            for row in self._rows.stored(batch, using):
                old[row.pk].gone = self._handler.happening(self._deleted, row, using=using)

    def _gone(self, before: OldRow, row: Any, subscribers: Subscribers) -> list[Happening]:
        """Return the event for the tenant that had the row before."""
        if before.gone is not None or self._deleted not in subscribers.get(before.owner, {}):
            return [before.gone] if before.gone is not None else []
        # A receiver of pre_save moved it behind our back: what it was cannot be read any more.
        tenant, minimal = tenant_model()._base_manager.get(pk=before.owner), {self._name: {"id": row.pk}}
        return [Happening(self._deleted, tenant, object_id_of(row.pk), minimal, minimal)]

    def _with_newcomers(self, rows: Iterable[Any], old: OldRows, subscribers: Subscribers, using: str) -> Subscribers:
        """Add the subscribers of tenants to which rows have come."""
        owners = {self._path.owner(row) for row in rows if row.pk in old and old[row.pk].owner != self._path.owner(row)}
        if not owners:
            return subscribers
        found = subscribers_of(self._handler.types_of("created"), owners, using=using)
        return {owner: {**subscribers.get(owner, {}), **found.get(owner, {})} for owner in {**subscribers, **found}}

    # -- what happened ----------------------------------------------------------------------------

    def _publish(
        self, rows: Iterable[Any], *, created: bool, subscribers: Subscribers, old: OldRows, using: str
    ) -> None:
        """Record what happened to `rows`, which are as they are stored now."""
        rows = list(rows)
        subscribers = self._with_newcomers(rows, old, subscribers, using)
        happenings: list[Happening] = []
        stayed: list[tuple[Any, OldRow]] = []
        for row in rows:
            owner, before = self._path.owner(row), old.get(row.pk)
            if before is not None and before.owner == owner:
                stayed.append((row, before))
            elif before is not None or created:
                happenings += self._gone(before, row, subscribers) if before is not None else []
                if self._created in subscribers.get(owner, {}):
                    happenings.append(self._handler.happening(self._created, row, using=using))
        foreign = self._rows.foreign(stayed, using)
        for row, before in stayed:
            happenings += self._updates(row, before, foreign, subscribers.get(before.owner, {}), using)
        if happenings:
            publish_all(happenings, subscribers, model=self._model, using=using)

    def _updates(
        self, row: Any, before: OldRow, foreign: Foreign, wanted: Mapping[str, Any], using: str
    ) -> list[Happening]:
        """Return the events of a row that stays with its tenant, as far as somebody wants them."""
        types, extra = [self._updated], None
        try:
            changes = self._rows.changes(row, before, foreign)
        except Exception:  # a value that cannot be compared or shown must cost neither the user's save nor the event
            logger.warning("what changed of %s %s cannot be told", self._name, row.pk, exc_info=True)
        else:
            extra = {"changes": changes}
            types = [self._status_changed] if self._status in changes else []
            types += [self._updated] if changes.keys() - {self._status} else []
        return [self._handler.happening(each, row, extra, using=using) for each in types if each in wanted]


@contextmanager
def _together(using: str) -> Iterator[None]:
    """Mark the caller's transaction for rollback if the block raises: no row is committed without its event, whoever
    handles the exception."""
    try:
        yield
    except BaseException:
        if connections[using].in_atomic_block:
            transaction.set_rollback(True, using=using)
        raise
