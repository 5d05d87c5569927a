"""A captured row before and after the write: what it was, read under its lock, and what is stored now."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

from django.db import connections, models

from integrations.tenancy.boundary import OtherTenant, is_own, owner_path

from .bulk_writes import key_list
from .compiled_row import CompiledObject, CompiledRow, python_key
from .publishing import Happening
from .subscribers import Subscribers, Whose, ask_with_row
from .tenant_path import UNKNOWN, TenantPath


@dataclass(slots=True)
class OldRow:
    """A row before the write.

    Attributes:
        owner: the key of its tenant.
        holder: what led there (tenant_path.py).
        values: the tracked ones, in their order.
        gone: what that tenant is told if the row turns out to have moved to another.
    """

    owner: Any
    holder: Any
    values: tuple[Any, ...]
    gone: Happening | None = None


OldRows = dict[Any, OldRow]  # by primary key


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
        self.model, self.path, self.related, self._may_move = model, path, tuple(related), may_move
        self._fields: dict[str, Any] = {name: model._meta.get_field(name) for name in tracked}
        self._labels: dict[str, dict[Any, Any]] = {}
        self.attnames: dict[str, str] = {name: field.attname for name, field in self._fields.items()}

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
        whose = self._whose(holder, pk, using)
        subscribers, values = ask_with_row(event_types, whose, self._locked_row, pk, using=using, lately=holder)
        if values is None:
            return subscribers, {}
        old = self._old_row(values)
        if not self._may_move and holder is not UNKNOWN and self._leads_away(holder, old, using):
            # What the one wrote would be told to the other, as "old".
            raise OtherTenant(f"The {self.model._meta.verbose_name} {pk} belongs to another tenant; nothing was done.")
        # The key as the database has it: somebody may have set pk = "5".
        return subscribers, {python_key(self.model, pk): old}

    def ask_stored(self, event_types: Sequence[str], holder: Any, pk: Any, using: str) -> tuple[Subscribers, Any]:
        """Return who wants these events and, if anybody does, the row as `stored`; None if it is gone."""
        if not event_types:
            return {}, None
        whose = [self.path.whose_row(pk, using) if holder is UNKNOWN else self.path.whose(holder, using)]
        subscribers, values = ask_with_row(event_types, whose, self._stored_row.row, pk, using=using, lately=holder)
        return subscribers, None if values is None else self._stored_row.built(values, using, {})

    def locked(self, pks: Sequence[Any], using: str) -> OldRows:
        """Lock these rows and return them as they are."""
        rows = self._lockable(using).filter(pk__in=key_list(self.model, pks, using)).order_by("pk")
        return {pk: self._old_row(values) for pk, *values in rows.values_list("pk", *self._columns)}

    def stored(self, pks: Sequence[Any], using: str) -> Iterable[Any]:
        """Return the rows as the database has them now: defaults, F() expressions and rounding applied."""
        if len(pks) == 1:
            row = self._stored_row.fetch(pks[0], using)
            return [row] if row is not None else []
        return self._stored_row.fetch_many(key_list(self.model, pks, using), using)

    def shown(self, name: str, value: Any) -> Any:
        """A value as people read it: the label of a choice, the id of a relation."""
        field = self._fields[name]
        if not field.choices or not isinstance(value, Hashable):
            return value
        labels = self._labels.get(name)
        if labels is None:
            labels = dict(field.flatchoices)
            if isinstance(field.choices, list):  # else a callable's, which may answer something else each time
                self._labels[name] = labels
        return labels.get(value, value)

    def owners(self, name: str, values: Iterable[Any], using: str) -> dict[Any, Any]:
        """Return whose the rows are to which a relation with these values leads, where they are some tenant's."""
        target = self._fields[name].target_field
        path, wanted = owner_path(target.model), {value for value in values if value is not None}
        if path is None or not wanted:
            return {}
        rows: models.QuerySet[Any] = models.QuerySet(target.model, using=using)
        found = rows.filter(**{f"{target.attname}__in": wanted}).order_by()
        return dict(found.values_list(target.attname, path))

    def related_model(self, name: str) -> type[models.Model]:
        """Return the model to which a tracked relation leads."""
        found: type[models.Model] = self._fields[name].related_model
        return found

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """The tracked fields that are relations."""
        return tuple(name for name, field in self._fields.items() if field.many_to_one or field.one_to_one)

    def _leads_away(self, holder: Any, old: OldRow, using: str) -> bool:
        if is_own(old.holder, holder):
            return False
        return not all(is_own(old.owner, owner) for owner in self.path.owners_of({holder}, using))

    def _whose(self, holder: Any, pk: Any, using: str) -> list[Whose]:
        said = [] if holder is UNKNOWN else [self.path.whose(holder, using)]
        return [*said, self.path.whose_row(pk, using)] if self._may_move or not said else said

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

    @cached_property
    def _columns(self) -> list[str]:
        return list(dict.fromkeys((self.path.owner_column, self.path.holder, *self.attnames.values())))

    @cached_property
    def _picked(self) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
        """Of the values of `_columns`, the owner, the holder and the tracked fields: one may be the other, too."""
        wanted = (self.path.owner_column, self.path.holder, *self.attnames.values())
        return itemgetter(*(self._columns.index(name) for name in wanted))

    @cached_property
    def _locked_row(self) -> CompiledRow:
        return CompiledRow(self._lockable, self._columns)

    @cached_property
    def _stored_row(self) -> CompiledObject:
        return CompiledObject(self.model, (self.path.path, *self.related))
