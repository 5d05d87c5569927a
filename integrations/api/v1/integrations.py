"""Integrations: how each is, and what is done with it; their settings are in settings.py."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import router as databases
from django.http import HttpRequest
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from integrations.api.caller import caller_of, one, tenant_shown, visible
from integrations.api.waiting import TOO_MANY, place_to_try
from integrations.connections.models import TenantIntegration
from integrations.database import clock
from integrations.delivery import operator_actions
from integrations.delivery.trial import run_trial, types_to_test
from integrations.health.query import NUMBER, numbered
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.deletion import begin

from .document import INTEGRATION, WHEN, example
from .paging import Before, Limit, Page, page_of
from .problems import PROBLEMS, ROW_PROBLEMS, WRITE_PROBLEMS, Refused

router = Router(tags=["Integrations"])
_STATES = list(State)


class HealthOut(Schema):
    """How it is, by the one rule that the console has too.

    Attributes:
        state: working, failing, resting, paused, disabled, not_connected, off, no_events, never_tried, attention,
            deleting.
        until: when it goes on by itself.
        fault: whose fault it is: credentials, set-up, gone, destination, or "".
    """

    state: str
    is_failing: bool
    is_partial: bool = Field(description="it works, but something fails beside what is taken")
    why: str
    what_to_do: str
    since: datetime | None
    until: datetime | None
    fault: str


_EXAMPLE = {
    "id": INTEGRATION,
    "tenant": "acme-corp",
    "name": "Our n8n",
    "connector_type": "webhook",
    "is_active": True,
    "is_enabled": True,
    "events": ["workitem_created"],
    "health": {
        "state": "failing",
        "is_failing": True,
        "is_partial": False,
        "why": "HTTP 404: The requested webhook is not registered.",
        "what_to_do": "Correct its settings.",
        "since": WHEN,
        "until": None,
        "fault": "set-up",
    },
    "created_at": WHEN,
    "updated_at": WHEN,
}


class IntegrationOut(Schema):
    """One integration of a tenant."""

    model_config = example(_EXAMPLE)

    id: UUID
    tenant: str
    name: str
    connector_type: str
    is_active: bool
    is_enabled: bool
    events: list[str]
    health: HealthOut
    created_at: datetime
    updated_at: datetime


class IntegrationPage(Page):
    data: list[IntegrationOut]


class TestIn(Schema):
    """Which test event is to be sent."""

    model_config = example({"event_type": "workitem_created"}, strict=True)

    event_type: str | None = Field(
        None,
        max_length=100,
        description="one that it can get, or `test`, which is about nothing; left out: the first that it wants",
    )


class TrialOut(Schema):
    """What came of a test event, or of a check."""

    model_config = example(
        {
            "success": True,
            "message": "The destination took it.",
            "status": 200,
            "milliseconds": 84,
            "event_type": "workitem_created",
            "remark": "",
        }
    )

    success: bool
    message: str
    status: int | None
    milliseconds: int
    event_type: str = Field(description="of what was sent; empty: nothing was, or it was a check")
    remark: str = Field(description="why this event would have been skipped; empty: it would not")


@router.get("", response={200: IntegrationPage, **PROBLEMS}, summary="List integrations")
def integrations(
    request: HttpRequest,
    name: Annotated[str, Query(max_length=200, description="part of the name")] = "",
    connector_type: Annotated[str, Query(max_length=50)] = "",
    event_type: Annotated[str, Query(max_length=100, description="those that want it")] = "",
    health: Annotated[State | None, Query(description="those that are in this state now")] = None,
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List the integrations, newest first, each with its health."""
    rows, now = visible(request, Capability.VIEW), clock.now()
    if name:
        rows = rows.filter(name__icontains=name)
    if connector_type:
        rows = rows.filter(integration_type=connector_type)
    if event_type:
        rows = rows.filter(subscriptions__event_type=event_type)
    if health is not None:
        judged: Any = numbered(rows, lambda case: _STATES.index(case.state), now)
        rows = judged.filter(**{NUMBER: _STATES.index(health)})
    rows = rows.select_related("tenant").prefetch_related("subscriptions")
    page = page_of(request, rows, lambda row: row, limit=limit, before=before)
    found = health_of(page["data"], now)
    return {**page, "data": [_shown(row, found[row.pk]) for row in page["data"] if row.pk in found]}  # not just deleted


@router.get(
    "/{uuid:public_id}",
    response={200: IntegrationOut, **ROW_PROBLEMS},
    summary="Read one integration",
    url_name="integration",
)
def integration(request: HttpRequest, public_id: UUID) -> Any:
    """Return one integration with its health."""
    return _read(one(request, public_id, Capability.VIEW))


@router.post(
    "/{uuid:public_id}/test",
    response={200: TrialOut, **WRITE_PROBLEMS},
    summary="Send a test event",
    operation_id="integration_test",
)
def send_test(request: HttpRequest, public_id: UUID, data: TestIn | None = None) -> Any:
    """Send one event that is marked as a test, and wait for the answer: the catalogue's example, as the subscription's
    condition, payload and version make it."""
    found = one(request, public_id, Capability.TEST, installed=True)
    chosen = data.event_type if data is not None else None
    if chosen is not None and chosen not in (offered := dict(types_to_test(found))):
        known = f"Choose one of {', '.join(offered)}." if offered else "It takes no events."
        raise Refused(422, "wrong_event_type", "There is no such test event.", {"event_type": known})
    return _tried(request, found, "test", chosen)


@router.post(
    "/{uuid:public_id}/check",
    response={200: TrialOut, **WRITE_PROBLEMS},
    summary="Check the connection",
    operation_id="integration_check",
)
def check(request: HttpRequest, public_id: UUID) -> Any:
    """Have it prove its credentials, with a call that changes nothing; for connector types that have one."""
    return _tried(request, one(request, public_id, Capability.TEST, installed=True), "check")


def _tried(
    request: HttpRequest, found: TenantIntegration, action: str, event_type: str | None = None
) -> dict[str, Any]:
    with place_to_try(found.tenant_id) as is_free:
        if not is_free:
            raise Refused(429, "too_many_trials", TOO_MANY, headers={"Retry-After": "5"})
        result = run_trial(found, action, actor=caller_of(request).name, event_type=event_type)
    same = ("success", "message", "status", "event_type", "remark")
    return {"milliseconds": round(result.latency_ms), **{each: getattr(result, each) for each in same}}


def _act(name: str, act: Any, words: str) -> None:
    @router.post(
        f"/{{uuid:public_id}}/{name}",
        response={200: IntegrationOut, **WRITE_PROBLEMS},
        summary=f"{words} one integration",
        operation_id=f"integration_{name}",
        description=f"{words} it: the same as its button in the console.",
    )
    def view(request: HttpRequest, public_id: UUID) -> Any:
        found = one(request, public_id, Capability.PAUSE)
        act(found, actor=caller_of(request).name)
        return _read(found)


_act("pause", operator_actions.pause, "Pause")
_act("resume", operator_actions.resume, "Resume")
_act("enable", operator_actions.re_enable, "Re-enable")


@router.delete("/{uuid:public_id}", response={202: IntegrationOut, **WRITE_PROBLEMS}, summary="Delete one integration")
def delete(request: HttpRequest, public_id: UUID) -> Any:
    """Mark it: a worker deletes it with everything that goes with it, in batches."""
    found = one(request, public_id, Capability.DELETE)
    using = databases.db_for_write(TenantIntegration)
    begin(TenantIntegration, [found.pk], using=using, in_background=True, actor=caller_of(request).name)
    return Status(202, _read(found))


def _read(found: TenantIntegration) -> dict[str, Any]:
    row = TenantIntegration.unannounced.select_related("tenant").filter(pk=found.pk).first()
    health = health_of([row]).get(row.pk) if row is not None else None
    if row is None or health is None:
        raise Refused(404, "not_found", "It was deleted meanwhile.")
    return _shown(row, health)


def _shown(row: TenantIntegration, health: Health) -> dict[str, Any]:
    same = ("name", "is_active", "is_enabled", "created_at", "updated_at")
    told = ("is_failing", "is_partial", "why", "what_to_do", "since", "until")
    return {
        "id": row.public_id,
        "tenant": tenant_shown(row),
        "connector_type": row.integration_type,
        "events": sorted(each.event_type for each in row.subscriptions.all()),
        "health": {
            "state": str(health.state),
            "fault": str(health.fault),
            **{name: getattr(health, name) for name in told},
        },
        **{name: getattr(row, name) for name in same},
    }
