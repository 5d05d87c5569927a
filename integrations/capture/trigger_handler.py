"""Describe a model to the outbox: the base of the per-model handlers (the pattern of Salesforce's TriggerHandler).

From a write to its events: writes.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial, wraps
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.signals import post_delete, pre_delete

from integrations.audit.notes import AuditNote, WrittenNote, forget_note_writer, register_note_writer
from integrations.connections import event_types, payload_versions
from integrations.connections.payload_shapes import Shape
from integrations.connections.payload_versions import Older, Versions, as_example
from integrations.connectors.summary import SummaryFormat
from integrations.jobs.snapshots import forget_source, register_source
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.tenancy.boundary import Way, forget_way, hosts_code, only_of, tell_way

from .examples import learnt_shape, sample_payloads
from .publishing import Happening, publish
from .rows import RowReader, TenantPath, tenant_path
from .snapshots import Snapshots
from .tenant_path import steps_to_tenant
from .writes import Writes, announce_writes

logger = logging.getLogger("integrations.signals")

KINDS = ("created", "status_changed", "updated", "deleted")
_handlers: dict[type[models.Model], TriggerHandler] = {}


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
        return self.types_of(*KINDS)

    def types_of(self, *kinds: str) -> tuple[str, ...]:
        """Return the event types of those of `kinds` that are recorded."""
        return tuple([f"{self.name}_{kind}" for kind in kinds if kind in self._recorded])

    @cached_property
    def _recorded(self) -> tuple[str, ...]:
        return tuple(kind for kind in KINDS if kind in self.events and (kind != "status_changed" or self.status_apart))

    @cached_property
    def status_apart(self) -> str | None:
        """The field whose change is an event of its own; without one, it is an update like others."""
        return self.status_field if "status_changed" in self.events and self.status_field in self.tracked else None

    # -- connecting -------------------------------------------------------------------------------

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
        for kind in (*handler._recorded, "snapshot"):
            handler._register(kind)
        register_source(Snapshots(handler, handler._rows))
        register_note_writer(cls.model, handler.write_notes, handler.read_notes)
        announce_writes(cls.model)
        tell_way(cls.model, Way(handler._path.key, handler._path.owner))
        for signal, receiver in handler._writes.receivers:
            for sender in handler.captured_models():
                # A row of a subclass with a table of its own takes its parent's with it, of which Django speaks, too.
                is_same_table = sender._meta.concrete_model is cls.model._meta.concrete_model
                if signal not in (pre_delete, post_delete) or is_same_table:
                    # weak=False: nobody else keeps the handler alive.
                    signal.connect(receiver, sender=sender, weak=False, dispatch_uid=cls.__name__)
        _handlers[cls.model] = handler
        return handler

    def disconnect(self) -> None:
        """Listen no more; what is recorded already is still delivered."""
        for signal, _ in self._writes.receivers:
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

    def _register(self, kind: str) -> None:
        """Make an event type known, with what its payloads may hold: learnt when somebody asks (examples.py)."""
        example = self._example_of_changes if kind in ("status_changed", "updated") else self._example
        versions = Versions(self.payload_version, self.older_payloads)

        def older_shape(version: int) -> Shape:
            return learnt_shape(self.model, lambda obj: versions.made(as_example(example(obj)), version))

        event_types.register(
            f"{self.name}_{kind}",
            f"{str(self.model._meta.verbose_name).capitalize()} {kind.replace('_', ' ')}",
            shape=partial(learnt_shape, self.model, example),
            summary=self.summary,
            samples=partial(sample_payloads, self.model, example),
            on_request=kind == "snapshot",
            when=self._when(kind),
            version=versions.newest,
            older=versions.older,
            older_shape=older_shape,
        )

    def _when(self, kind: str) -> str:
        """Say in a sentence when an event of this kind happens."""
        what = str(self.model._meta.verbose_name)
        names = ", ".join(name for name in self.tracked if name != self.status_apart)
        return {
            "created": f"A {what} is created, or comes from another tenant.",
            "status_changed": f"The {self.status_apart} of a {what} changes; `changes` has the old and the new value.",
            "updated": f"One of these changes: {names}; `changes` has the old and the new values.",
            "deleted": f"A {what} is deleted, or goes to another tenant; the payload is the last that it was.",
            "snapshot": f"A backfill sends what the {what} is at that moment. Nothing happened to it.",
        }[kind]

    def _example(self, obj: Any) -> dict[str, Any]:
        return {self.name: self.payload(obj)}

    def _example_of_changes(self, obj: Any) -> dict[str, Any]:
        """Return the body of an example in which everything changes, from what it is to what it is."""
        shown = {name: self._rows.shown(name, getattr(obj, at)) for name, at in self._rows.attnames.items()}
        changes = {name: {"old": value, "new": value} for name, value in shown.items()}
        return {self.name: self.payload(obj), "changes": changes}

    # -- one object -------------------------------------------------------------------------------

    def happening(self, event_type: str, row: Any, extra: Mapping[str, Any] | None = None, *, using: str) -> Happening:
        """Return the event with `payload(row)`, or a minimal one if that raises.

        Args:
            extra: what comes beside ``name`` in the body.
        """
        minimal = {self.name: {"id": row.pk}}
        try:
            with hosts_code(using, self._path.owner(row)):
                payload: Mapping[str, Any] = {self.name: self.payload(row), **(extra or {})}
        except Exception:  # a mistake in a payload must cost neither the user's save nor the event
            logger.warning("%s.payload() failed; a minimal event is sent", type(self).__name__, exc_info=True)
            payload = minimal
        return Happening(event_type, self._path.tenant(row), object_id_of(row.pk), payload, minimal)

    @cached_property
    def _path(self) -> TenantPath:
        return tenant_path(self.model, self.tenant)

    @cached_property
    def _rows(self) -> RowReader:
        return RowReader(self.model, self._path, self.tracked, self.related, self.may_move)

    @cached_property
    def _writes(self) -> Writes:
        return Writes(self, self._rows)


def _within_its_tenant(payload: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(payload)
    def bounded(self: TriggerHandler, obj: Any) -> dict[str, Any]:
        with only_of(self._path.owner(obj)):
            return payload(self, obj)

    return bounded


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
        steps_to_tenant(model, cls.tenant)
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
