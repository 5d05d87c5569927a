"""Who wants to hear of something: asked at every save, so in SQL of our own, together with the row where somebody does.

The ORM would take five times as long to say it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections

from integrations.acting import origin
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.tenancy.tenant import tenant_model

from .compiled_row import CompiledRow

BATCH = 500  # tenants in one question
MOST_REMEMBERED = 10_000

# Database, holder and event types that somebody wanted when asked last. It decides how the question is put, never the
# answer.
_wanted_lately: set[tuple[Any, ...]] = set()

Wanted = tuple[int, str, str, int]  # an integration, its condition, its payload, the version of that
Subscribers = dict[Any, dict[str, list[Wanted]]]  # tenant → event type → who wants it


class Whose(NamedTuple):
    """The key of a tenant, as SQL and its parameters."""

    sql: str
    params: list[Any]


def subscribers_of(event_types: Iterable[str], tenant_ids: Iterable[Any], *, using: str) -> Subscribers:
    """Return who wants these events; the integration that causes them by calling back is not among them."""
    types, connection = list(event_types), connections[using]
    tenants = [prepared_key(pk, using) for pk in tenant_ids if pk is not None]
    if not types or not tenants:
        return {}
    found: list[tuple[Any, str, int, str, str, int]] = []
    with connection.cursor() as cursor:
        for start in range(0, len(tenants), BATCH):
            batch = tenants[start : start + BATCH]
            cursor.execute(_subscribers_sql(len(types), _marks(len(batch))), [*types, *batch])
            found += cursor.fetchall()
    return _by_tenant(found) if found else {}


def ask_with_row(
    event_types: Sequence[str], whose: Sequence[Whose], row: CompiledRow, pk: Any, *, using: str, lately: Hashable
) -> tuple[Subscribers, tuple[Any, ...] | None]:
    """Return who wants these events of these tenants and, if anybody does, the row.

    One statement. It does not look at the row, and takes none of its locks, where nobody does. Yet the answer "nobody"
    is twice as cheap without the row, so that is not asked for until somebody was found here.

    Args:
        lately: what tells the tenant from others, to remember that somebody was found.
    """
    connection = connections[using]
    key = (using, lately, *event_types)
    tenants = ", ".join(each.sql for each in whose)
    params = [*event_types, *(param for each in whose for param in each.params)]
    compiled = row.compiled(using) if key in _wanted_lately and connection.vendor in _AS_JSON else None
    if compiled is None:
        with connection.cursor() as cursor:
            cursor.execute(_subscribers_sql(len(event_types), tenants), params)
            found = cursor.fetchall()
        if not found:
            return {}, None
        subscribers = _by_tenant(found)
        if not subscribers:
            return {}, None
        if len(_wanted_lately) >= MOST_REMEMBERED:
            _wanted_lately.clear()
        _wanted_lately.add(key)
        return subscribers, row.fetch(pk, using)
    sql = _row_sql(compiled.sql, connection.vendor, len(event_types), tenants)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, *row.prepared(pk, using)])
        answers = cursor.fetchall()  # one for each tenant that wants it
    if not answers:
        _wanted_lately.discard(key)
        return {}, None
    subscribers = _by_tenant(
        (tenant_id, *each) for tenant_id, found, *_ in answers for each in sorted(json.loads(found), key=itemgetter(1))
    )
    _, _, there, *values = answers[-1]
    return subscribers, compiled.convert(values, connection) if there else None


def prepared_key(tenant_id: Any, using: str) -> Any:
    """Return the key of a tenant as a parameter of SQL."""
    return tenant_id if type(tenant_id) is int else key_field().get_db_prep_value(tenant_id, connections[using])


def _by_tenant(found: Iterable[tuple[Any, str, int, str, str, int]]) -> Subscribers:
    caller, subscribers = origin(), Subscribers()
    for tenant_id, event_type, integration_id, condition, payload, version in found:
        if integration_id != caller:  # it would hear its own echo
            key = tenant_id if type(tenant_id) is int else key_field().to_python(tenant_id)
            wanted = subscribers.setdefault(key, defaultdict(list))
            wanted[event_type].append((integration_id, condition, payload, version))
    return subscribers


def key_field() -> Any:
    """Return the field that says of which type the keys of tenants are."""
    field: Any = tenant_model()._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    return field


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
