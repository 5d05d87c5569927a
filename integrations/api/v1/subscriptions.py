"""Subscriptions of an integration: which event types it wants, under which condition, with which payload."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from integrations.api.caller import caller_of, one
from integrations.connections import event_types
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.services.subscription_trial import TriedEvent, events_to_try, samples, try_subscription
from integrations.tenancy.capabilities import Capability

from .conditional import READS, WRITES, etag_of, refuse_stale
from .document import READ_PARAMETERS, WHEN, WRITE_PARAMETERS, example
from .paging import Before, Limit, Page, page_of
from .problems import ROW_PROBLEMS, WRITE_PROBLEMS, Refused
from .settings import SubscriptionIn, refusal_of

router = Router(tags=["Subscriptions"])
PLACE = "/{uuid:public_id}/subscriptions"

_EXAMPLE = {
    "event_type": "workitem_created",
    "label": "Work item created",
    "condition": "workitem.priority == 'Urgent'",
    "payload": "",
    "payload_version": 1,
    "payload_versions": [1],
}


class SubscriptionOut(Schema):
    """One event type that the integration wants."""

    model_config = example(_EXAMPLE)

    event_type: str
    label: str
    condition: str = Field(description="JMESPath over the payload; empty: every event is sent")
    payload: str = Field(description="JMESPath that makes what is sent; empty: the event as it is")
    payload_version: int = Field(description="the version of the event that condition and payload are about")
    payload_versions: list[int] = Field(description="those that can be chosen, ascending")


class SubscriptionPage(Page):
    data: list[SubscriptionOut]


class DecidedOut(Schema):
    """A value that decided whether the condition was met."""

    path: str
    value: str


class TriedEventOut(Schema):
    """One event, and what would have become of it.

    Attributes:
        event: null: it is made up.
        is_sent: the condition is met.
        remark: why it counts as met although it could not be asked; "".
        payload: what would have gone out, as JSON to read; "" if nothing.
        problem: why no payload can be made of it, which would end the delivery as failed; "".
    """

    event: int | None
    occurred_at: datetime
    title: str
    is_sent: bool
    decided: list[DecidedOut]
    remark: str
    payload: str
    problem: str


class SubscriptionTrialOut(Schema):
    """What the subscription would have done with the last events."""

    model_config = example(
        {
            "sent": 1,
            "failed": 0,
            "are_samples": False,
            "events": [
                {
                    "event": 812,
                    "occurred_at": WHEN,
                    "title": "RMA-123 was created",
                    "is_sent": True,
                    "decided": [{"path": "workitem.priority", "value": "Urgent"}],
                    "remark": "",
                    "payload": '{"text": "RMA-123"}',
                    "problem": "",
                }
            ],
        }
    )

    sent: int
    failed: int
    are_samples: bool = Field(description="nothing of this type has happened, or you may not see it: they are made up")
    events: list[TriedEventOut]


@router.get(PLACE, response={200: SubscriptionPage, **ROW_PROBLEMS}, summary="List subscriptions")
def subscriptions(request: HttpRequest, public_id: UUID, limit: Limit = 50, before: Before = None) -> Any:
    """List what the integration wants, newest first."""
    rows = EventSubscription.objects.filter(integration=one(request, public_id, Capability.VIEW))
    return page_of(request, rows, _shown, limit=limit, before=before)


@router.get(
    PLACE + "/{event_type}",
    response={200: SubscriptionOut, **READS, **ROW_PROBLEMS},
    summary="Read one subscription",
    openapi_extra=READ_PARAMETERS,
)
def subscription(request: HttpRequest, response: HttpResponse, public_id: UUID, event_type: str) -> Any:
    """Return condition and payload of one event type."""
    row = _stored(one(request, public_id, Capability.VIEW), event_type)
    if row is None:
        raise Http404
    if unchanged := refuse_stale(request, _etag(row)):
        return unchanged
    response["ETag"] = str(_etag(row))
    return _shown(row)


@router.put(
    PLACE + "/{event_type}",
    response={200: SubscriptionOut, 201: SubscriptionOut, **WRITES, **WRITE_PROBLEMS},
    summary="Subscribe, or change a subscription",
    openapi_extra=WRITE_PARAMETERS,
)
def subscribe(
    request: HttpRequest, response: HttpResponse, public_id: UUID, event_type: str, data: SubscriptionIn
) -> Any:
    """Make it want this event type, with this condition and payload, in this version, for events from now on. Refused
    are a condition that no event can meet, a payload that cannot be made, and a version that there is not."""
    with transaction.atomic():
        integration = one(request, public_id, Capability.SETTINGS, lock=True, installed=True)
        stored = _stored(integration, event_type)
        refuse_stale(request, _etag(stored))
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
        if stored is None and (refusal := refusal_of(event_type, manifest)):
            raise Refused(422, "wrong_event_type", "It cannot want this.", {"event_type": refusal})
        row = stored or EventSubscription(integration=integration, event_type=event_type)
        row.condition, row.payload = data.condition.strip(), data.payload.strip()
        if data.payload_version is not None:
            row.payload_version = data.payload_version
        _refuse(row.problems())
        row.save()
    response["ETag"] = str(_etag(row))
    return Status(200 if stored else 201, _shown(row))


@router.delete(
    PLACE + "/{event_type}",
    response={204: None, **WRITES, **WRITE_PROBLEMS},
    summary="Unsubscribe",
    openapi_extra=WRITE_PARAMETERS,
)
def unsubscribe(request: HttpRequest, public_id: UUID, event_type: str) -> Any:
    """Make it want this event type no more; what is owed already is still delivered."""
    with transaction.atomic():
        integration = one(request, public_id, Capability.SETTINGS, lock=True)
        row = _stored(integration, event_type)
        refuse_stale(request, _etag(row))
        if row is None:
            raise Http404
        row.delete()
    return Status(204, None)


@router.post(
    PLACE + "/{event_type}/try",
    response={200: SubscriptionTrialOut, **WRITE_PROBLEMS},
    summary="Try a condition and a payload",
)
def attempt(request: HttpRequest, public_id: UUID, event_type: str, data: SubscriptionIn) -> Any:
    """Return what a condition and a payload would have done with the last events of this type, in the version that is
    given, else in the subscription's. Nothing is saved or sent."""
    integration = one(request, public_id, Capability.VIEW)
    if event_type not in dict(event_types.recorded()):
        raise Http404
    version = data.payload_version
    if version is None and (stored := _stored(integration, event_type)) is not None:
        version = stored.payload_version
    caller = caller_of(request)
    if caller.may(Capability.VIEW_DELIVERIES, integration.tenant_id):
        caller.require(Capability.VIEW_DELIVERIES, integration.tenant_id)  # asked again before a kept answer is told
        events = events_to_try(event_type, integration.tenant, integration_id=integration.pk, version=version)
    else:
        events = samples(event_type, integration.tenant, version=version)
    condition, payload = data.condition.strip(), data.payload.strip()
    trial = try_subscription(condition, payload, event_type, integration.tenant, version=version, on=events)
    _refuse(trial.problems)
    return {
        "sent": trial.sent,
        "failed": trial.failed,
        "are_samples": trial.are_samples,
        "events": [_tried(each) for each in trial.events],
    }


def _refuse(problems: dict[str, list[str]]) -> None:
    if problems:
        fields = {name: " ".join(words) for name, words in problems.items()}
        raise Refused(422, "wrong_subscription", "Some of the subscription is wrong.", fields)


def _stored(integration: TenantIntegration, event_type: str) -> EventSubscription | None:
    return EventSubscription.objects.filter(integration=integration, event_type=event_type).first()


def _etag(row: EventSubscription | None) -> str | None:
    return etag_of([row.pk, row.condition, row.payload, row.payload_version]) if row is not None else None


def _shown(row: EventSubscription) -> dict[str, Any]:
    labels = dict(event_types.recorded())
    return {
        "event_type": row.event_type,
        "label": labels.get(row.event_type, f"{row.event_type} (no longer emitted)"),
        "condition": row.condition,
        "payload": row.payload,
        "payload_version": row.payload_version,
        "payload_versions": event_types.versions(row.event_type) or [row.payload_version],
    }


def _tried(each: TriedEvent) -> dict[str, Any]:
    same = ("occurred_at", "title", "is_sent", "remark", "payload", "problem")
    return {
        "event": each.event_id,
        "decided": [{"path": path, "value": value} for path, value in each.decided],
        **{name: getattr(each, name) for name in same},
    }
