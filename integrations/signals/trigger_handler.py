"""From a save to an event: the base of the per-model handlers (the pattern of Salesforce's TriggerHandler).

    pre_save     does anybody want this?  and if so the old row, under its lock: one statement
    post_save    the row as stored, with its relations in one join; what changed; publish
                 (of a new row: does anybody want this?  and if so the row as stored: one statement)
    pre_delete   the payload, while the row is still there;  post_delete  publish
    rows_created, rows_updating    the same for bulk writes (tenancy/announcing.py)

All of it runs inside the transaction of the save (tenants/models.py). The lock makes two writers take turns,
so that the second reports what the first left, and makes event ids ascend per object.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, ClassVar

from django.db import connections, models, transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal

from integrations.audit.notes import AuditNote, forget_note_writer, register_note_writer
from integrations.connections import event_types
from integrations.connections.payload_shapes import Shape
from integrations.outbox.lazy_savepoint import lazy_savepoint
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.publish import Happening, Subscribers, publish, publish_all, subscribers_of
from integrations.tenancy.announcing import Watch, batches, rows_created, rows_updating
from integrations.tenancy.boundary import is_own, only_of, warn_kept_out
from integrations.tenancy.owned import TenantOwned
from integrations.tenancy.tenant import is_tenant

from .examples import learnt_shape
from .row_reader import OldRows, RowReader

logger = logging.getLogger("integrations.signals")

_CAPTURE, _DELETION = "_outbox_captures", "_outbox_deletion"  # kept on the instance meanwhile
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

    Attributes:
        model: a `TenantOwned` model.
        name: the word for one such object: key in the payload and prefix of its event types.
        tracked: fields whose change is an update.
        status_field: the one whose change is an event of its own; None: no such event.
        related: relations that the payload needs, fetched in one join.
    """

    model: ClassVar[type[TenantOwned]]
    name: ClassVar[str]
    tracked: ClassVar[tuple[str, ...]]
    status_field: ClassVar[str | None] = "status"
    related: ClassVar[tuple[str, ...]] = ()

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

    @classmethod
    def connect(cls) -> TriggerHandler:
        """Register event types and notes, and listen to the model's signals."""
        if not issubclass(cls.model, TenantOwned):
            raise TypeError(f"{cls.model.__name__} must subclass integrations.tenancy.owned.TenantOwned to be captured")
        handler = cls()
        label = str(cls.model._meta.verbose_name).capitalize()
        event_types.register(handler.created, f"{label} created", shape=handler._shape)
        if cls.status_field:
            event_types.register(handler.status_changed, f"{label} status changed", shape=handler._shape_of_changes)
        event_types.register(handler.updated, f"{label} updated", shape=handler._shape_of_changes)
        event_types.register(handler.deleted, f"{label} deleted", shape=handler._shape)
        register_note_writer(cls.model, handler.write_notes)
        for signal, receiver in handler._receivers():
            for sender in handler._senders():
                # weak=False: nobody else keeps the handler alive.
                signal.connect(receiver, sender=sender, weak=False, dispatch_uid=cls.__name__)
        _handlers[cls.model] = handler
        return handler

    def disconnect(self) -> None:
        """Listen no more; what is recorded already is still delivered."""
        for signal, _ in self._receivers():
            for sender in self._senders():
                signal.disconnect(sender=sender, dispatch_uid=type(self).__name__)
        forget_note_writer(self.model)
        _handlers.pop(self.model, None)

    def _senders(self) -> Iterable[type[models.Model]]:
        """The model and what inherits from it: Django sends a proxy's signals for the proxy alone."""
        waiting: list[type[models.Model]] = [self.model]
        while waiting:
            waiting += waiting[0].__subclasses__()
            yield waiting.pop(0)

    def _receivers(self) -> Iterable[tuple[Signal, Callable[..., Any]]]:
        return (
            (pre_save, self._before_save),
            (post_save, self._after_save),
            (pre_delete, self._before_delete),
            (post_delete, self._after_delete),
            (rows_created, self._after_bulk_create),
            (rows_updating, self._before_bulk_update),
        )

    # -- what conditions may name -----------------------------------------------------------------

    def _shape(self) -> Shape:
        return learnt_shape(self.model, lambda obj: {self.name: self.payload(obj)})

    def _shape_of_changes(self) -> Shape:
        return learnt_shape(self.model, lambda obj: {self.name: self.payload(obj), "changes": self._changes_of(obj)})

    def _changes_of(self, obj: Any) -> dict[str, dict[str, Any]]:
        """Return the changes of an example: everything, from what it is to what it is."""
        shown = {name: self._rows.shown(name, getattr(obj, at)) for name, at in self._rows.attnames.items()}
        return {name: {"old": value, "new": value} for name, value in shown.items()}

    # -- one object -------------------------------------------------------------------------------

    def _before_save(self, instance: Any, raw: bool, using: str, **_: Any) -> None:
        # A stack: a post_save receiver that runs before ours may save the object once more.
        captures = instance.__dict__.setdefault(_CAPTURE, [])
        captures.append(None)
        if raw:  # loaddata: rows that exist elsewhere already
            return
        if not instance._is_pk_set():
            captures[-1] = Capture(None, {})  # nothing to lock; asked together with the row as it is then stored
            return
        types = (self.created, self.updated, self.status_changed)
        subscribers, old = self._rows.ask_locked(types, instance.tenant_id, instance.pk, using)
        if subscribers:
            captures[-1] = Capture(subscribers, old)

    def _after_save(self, instance: Any, created: bool, using: str, **_: Any) -> None:
        captures: list[Capture | None] = instance.__dict__.get(_CAPTURE) or [None]
        capture = captures.pop()
        if not captures:
            instance.__dict__.pop(_CAPTURE, None)
        if capture is None:
            return
        with _together(using):
            if capture.subscribers is not None:
                rows = self._rows.stored([instance.pk], using)
                self._publish(rows, created=created, subscribers=capture.subscribers, old=capture.old, using=using)
            elif created:
                subscribers, row = self._rows.ask_stored((self.created,), instance.tenant_id, instance.pk, using)
                if row is not None:
                    self._publish([row], created=True, subscribers=subscribers, old={}, using=using)

    def _before_delete(self, instance: Any, using: str, origin: Any = None, **_: Any) -> None:
        instance.__dict__.pop(_DELETION, None)
        if _is_of_tenants(getattr(origin, "model", type(origin))):
            return  # the tenant goes with all it has: its integrations too, so nobody is left to tell
        # Locked: our id comes after that of any change still being committed.
        subscribers, _old = self._rows.ask_locked((self.deleted,), instance.tenant_id, instance.pk, using)
        if not subscribers:
            return
        rows = self._rows.stored([instance.pk], using)
        happenings = tuple(self.happening(self.deleted, row, using=using) for row in rows)
        setattr(instance, _DELETION, Capture(subscribers, {}, happenings))

    def _after_delete(self, instance: Any, using: str, **_: Any) -> None:
        capture: Capture | None = instance.__dict__.pop(_DELETION, None)
        if capture is not None:
            with _together(using):
                self._record(capture.happenings, capture.subscribers or {}, using)

    # -- many objects -----------------------------------------------------------------------------

    def _after_bulk_create(self, pks: list[Any], tenant_ids: frozenset[Any], using: str, **_: Any) -> None:
        subscribers = subscribers_of((self.created,), tenant_ids, using=using)
        if not subscribers:
            return
        with _together(using):
            for batch in batches(pks):
                rows = self._rows.stored(batch, using)
                self._publish(rows, created=True, subscribers=subscribers, old={}, using=using)

    def _before_bulk_update(self, queryset: models.QuerySet[Any], using: str, **_: Any) -> Watch | None:
        tenant_ids = queryset.order_by().values_list("tenant_id", flat=True).distinct()
        subscribers = subscribers_of((self.updated, self.status_changed), tenant_ids, using=using)
        if not subscribers:
            return None
        pks = tuple(queryset.order_by("pk").filter(tenant_id__in=subscribers).values_list("pk", flat=True))

        def look(batch: Sequence[Any]) -> Callable[[], None]:
            old = self._rows.locked(batch, using)

            def afterwards() -> None:
                with _together(using):
                    rows = self._rows.stored(batch, using)
                    self._publish(rows, created=False, subscribers=subscribers, old=old, using=using)

            return afterwards

        return Watch(frozenset(subscribers), pks, look)

    # -- what happened ----------------------------------------------------------------------------

    def _publish(
        self, rows: Iterable[Any], *, created: bool, subscribers: Subscribers, old: OldRows, using: str
    ) -> None:
        found = list(rows)
        if created:
            happenings = [self.happening(self.created, row, using=using) for row in found]
        else:
            known = [(row, old[row.pk]) for row in found if row.pk in old]
            foreign = self._foreign(known, using)
            happenings = [each for row, before in known for each in self._updates(row, before, foreign, using)]
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
        if self.status_field in changes:
            found.append(self.happening(self.status_changed, row, {"changes": changes}, using=using))
        if changes.keys() - {self.status_field}:
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
        if is_own(owner, row.tenant_id):
            return self._rows.shown(name, value)
        path = f"{self.model._meta.verbose_name} {row.pk}.{name}"
        warn_kept_out(path, self._rows.related_model(name), value, row.tenant_id)
        return None

    def happening(self, event_type: str, row: Any, extra: Mapping[str, Any] | None = None, *, using: str) -> Happening:
        """Return the event with `payload(row)`, or a minimal one if that raises.

        Args:
            extra: what comes beside ``name`` in the body.
        """
        minimal = {self.name: {"id": row.pk}}
        try:
            with only_of(row.tenant_id), lazy_savepoint(using):
                payload: Mapping[str, Any] = {self.name: self.payload(row), **(extra or {})}
        except Exception:  # a mistake in a payload must cost neither the user's save nor the event
            logger.warning("%s.payload() failed; a minimal event is sent", type(self).__name__, exc_info=True)
            payload = minimal
        return Happening(event_type, row.tenant, object_id_of(row.pk), payload, minimal)

    def _record(self, happenings: Sequence[Happening], subscribers: Subscribers, using: str) -> None:
        publish_all(happenings, subscribers, model=self.model, using=using)

    @cached_property
    def _rows(self) -> RowReader:
        return RowReader(self.model, self.tracked, self.related)


def trigger_integrations(instance: Any, event_type: str) -> list[IntegrationEvent]:
    """Publish `event_type` for `instance` with its handler's payload, for handlers written with plain signals.

    May be called inside ``on_commit``: it opens a transaction of its own. That is a weaker promise than a
    trigger handler's: a process that dies between the commit and this call records nothing.
    """
    handler = _handlers.get(instance._meta.concrete_model)
    if handler:
        payload = handler.happening(event_type, instance, using="default").payload
    else:
        payload = {instance._meta.model_name: {"id": instance.pk, "name": str(instance)}}
    return publish(event_type=event_type, tenant=instance.tenant, obj=instance, payload=payload)


def _is_of_tenants(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, models.Model) and is_tenant(model)


def _within_its_tenant(payload: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(payload)
    def bounded(self: TriggerHandler, obj: Any) -> dict[str, Any]:
        with only_of(obj.tenant_id):
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
