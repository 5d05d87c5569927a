"""A second name for a column: as an attribute, and in queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from django.db.models import F, Q
from django.db.models.constants import LOOKUP_SEP


class Renamed(property):
    """An attribute that reads and writes another one; Django takes it as a keyword of the constructor, too."""

    def __init__(self, attribute: str) -> None:
        super().__init__(lambda self: getattr(self, attribute), lambda self, value: setattr(self, attribute, value))


class RenamedColumns:
    """Mixed into a queryset, before its other bases: it takes the names in `renamed` beside those of the columns.

    Attributes:
        renamed: their name → our lookup: a column, a path to one, or an alias that the manager adds. It may be the
            name of another column of ours: here it means what they mean.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    def filter(self, *args: Any, **kwargs: Any) -> Any:
        rows: Any = super()
        return rows.filter(*map(self._condition, args), **self._lookups(kwargs))

    def exclude(self, *args: Any, **kwargs: Any) -> Any:
        rows: Any = super()
        return rows.exclude(*map(self._condition, args), **self._lookups(kwargs))

    def order_by(self, *field_names: Any) -> Any:
        rows: Any = super()
        return rows.order_by(*map(self._ordering, field_names))

    def values(self, *fields: Any, **expressions: Any) -> Any:
        rows: Any = super(RenamedColumns, self._selecting(fields))
        return rows.values(*fields, **expressions)

    def values_list(self, *fields: Any, flat: bool = False, named: bool = False) -> Any:
        rows: Any = super(RenamedColumns, self._selecting(fields))
        return rows.values_list(*fields, flat=flat, named=named)

    def _selecting(self, fields: Iterable[Any]) -> Self:
        """Return the queryset with an annotation for each of `fields` that is a name of theirs."""
        theirs = {name: F(self.renamed[name]) for name in fields if isinstance(name, str) and name in self.renamed}
        if not theirs:
            return self
        rows: Any = super()
        # A model may have a column of that name, so that Django lets only rows of values carry the annotation.
        return rows.values("pk", *(field for field in fields if field not in theirs)).annotate(**theirs)

    def _condition(self, condition: Any) -> Any:
        if isinstance(condition, Q):
            return Q.create([*map(self._condition, condition.children)], condition.connector, condition.negated)
        if isinstance(condition, tuple):
            lookup, value = condition
            return self._lookup(lookup), value
        return condition

    def _lookups(self, lookups: Mapping[str, Any]) -> dict[str, Any]:
        return {self._lookup(lookup): value for lookup, value in lookups.items()}

    def _lookup(self, lookup: str) -> str:
        name, separator, rest = lookup.partition(LOOKUP_SEP)
        return self.renamed.get(name, name) + separator + rest

    def _ordering(self, name: Any) -> Any:
        if not isinstance(name, str):
            return name
        descending = "-" if name.startswith("-") else ""
        return descending + self._lookup(name.removeprefix("-"))
