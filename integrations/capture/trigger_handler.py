"""From a save to an event: the base of the per-model handlers (the pattern of Salesforce's TriggerHandler).

    pre_save     does anybody want this?  and if so the old row, under its lock: one statement
    post_save    the row as stored, with its relations in one join; what changed; publish
                 (of a new row: does anybody want this?  and if so the row as stored: one statement)
    save_failed  the same, if a receiver of post_save raised before and the transaction goes on (bulk_writes.py)
    pre_delete   the payload, while the row is still there;  post_delete  publish
    rows_created, rows_updating    the same for bulk writes (bulk_writes.py)

All of it runs inside the transaction of the save (bulk_writes.py). The lock makes two writers take turns, so that the
second reports what the first left, and makes event ids ascend per object.

A row that a write takes to another tenant is deleted, as far as the old one's integrations can tell, and created for
those of the new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models, transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal

from integrations.audit.notes import AuditNote, WrittenNote, forget_note_writer, register_note_writer
from integrations.connections import event_types, payload_versions
from integrations.connections.payload_shapes import Shape
from integrations.connections.payload_versions import Older, Versions, as_example
from integrations.connectors.summary import SummaryFormat
from integrations.jobs.snapshots import forget_source, register_source
from integrations.outbox.lazy_savepoint import lazy_savepoint
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.tenancy.boundary import OtherTenant, Way, forget_way, is_own, only_of, tell_way, warn_kept_out
from integrations.tenancy.tenant import is_tenant, tenant_model

from .bulk_writes import Watch, announce_writes, batches, kept_of_save, rows_created, rows_updating, save_failed
from .examples import learnt_shape, sample_payloads
from .publishing import Happening, publish, publish_all
from .row_reader import OldRow, OldRows, RowReader
from .snapshots import Snapshots
from .subscribers import Subscribers, subscribers_of
from .tenant_path import STAYS, UNKNOWN, TenantPath, tenant_path

logger = logging.getLogger("integrations.signals")

KINDS = ("created", "status_changed", "updated", "deleted")
_handlers: dict[type[models.Model], TriggerHandler] = {}


@dataclass(slots=True)
class Capture:
    """What we remember between the signal before a write and the one after it.

    Attributes:
        subscribers: who wants to know; None: to be asked afterwards.
        old: the rows before the write.
    """

    subscribers: Subscribers | None
    old: OldRows
    happenings: tuple[Happening, ...] = ()


class TriggerHandler:
    """Describe a model to the outbox by subclassing, and call ``connect()`` on the class.

    The model may be any; nothing of it needs to change.

    Attributes:
        model: what is captured, with its proxies and subclasses.
        tenant: the foreign keys that lead to the tenant: ``project``, or ``owner__project``; "": the model's only one
            to the tenant model.
        name: the word for one such object: key in the payload and prefix of its event types.
        tracked: fields whose change is an update.
        status_field: the one of them whose change is an event of its own; None, or not tracked: no such event.
        events: which of `KINDS` are recorded.
        related: relations that the payload needs, fetched in one join; ``customer__country`` leads further.
        summary: how its events read in chats, mails, issues and pages; None: what the payload has is listed.
        may_move: whether a row may move to another tenant; if not, a save that would do it is refused.
        payload_version: of what `payload` returns; counted up when receivers would break.
        older_payloads: version → function that makes it of a body of the next newer one, for subscriptions that have it
            (connections/payload_versions.py). A body is the whole: the object under `name`, ``changes``.
    """

    model: ClassVar[type[models.Model]]
    tenant: ClassVar[str] = ""
    name: ClassVar[str]
    tracked: ClassVar[tuple[str, ...]]
    status_field: ClassVar[str | None] = "status"
    events: ClassVar[tuple[str, ...]] = KINDS
    related: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[SummaryFormat | None] = None
    may_move: ClassVar[bool] = True
    payload_version: ClassVar[int] = 1
    older_payloads: ClassVar[Mapping[int, Older]] = {}

    def __init__(self) -> None:
        # Kept on the instance between the signal before a write and the one after it.
        self._deletion = f"_outbox_deletion_{self.name}"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "payload" in vars(cls):  # whoever calls it, no row of another tenant gets in
            cls.payload = _within_its_tenant(cls.payload)  # type: ignore[method-assign]

    # -- what a subclass says ---------------------------------------------------------------------

    def payload(self, obj: Any) -> dict[str, Any]:
        """Return what goes under ``name`` in the body."""
        raise NotImplementedError

    def write_notes(self, notes: list[AuditNote]) -> None:
        """Write audit notes on objects of this model; the default has nowhere to write them."""

    def read_notes(self, tenant_id: Any, object_id: str, most: int) -> list[WrittenNote]:
        """Return the newest notes on that object of this tenant, people's too, newest first; the default knows none."""
        return []

    # -- event types ------------------------------------------------------------------------------

    @property
    def created(self) -> str:
        return f"{self.name}_created"

    @property
    def updated(self) -> str:
        return f"{self.name}_updated"

    @property
    def status_changed(self) -> str:
        return f"{self.name}_status_changed"

    @property
    def deleted(self) -> str:
        return f"{self.name}_deleted"

    @property
    def snapshot(self) -> str:
        """What a backfill sends: nothing happened, this is how the object is (snapshots.py)."""
        return f"{self.name}_snapshot"

    @property
    def recorded_types(self) -> tuple[str, ...]:
        """The event types that its model's writes may cause."""
        return self._types(*KINDS)

    def _types(self, *kinds: str) -> tuple[str, ...]:
        """Return the event types of those of `kinds` that are recorded."""
        return tuple(f"{self.name}_{kind}" for kind in kinds if kind in self._recorded)

    @cached_property
    def _recorded(self) -> tuple[str, ...]:
        return tuple(kind for kind in KINDS if kind in self.events and (kind != "status_changed" or self._status_field))

    @cached_property
    def _status_field(self) -> str | None:
        """The field whose change is an event of its own; without one, it is an update like others."""
        return self.status_field if "status_changed" in self.events and self.status_field in self.tracked else None

    def _when(self, kind: str) -> str:
        """Say in a sentence when an event of this kind happens."""
        what = str(self.model._meta.verbose_name)
        names = ", ".join(name for name in self.tracked if name != self._status_field)
        return {
            "created": f"A {what} is created, or comes from another tenant.",
            "status_changed": f"The {self._status_field} of a {what} changes; `changes` has the old and the new value.",
            "updated": f"One of these changes: {names}; `changes` has the old and the new values.",
            "deleted": f"A {what} is deleted, or goes to another tenant; the payload is the last that it was.",
        }[kind]

    @classmethod
    def connect(cls) -> TriggerHandler:
        """Register event types and notes, and listen to the model's signals; again, to those of later subclasses.

        Raises:
            TypeError: the description is wrong; says what, and the way out.
        """
        if problem := problem_of(cls):
            raise TypeError(f"{cls.__qualname__} ({cls.__module__}): {problem.removesuffix('.')}.")
        known = _handlers.get(cls.model)
        if known is not None and type(known) is not cls:  # its module was read anew
            known.disconnect()
        handler = known if type(known) is cls else cls()
        label = str(cls.model._meta.verbose_name).capitalize()
        for kind in handler._recorded:
            is_change = kind in ("status_changed", "updated")
            shape = handler._shape_of_changes if is_change else handler._shape
            name, shown = f"{cls.name}_{kind}", f"{label} {kind.replace('_', ' ')}"
            samples = handler._samples_of_changes if is_change else handler._samples
            event_types.register(
                name,
                shown,
                shape=shape,
                summary=cls.summary,
                samples=samples,
                when=handler._when(kind),
                **handler._versions_of(handler._example_of_changes if is_change else handler._example),
            )
        event_types.register(
            handler.snapshot,
            f"{label} snapshot",
            shape=handler._shape,
            summary=cls.summary,
            samples=handler._samples,
            on_request=True,
            **handler._versions_of(handler._example),
            when=f"A backfill sends what the {cls.model._meta.verbose_name} is at that moment. Nothing happened to it.",
        )
        register_source(Snapshots(handler, handler._rows))
        register_note_writer(cls.model, handler.write_notes, handler.read_notes)
        announce_writes(cls.model)
        tell_way(cls.model, Way(handler._path.key, handler._path.owner))
        for signal, receiver in handler._receivers():
            for sender in handler.captured_models():
                # A row of a subclass with a table of its own takes its parent's with it, of which Django speaks, too.
                if signal not in (pre_delete, post_delete) or _is_same_table(sender, cls.model):
                    # weak=False: nobody else keeps the handler alive.
                    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=cls.__name__)
        _handlers[cls.model] = handler
        return handler

    def disconnect(self) -> None:
        """Listen no more; what is recorded already is still delivered."""
        for signal, _ in self._receivers():
            for sender in self.captured_models():
                signal.disconnect(sender=sender, dispatch_uid=type(self).__name__)
        forget_note_writer(self.model)
        forget_source(self.model._meta.label_lower)
        forget_way(self.model)
        _handlers.pop(self.model, None)

    def captured_models(self) -> Iterable[type[models.Model]]:
        """Return the model and what inherits from it: Django sends a proxy's signals for the proxy alone."""
        waiting: list[type[models.Model]] = [self.model]
        while waiting:
            waiting += waiting[0].__subclasses__()
            yield waiting.pop(0)

    def _receivers(self) -> Iterable[tuple[Signal, Callable[..., Any]]]:
        return (
            (pre_save, self._before_save),
            (post_save, self._after_save),
            (save_failed, self._after_failed_save),
            (pre_delete, self._before_delete),
            (post_delete, self._after_delete),
            (rows_created, self._after_bulk_create),
            (rows_updating, self._before_bulk_update),
        )

    # -- what conditions may name -----------------------------------------------------------------

    def _shape(self) -> Shape:
        return learnt_shape(self.model, self._example)

    def _shape_of_changes(self) -> Shape:
        return learnt_shape(self.model, self._example_of_changes)

    def _versions_of(self, example: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Return what is told of the versions of a payload that is as `example` makes it."""
        versions = Versions(self.payload_version, self.older_payloads)

        def shape(version: int) -> Shape:
            return learnt_shape(self.model, lambda obj: versions.made(as_example(example(obj)), version))

        return {"version": versions.newest, "older": versions.older, "older_shape": shape}

    def _samples(self) -> list[Mapping[str, Any]]:
        return sample_payloads(self.model, self._example)

    def _samples_of_changes(self) -> list[Mapping[str, Any]]:
        return sample_payloads(self.model, self._example_of_changes)

    def _example(self, obj: Any) -> dict[str, Any]:
        return {self.name: self.payload(obj)}

    def _example_of_changes(self, obj: Any) -> dict[str, Any]:
        return {self.name: self.payload(obj), "changes": self._changes_of(obj)}

    def _changes_of(self, obj: Any) -> dict[str, dict[str, Any]]:
        """Return the changes of an example: everything, from what it is to what it is."""
        shown = {name: self._rows.shown(name, getattr(obj, at)) for name, at in self._rows.attnames.items()}
        return {name: {"old": value, "new": value} for name, value in shown.items()}

    # -- one object -------------------------------------------------------------------------------

    def _before_save(self, instance: Any, raw: bool, using: str, **_: Any) -> None:
        if raw:  # loaddata: rows that exist elsewhere already
            return
        kept = kept_of_save(instance)
        if not instance._is_pk_set():
            kept[self.name] = Capture(None, {})  # nothing to lock; asked together with the row as it is then stored
            return
        kinds = KINDS if self.may_move else ("created", "updated", "status_changed")
        holder = self._holder(instance)
        subscribers, old = self._rows.ask_locked(self._types(*kinds), holder, instance.pk, using)
        if holder is UNKNOWN and self._path.held_by(instance) is not UNKNOWN:  # to whomever: they are asked afterwards
            old = old or self._rows.locked([instance.pk], using)
            kept[self.name] = Capture(subscribers if old else None, old)
        elif subscribers:
            if any(holder not in (UNKNOWN, row.holder) for row in old.values()):
                subscribers = self._with_holders(old, subscribers, using)
                self._remember_gone(old, subscribers, using)
            kept[self.name] = Capture(subscribers, old)

    def _after_save(self, instance: Any, created: bool, using: str, raw: bool = False, **_: Any) -> None:
        if raw:
            return
        capture: Capture | None = kept_of_save(instance).pop(self.name, None)
        if capture is None:
            return
        with _together(using):
            if capture.subscribers is not None:
                rows = list(self._rows.stored([instance.pk], using))
                wanted = self._with_newcomers(rows, capture.old, capture.subscribers, using)
                self._publish(rows, created=created, subscribers=wanted, old=capture.old, using=using)
            elif created:
                holder = self._holder(instance)
                subscribers, row = self._rows.ask_stored(self._types("created"), holder, instance.pk, using)
                if row is not None:
                    self._publish([row], created=True, subscribers=subscribers, old={}, using=using)

    def _after_failed_save(self, instance: Any, using: str, **_: Any) -> None:
        # Whether it was written shows by what is stored: nothing, or the same as before, if it was not.
        capture: Capture | None = kept_of_save(instance).get(self.name)
        if capture is not None and instance._is_pk_set():
            try:
                self._after_save(instance, created=not capture.old, using=using)
            except Exception:  # the transaction is to be rolled back, and the caller hears why the save failed
                logger.exception("%s %s: the event of a save that failed cannot be recorded", self.name, instance.pk)

    def _holder(self, instance: Any) -> Any:
        """Return what leads to the tenant; `UNKNOWN` if that is not loaded, or an expression for the database."""
        holder = self._path.held_by(instance)
        return UNKNOWN if self.may_move and hasattr(holder, "resolve_expression") else holder

    def _before_delete(self, instance: Any, using: str, origin: Any = None, **_: Any) -> None:
        instance.__dict__.pop(self._deletion, None)
        if _is_of_tenants(getattr(origin, "model", type(origin))):
            return  # the tenant goes with all it has: its integrations too, so nobody is left to tell
        # Locked: our id comes after that of any change still being committed.
        holder = self._holder(instance)
        subscribers, old = self._rows.ask_locked(self._types("deleted"), holder, instance.pk, using)
        if not subscribers:
            return
        subscribers = self._with_holders(old, subscribers, using)
        rows = self._rows.stored([instance.pk], using)
        happenings = tuple(self.happening(self.deleted, row, using=using) for row in rows)
        setattr(instance, self._deletion, Capture(subscribers, {}, happenings))

    def _after_delete(self, instance: Any, using: str, **_: Any) -> None:
        capture: Capture | None = instance.__dict__.pop(self._deletion, None)
        if capture is not None:
            with _together(using):
                self._record(capture.happenings, capture.subscribers or {}, using)

    # -- many objects -----------------------------------------------------------------------------

    def _after_bulk_create(self, objs: list[Any], using: str, **_: Any) -> None:
        holders = {self._holder(obj) for obj in objs}
        owners = self._path.owners_of(holders - {UNKNOWN}, using)
        if UNKNOWN in holders:
            unknown = [obj.pk for obj in objs if self._holder(obj) is UNKNOWN]
            for batch in batches(unknown):
                owners += {self._path.owner(row) for row in self._rows.stored(batch, using)}
        subscribers = subscribers_of(self._types("created"), owners, using=using)
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
        if moves and not self.may_move and (destination is UNKNOWN or queryset.exclude(**{key: destination}).exists()):
            raise OtherTenant(f"A {self.model._meta.verbose_name} cannot move to another tenant; nothing was done.")
        owners = queryset.order_by().values_list(key, flat=True).distinct()
        kinds = ("updated", "status_changed", "deleted") if moves else ("updated", "status_changed")
        subscribers = subscribers_of(self._types(*kinds), owners, using=using)
        # Whoever is told what has come to them is told of all of it.
        is_for_all = moves and (
            destination is UNKNOWN or bool(subscribers_of(self._types("created"), [destination], using=using))
        )
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
                    rows = list(self._rows.stored(batch, using))
                    wanted = self._with_newcomers(rows, old, present, using) if moves else present
                    self._publish(rows, created=False, subscribers=wanted, old=old, using=using)

            return afterwards

        return Watch(None if is_for_all else ~watched, pks, look)

    # -- rows that move to another tenant ---------------------------------------------------------

    def _with_holders(self, old: OldRows, subscribers: Subscribers, using: str) -> Subscribers:
        """Return `subscribers` with those of the tenants that have the rows now that the locks are ours: somebody else
        may have moved them while we waited."""
        owners = {row.owner for row in old.values() if row.owner not in subscribers}
        if not owners:
            return subscribers
        return {**subscribers, **subscribers_of(self._types(*KINDS), owners, using=using)}

    def _remember_gone(self, old: OldRows, subscribers: Subscribers, using: str) -> None:
        """Note what the tenants of these rows are told if the write takes the rows away from them."""
        wanted = [pk for pk, row in old.items() if self.deleted in subscribers.get(row.owner, {})]
        for batch in batches(wanted):
            for row in self._rows.stored(batch, using):
                old[row.pk].gone = self.happening(self.deleted, row, using=using)

    def _gone(self, before: OldRow, row: Any, subscribers: Subscribers) -> list[Happening]:
        """Return what the tenant is told that had the row before."""
        if before.gone is not None or self.deleted not in subscribers.get(before.owner, {}):
            return [before.gone] if before.gone is not None else []
        # A receiver of pre_save moved it behind our back: what it was cannot be read any more.
        tenant, minimal = tenant_model()._base_manager.get(pk=before.owner), {self.name: {"id": row.pk}}
        return [Happening(self.deleted, tenant, object_id_of(row.pk), minimal, minimal)]

    def _with_newcomers(self, rows: Sequence[Any], old: OldRows, subscribers: Subscribers, using: str) -> Subscribers:
        """Return `subscribers` with those who are told that rows have come to them."""
        owners = {self._path.owner(row) for row in rows if row.pk in old and old[row.pk].owner != self._path.owner(row)}
        if not owners:
            return subscribers
        found = subscribers_of(self._types("created"), owners, using=using)
        return {owner: {**subscribers.get(owner, {}), **found.get(owner, {})} for owner in {**subscribers, **found}}

    # -- what happened ----------------------------------------------------------------------------

    def _publish(
        self, rows: Iterable[Any], *, created: bool, subscribers: Subscribers, old: OldRows, using: str
    ) -> None:
        happenings: list[Happening] = []
        stayed: list[tuple[Any, OldRow]] = []
        for row in rows:
            owner, before = self._path.owner(row), old.get(row.pk)
            if before is not None and before.owner == owner:
                stayed.append((row, before))
            elif before is not None or created:
                happenings += self._gone(before, row, subscribers) if before is not None else []
                happenings += [self.happening(self.created, row, using=using)] if owner in subscribers else []
        foreign = self._foreign([(row, before.values) for row, before in stayed], using)
        for row, before in stayed:
            happenings += self._updates(row, before.values, foreign, using)
        if happenings:
            self._record(happenings, subscribers, using)

    def _foreign(self, known: Sequence[tuple[Any, Sequence[Any]]], using: str) -> dict[str, dict[Any, Any]]:
        """Return to whom the rows belong that changed relations lead to; no question where none has changed."""
        places = {name: place for place, name in enumerate(self._rows.attnames)}
        owners: dict[str, dict[Any, Any]] = {}
        for name in self._rows.relations:
            pairs = [(before[places[name]], getattr(row, self._rows.attnames[name])) for row, before in known]
            changed = {value for pair in pairs if pair[0] != pair[1] for value in pair}
            if changed:
                owners[name] = self._rows.owners(name, changed, using)
        return owners

    def _updates(
        self, row: Any, old: Sequence[Any], foreign: Mapping[str, Mapping[Any, Any]], using: str
    ) -> list[Happening]:
        try:
            changes = self._changes(row, old, foreign)
        except Exception:  # a value that cannot be compared or shown must cost neither the user's save nor the event
            logger.warning("what changed of %s %s cannot be told", self.name, row.pk, exc_info=True)
            return [self.happening(self.updated, row, using=using)]
        found = []
        if self._status_field in changes:
            found.append(self.happening(self.status_changed, row, {"changes": changes}, using=using))
        if changes.keys() - {self._status_field}:
            found.append(self.happening(self.updated, row, {"changes": changes}, using=using))
        return found

    def _changes(
        self, row: Any, old: Sequence[Any], foreign: Mapping[str, Mapping[Any, Any]]
    ) -> dict[str, dict[str, Any]]:
        changes = {}
        for (name, attname), before in zip(self._rows.attnames.items(), old, strict=True):
            now = getattr(row, attname)
            if before != now:
                owners = foreign.get(name, {})
                shown = [self._shown(row, name, value, owners.get(value)) for value in (before, now)]
                changes[name] = dict(zip(("old", "new"), shown, strict=True))
        return changes

    def _shown(self, row: Any, name: str, value: Any, owner: Any) -> Any:
        if owner is None or is_own(owner, self._path.owner(row)):
            return self._rows.shown(name, value)
        path = f"{self.model._meta.verbose_name} {row.pk}.{name}"
        warn_kept_out(path, self._rows.related_model(name), value, self._path.owner(row))
        return None

    def happening(self, event_type: str, row: Any, extra: Mapping[str, Any] | None = None, *, using: str) -> Happening:
        """Return the event with `payload(row)`, or a minimal one if that raises.

        Args:
            extra: what comes beside ``name`` in the body.
        """
        minimal = {self.name: {"id": row.pk}}
        try:
            with only_of(self._path.owner(row)), lazy_savepoint(using):
                payload: Mapping[str, Any] = {self.name: self.payload(row), **(extra or {})}
        except Exception:  # a mistake in a payload must cost neither the user's save nor the event
            logger.warning("%s.payload() failed; a minimal event is sent", type(self).__name__, exc_info=True)
            payload = minimal
        return Happening(event_type, self._path.tenant(row), object_id_of(row.pk), payload, minimal)

    def _record(self, happenings: Sequence[Happening], subscribers: Subscribers, using: str) -> None:
        publish_all(happenings, subscribers, model=self.model, using=using)

    @cached_property
    def _rows(self) -> RowReader:
        return RowReader(self.model, self._path, self.tracked, self.related, self.may_move)

    @cached_property
    def _path(self) -> TenantPath:
        return tenant_path(self.model, self.tenant)


def trigger_integrations(instance: Any, event_type: str) -> list[IntegrationEvent]:
    """Publish `event_type` for `instance` with its handler's payload, for handlers written with plain signals.

    May be called inside ``on_commit``: it opens a transaction of its own. That is a weaker promise than a
    trigger handler's: a process that dies between the commit and this call records nothing.
    """
    handler = _handlers.get(instance._meta.concrete_model)
    if handler:
        happening = handler.happening(event_type, instance, using="default")
        tenant, payload = happening.tenant, happening.payload
    else:
        model: Any = type(instance)
        tenant = tenant_path(model, "").tenant(instance)
        payload = {instance._meta.model_name: {"id": instance.pk, "name": str(instance)}}
    return publish(event_type=event_type, tenant=tenant, obj=instance, payload=payload)


def recorded_types_of(obj: models.Model) -> tuple[str, ...]:
    """Return the event types that writes of `obj` may cause; none if nobody captures its model."""
    handler = _handlers.get(obj._meta.concrete_model)  # type: ignore[arg-type]
    return handler.recorded_types if handler is not None else ()


def handlers() -> list[TriggerHandler]:
    """Return the handlers that are connected."""
    return list(_handlers.values())


def _is_same_table(one: type[models.Model], other: type[models.Model]) -> bool:
    return one._meta.concrete_model is other._meta.concrete_model


def _is_of_tenants(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, models.Model) and is_tenant(model)


def _within_its_tenant(payload: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(payload)
    def bounded(self: TriggerHandler, obj: Any) -> dict[str, Any]:
        with only_of(self._path.owner(obj)):
            return payload(self, obj)

    return bounded


@contextmanager
def _together(using: str) -> Iterator[None]:
    """The row is written: if its event cannot be, the caller's transaction must not commit the one without the
    other, even if the caller handles the exception."""
    try:
        yield
    except BaseException:
        if connections[using].in_atomic_block:
            transaction.set_rollback(True, using=using)
        raise


def problem_of(cls: type[TriggerHandler]) -> str:
    """Say what is wrong with the description of a model, and the way out; "" if nothing is."""
    model: Any = getattr(cls, "model", None)
    if not (isinstance(model, type) and issubclass(model, models.Model)) or model._meta.abstract or model._meta.proxy:
        return f"model must be a model with a table of its own, not {model!r}; of an abstract one name each subclass"
    for name in ("name", "tracked"):
        if not hasattr(cls, name):
            return f"{name} is missing"
    if not isinstance(cls.name, str) or not cls.name.isidentifier():
        return f'name must be a word such as "invoice", not {cls.name!r}'
    try:
        TenantPath(model, cls.tenant)
    except TypeError as error:
        return str(error)
    return _wrong_fields(cls) or _wrong_choice(cls) or _wrong_neighbour(cls)


def _wrong_fields(cls: type[TriggerHandler]) -> str:
    for name in ("tracked", "related"):
        if isinstance(value := getattr(cls, name), str):
            return f'{name} must be a tuple of names, as ("{value}",), not the text {value!r}'
    for name in cls.tracked:
        try:
            field: Any = cls.model._meta.get_field(name)
        except FieldDoesNotExist:
            return f"tracked: {cls.model._meta.label} has no field {name!r}"
        if not getattr(field, "concrete", False) or field.many_to_many:
            return f"tracked: {cls.model._meta.label}.{name} is no column; many-to-many changes are not captured"
    for path in cls.related:
        at: Any = cls.model
        for name in path.split("__"):
            field = next((each for each in at._meta.concrete_fields if each.name == name), None)
            if not isinstance(field, models.ForeignKey):
                return f"related: {path!r} is no way along foreign keys; {at._meta.label} has no foreign key {name!r}"
            at = field.related_model
    return ""


def _wrong_choice(cls: type[TriggerHandler]) -> str:
    if isinstance(cls.events, str) or not set(cls.events) <= set(KINDS):
        return f"events must be some of {', '.join(KINDS)}, not {cls.events!r}"
    if cls.status_field not in (None, "status", *cls.tracked):
        return f"status_field: {cls.status_field!r} must be one of the tracked fields"
    if cls.payload is TriggerHandler.payload:
        return "payload(self, obj) is missing: it returns what receivers get"
    return payload_versions.problem_of(cls.payload_version, cls.older_payloads)


def _wrong_neighbour(cls: type[TriggerHandler]) -> str:
    for handler in handlers():
        other = type(handler)
        if other is cls or f"{other.__module__}.{other.__qualname__}" == f"{cls.__module__}.{cls.__qualname__}":
            continue
        if other.model is cls.model:
            return f"{cls.model._meta.label} is described by {other.__qualname__} already; one is enough"
        if other.name == cls.name:
            return f"name: {other.__qualname__} calls {other.model._meta.label} {cls.name!r} already; take another word"
    return ""
