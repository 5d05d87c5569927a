"""What a person does by hand: retry, replay, send anyway, cancel, pause, resume, re-enable.

Each leaves an entry in the audit trail. One call of a bulk action is one entry; each row has a line in its own log
beside it, where its attempts are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from integrations.audit.models import ExecutionLog
from integrations.audit.trail import record
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync

from .lanes import lock_lanes
from .models import CLOSED, Lane
from .unsendable import BATCH, end
from .wakeup import wake_on_commit

Status = IntegrationSync.Status
RETRIED, REPLAYED, CANCELLED, SENT_ANYWAY = "retried", "replayed", "cancelled", "sent anyway"

Touched = dict[int, list[int]]  # integration → rows


def retry(sync_ids: Iterable[int], *, actor: str, touched: Touched | None = None) -> int:
    """Make those of these rows due now that were owed and are not synced, with fresh attempts; return how many.

    Args:
        touched: where the rows are counted in, for a part of something larger: its caller writes the audit entry
            (`note_rows`, or a job's own). None: it is written here.
    """
    which = Q(status__in=[Status.PENDING, Status.FAILED, Status.CANCELLED])
    return _again(sync_ids, which, RETRIED, actor, touched)


def replay(sync_ids: Iterable[int], *, actor: str, touched: Touched | None = None) -> int:
    """Send those of these rows once more that are synced; return how many.

    Same ``webhook-id``, same bytes: a receiver that drops what it has seen drops a replay too.
    """
    return _again(sync_ids, Q(status=Status.SYNCED), REPLAYED, actor, touched)


def send_anyway(sync_ids: Iterable[int], *, actor: str, touched: Touched | None = None) -> int:
    """Send those of these rows that were skipped, although their condition was not met; return how many."""
    return _again(sync_ids, Q(status=Status.SKIPPED), SENT_ANYWAY, actor, touched)


def _again(sync_ids: Iterable[int], which: Q, verb: str, actor: str, touched: Touched | None) -> int:
    reason = f"{verb} by {actor}"

    def act(rows: list[tuple[int, int]]) -> int:
        _make_due(rows, reason)
        _log(rows, verb, actor)
        return len(rows)

    return _in_batches(sync_ids, which, act, verb, actor, touched)


def make_due(wanted: Sequence[tuple[int, int]], which: Q, *, reason: str) -> list[tuple[int, int]]:
    """Make those of `wanted` that are as `which` says due now; a part of the caller's transaction and of its log.

    Args:
        wanted: (integration, sync) of BATCH rows at most.
        reason: who did it, for people who read the row.

    Returns:
        (sync, integration) of each that was, under its lock: a purge that looked before leaves it.
    """
    lock_lanes(integration_id for integration_id, _ in wanted)
    rows = _hold(which, [pk for _, pk in wanted])
    _make_due(rows, reason)
    return rows


def _make_due(rows: list[tuple[int, int]], reason: str) -> None:
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
    wake_on_commit({integration_id for _, integration_id in rows})


def cancel(sync_ids: Iterable[int], *, actor: str, touched: Touched | None = None) -> int:
    """Cancel those of these rows that are pending; return how many."""

    def act(rows: list[tuple[int, int]]) -> int:
        _log(rows, CANCELLED, actor)
        return end([pk for pk, _ in rows], Status.CANCELLED, f"{CANCELLED} by {actor}")

    return _in_batches(sync_ids, Q(status=Status.PENDING), act, CANCELLED, actor, touched)


def _in_batches(
    sync_ids: Iterable[int],
    which: Q,
    act: Callable[[list[tuple[int, int]]], int],
    verb: str,
    actor: str,
    touched: Touched | None,
) -> int:
    count = 0
    mine: Touched = defaultdict(list) if touched is None else touched
    for wanted in _batches(sync_ids):
        with transaction.atomic():
            lock_lanes(integration_id for integration_id, _ in wanted)
            rows = _hold(which, [pk for _, pk in wanted])
            count += act(rows)
        for pk, integration_id in rows:
            mine[integration_id].append(pk)
    if touched is None:
        note_rows(verb, mine, actor=actor)
    return count


def note_rows(action: str, touched: Mapping[int, list[int]], *, actor: str, **details: Any) -> None:
    """Write into the audit trail what was done to these rows: one entry for each tenant whose they are.

    Args:
        action: `RETRIED`, `REPLAYED`, `SENT_ANYWAY` or `CANCELLED`.
        touched: integration → its rows.
        details: what else is to be said, such as the filter by which they were chosen.
    """
    integrations = TenantIntegration.unannounced.select_related("tenant").in_bulk(touched)
    of_tenants: dict[Any, list[TenantIntegration]] = defaultdict(list)
    for integration in integrations.values():
        of_tenants[integration.tenant_id].append(integration)
    for mine in of_tenants.values():
        pks = [pk for integration in mine for pk in touched[integration.pk]]
        only = mine[0] if len(mine) == 1 else None
        if len(pks) == 1 and (row := IntegrationSync.objects.filter(pk=pks[0]).select_related("event").first()):
            name = f"{row.event.event_type} to {mine[0]}"
            record(action, row, integration=mine[0], actor=actor, name=name, details=details)
        elif pks:
            said = {"deliveries": len(pks), "first": min(pks), "last": max(pks), **details}
            if only is None:
                said["integrations"] = len(mine)
            record(action, integration=only, tenant=mine[0].tenant, actor=actor, details=said)


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
    """Switch `integration` on again after its credentials or address were mended; what is pending goes out.

    A person's pause stays.
    """
    with transaction.atomic():
        lock_lanes([integration.pk])
        integration.re_enable()
        free_lane(integration, actor=actor, action="re-enabled")
    integration.refresh_from_db()


def resume(integration: TenantIntegration, *, actor: str) -> None:
    """End a person's pause and the lane's own, and close its breaker, so that its rows are tried at once."""
    free_lane(integration, actor=actor, action="resumed", paused_since=None, paused_by="")


def pause(integration: TenantIntegration, *, actor: str) -> None:
    """Send nothing more until a person resumes; what happens meanwhile waits, and no attempt is lost.

    What is under way is finished. Whoever paused it first stays written there.
    """
    with transaction.atomic():
        free = Lane.objects.filter(pk=integration.pk, deleting_since=None, paused_since=None)
        if free.update(paused_since=Now(), paused_by=actor[:150] or "somebody"):
            record("paused", integration, actor=actor)


def free_lane(integration: TenantIntegration, *, actor: str, action: str, **more: Any) -> None:
    """Let a lane rest for nothing and hold nothing against its destination; a person's pause stays.

    Args:
        action: what the audit trail calls it.
        more: other columns of the lane.
    """
    with transaction.atomic():
        Lane.objects.filter(pk=integration.pk, deleting_since=None).update(
            **CLOSED,
            attention="",
            trouble="",
            epoch=F("epoch") + 1,  # verdicts on what was sent before this do not count any more
            **more,
        )
        record(action, integration, actor=actor)
        wake_on_commit({integration.pk})


def _log(rows: Iterable[tuple[int, int]], verb: str, actor: str) -> None:
    ExecutionLog.objects.bulk_create(
        ExecutionLog(integration_id=integration_id, sync_id=pk, action=verb, actor=actor) for pk, integration_id in rows
    )
