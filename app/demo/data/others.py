"""What comes in and what is handed over: inbound webhooks, pulls, pushes of orders."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.contenttypes.models import ContentType

from integrations.audit.models import ExecutionLog
from integrations.connectors.kinds.webhook import SIGNATURE_HEADER
from integrations.connectors.kinds.woocommerce.window import Place
from integrations.erp.push import PushOrchestrator
from integrations.erp.push_log import ORDER_PUSH, ERPPushLog
from integrations.inbound import schemes
from integrations.models import IntegrationEvent, IntegrationSync, SyncState, TenantIntegration, WebhookEvent
from integrations.outbox.canonical_json import encode, sanitise_object
from tasks.models import Note, WorkItem

TOLD = ("Customer was told by text message.", "Parcel label printed.", "Invoice 2026-4711 was sent.",
        "Appointment confirmed for tomorrow.")  # fmt: skip
Status = WebhookEvent.Status


def calls(
    integration: TenantIntegration, items: Sequence[WorkItem], times: Sequence[datetime], chance: random.Random
) -> tuple[list[WebhookEvent], list[Note]]:
    """Return calls of `workitem-note` at `times` about `items`, and the notes that they wrote."""
    events, notes = [], []
    for at in times:
        item = chance.choice([each for each in items if each.created_date < at] or items[:1])
        text = chance.choice(TOLD)
        reference = item.reference_id if chance.random() > 0.04 else f"{item.reference_id}-X"
        body = {"id": f"run-{chance.getrandbits(32):08x}", "workitem": {"reference_id": reference}, "text": text}
        event = _received(integration, body, at, chance)
        event.action, event.event_type = "workitem-note", "workitem-note"
        event.idempotency_key = f"{integration.pk}/workitem-note:{body['id']}"
        roll = chance.random()
        if roll < 0.05:
            _reject(event, chance)
        elif reference != item.reference_id:
            event.status, event.attempts = Status.FAILED, 1
            event.error, event.next_attempt_at = "reference_id: there is no such work item", None
        else:
            _processed(event, at, chance)
            event.duplicates = int(roll > 0.9)
            said = f"{integration.name}: {text}"
            notes.append(Note(tenant_id=item.tenant_id, work_item=item, text=said, created_at=event.processed_at or at))
        events.append(event)
    return events, notes


def _received(
    integration: TenantIntegration, body: dict[str, Any], at: datetime, chance: random.Random
) -> WebhookEvent:
    headers = {"content-type": "application/json", "user-agent": "n8n", SIGNATURE_HEADER.lower(): "••••••"}
    return WebhookEvent(
        connection=integration,
        provider=integration.integration_type,
        body=json.dumps(body).encode(),
        payload=body,
        headers=headers,
        signature_valid=True,
        received_at=at,
    )


def _processed(event: WebhookEvent, at: datetime, chance: random.Random) -> None:
    done = at + timedelta(milliseconds=chance.randint(30, 400))
    event.status, event.attempts = Status.PROCESSED, 1
    event.processed_at = event.announced_at = done


def _reject(event: WebhookEvent, chance: random.Random) -> None:
    reason = chance.choice(("mismatch", "too_old", "missing_header"))
    event.signature_valid, event.status, event.payload = False, Status.FAILED, {}
    event.event_type = ""
    event.idempotency_key = f"rejected:{uuid.UUID(int=chance.getrandbits(128)).hex}"
    event.error = f"{schemes.REASONS[reason]} ({reason})"


def pulls(shops: Sequence[TenantIntegration], now: datetime) -> list[SyncState]:
    """Return what is read from the first shop without trouble, and from the second not at all; others nobody takes."""
    states = []
    for place, shop in enumerate(shops):
        last = now - timedelta(minutes=6)
        orders = SyncState(connection=shop, resource_type="orders", interval_minutes=15)
        products = SyncState(connection=shop, resource_type="products", interval_minutes=1440, next_sync_at=now)
        if place == 0:
            orders.status, orders.last_sync_at = SyncState.Status.COMPLETED, last
            orders.cursor, orders.next_sync_at = str(Place(border=int(last.timestamp()))), last + timedelta(minutes=15)
        else:
            orders.status, orders.error_count = SyncState.Status.FAILED, 4
            orders.last_error = "127.0.0.1 answered 502 Bad Gateway"
            orders.last_sync_at, orders.next_sync_at = now - timedelta(hours=2), now + timedelta(minutes=8)
        states += [orders, products]
    return states


@dataclass(slots=True)
class Pushes:
    """Orders that were handed over, none of them saved."""

    events: list[IntegrationEvent] = field(default_factory=list)
    syncs: list[IntegrationSync] = field(default_factory=list)
    logs: list[ExecutionLog] = field(default_factory=list)


def add_pushes(
    found: Pushes, erp: TenantIntegration, times: Sequence[datetime], chance: random.Random, *, first: int
) -> None:
    """Add orders handed to an ERP at `times`: nearly all taken, some at a later attempt, a few not wanted."""
    content_type = ContentType.objects.get_for_model(ERPPushLog, for_concrete_model=False)
    for number, at in enumerate(times, first):
        order_id = f"SO-{number}"
        lines = [{"sku": f"P-{chance.randint(100, 999)}", "quantity": chance.randint(1, 4)} for _ in range(2)]
        order = {"id": order_id, "customer": "C-1007", "currency": "EUR", "lines": lines}
        about = {"id": erp.tenant_id, "name": erp.tenant.name}
        payload = {"event_type": ORDER_PUSH, "timestamp": at, "tenant": about, "order": order}
        event = IntegrationEvent(
            tenant_id=erp.tenant_id,
            event_type=ORDER_PUSH,
            content_type=content_type,
            object_id=order_id,
            body=encode(sanitise_object(payload, limit=1 << 20)),
            occurred_at=at,
            idempotency_key=PushOrchestrator.generate_idempotency_key(erp.tenant_id, order_id),
        )
        sync = IntegrationSync(
            event=event, integration=erp, object_key=f"{content_type.pk}:{order_id}", created_at=at, next_attempt_at=at
        )
        ended, failures = at, chance.choices((0, 1, 2), (20, 3, 1))[0]
        refused = chance.random() < 0.08
        for attempt in range(1, failures + 2):
            ms = chance.randint(2, 9)
            ended += timedelta(seconds=2 ** (attempt - 2) if attempt > 1 else 0.05, milliseconds=ms)
            is_last = attempt == failures + 1
            log = ExecutionLog(
                integration=erp, sync=sync, action="deliver", method="POST", attempt=attempt, duration_ms=ms,
                created_at=ended,
            )  # fmt: skip
            if not is_last:
                log.response_status, log.error = 503, "the mock is out of order"
                sync.first_failed_at = sync.first_failed_at or ended
                sync.last_failed_at, sync.last_error = ended, log.error
            elif refused:
                log.response_status, log.error = 422, "the mock does not want this order"
                sync.first_failed_at = sync.first_failed_at or ended
                sync.last_failed_at, sync.last_error = ended, log.error
            else:
                log.response_payload = {"external_id": f"MOCK-{event.idempotency_key[-8:]}", "mode": "flaky"}
            found.logs.append(log)
        sync.attempts, sync.settled_at = failures + 1, ended
        if refused:
            sync.status, sync.response_status, sync.reason = "failed", 422, f"gave up: {sync.last_error}"
        else:
            sync.status, sync.synced_at, sync.last_error = "synced", ended, ""
        found.events.append(event)
        found.syncs.append(sync)
