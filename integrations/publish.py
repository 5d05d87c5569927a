"""The one way in: say that something happened, inside the transaction in which it happened.

    publish(event_type="invoice_paid", tenant=invoice.tenant, obj=invoice, payload={"invoice": {…}})

Trigger handlers (signals/) do this for saves and deletes; call it yourself for what no save shows.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction

from integrations import clock, conf
from integrations.compiled_row import CompiledRow
from integrations.connections.conditions import wants
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.delivery.wakeup import wake_on_commit
from integrations.origin import may_loop, origin
from integrations.outbox.canonical_json import TRUNCATED, TooLarge, encode_within, sanitise_object
from integrations.outbox.lazy_savepoint import lazy_savepoint
from integrations.outbox.loops import refuse_loops
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.outbox.record import Occurrence, record
from integrations.tenancy.boundary import only_of, refuse_foreign
from integrations.tenancy.tenant import name_of

logger = logging.getLogger("integrations.publish")

BATCH = 500  # tenants in one question
MOST_REMEMBERED = 10_000

# Database, tenant and event types that somebody wanted when asked last. It decides how the question is put, never the
# answer.
_wanted_lately: set[tuple[Any, ...]] = set()

Subscribers = dict[Any, dict[str, list[tuple[int, str]]]]  # tenant → event type → (integration, condition)


@dataclass(frozen=True, slots=True)
class Happening:
    """What a trigger handler has seen: `payload` without the frame that every event has."""

    event_type: str
    tenant: models.Model
    object_id: str
    payload: Mapping[str, Any]
    minimal: Mapping[str, Any]


def subscribers_of(event_types: Iterable[str], tenant_ids: Iterable[int], *, using: str) -> Subscribers:
    """Return who wants these events; the integration that causes them by calling back is not among them."""
    types, tenants = list(event_types), [pk for pk in tenant_ids if pk is not None]
    if not types or not tenants:
        return {}
    found: list[tuple[Any, str, int, str]] = []
    with connections[using].cursor() as cursor:
        for start in range(0, len(tenants), BATCH):
            batch = tenants[start : start + BATCH]
            cursor.execute(_subscribers_sql(len(types), len(batch)), [*types, *batch])
            found += cursor.fetchall()
    return _by_tenant(found) if found else {}


def ask_with_row(
    event_types: Sequence[str], tenant_id: Any, row: CompiledRow, pk: Any, *, using: str
) -> tuple[Subscribers, tuple[Any, ...] | None]:
    """Return who wants these events of one tenant and, if anybody does, the row.

    One statement. It does not look at the row, and takes none of its locks, where nobody does. Yet the answer "nobody"
    is twice as cheap without the row, so that is not asked for until somebody was found here.
    """
    connection = connections[using]
    key = (using, tenant_id, *event_types)
    compiled = row.compiled(using) if key in _wanted_lately and connection.vendor in _AS_JSON else None
    if compiled is None:
        subscribers = subscribers_of(event_types, [tenant_id], using=using)
        if not subscribers:
            return {}, None
        if len(_wanted_lately) >= MOST_REMEMBERED:
            _wanted_lately.clear()
        _wanted_lately.add(key)
        return subscribers, row.fetch(pk, using)
    sql = _row_sql(compiled.sql, connection.vendor, len(event_types))
    with connection.cursor() as cursor:
        cursor.execute(sql, [*event_types, tenant_id, *row.prepared(pk, using)])
        answer = cursor.fetchone()
    if answer is None:
        _wanted_lately.discard(key)
        return {}, None
    # The tenant's key as the database has it: somebody may have set tenant_id = "5".
    tenant_id, found, there, *values = answer
    subscribers = _by_tenant((tenant_id, *each) for each in sorted(json.loads(found), key=itemgetter(1)))
    return subscribers, compiled.convert(values, connection) if there else None


def _by_tenant(found: Iterable[tuple[Any, str, int, str]]) -> Subscribers:
    caller, subscribers = origin(), Subscribers()
    for tenant_id, event_type, integration_id, condition in found:
        if integration_id != caller:  # it would hear its own echo
            subscribers.setdefault(tenant_id, defaultdict(list))[event_type].append((integration_id, condition))
    return subscribers


# Asked at every save, also where nobody subscribes: the ORM would take five times as long to say it.
_FROM = (
    f"FROM {EventSubscription._meta.db_table} s "
    f"JOIN {TenantIntegration._meta.db_table} i ON i.id = s.integration_id "
    "WHERE i.is_active AND s.event_type IN ({types}) AND i.tenant_id IN ({tenants}) "
)
_AS_JSON = {
    "postgresql": "json_agg(json_build_array(s.event_type, s.integration_id, s.condition))::text",
    "sqlite": "json_group_array(json_array(s.event_type, s.integration_id, s.condition))",
}


@lru_cache(maxsize=256)
def _subscribers_sql(types: int, tenants: int) -> str:
    wanted = _FROM.format(types=_marks(types), tenants=_marks(tenants))
    return f"SELECT i.tenant_id, s.event_type, s.integration_id, s.condition {wanted} ORDER BY s.integration_id"


@lru_cache(maxsize=256)
def _row_sql(row_sql: str, vendor: str, types: int) -> str:
    # One group, or no row at all when nobody subscribes: the outer side of the join. The inner side, which may take a
    # lock and therefore stays a query of its own, is only run for a row of the outer one.
    wanted = _FROM.format(types=_marks(types), tenants="%s") + "GROUP BY i.tenant_id"
    return (
        f"SELECT w.*, r.* FROM (SELECT i.tenant_id, {_AS_JSON[vendor]} {wanted}) w "  # noqa: S608 - our own names
        f"LEFT JOIN (SELECT TRUE, q.* FROM ({row_sql}) q) r ON TRUE"
    )


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def publish_all(
    happenings: Iterable[Happening],
    subscribers: Subscribers,
    *,
    model: type[models.Model],
    using: str,
) -> list[int]:
    """Record `happenings` of one model for those of `subscribers` whose condition they meet.

    Returns:
        The ids of the events.

    Raises:
        IntegrationPermanentError: an integration caused it, and integrations caused too much of one object already.
    """
    content_type_id = ContentType.objects.db_manager(using).get_for_model(model).pk
    now = clock.now()
    is_answer = may_loop()
    occurrences = []
    frames: dict[tuple[Any, str], dict[str, Any]] = {}
    for happening in happenings:
        tenant, event_type = happening.tenant, happening.event_type
        wanted = subscribers.get(tenant.pk, {}).get(event_type)
        if not wanted:
            continue
        frame = frames.get((tenant.pk, event_type))
        if frame is None:
            named = {"id": tenant.pk, "name": name_of(tenant)}
            about = {"event_type": event_type, "timestamp": now, "tenant": named}
            frame = sanitise_object(about, limit=conf.MAX_BODY_BYTES)
            frames[tenant.pk, event_type] = frame
        minimal = {**frame, **happening.minimal}
        payload = _sendable(frame, happening, using)
        seen = _with_cuts(frame, payload) if any(TRUNCATED in condition for _, condition in wanted) else payload
        integration_ids = [pk for pk, condition in wanted if wants(condition, seen)]
        if integration_ids:
            occurrences.append(
                Occurrence(
                    tenant_id=tenant.pk,
                    event_type=event_type,
                    content_type_id=content_type_id,
                    object_id=happening.object_id,
                    payload=payload,
                    is_sanitised=True,
                    minimal=minimal,
                    integration_ids=integration_ids,
                    occurred_at=now,
                    origin_id=origin() if is_answer else None,
                )
            )
    if not occurrences:
        return []
    if is_answer:
        refuse_loops(occurrences, what=str(model._meta.verbose_name), using=using)
    event_ids = record(occurrences, using=using)
    wake_on_commit({pk for occurrence in occurrences for pk in occurrence.integration_ids}, using=using)
    return event_ids


def _sendable(frame: dict[str, Any], happening: Happening, using: str) -> dict[str, Any]:
    """Return the body in JSON's own types; the minimal one if a value, a lazy text say, raises when it is read."""
    marks: dict[str, Any] = {}
    try:
        with only_of(happening.tenant.pk), lazy_savepoint(using):  # a QuerySet is read here
            return {**frame, **sanitise_object(happening.payload, limit=conf.MAX_BODY_BYTES)}
    except TooLarge as error:
        logger.warning("%s; a minimal event is sent", error)
        marks = {TRUNCATED: list(happening.payload)}
    except Exception:  # a mistake in a payload must cost neither the user's save nor the event
        logger.warning("a value of a payload cannot be read; a minimal event is sent", exc_info=True)
    return {**frame, **sanitise_object({**happening.minimal, **marks}, limit=conf.MAX_BODY_BYTES)}


def _with_cuts(frame: Mapping[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    """Return `payload` for conditions about what is cut: whole, and with the names of what will be."""
    text, _ = encode_within(payload, conf.MAX_BODY_BYTES)
    names = [name for name in payload if name not in frame] if text is None else json.loads(text).get(TRUNCATED)
    return {**payload, TRUNCATED: names}


def publish(
    *, event_type: str, tenant: models.Model, obj: models.Model, payload: Mapping[str, Any], using: str = "default"
) -> list[IntegrationEvent]:
    """Record that `event_type` happened to `obj`; opens a transaction if none is open.

    Args:
        event_type: a registered event type, e.g. ``workitem_created``.
        tenant: the Tenant whose integrations are to hear of it.
        obj: one of its rows, or one that belongs to no tenant.
        payload: what comes beside ``event_type``, ``timestamp`` and ``tenant`` in the body. Rows of other tenants in it
            are sent as null.

    Returns:
        The event in a list; an empty list when nobody subscribes to it.

    Raises:
        OtherTenant: `obj` belongs to another tenant; nothing was recorded.
    """
    refuse_foreign(obj, tenant.pk, using=using)
    with transaction.atomic(using=using, savepoint=False):
        subscribers = subscribers_of([event_type], [tenant.pk], using=using)
        if not subscribers:
            return []
        happening = Happening(
            event_type=event_type,
            tenant=tenant,
            object_id=object_id_of(obj.pk),
            payload=payload,
            minimal={"id": obj.pk},
        )
        event_ids = publish_all([happening], subscribers, model=type(obj), using=using)
        return list(IntegrationEvent.objects.using(using).filter(pk__in=event_ids)) if event_ids else []
