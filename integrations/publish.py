"""The one way in: say that something happened, inside the transaction in which it happened.

    publish(event_type="invoice_paid", tenant=invoice.tenant, obj=invoice, payload={"invoice": {…}})

Trigger handlers (signals/) do this for saves and deletes; call it yourself for what no save shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connections, models, transaction

from integrations import clock
from integrations.connections.conditions import wants
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.delivery.wakeup import wake_on_commit
from integrations.origin import may_loop, origin
from integrations.outbox.canonical_json import sanitise
from integrations.outbox.loops import refuse_loops
from integrations.outbox.models import IntegrationEvent
from integrations.outbox.record import Occurrence, record
from tenants.models import Tenant

Subscribers = dict[int, dict[str, list[tuple[int, str]]]]  # tenant → event type → (integration, condition)


@dataclass(frozen=True, slots=True)
class Happening:
    """What a trigger handler has seen: `payload` without the frame that every event has."""

    event_type: str
    tenant: Tenant
    object_id: str
    payload: Mapping[str, Any]
    minimal: Mapping[str, Any]


def subscribers_of(event_types: Iterable[str], tenant_ids: Iterable[int], *, using: str) -> Subscribers:
    """Return who wants these events: one query, asked first, and the only one when nobody does.

    The integration that causes them by calling back is not among them: it would hear its own echo.
    """
    found: Subscribers = {}
    types, tenants = list(event_types), [pk for pk in tenant_ids if pk is not None]
    if not types or not tenants:
        return found
    caller = origin()
    # Asked at every save, also where nobody subscribes: the ORM would take five times as long to say it.
    with connections[using].cursor() as cursor:
        cursor.execute(_subscribers_sql(len(types), len(tenants)), [*types, *tenants, True])
        for tenant_id, event_type, integration_id, condition in cursor.fetchall():
            if integration_id == caller:
                continue
            found.setdefault(tenant_id, defaultdict(list))[event_type].append((integration_id, condition))
    return found


@lru_cache(maxsize=256)
def _subscribers_sql(types: int, tenants: int) -> str:
    subscription, integration = EventSubscription._meta.db_table, TenantIntegration._meta.db_table
    return (
        "SELECT i.tenant_id, s.event_type, s.integration_id, s.condition "  # noqa: S608 - our own table names
        f"FROM {subscription} s JOIN {integration} i ON i.id = s.integration_id "
        f"WHERE s.event_type IN ({_marks(types)}) AND i.tenant_id IN ({_marks(tenants)}) AND i.is_active = %s "
        "ORDER BY s.integration_id"
    )


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def publish_all(
    happenings: Sequence[Happening],
    subscribers: Subscribers,
    *,
    model: type[models.Model],
    using: str,
) -> list[IntegrationEvent]:
    """Record `happenings` of one model for those of `subscribers` whose condition they meet.

    Raises:
        IntegrationPermanentError: an integration caused it, and integrations caused too much of one object already.
    """
    content_type_id = ContentType.objects.db_manager(using).get_for_model(model).pk
    now = clock.now()
    is_answer = may_loop()
    occurrences = []
    for happening in happenings:
        wanted = subscribers.get(happening.tenant.pk, {}).get(happening.event_type)
        if not wanted:
            continue
        frame = {
            "event_type": happening.event_type,
            "timestamp": now,
            "tenant": {"id": happening.tenant.pk, "name": happening.tenant.name},
        }
        payload = sanitise({**frame, **happening.payload})
        integration_ids = [pk for pk, condition in wanted if wants(condition, payload)]
        if integration_ids:
            occurrences.append(
                Occurrence(
                    tenant_id=happening.tenant.pk,
                    event_type=happening.event_type,
                    content_type_id=content_type_id,
                    object_id=happening.object_id,
                    payload=payload,
                    minimal={**frame, **happening.minimal},
                    integration_ids=integration_ids,
                    occurred_at=now,
                    origin_id=origin() if is_answer else None,
                )
            )
    if is_answer:
        refuse_loops(occurrences, what=str(model._meta.verbose_name), using=using)
    events = record(occurrences, using=using)
    wake_on_commit({pk for occurrence in occurrences for pk in occurrence.integration_ids}, using=using)
    return events


def publish(
    *, event_type: str, tenant: Tenant, obj: models.Model, payload: Mapping[str, Any], using: str = "default"
) -> list[IntegrationEvent]:
    """Record that `event_type` happened to `obj`; opens a transaction if none is open.

    Args:
        event_type: a registered event type, e.g. ``workitem_created``.
        tenant: the Tenant whose integrations are to hear of it.
        payload: what comes beside ``event_type``, ``timestamp`` and ``tenant`` in the body.

    Returns:
        The event in a list; an empty list when nobody subscribes to it.
    """
    with transaction.atomic(using=using, savepoint=False):
        subscribers = subscribers_of([event_type], [tenant.pk], using=using)
        if not subscribers:
            return []
        happening = Happening(
            event_type=event_type,
            tenant=tenant,
            object_id=str(obj.pk),
            payload=payload,
            minimal={"id": obj.pk},
        )
        return publish_all(
            [happening],
            subscribers,
            model=type(obj),
            using=using,
        )
