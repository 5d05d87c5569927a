"""Write down what became of a slice: fence, rows, log, health and audit notes in one transaction."""

from __future__ import annotations

import logging
from collections import defaultdict
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from integrations import conf
from integrations.audit.models import ExecutionLog
from integrations.audit.notes import AuditNote, write_notes
from integrations.connections import health
from integrations.connections.models import TenantIntegration
from integrations.database_clock import after
from integrations.errors import IntegrationBlocked, IntegrationGone, IntegrationMoved
from integrations.outbox.models import IntegrationSync

from .circuit_breaker import CircuitBreaker
from .lease import Lease, LeaseLost
from .models import Lane
from .outcome import Outcome
from .receipt_facts import answer_of, without_facts

logger = logging.getLogger("integrations.delivery")
Status = IntegrationSync.Status


@dataclass(slots=True)
class Settlement:
    """Everything that one slice changes.

    Attributes:
        next_send_in: seconds until the pacer allows the next request; None: no rate limit.
        wait: seconds that the lane must rest, for `wait_reason`.
    """

    integration: TenantIntegration
    target: str  # scheme and host, for the log
    outcomes: list[Outcome]
    breaker: CircuitBreaker
    auth_failures: int
    mean_seconds: float
    is_slow: bool
    wait: float | None = None
    wait_reason: str = ""
    next_send_in: float | None = None


def settle(lease: Lease, settlement: Settlement) -> None:
    """Make `settlement` durable and renew the lease.

    Raises:
        LeaseLost: the lane is no longer ours (or gone); nothing was written.
    """
    integration = settlement.integration
    with transaction.atomic():
        # First, so that the row lock fences everything below, and a deletion of the integration waits.
        if not Lane.objects.filter(lease.row).update(**_lane_values(settlement)):
            raise LeaseLost
        changed = _write_rows(settlement)
        ExecutionLog.objects.bulk_create(_log_entry(settlement, result) for result in settlement.outcomes)
        write_notes(_note(integration, result) for result in settlement.outcomes if result.row.id in changed)
        _write_health(settlement)
    for result in settlement.outcomes:
        _log(integration, result)


def settle_without_texts(lease: Lease, settlement: Settlement) -> None:
    """Settle once more with our own short words only: no text may undo a delivery that has happened."""
    settle(lease, replace(settlement, outcomes=[_without_texts(result) for result in settlement.outcomes]))


def _without_texts(result: Outcome) -> Outcome:
    error = copy(result.error)
    if error is not None:
        error.message, error.excerpt = error.code, ""
    return replace(result, error=error, receipt=result.receipt and without_facts(result.receipt))


def _lane_values(settlement: Settlement) -> dict[str, Any]:
    breaker = settlement.breaker
    synced = sum(result.error is None for result in settlement.outcomes)
    given_up = sum(result.status == Status.FAILED for result in settlement.outcomes)
    values: dict[str, Any] = {
        "lease_expires_at": after(conf.LEASE_SECONDS),
        "mean_seconds": settlement.mean_seconds,
        "is_slow": settlement.is_slow,
        "consecutive_failures": breaker.failures,
        "times_opened": breaker.times_opened,
        "breaker": Lane.Breaker.OPEN if breaker.is_probing else Lane.Breaker.CLOSED,
    }
    if synced:
        values |= {"last_success_at": Now(), "delivered_count": F("delivered_count") + synced, "attention": ""}
    if synced < len(settlement.outcomes):
        values |= {"last_failure_at": Now(), "failed_count": F("failed_count") + given_up}
    if not breaker.is_probing:
        values["opened_at"] = None
    elif breaker.times_opened == 1 and breaker.pause is not None:
        values["opened_at"] = Now()
    pauses = [
        (settlement.wait, settlement.wait_reason),
        (breaker.pause, f"circuit breaker: {breaker.failures} failures in a row"),
    ]
    seconds, reason = max((pause or 0.0, reason) for pause, reason in pauses)
    values |= {"paused_until": after(seconds) if seconds else None, "pause_reason": reason if seconds else ""}
    if settlement.next_send_in is not None:
        values["next_send_at"] = after(settlement.next_send_in)
    for result in settlement.outcomes:
        if isinstance(result.error, IntegrationMoved | IntegrationBlocked | IntegrationGone):
            values["attention"] = result.error.message
    return values


def _write_rows(settlement: Settlement) -> set[int]:
    """Write the rows that are still pending; return the ids of those now final.

    A row that an operator cancelled while it was being sent stays cancelled.
    """
    final: set[int] = set()
    synced: dict[int | None, list[int]] = defaultdict(list)
    for result in settlement.outcomes:
        if result.error is None:
            synced[result.response_status].append(result.row.id)
        else:
            final |= _write_failure(result)
    for response_status, ids in synced.items():
        written = IntegrationSync.objects.filter(id__in=ids, status=Status.PENDING).update(
            status=Status.SYNCED,
            attempts=F("attempts") + 1,
            response_status=response_status,
            last_error="",
            synced_at=Now(),
            settled_at=Now(),
        )
        if written == len(ids):
            final.update(ids)
        else:
            rows = IntegrationSync.objects.filter(id__in=ids, status=Status.SYNCED)
            final.update(rows.values_list("id", flat=True))
    return final


def _write_failure(result: Outcome) -> set[int]:
    row = result.row
    values: dict[str, Any] = {
        "attempts": F("attempts") + 1,
        "last_error": result.error_text,
        "response_status": result.response_status,
    }
    if row.first_failed_at is None:
        values["first_failed_at"] = Now()
    if result.is_final:
        values |= {"status": Status.FAILED, "settled_at": Now(), "reason": f"gave up: {result.error_text}"[:500]}
    else:
        values["next_attempt_at"] = after(result.retry_in or 0.0)
    written = IntegrationSync.objects.filter(id=row.id, status=Status.PENDING).update(**values)
    return {row.id} if written and result.is_final else set()


def _log_entry(settlement: Settlement, result: Outcome) -> ExecutionLog:
    answer = answer_of(result.receipt) if result.receipt is not None else result.error and result.error.excerpt
    return ExecutionLog(
        integration_id=settlement.integration.pk,
        sync_id=result.row.id,
        action="deliver",
        attempt=result.row.attempts + 1,
        method="POST",
        url=settlement.target[:500],
        response_status=result.response_status,
        response_payload=answer or None,
        duration_ms=result.duration_ms,
        error=result.error.message if result.error is not None else "",
    )


def _note(integration: TenantIntegration, result: Outcome) -> AuditNote:
    row = result.row
    tries = row.attempts + 1
    if result.error is None:
        answer = f" (HTTP {result.response_status})" if result.response_status else ""
        text = f"✓ {integration.name} received {row.event_type}{answer}"
        text += f" at attempt {tries}." if tries > 1 else "."
    else:
        times = f"after {tries} attempts" if tries > 1 else "at the first attempt"
        text = f"✗ {integration.name} did not get {row.event_type}: failed {times}: {result.error.message}."
    return AuditNote(row.content_type_id, row.object_id, text.replace("..", "."))


def _write_health(settlement: Settlement) -> None:
    """The wrong-credential count and our switch; the integration's row is written only if they change."""
    before = settlement.integration.auth_failure_count
    # A copy, so that a settlement that is rolled back is the same when it is settled once more.
    integration = copy(settlement.integration)
    if settlement.auth_failures != before:
        is_fresh = any(result.error is None for result in settlement.outcomes)  # a success ended the row
        added = F("auth_failure_count") + (settlement.auth_failures - before)
        health.write_refusals(integration, settlement.auth_failures if is_fresh else added)
    gone = next((r.error for r in settlement.outcomes if isinstance(r.error, IntegrationGone)), None)
    if gone is not None:
        health.disable(integration, gone.message)


def _log(integration: TenantIntegration, result: Outcome) -> None:
    level = logging.DEBUG if result.error is None else logging.ERROR if result.is_final else logging.WARNING
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "%s → %s: %s, attempt %s%s",
        result.row.event_type,
        integration.name,
        "synced" if result.error is None else result.error.message,
        result.row.attempts + 1,
        "" if result.retry_in is None else f". Retrying in {result.retry_in:.1f}s",
        extra={
            "tenant_id": integration.tenant_id,
            "integration_id": integration.pk,
            "connector": integration.integration_type,
            "sync_id": result.row.id,
            "attempt": result.row.attempts + 1,
        },
    )
