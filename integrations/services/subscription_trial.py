"""Try a subscription's condition and payload on the last real events of a tenant.

In: a condition, a payload, an event type, a tenant's key. Out: a `SubscriptionTrial`: for each of the last events
whether it would have been sent, the values that decided, and what would have gone out. Where nothing has happened yet,
made-up objects stand in. Nothing is written, nothing is sent.

The events are found through the deliveries of the integrations that want this type: there is no index of events by
type, and the whole outbox is never read. So the search is bounded, and may find fewer events than there are.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections
from django.utils.translation import gettext as _

from integrations import conf
from integrations.connections import event_types
from integrations.connections.conditions import compiled_condition, decided_by
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.payloads import PayloadFailed, made_of, text_of
from integrations.connectors.summary import summarise
from integrations.connectors.texts import words
from integrations.database import clock
from integrations.expressions import Interpreter
from integrations.outbox.canonical_json import sanitise_object
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.tenancy.tenant import name_of

logger = logging.getLogger("integrations.services")

MOST = 20  # events that are tried, the newest first ...
MOST_SECONDS = 1.0  # ... fewer where each takes its time
LOOKED_AT = 400  # deliveries of one integration that are looked at for them
NEIGHBOURS = 5  # integrations of the tenant that are asked


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """One event, and what the subscription would have done with it.

    Attributes:
        event_id: None: a made-up one.
        title: what it is about, in words.
        is_sent: the condition is met, or fails on it: then the event is sent, too.
        decided: (path, value in words) of what decided.
        remark: why the condition counts as met although it is not; "".
        payload: what goes out, as JSON to read; "" if it cannot be made or is not sent.
        problem: why it cannot be made, which would end the delivery as failed; "".
    """

    event_id: int | None
    occurred_at: datetime
    title: str
    is_sent: bool
    decided: tuple[tuple[str, str], ...] = ()
    remark: str = ""
    payload: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SubscriptionTrial:
    """What a subscription would have done.

    Attributes:
        problems: {``condition`` or ``payload``: what is wrong with it}; nothing was tried if there are any.
        events: the newest first.
        are_samples: nothing of this type has happened; the events are made up.
    """

    problems: dict[str, list[str]] = field(default_factory=dict)
    events: tuple[TriedEvent, ...] = ()
    are_samples: bool = False

    @property
    def sent(self) -> int:
        """How many would have been sent."""
        return sum(event.is_sent and not event.problem for event in self.events)

    @property
    def failed(self) -> int:
        """Of how many no payload can be made."""
        return sum(bool(event.problem) for event in self.events)

    @property
    def preview(self) -> TriedEvent | None:
        """The event to show the payload of: the newest that would have been sent, else the newest that fails."""
        found = [event for event in self.events if event.payload] or [each for each in self.events if each.problem]
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class EventsToTry:
    """The events that a subscription is tried on, the newest first: (id, time, body); ids are None for made-up ones."""

    events: tuple[tuple[int | None, datetime, dict[str, Any]], ...]
    are_samples: bool

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """Return their bodies."""
        return [body for _, _, body in self.events]


def try_subscription(
    condition: str,
    payload: str,
    event_type: str,
    tenant: Any,
    *,
    version: int | None = None,
    on: EventsToTry | None = None,
) -> SubscriptionTrial:
    """Try a condition and a payload, "" for none, on the last MOST events of this type of a tenant.

    Args:
        tenant: the tenant.
        version: of the event's payload; None: the newest.
        on: what `events_to_try` found in that version, if that was asked already.
    """
    row = EventSubscription(event_type=event_type, condition=condition, payload=payload, payload_version=version)
    if problems := row.problems():
        return SubscriptionTrial(problems)
    found = events_to_try(event_type, tenant, version=version) if on is None else on
    ends_at, tried = time.monotonic() + MOST_SECONDS, []
    for each in found.events:
        tried.append(_tried(condition, payload, event_type, *each))
        if time.monotonic() > ends_at:
            break
    return SubscriptionTrial(events=tuple(tried), are_samples=found.are_samples)


def events_to_try(
    event_type: str, tenant: Any, *, integration_id: int | None = None, version: int | None = None
) -> EventsToTry:
    """Return the last events of this type of a tenant, MOST at most; made-up ones where none is found.

    Args:
        integration_id: whose deliveries are looked through too, whether it wants this type or not.
        version: of their payload; None: the newest. Events from before there was that version are left out.
    """
    least = event_types.nearest_version(event_type, version or event_types.newest_version(event_type))
    asked = _asked(event_type, tenant, integration_id)
    newest = IntegrationEvent.objects.filter(pk__in=_events_of(asked), event_type=event_type, tenant=tenant)
    newest = newest.filter(payload_version__gte=least)
    rows = [(row.pk, row.occurred_at, _body(row, least)) for row in newest.order_by("-id")[:MOST]] if asked else []
    if rows:
        return EventsToTry(tuple(rows), are_samples=False)
    return samples(event_type, tenant, version=version)


def _body(event: IntegrationEvent, version: int) -> dict[str, Any]:
    body = json.loads(event.body)
    try:
        return event_types.in_version(event.event_type, body, version, of=event.payload_version)
    except Exception as error:  # a host's function: of such an event a minimal body is sent
        logger.info("version %s of %s cannot be made: %s", version, event, type(error).__name__)
        return {name: body[name] for name in ("event_type", "timestamp", "tenant") if name in body}


def samples(event_type: str, tenant: Any, *, version: int | None = None) -> EventsToTry:
    """Return made-up events of this type."""
    found = _sample_bodies(event_type, tenant, version)
    now = clock.now()
    return EventsToTry(tuple((None, now, body) for body in found), are_samples=True)


def _asked(event_type: str, tenant: Any, integration_id: int | None) -> list[int]:
    """Return the integrations whose deliveries are looked through."""
    subscribed = EventSubscription.objects.filter(event_type=event_type, integration__tenant=tenant)
    ids = list(subscribed.order_by("-integration_id").values_list("integration_id", flat=True)[:NEIGHBOURS])
    if integration_id is not None and integration_id not in ids:
        ids += TenantIntegration.objects.filter(pk=integration_id, tenant=tenant).values_list("pk", flat=True)
    return ids


def _events_of(integration_ids: list[int]) -> list[int]:
    """Return the events of the last deliveries of these integrations."""
    if not integration_ids:
        return []
    one = (  # the rows of a lane, as outbox.models.of_lane has them
        f"SELECT event_id FROM (SELECT event_id FROM {IntegrationSync._meta.db_table} "  # noqa: S608 - our own names
        f"WHERE integration_id BETWEEN %s AND %s ORDER BY integration_id, id DESC LIMIT {LOOKED_AT}) newest"
    )
    with connections[IntegrationSync.objects.db].cursor() as cursor:
        cursor.execute(" UNION ".join([one] * len(integration_ids)), [pk for pk in integration_ids for _ in range(2)])
        return [pk for (pk,) in cursor.fetchall()]


def _sample_bodies(event_type: str, tenant: Any, version: int | None) -> Iterator[dict[str, Any]]:
    """Yield bodies of made-up events, as they would be sent."""
    frame = {"event_type": event_type, "timestamp": clock.now(), "tenant": {"id": tenant.pk, "name": name_of(tenant)}}
    for payload in event_types.samples(event_type, version)[:MOST]:
        yield sanitise_object({**frame, **payload}, limit=conf.MAX_BODY_BYTES)


def _tried(
    condition: str, expression: str, event_type: str, event_id: int | None, occurred_at: datetime, body: Any
) -> TriedEvent:
    title = summarise(body, event_type, (), event_types.summary_format(event_type)).title
    is_met, remark = _met(condition, body)
    decided = tuple((path, _words(value)) for path, value in decided_by(condition, body))
    payload = problem = ""
    if is_met:
        try:
            made = made_of(expression, body) if expression else body
            size = len(text_of(made).encode())
            if size > conf.MAX_BODY_BYTES:
                problem = _("it has {size} bytes, and a body has at most {max_body_bytes}").format(
                    size=size, max_body_bytes=conf.MAX_BODY_BYTES
                )
            else:
                payload = json.dumps(made, ensure_ascii=False, indent=2)
        except PayloadFailed as error:
            problem = error.message
    return TriedEvent(event_id, occurred_at, title, is_met, decided, remark, payload, problem)


def _met(condition: str, body: Any) -> tuple[bool, str]:
    if not condition:
        return True, ""
    try:
        return bool(Interpreter().visit(compiled_condition(condition), body)), ""
    except Exception:  # JMESPath's own errors quote the value
        return True, _("The condition fails on this event, so it is sent: one too many is better than one lost.")


def _words(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"'{value[:80]}{'…' * (len(value) > 80)}'"
    return (words(value, 80) or json.dumps(value)[:80]) if isinstance(value, dict | list) else json.dumps(value)
