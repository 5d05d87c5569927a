"""A captured row before and after the write: what it was, read under its lock, and what is stored now."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any

from django.db import connections, models

from integrations.compiled_row import CompiledObject, CompiledRow
from tenants.models import TenantOwned


class RowReader:
    """Reads rows of one model for its trigger handler.

    Args:
        tracked: names of the fields whose change matters.
        related: foreign keys that the payload needs, fetched in the same join.
    """

    def __init__(self, model: type[TenantOwned], tracked: Sequence[str], related: Sequence[str]) -> None:
        self.model, self.related = model, tuple(related)
        self._fields: dict[str, Any] = {name: model._meta.get_field(name) for name in tracked}
        self.attnames: dict[str, str] = {name: field.attname for name, field in self._fields.items()}

    def locked(self, pks: list[Any], using: str) -> dict[Any, dict[str, Any]]:
        """Lock these rows and return their tracked values, by primary key."""
        names = list(self.attnames.values())
        if len(pks) == 1 and connections[using].in_atomic_block:
            row = self._locked_row.fetch(pks[0], using)
            # The key as the database has it: somebody may have set pk = "5".
            pk = self.model._meta.pk.to_python(pks[0])
            return {pk: dict(zip(names, row, strict=True))} if row else {}
        rows = self._lockable(using).filter(pk__in=pks).order_by("pk")
        return {row["pk"]: row for row in rows.values("pk", *names)}

    def stored(self, pks: list[Any], using: str) -> Iterable[Any]:
        """The rows as the database has them now: defaults, F() expressions and rounding applied."""
        if len(pks) == 1:
            row = self._stored_row.fetch(pks[0], using)
            return [row] if row is not None else []
        manager = self.model.unannounced.using(using)
        return manager.select_related("tenant", *self.related).filter(pk__in=pks).order_by("pk")

    def shown(self, name: str, value: Any) -> Any:
        """A value as people read it: the label of a choice, the id of a relation."""
        choices = self._fields[name].flatchoices
        return dict(choices).get(value, value) if choices and isinstance(value, Hashable) else value

    def _lockable(self, using: str) -> models.QuerySet[Any]:
        rows = self.model.unannounced.using(using)
        features = connections[using].features
        if features.has_select_for_update and connections[using].in_atomic_block:
            # NO KEY UPDATE where it exists: foreign keys to the row may still be checked meanwhile.
            rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
        return rows

    @cached_property
    def _locked_row(self) -> CompiledRow:
        return CompiledRow(self._lockable, list(self.attnames.values()))

    @cached_property
    def _stored_row(self) -> CompiledObject:
        return CompiledObject(self.model, ("tenant", *self.related))
