"""The rows of a captured model: whose they are, what they were before a write and are after it, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import connections, models
from django.db.models import OuterRef, Subquery

from integrations.tenancy.boundary import OtherTenant, is_own, owner_path, warn_kept_out, whoevers

from .publishing import Happening
from .questions import (
    CompiledObject,
    CompiledRow,
    Subscribers,
    Whose,
    ask_with_row,
    key_field,
    key_list,
    prepared_key,
    python_key,
)
from .tenant_path import steps_to_tenant

_OWNER = "owner_by_tenant_path"  # no field of anybody's
STAYS, UNKNOWN = object(), object()


class TenantPath:
    """The foreign keys that lead from a model to the tenant model.

    Args:
        path: as `steps_to_tenant` takes it.

    Attributes:
        path: the same, never "".
        key: what the ORM calls the key of the tenant: ``owner__project__pk``.
        holder: the column of the row itself that the way begins with, as ``owner_id``: while it stays, the row stays
            with its tenant.
        owner: returns the key of the tenant of an instance, None if it has none.

    Raises:
        TypeError: the way does not lead to the tenant model.
    """

    def __init__(self, model: type[models.Model], path: str) -> None:
        self._steps = steps_to_tenant(model, path)
        self.path = "__".join(step.name for step in self._steps)
        self.key = f"{self.path}__pk"
        self.holder: str = self._steps[0].attname
        self.is_direct = len(self._steps) == 1
        self.owner: Callable[[Any], Any] = attrgetter(self.holder) if self.is_direct else self._owner_at_the_end
        self.owner_column = self.holder if self.is_direct else _OWNER
        self._beyond = self.key.split("__", 1)[1]
        self._of_holder = CompiledRow(self._steps[0].related_model, [self._beyond])
        self._of_row = CompiledRow(model, [self.key])

    # -- of an instance, as it is in memory -------------------------------------------------------

    def tenant(self, obj: Any) -> Any:
        """Return the tenant of `obj`, None if it has none."""
        return self._walk(obj, self._steps)

    def _owner_at_the_end(self, obj: Any) -> Any:
        return getattr(self._walk(obj, self._steps[:-1]), self._steps[-1].attname, None)

    @staticmethod
    def _walk(obj: Any, steps: list[Any]) -> Any:
        with whoevers(), suppress(ObjectDoesNotExist):
            for step in steps:
                if obj is None:
                    return None
                obj = getattr(obj, step.name)
            return obj
        return None

    # -- in SQL -----------------------------------------------------------------------------------

    def whose(self, holder: Any, using: str) -> Whose:
        """Return the tenant of a row that has this holder."""
        if self.is_direct:
            return Whose("%s", [prepared_key(holder, using)])
        return _subselect(self._of_holder, holder, using)

    def whose_row(self, pk: Any, using: str) -> Whose:
        """Return the tenant of the row as it is stored."""
        return _subselect(self._of_row, pk, using)

    def with_owner(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Return `rows` with their tenant's key as `owner_column`, to be read with a lock.

        A join would lock the rows on the way, too; PostgreSQL refuses that where one may be missing.
        """
        if self.is_direct:
            return rows
        holders: models.QuerySet[Any] = models.QuerySet(self._steps[0].related_model).filter(pk=OuterRef(self.holder))
        return rows.annotate(**{_OWNER: Subquery(holders.values(self._beyond), output_field=key_field())})

    def owners_of(self, holders: set[Any], using: str) -> list[Any]:
        """Return the keys of the tenants of rows that have these holders."""
        if self.is_direct:
            return [holder for holder in holders if holder is not None]
        rows: models.QuerySet[Any] = models.QuerySet(self._steps[0].related_model, using=using)
        return list(rows.filter(pk__in=holders - {None}).values_list(self._beyond, flat=True).distinct().order_by())

    def destination(self, values: Mapping[str, Any], using: str) -> Any:
        """Return to which tenant an ``update(**values)`` takes its rows: a key, `STAYS`, or `UNKNOWN` if the database
        is to work it out."""
        for name in (self._steps[0].name, self.holder):
            if name in values:
                value = values[name].pk if isinstance(values[name], models.Model) else values[name]
                if hasattr(value, "resolve_expression"):
                    return UNKNOWN
                return next(iter(self.owners_of({value}, using)), None)
        return STAYS


@cache
def tenant_path(model: type[models.Model], path: str) -> TenantPath:
    """Return the `TenantPath`, made once."""
    return TenantPath(model, path)


def _subselect(row: CompiledRow, pk: Any, using: str) -> Whose:
    compiled = row.compiled(using)
    assert compiled is not None  # noqa: S101 - a plain queryset has no parameters of its own
    return Whose(f"({compiled.sql})", row.prepared(pk, using))


@dataclass(slots=True)
class OldRow:
    """A row before the write.

    Attributes:
        owner: the key of its tenant.
        holder: what led there (`TenantPath.holder`).
        values: the tracked ones, in their order.
        gone: the event that its tenant is told if the row turns out to have moved to another.
    """

    owner: Any
    holder: Any
    values: tuple[Any, ...]
    gone: Happening | None = None


OldRows = dict[Any, OldRow]  # by primary key
Foreign = dict[str, dict[Any, Any]]  # relation → its value → whose row that leads to


class RowReader:
    """Reads rows of one model for its trigger handler.

    Args:
        path: how the model leads to its tenant.
        tracked: names of the fields whose change matters.
        related: foreign keys that the payload needs, fetched in the same join.
        may_move: whether rows may move to another tenant.
    """

    def __init__(
        self,
        model: type[models.Model],
        path: TenantPath,
        tracked: Sequence[str],
        related: Sequence[str],
        may_move: bool,
    ) -> None:
        self.model, self.path, self._may_move = model, path, may_move
        self._fields: dict[str, Any] = {name: model._meta.get_field(name) for name in tracked}
        self._labels: dict[str, dict[Any, Any]] = {}
        self.attnames: dict[str, str] = {name: field.attname for name, field in self._fields.items()}
        wanted = (path.owner_column, path.holder, *self.attnames.values())
        self._columns = list(dict.fromkeys(wanted))
        # Of the values of `_columns`, the owner, the holder and the tracked fields: one may be the other, too.
        self._picked: Callable[[Sequence[Any]], Sequence[Any]] = itemgetter(*map(self._columns.index, wanted))
        self._locked_row = CompiledRow(model, self._columns, self._lockable)
        self._stored_row = CompiledObject(model, (path.path, *related))

    # -- before the write -------------------------------------------------------------------------

    def ask_locked(self, event_types: Sequence[str], holder: Any, pk: Any, using: str) -> tuple[Subscribers, OldRows]:
        """Return who wants these events and, if anybody does, the row as it is, under its lock.

        Those of the tenant to which `holder` leads are asked and, if rows may move, those of the row's own.

        Args:
            holder: of the instance that is to be saved or deleted.

        Raises:
            OtherTenant: rows may not move, and this one belongs to another tenant than the instance says.
        """
        if not event_types:
            return {}, {}
        whose = [] if holder is UNKNOWN else [self.path.whose(holder, using)]
        if self._may_move or not whose:
            whose.append(self.path.whose_row(pk, using))
        subscribers, values = ask_with_row(event_types, whose, self._locked_row, pk, using=using, lately=holder)
        if values is None:
            return subscribers, {}
        old = self._old_row(values)
        is_fine = self._may_move or holder is UNKNOWN or old.holder == holder
        if not is_fine and not all(is_own(old.owner, owner) for owner in self.path.owners_of({holder}, using)):
            # What the one wrote would be told to the other, as "old".
            raise OtherTenant(f"The {self.model._meta.verbose_name} {pk} belongs to another tenant; nothing was done.")
        # The key as the database has it: somebody may have set pk = "5".
        return subscribers, {python_key(self.model, pk): old}

    def locked(self, pks: Sequence[Any], using: str) -> OldRows:
        """Lock these rows and return them as they are."""
        rows = self._lockable(using).filter(pk__in=key_list(self.model, pks, using)).order_by("pk")
        return {pk: self._old_row(values) for pk, *values in rows.values_list("pk", *self._columns)}

    def _lockable(self, using: str) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = models.QuerySet(self.model, using=using)
        features = connections[using].features
        if features.has_select_for_update:
            # NO KEY UPDATE where it exists: foreign keys to the row may still be checked meanwhile.
            rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
        return self.path.with_owner(rows)

    def _old_row(self, values: Sequence[Any]) -> OldRow:
        owner, holder, *tracked = self._picked(values)
        return OldRow(owner, holder, tuple(tracked))

    # -- after it ---------------------------------------------------------------------------------

    def ask_stored(self, event_types: Sequence[str], holder: Any, pk: Any, using: str) -> tuple[Subscribers, Any]:
        """Return who wants these events and, if anybody does, the row as `stored`; None if it is gone."""
        if not event_types:
            return {}, None
        whose = [self.path.whose_row(pk, using) if holder is UNKNOWN else self.path.whose(holder, using)]
        subscribers, values = ask_with_row(event_types, whose, self._stored_row.row, pk, using=using, lately=holder)
        return subscribers, None if values is None else self._stored_row.built(values, using, {})

    def stored(self, pks: Sequence[Any], using: str) -> Iterable[Any]:
        """Return the rows as the database has them now: defaults, F() expressions and rounding applied."""
        if len(pks) == 1:
            row = self._stored_row.fetch(pks[0], using)
            return [row] if row is not None else []
        return self._stored_row.fetch_many(key_list(self.model, pks, using), using)

    # -- what changed -----------------------------------------------------------------------------

    def changes(self, row: Any, old: OldRow, foreign: Foreign) -> dict[str, dict[str, Any]]:
        """Return what changed of `row`, as people read it: field → ``{"old": …, "new": …}``.

        Args:
            foreign: of `foreign`, asked once for all rows of a write.
        """
        found = {}
        for (name, attname), before in zip(self.attnames.items(), old.values, strict=True):
            now = getattr(row, attname)
            if before != now:
                found[name] = {
                    "old": self._shown_to(row, name, before, foreign),
                    "new": self._shown_to(row, name, now, foreign),
                }
        return found

    def foreign(self, rows: Iterable[tuple[Any, OldRow]], using: str) -> Foreign:
        """Return whose the rows are to which changed relations lead; no question where none has changed."""
        rows, found = list(rows), Foreign()
        for place, (name, field) in enumerate(self._fields.items()):
            if not (field.many_to_one or field.one_to_one):
                continue
            pairs = [(old.values[place], getattr(row, field.attname)) for row, old in rows]
            changed = {value for before, now in pairs if before != now for value in (before, now)} - {None}
            target = field.target_field
            if changed and (path := owner_path(target.model)) is not None:
                led_to: models.QuerySet[Any] = models.QuerySet(target.model, using=using)
                owners = led_to.filter(**{f"{target.attname}__in": changed}).order_by()
                found[name] = dict(owners.values_list(target.attname, path))
        return found

    def _shown_to(self, row: Any, name: str, value: Any, foreign: Foreign) -> Any:
        """Return what the tenant of `row` is shown: nothing of a relation that leads to another's row."""
        if name in foreign and not is_own(foreign[name].get(value), self.path.owner(row)):
            path = f"{self.model._meta.verbose_name} {row.pk}.{name}"
            warn_kept_out(path, self._fields[name].related_model, value, self.path.owner(row))
            return None
        return self.shown(name, value)

    def shown(self, name: str, value: Any) -> Any:
        """Return a value as people read it: the label of a choice, the id of a relation."""
        field = self._fields[name]
        if not field.choices or not isinstance(value, Hashable):
            return value
        labels = self._labels.get(name)
        if labels is None:
            labels = dict(field.flatchoices)
            if isinstance(field.choices, list):  # else a callable's, which may answer something else each time
                self._labels[name] = labels
        return labels.get(value, value)
