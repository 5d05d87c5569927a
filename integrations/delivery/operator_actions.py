"""What a person does by hand: retry, cancel, re-enable, reset a breaker. Each leaves a line in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from integrations.audit.models import ExecutionLog
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync

from .lanes import lock_lanes
from .models import CLOSED, Lane
from .unsendable import BATCH, end
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
    reason = f"{verb} by {actor}"
    count = 0
    for wanted in _batches(sync_ids):
        with transaction.atomic():
            lock_lanes(integration_id for integration_id, _ in wanted)
            rows = _hold(which, [pk for _, pk in wanted])
            IntegrationSync.objects.filter(pk__in=[pk for pk, _ in rows]).update(
                status=Status.PENDING,
                attempts=0,
                next_attempt_at=Now(),
                retried_at=Now(),  # the three days of retries start anew
                first_failed_at=None,
                last_failed_at=None,
                settled_at=None,
                deaths=0,
                generation=F("generation") + 1,  # what is under way with the row does not write its failure over this
                reason=reason[:500],
            )
            _log(rows, reason, actor)
            wake_on_commit({integration_id for _, integration_id in rows})
        count += len(rows)
    return count


def cancel(sync_ids: Iterable[int], *, actor: str) -> int:
    """Cancel those of these rows that are pending; return how many."""
    reason = f"cancelled by {actor}"
    count = 0
    for wanted in _batches(sync_ids):
        with transaction.atomic():
            lock_lanes(integration_id for integration_id, _ in wanted)
            rows = _hold(Q(status=Status.PENDING), [pk for _, pk in wanted])
            _log(rows, reason, actor)
            count += end([pk for pk, _ in rows], Status.CANCELLED, reason)
    return count


def _batches(sync_ids: Iterable[int]) -> Iterator[list[tuple[int, int]]]:
    """Yield (integration, sync) of these rows in batches; each is to be one transaction.

    Sorted: in a caller's transaction, too, lanes are locked in the order in which everybody locks them.
    """
    wanted = list(sync_ids)
    found: list[tuple[int, int]] = []
    for start in range(0, len(wanted), BATCH):
        rows = IntegrationSync.objects.filter(pk__in=wanted[start : start + BATCH]).order_by()
        found += rows.values_list("integration_id", "pk")
    found.sort()
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]


def _hold(which: Q, pks: list[int]) -> list[tuple[int, int]]:
    """Lock those of these rows that are as `which` says; return (sync, integration) of each.

    Not those of an integration that is being deleted.
    """
    rows = IntegrationSync.objects.select_for_update(of=("self",)).filter(which, pk__in=pks)
    rows = rows.filter(integration__lane__deleting_since=None)
    return list(rows.order_by("pk").values_list("pk", "integration_id"))


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
        Lane.objects.filter(pk=integration.pk, deleting_since=None).update(
            **CLOSED,
            attention="",
            epoch=F("epoch") + 1,  # verdicts on what was sent before this do not count any more
        )
        ExecutionLog.objects.create(integration=integration, action=action, actor=actor)
        wake_on_commit({integration.pk})


def _log(rows: Iterable[tuple[int, int]], action: str, actor: str) -> None:
    ExecutionLog.objects.bulk_create(
        ExecutionLog(integration_id=integration_id, sync_id=pk, action=action.split()[0], actor=actor)
        for pk, integration_id in rows
    )
