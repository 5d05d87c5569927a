"""The one way in: say that something happened, inside the transaction in which it happened.

    publish(event_type="invoice_paid", tenant=invoice.tenant, obj=invoice, payload={"invoice": {…}})

Trigger handlers (signals/) do this for saves and deletes; call it yourself for what no save shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.utils import timezone

from integrations.connections.conditions import wants
from integrations.connections.models import EventSubscription
from integrations.delivery.wakeup import wake_on_commit
from integrations.outbox.canonical_json import sanitise
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
    """Return who wants these events: one query, asked first, and the only one when nobody does."""
    found: Subscribers = {}
    rows = (
        EventSubscription.objects.using(using)
        .filter(
            event_type__in=list(event_types),
            integration__tenant_id__in=list(tenant_ids),
            integration__is_active=True,
        )
        .values_list("integration__tenant_id", "event_type", "integration_id", "condition")
        .order_by("integration_id")
    )
    for tenant_id, event_type, integration_id, condition in rows:
        found.setdefault(tenant_id, defaultdict(list))[event_type].append((integration_id, condition))
    return found


def publish_all(
    happenings: Sequence[Happening],
    subscribers: Subscribers,
    *,
    model: type[models.Model],
    using: str,
) -> list[IntegrationEvent]:
    """Record `happenings` of one model for those of `subscribers` whose condition they meet."""
    content_type_id = ContentType.objects.db_manager(using).get_for_model(model).pk
    now = timezone.now()
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
                )
            )
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
