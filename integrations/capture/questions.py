"""What a save asks the database, in SQL that is phrased once: one row by its key, who wants to hear of it, or both.

The ORM takes several times as long to phrase such a question as the database to answer it, and the phrase is always the
same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections, models

from integrations.acting import origin
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.tenancy.tenant import tenant_model

BATCH = 500  # rows or tenants in one question
MOST_REMEMBERED = 10_000

_PLACE = object()  # stands for the key among the parameters while compiling
# Database, holder and event types that somebody wanted when asked last. It decides how the question is put, never the
# answer.
_wanted_lately: set[tuple[Any, ...]] = set()

Wanted = tuple[int, str, str, int]  # an integration, its condition, its payload, the version of that
Subscribers = dict[Any, dict[str, list[Wanted]]]  # tenant → event type → who wants it


# -- keys ------------------------------------------------------------------------------------------------------------


def python_key(model: type[models.Model], pk: Any) -> Any:
    """Return `pk` as the database would return it, e.g. of "5": 5."""
    fields = model._meta.pk_fields
    if len(fields) == 1:
        return fields[0].to_python(pk)
    return tuple(field.to_python(part) for field, part in zip(fields, pk, strict=True))


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut `items` into pieces that one statement may name."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def key_list(model: type[models.Model], pks: Sequence[Any], using: str) -> Any:
    """Return what to compare with in ``pk__in=…``: one parameter for all keys where there are arrays, unless they are
    composite."""
    has_arrays = connections[using].vendor == "postgresql" and not isinstance(
        model._meta.pk, models.CompositePrimaryKey
    )
    return _KeyArray(model._meta.pk, pks) if has_arrays else pks


class _KeyArray(models.Expression):
    def __init__(self, field: Any, pks: Sequence[Any]) -> None:
        super().__init__()
        self._pk, self._pks = field, pks

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        keys = [self._pk.get_db_prep_value(pk, connection) for pk in self._pks]
        return f"(SELECT unnest(%s::{self._pk.rel_db_type(connection)}[]))", (keys,)


def prepared_key(tenant_id: Any, using: str) -> Any:
    """Return the key of a tenant as a parameter of SQL."""
    return tenant_id if type(tenant_id) is int else key_field().get_db_prep_value(tenant_id, connections[using])


def key_field() -> Any:
    """Return the field that says of which type the keys of tenants are."""
    field: Any = tenant_model()._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    return field


# -- one row by its key ----------------------------------------------------------------------------------------------


class _Key(models.Expression):
    """The place of a part of the key: the ORM prepares and bounds values, not expressions, so it serves every type."""

    def __init__(self, part: int) -> None:
        super().__init__()
        self._part = part

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", ((_PLACE, self._part),)


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
    """Reads some columns of one row of `model`, by its primary key of any type.

    Args:
        paths: what to read, e.g. ``("status", "customer__name")``.
        make: returns the queryset to ask, for a database alias; called once per alias. None: all rows, of no manager: a
            host's may leave rows out.
    """

    def __init__(
        self,
        model: type[models.Model],
        paths: Sequence[str],
        make: Callable[[str], models.QuerySet[Any]] | None = None,
    ) -> None:
        self._key, self._paths = model._meta.pk_fields, tuple(paths)
        self._make = make or (lambda using: models.QuerySet(model, using=using))
        self._compiled: dict[str, Compiled | None] = {}

    def fetch(self, pk: Any, using: str) -> tuple[Any, ...] | None:
        """Return the values in the order of `paths`, converted as the ORM would; None if there is no row."""
        compiled = self.compiled(using)
        if compiled is None:
            return self._make(using).order_by().values_list(*self._paths).filter(pk=pk).first()
        connection = connections[using]
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, self.prepared(pk, using))
            row = cursor.fetchone()
        return None if row is None else compiled.convert(row, connection)

    def fetch_many(self, keys: Any, using: str) -> Iterator[tuple[Any, ...]]:
        """Return the values of the rows with ``pk__in=keys``, ordered by primary key."""
        return iter(self._make(using).filter(pk__in=keys).order_by("pk").values_list(*self._paths))

    def prepared(self, pk: Any, using: str) -> list[Any]:
        """Return `pk` as the parameters of the query."""
        parts = pk if len(self._key) > 1 else (pk,)
        return [field.get_db_prep_value(part, connections[using]) for field, part in zip(self._key, parts, strict=True)]

    def compiled(self, using: str) -> Compiled | None:
        """Return the query; None if it has parameters besides the key: they may change, so the ORM asks each time."""
        if using not in self._compiled:
            rows = self._make(using).order_by().values_list(*self._paths)
            for part, field in enumerate(self._key):
                rows = rows.filter(**{field.attname: _Key(part)})
            compiler = rows.query.get_compiler(using)
            sql, params = compiler.as_sql()
            converters = compiler.get_converters([expression for expression, *_ in compiler.select])
            is_all = list(params) == [(_PLACE, part) for part in range(len(self._key))]
            self._compiled[using] = Compiled(sql, converters) if is_all else None
        return self._compiled[using]


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
        # Of ``owner__project``, ``owner`` before it; each once.
        steps = [path.split("__") for path in related]
        for path in dict.fromkeys("__".join(names[: n + 1]) for names in steps for n in range(len(names))):
            holder, _, name = path.rpartition("__")
            field: Any = reached[holder]._meta.get_field(name)
            reached[path] = field.related_model
            names = _attnames(field.related_model)
            key = start + names.index(field.related_model._meta.pk.attname)
            self._relations.append(_Relation(field, path, holder, names, slice(start, start + len(names)), key))
            paths += [f"{path}__{attname}" for attname in names]
            start += len(names)
        self.row = CompiledRow(model, paths)  # the query for one of them

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


def _attnames(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


# -- who wants to hear of it -----------------------------------------------------------------------------------------


class Whose(NamedTuple):
    """The key of a tenant, as SQL and its parameters."""

    sql: str
    params: list[Any]


def subscribers_of(event_types: Iterable[str], tenant_ids: Iterable[Any], *, using: str) -> Subscribers:
    """Return who subscribes to these events, without the integration that causes them by calling back."""
    types = list(event_types)
    tenants = [prepared_key(pk, using) for pk in tenant_ids if pk is not None]
    found: Subscribers = {}
    for batch in batches(tenants) if types else ():
        found |= _subscribers(types, _marks(len(batch)), [*types, *batch], using)
    return found


def ask_with_row(
    event_types: Sequence[str], whose: Sequence[Whose], row: CompiledRow, pk: Any, *, using: str, lately: Hashable
) -> tuple[Subscribers, tuple[Any, ...] | None]:
    """Return who subscribes to these events of these tenants and, if anybody does, the row.

    One statement. It does not look at the row, and takes none of its locks, where nobody does. Yet the answer "nobody"
    is twice as cheap without the row, so that is not asked for until somebody was found here.

    Args:
        lately: what tells the tenant from others, to remember that somebody was found.
    """
    connection = connections[using]
    key = (using, lately, *event_types)
    tenants = ", ".join([each.sql for each in whose])
    params = [*event_types, *[param for each in whose for param in each.params]]
    compiled = row.compiled(using) if key in _wanted_lately and connection.vendor in _AS_JSON else None
    if compiled is None:
        subscribers = _subscribers(event_types, tenants, params, using)
        if not subscribers:
            return {}, None
        if len(_wanted_lately) >= MOST_REMEMBERED:
            _wanted_lately.clear()
        _wanted_lately.add(key)
        return subscribers, row.fetch(pk, using)
    with connection.cursor() as cursor:
        sql = _row_sql(compiled.sql, connection.vendor, len(event_types), tenants)
        cursor.execute(sql, [*params, *row.prepared(pk, using)])
        answers = cursor.fetchall()  # one for each tenant that wants it
    if not answers:
        _wanted_lately.discard(key)
        return {}, None
    wanted = [
        (tenant_id, *each) for tenant_id, found, *_ in answers for each in sorted(json.loads(found), key=itemgetter(1))
    ]
    _, _, there, *values = answers[-1]
    return _by_tenant(wanted), compiled.convert(values, connection) if there else None


def _subscribers(event_types: Sequence[str], tenants: str, params: Sequence[Any], using: str) -> Subscribers:
    with connections[using].cursor() as cursor:
        cursor.execute(_subscribers_sql(len(event_types), tenants), params)
        return _by_tenant(cursor.fetchall())


def _by_tenant(found: Iterable[tuple[Any, str, int, str, str, int]]) -> Subscribers:
    caller, subscribers = origin(), Subscribers()
    for tenant_id, event_type, integration_id, condition, payload, version in found:
        if integration_id != caller:  # it would hear its own echo
            key = tenant_id if type(tenant_id) is int else key_field().to_python(tenant_id)
            wanted = subscribers.setdefault(key, defaultdict(list))
            wanted[event_type].append((integration_id, condition, payload, version))
    return subscribers


_FROM = (
    f"FROM {EventSubscription._meta.db_table} s "
    f"JOIN {TenantIntegration._meta.db_table} i ON i.id = s.integration_id "
    "WHERE i.is_active AND s.event_type IN ({types}) AND i.tenant_id IN ({tenants}) "
)
_WANTED = "s.event_type, s.integration_id, s.condition, s.payload, s.payload_version"
_AS_JSON = {
    "postgresql": f"json_agg(json_build_array({_WANTED}))::text",
    "sqlite": f"json_group_array(json_array({_WANTED}))",
}


@lru_cache(maxsize=256)
def _subscribers_sql(types: int, tenants: str) -> str:
    wanted = _FROM.format(types=_marks(types), tenants=tenants)
    return f"SELECT i.tenant_id, {_WANTED} {wanted} ORDER BY s.integration_id"


@lru_cache(maxsize=256)
def _row_sql(row_sql: str, vendor: str, types: int, tenants: str) -> str:
    # A group for each tenant that wants it, or no row at all: the outer side of the join. The inner side, which may
    # take a lock and therefore stays a query of its own, is only run for a row of the outer one.
    wanted = _FROM.format(types=_marks(types), tenants=tenants) + "GROUP BY i.tenant_id"
    return (
        f"SELECT w.*, r.* FROM (SELECT i.tenant_id, {_AS_JSON[vendor]} {wanted}) w "  # noqa: S608 - our own names
        f"LEFT JOIN (SELECT TRUE, q.* FROM ({row_sql}) q) r ON TRUE"
    )


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)
