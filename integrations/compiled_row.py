"""One row by its primary key, with the SQL compiled once.

At every save that somebody subscribed to, the outbox asks three small questions. For such, the ORM takes several
times as long to phrase them as the database to answer, and the phrase is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections, models

_PLACE = 0x0DDB1A5E5  # stands for the key while compiling


class CompiledRow:
    """Reads ``make(using).values_list(*paths)`` for one primary key.

    Args:
        make: returns the queryset to ask, for a database alias; called once per alias.
        paths: what to read, e.g. ``("status", "customer__name")``.
    """

    def __init__(self, make: Callable[[str], models.QuerySet[Any]], paths: Sequence[str]) -> None:
        self._make, self._paths = make, tuple(paths)
        self._compiled: dict[str, tuple[str, dict[int, Any]] | None] = {}

    def fetch(self, pk: Any, using: str) -> tuple[Any, ...] | None:
        """Return the values in the order of `paths`, converted as the ORM would; None if there is no row."""
        if using not in self._compiled:
            self._compiled[using] = self._compile(using)
        compiled = self._compiled[using]
        connection = connections[using]
        if compiled is None:
            return self._queryset(using).filter(pk=pk).first()
        sql, converters = compiled
        with connection.cursor() as cursor:
            cursor.execute(sql, [pk])
            row = cursor.fetchone()
        if row is None:
            return None
        values = list(row)
        for index, (functions, expression) in converters.items():
            for function in functions:
                values[index] = function(values[index], expression, connection)
        return tuple(values)

    def _queryset(self, using: str) -> models.QuerySet[Any]:
        return self._make(using).order_by().values_list(*self._paths)

    def _compile(self, using: str) -> tuple[str, dict[int, Any]] | None:
        """Return the SQL and the value converters; None for keys that need preparing, which the ORM then does."""
        queryset = self._queryset(using)
        pk = queryset.model._meta.pk
        if not isinstance(pk.target_field if pk.is_relation else pk, models.AutoField | models.IntegerField):
            return None
        compiler = queryset.filter(pk=_PLACE).query.get_compiler(using)
        sql, params = compiler.as_sql()
        if tuple(params) != (_PLACE,):
            return None
        return sql, compiler.get_converters([expression for expression, *_ in compiler.select])


class CompiledObject:
    """Reads a model instance together with its to-one relations, in one join.

    Args:
        related: names of foreign keys of `model`; a null one is None on the instance, as with select_related.
    """

    def __init__(self, model: type[models.Model], related: Sequence[str]) -> None:
        self._parts = [("", model, _attnames(model))]
        self._fields: list[Any] = [model._meta.get_field(name) for name in related]
        for field in self._fields:
            self._parts.append((f"{field.name}__", field.related_model, _attnames(field.related_model)))
        paths = [prefix + name for prefix, _, names in self._parts for name in names]
        self._row = CompiledRow(lambda using: model._base_manager.using(using), paths)

    def fetch(self, pk: Any, using: str) -> Any:
        """Return the instance, or None if there is no such row."""
        values = self._row.fetch(pk, using)
        if values is None:
            return None
        built, start = [], 0
        for _, model, names in self._parts:
            part = values[start : start + len(names)]
            start += len(names)
            key = names.index(model._meta.pk.attname)
            built.append(model.from_db(using, names, part) if part[key] is not None else None)
        instance, *relations = built
        for field, relation in zip(self._fields, relations, strict=True):
            field.set_cached_value(instance, relation)
        return instance


def _attnames(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
