"""One row by its primary key, with the SQL compiled once.

At every save that somebody subscribed to, the outbox asks a few small questions. For such, the ORM takes several
times as long to phrase them as the database to answer, and the phrase is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connections, models

_PLACE = object()  # stands for the key among the parameters while compiling


class _Key(models.Expression):
    """The place of a part of the key: the ORM prepares and bounds values, not expressions, so it serves every type."""

    def __init__(self, part: int) -> None:
        super().__init__()
        self._part = part

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", ((_PLACE, self._part),)


def key_fields(model: type[models.Model]) -> list[Any]:
    """Return the fields of the primary key: several where it is composite."""
    return list(model._meta.pk_fields)


def key_parts(model: type[models.Model], pk: Any) -> list[Any]:
    """Return the values of `key_fields` that `pk` stands for."""
    return list(pk) if len(key_fields(model)) > 1 else [pk]


def python_key(model: type[models.Model], pk: Any) -> Any:
    """Return `pk` as the database would return it, e.g. of "5": 5."""
    pairs = zip(key_fields(model), key_parts(model, pk), strict=True)
    parts = tuple(field.to_python(part) for field, part in pairs)
    return parts if len(parts) > 1 else parts[0]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A query for one row.

    Attributes:
        sql: has a placeholder for each part of the primary key.
        converters: what the ORM does to the values of some columns, by their index.
    """

    sql: str
    converters: dict[int, Any]

    def convert(self, row: Sequence[Any], connection: Any) -> tuple[Any, ...]:
        """Return the values of `row` as the ORM would."""
        if not self.converters:
            return tuple(row)
        values = list(row)
        for index, (functions, expression) in self.converters.items():
            for function in functions:
                values[index] = function(values[index], expression, connection)
        return tuple(values)


class CompiledRow:
    """Reads ``make(using).values_list(*paths)`` for one primary key, of any type.

    Args:
        make: returns the queryset to ask, for a database alias; called once per alias.
        paths: what to read, e.g. ``("status", "customer__name")``.
    """

    def __init__(self, make: Callable[[str], models.QuerySet[Any]], paths: Sequence[str]) -> None:
        self._make, self.paths = make, tuple(paths)
        self._compiled: dict[str, Compiled | None] = {}
        self._key: list[Any] | None = None

    def fetch(self, pk: Any, using: str) -> tuple[Any, ...] | None:
        """Return the values in the order of `paths`, converted as the ORM would; None if there is no row."""
        compiled = self.compiled(using)
        connection = connections[using]
        if compiled is None:
            return self._queryset(using).filter(pk=pk).first()
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, self.prepared(pk, using))
            row = cursor.fetchone()
        return None if row is None else compiled.convert(row, connection)

    def fetch_many(self, keys: Any, using: str) -> Iterator[tuple[Any, ...]]:
        """Return the values of the rows with ``pk__in=keys``, ordered by primary key."""
        return iter(self._make(using).filter(pk__in=keys).order_by("pk").values_list(*self.paths))

    def compiled(self, using: str) -> Compiled | None:
        """Return the query; None if its conditions have parameters, which may change: the ORM then asks each time."""
        if using not in self._compiled:
            self._compiled[using] = self._compile(using)
        return self._compiled[using]

    def prepared(self, pk: Any, using: str) -> list[Any]:
        """Return `pk` as the parameters of the query."""
        if self._key is None:
            self._key = key_fields(self._make(using).model)
        parts = pk if len(self._key) > 1 else (pk,)
        return [field.get_db_prep_value(part, connections[using]) for field, part in zip(self._key, parts, strict=True)]

    def _queryset(self, using: str) -> models.QuerySet[Any]:
        return self._make(using).order_by().values_list(*self.paths)

    def _compile(self, using: str) -> Compiled | None:
        rows = self._queryset(using)
        key = key_fields(rows.model)
        for part, field in enumerate(key):
            rows = rows.filter(**{field.attname: _Key(part)})
        compiler = rows.query.get_compiler(using)
        sql, params = compiler.as_sql()
        if list(params) != [(_PLACE, part) for part in range(len(key))]:
            return None
        converters = compiler.get_converters([expression for expression, *_ in compiler.select])
        return Compiled(sql, converters)


class _Relation(NamedTuple):
    """A foreign key, the path of the object that has it, its columns, where they stand in a row, and where the related
    key does."""

    field: Any
    path: str
    holder: str
    names: list[str]
    part: slice
    key: int


class CompiledObject:
    """Reads model instances together with their to-one relations, in one join.

    Args:
        related: paths of foreign keys of `model`, as ``owner__project``; a null one is None on the instance, as with
            select_related.
    """

    def __init__(self, model: type[models.Model], related: Sequence[str]) -> None:
        self._model = model
        self._names = _attnames(model)
        self._relations: list[_Relation] = []
        reached: dict[str, Any] = {"": model}
        paths, start = list(self._names), len(self._names)
        for path in _with_steps(related):
            holder, _, name = path.rpartition("__")
            field: Any = reached[holder]._meta.get_field(name)
            reached[path] = field.related_model
            names = _attnames(field.related_model)
            key = start + names.index(field.related_model._meta.pk.attname)
            self._relations.append(_Relation(field, path, holder, names, slice(start, start + len(names)), key))
            paths += [f"{path}__{attname}" for attname in names]
            start += len(names)
        self._paths = paths

    @cached_property
    def row(self) -> CompiledRow:
        """The query for one of them."""
        # Of no manager: a host's may leave rows out.
        return CompiledRow(lambda using: models.QuerySet(self._model, using=using), self._paths)

    def fetch(self, pk: Any, using: str) -> Any:
        """Return the instance, or None if there is no such row."""
        values = self.row.fetch(pk, using)
        return None if values is None else self.built(values, using, {})

    def fetch_many(self, keys: Any, using: str) -> Iterator[Any]:
        """Return the instances with ``pk__in=keys``, ordered by primary key; they share what they are related to."""
        known: dict[tuple[Any, Any], Any] = {}
        return (self.built(values, using, known) for values in self.row.fetch_many(keys, using))

    def built(self, values: Sequence[Any], using: str, known: dict[tuple[Any, Any], Any]) -> Any:
        """Return the instance that has these values of `row`.

        Args:
            known: the related instances that were built already, by model and key; added to.
        """
        instance = self._model.from_db(using, self._names, values[: len(self._names)])
        reached: dict[str, Any] = {"": instance}
        for field, path, holder, names, part, key in self._relations:
            relation = None
            if (pk := values[key]) is not None:
                identity = (field.related_model, pk)
                if (relation := known.get(identity)) is None:
                    known[identity] = relation = field.related_model.from_db(using, names, values[part])
            reached[path] = relation
            if reached[holder] is not None:
                reached[holder]._state.fields_cache[field.cache_name] = relation
        return instance


def _with_steps(paths: Sequence[str]) -> list[str]:
    """Return `paths` with what they pass: of ``owner__project``, ``owner`` before it; each once."""
    steps = [path.split("__") for path in paths]
    return list(dict.fromkeys("__".join(names[: n + 1]) for names in steps for n in range(len(names))))


def _attnames(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
