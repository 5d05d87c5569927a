"""A captured row before and after the write: what it was, read under its lock, and what is stored now."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any

from django.db import connections, models

from integrations.compiled_row import CompiledObject, CompiledRow, python_key
from integrations.publish import Subscribers, ask_with_row, subscribers_of
from integrations.tenancy.announcing import key_list
from integrations.tenancy.boundary import OtherTenant, is_own, owner_path
from integrations.tenancy.owned import TenantOwned

OldRows = dict[Any, tuple[Any, ...]]  # primary key → the tracked values, in their order


class RowReader:
    """Reads rows of one model for its trigger handler.

    Args:
        tracked: names of the fields whose change matters.
        related: foreign keys that the payload needs, fetched in the same join.
    """

    def __init__(self, model: type[TenantOwned], tracked: Sequence[str], related: Sequence[str]) -> None:
        self.model, self.related = model, tuple(related)
        self._fields: dict[str, Any] = {name: model._meta.get_field(name) for name in tracked}
        self._labels: dict[str, dict[Any, Any]] = {}
        self.attnames: dict[str, str] = {name: field.attname for name, field in self._fields.items()}

    def ask_locked(
        self, event_types: Sequence[str], tenant_id: Any, pk: Any, using: str
    ) -> tuple[Subscribers, OldRows]:
        """Return who wants these events and, if anybody does, the tracked values of the row, under its lock.

        Raises:
            OtherTenant: the row with this key belongs to another tenant than the instance says.
        """
        if not connections[using].in_atomic_block:
            subscribers = subscribers_of(event_types, [tenant_id], using=using)
            return subscribers, self.locked([pk], using) if subscribers else {}
        subscribers, values = ask_with_row(event_types, tenant_id, self._locked_row, pk, using=using)
        if values is None:
            return subscribers, {}
        owner, *tracked = values
        if not is_own(owner, tenant_id):
            # What the one wrote would be told to the other, as "old".
            raise OtherTenant(f"The {self.model._meta.verbose_name} {pk} belongs to another tenant; nothing was done.")
        # The key as the database has it: somebody may have set pk = "5".
        return subscribers, {python_key(self.model, pk): tuple(tracked)}

    def ask_stored(self, event_types: Sequence[str], tenant_id: Any, pk: Any, using: str) -> tuple[Subscribers, Any]:
        """Return who wants these events and, if anybody does, the row as `stored`; None if it is gone."""
        subscribers, values = ask_with_row(event_types, tenant_id, self._stored_row.row, pk, using=using)
        return subscribers, None if values is None else self._stored_row.built(values, using, {})

    def locked(self, pks: Sequence[Any], using: str) -> OldRows:
        """Lock these rows and return their tracked values."""
        names, keys = list(self.attnames.values()), key_list(self.model, pks, using)
        rows = self._lockable(using) if connections[using].in_atomic_block else self.model.unannounced.using(using)
        return {pk: tuple(values) for pk, *values in rows.filter(pk__in=keys).order_by("pk").values_list("pk", *names)}

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

    def _lockable(self, using: str) -> models.QuerySet[Any]:
        rows = self.model.unannounced.using(using)
        features = connections[using].features
        if features.has_select_for_update:
            # NO KEY UPDATE where it exists: foreign keys to the row may still be checked meanwhile.
            rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
        return rows

    def owners(self, name: str, values: Iterable[Any], using: str) -> dict[Any, Any]:
        """Return whose the rows are to which a relation with these values leads, where they are some tenant's."""
        target = self._fields[name].target_field
        path, wanted = owner_path(target.model), {value for value in values if value is not None}
        if path is None or not wanted:
            return {}
        rows = target.model._base_manager.using(using).filter(**{f"{target.attname}__in": wanted})
        return dict(rows.order_by().values_list(target.attname, path))

    def related_model(self, name: str) -> type[models.Model]:
        """Return the model to which a tracked relation leads."""
        found: type[models.Model] = self._fields[name].related_model
        return found

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """The tracked fields that are relations."""
        return tuple(name for name, field in self._fields.items() if field.many_to_one or field.one_to_one)

    @cached_property
    def _locked_row(self) -> CompiledRow:
        return CompiledRow(self._lockable, ["tenant_id", *self.attnames.values()])

    @cached_property
    def _stored_row(self) -> CompiledObject:
        return CompiledObject(self.model, ("tenant", *self.related))
