"""Scheduled pulls: the sync states with an interval, whose time has come.

Beat asks which are due and sends one message for each. A message may be lost (the next look finds the state still
due), doubled or late (whoever comes second finds it leased, or no longer due).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from integrations.database.leases import free
from integrations.delivery.hints import SLOW_QUEUE, send_hint, together
from integrations.delivery.sweep import SENDING_SECONDS

from .handlers import NOBODY, handler_for, is_heard
from .lease import given_up
from .models import SyncState
from .run import DISABLED, Run, may_pull, pull_pages

TASK = "integrations.tasks.pull_one"
AT_ONCE = 500  # asked for by one look; the next one takes the others


IS_TIME = Q(next_sync_at=None) | Q(next_sync_at__lte=Now())


def _due() -> models.QuerySet[SyncState]:
    return SyncState.objects.filter(
        IS_TIME,
        ~given_up(),
        interval_minutes__isnull=False,
        connection__is_active=True,
        connection__is_enabled=True,
        connection__is_connected=True,
    )


def request_pulls() -> dict[str, int]:
    """Ask workers for every pull that is due; return how many are due and how many were asked for."""
    # Never pulled first, then who waits longest.
    waiting = _due().filter(free()).order_by(F("next_sync_at").asc(nulls_first=True), "pk")
    due = list(waiting.values_list("pk", flat=True)[:AT_ONCE])
    with together(SENDING_SECONDS):
        asked = sum(bool(send_hint(TASK, {"sync_state_id": pk}, SLOW_QUEUE)) for pk in due)
    return {"due": len(due), "asked": asked}


def pull_one(sync_state_id: int) -> Run:
    """Pull one scheduled state, if it is still due; its items go to the handler of its family and resource."""
    state = _due().select_related("connection").filter(pk=sync_state_id).first()
    if state is None:
        return Run(outcome="not due")
    connection = state.connection
    if not may_pull(connection):
        return Run(outcome=DISABLED)
    if not is_heard(connection, state.resource_type):
        return Run(outcome=NOBODY)
    handler = handler_for(connection, state.resource_type)
    run = pull_pages(connection, state, state.resource_type, handler, still=IS_TIME)
    if run.outcome == "continues":
        send_hint(TASK, {"sync_state_id": sync_state_id}, SLOW_QUEUE)  # lost: the state is due, and beat sees it
    return run
