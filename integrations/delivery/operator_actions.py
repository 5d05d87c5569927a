"""What a person does by hand: retry, cancel, re-enable, reset a breaker. Each leaves a line in the log."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from integrations.audit.models import ExecutionLog
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync

from .lanes import lock_lanes
from .models import Lane
from .unsendable import end
from .wakeup import wake_on_commit

Status = IntegrationSync.Status


def retry(sync_ids: Iterable[int], *, actor: str) -> int:
    """Make those of these rows due now that are not synced, with fresh attempts; return how many."""
    return _again(sync_ids, Q(status__in=[Status.PENDING, Status.FAILED, Status.CANCELLED]), "retried", actor)


def replay(sync_ids: Iterable[int], *, actor: str) -> int:
    """Send those of these rows once more that are synced; return how many.

    Same ``webhook-id``, same bytes: a receiver that drops what it has seen drops a replay too.
    """
    return _again(sync_ids, Q(status=Status.SYNCED), "replayed", actor)


def _again(sync_ids: Iterable[int], which: Q, verb: str, actor: str) -> int:
    wanted = list(sync_ids)
    reason = f"{verb} by {actor}"
    with transaction.atomic():
        lock_lanes(_integrations_of(wanted))
        locked = IntegrationSync.objects.select_for_update().filter(which, pk__in=wanted).order_by("pk")
        rows = list(locked.values_list("pk", "integration_id"))
        IntegrationSync.objects.filter(pk__in=[pk for pk, _ in rows]).update(
            status=Status.PENDING,
            attempts=0,
            next_attempt_at=Now(),
            created_at=Now(),  # the three days of retries start anew
            first_failed_at=None,
            last_failed_at=None,
            generation=F("generation") + 1,
            deaths=0,
            settled_at=None,
            reason=reason[:500],
        )
        _log(rows, reason, actor)
        wake_on_commit({integration_id for _, integration_id in rows})
    return len(rows)


def cancel(sync_ids: Iterable[int], *, actor: str) -> int:
    """Cancel those of these rows that are pending; return how many."""
    pks = list(sync_ids)
    with transaction.atomic():
        lock_lanes(_integrations_of(pks))
        pending = IntegrationSync.objects.filter(pk__in=pks, status=Status.PENDING)
        rows = list(pending.values_list("pk", "integration_id"))
        _log(rows, f"cancelled by {actor}", actor)
        return end([pk for pk, _ in rows], Status.CANCELLED, f"cancelled by {actor}")


def re_enable(integration: TenantIntegration, *, actor: str) -> None:
    """Switch `integration` on again after its credentials or address were mended; what is pending goes out."""
    with transaction.atomic():
        lock_lanes([integration.pk])
        integration.re_enable()
        resume(integration, actor=actor, action="re-enable")
    integration.refresh_from_db()


def resume(integration: TenantIntegration, *, actor: str, action: str = "resume") -> None:
    """End a lane's pause and close its breaker, so that its rows are tried at once."""
    with transaction.atomic():
        Lane.objects.filter(pk=integration.pk).update(
            paused_until=None,
            pause_reason="",
            breaker=Lane.Breaker.CLOSED,
            consecutive_failures=0,
            times_opened=0,
            opened_at=None,
            attention="",
            refused_object="",
            epoch=F("epoch") + 1,
        )
        ExecutionLog.objects.create(integration=integration, action=action, actor=actor)
        wake_on_commit({integration.pk})


def _integrations_of(sync_ids: list[int]) -> set[int]:
    rows = IntegrationSync.objects.filter(pk__in=sync_ids).order_by()
    return set(rows.values_list("integration_id", flat=True))


def _log(rows: Iterable[tuple[int, int]], action: str, actor: str) -> None:
    ExecutionLog.objects.bulk_create(
        ExecutionLog(integration_id=integration_id, sync_id=pk, action=action.split()[0], actor=actor)
        for pk, integration_id in rows
    )
