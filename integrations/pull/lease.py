"""Who may read: at most one holder per sync state (one conditional UPDATE, database clock); see delivery/lease.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import models, router
from django.db.models import F, Q
from django.db.models.functions import Now

from integrations import conf
from integrations.alone import MAX_DEATHS
from integrations.connectors.base import BaseConnector
from integrations.database import leases
from integrations.database.leases import LeaseLost, free, new_token, taken
from integrations.database.times import after
from integrations.delivery.call_gate import CallGate

from .models import AbstractSyncState

Status = AbstractSyncState.Status
COLUMNS = [
    "cursor",
    "last_sync_at",
    "next_sync_at",
    "status",
    "error_count",
    "last_error",
    "lease_token",
    "lease_expires_at",
    "unfinished",
    "pages_in_run",
]
RELEASED: dict[str, Any] = {**leases.RELEASED, "unfinished": 0}


@dataclass(frozen=True, slots=True)
class PullLease:
    """The right to move one state's cursor; `token` is the fence that a stale holder cannot pass."""

    state: AbstractSyncState
    token: str = field(repr=False)

    @property
    def using(self) -> str:
        """The database that the state is in."""
        return database_of(self.state)

    def write(self, **values: Any) -> None:
        """Set columns of the row.

        Raises:
            LeaseLost: it is no longer ours, and nothing was written.
        """
        if not rows_of(self.state).filter(lease_token=self.token).update(**values):
            raise LeaseLost


def database_of(state: AbstractSyncState) -> str:
    """Return the alias of the database that `state` is written to."""
    return router.db_for_write(type(state), instance=state)


def rows_of(state: AbstractSyncState) -> models.QuerySet[Any]:
    """Return the row of `state` as a queryset."""
    found: models.QuerySet[Any] = type(state)._base_manager.using(database_of(state)).filter(pk=state.pk)
    return found


def read_again(state: AbstractSyncState) -> None:
    """Bring the caller's instance up to date."""
    state.refresh_from_db(using=database_of(state), fields=COLUMNS)


def claim(
    state: AbstractSyncState, *, from_start: bool = False, is_alone: bool = True, still: Q | None = None
) -> PullLease | None:
    """Take the state for PULL_LEASE_SECONDS, or return None: somebody is reading, it is given up, or the row is gone.

    The reading counts as unfinished until something ends it: of a worker that dies, the count is what stays.

    Args:
        from_start: forget the cursor in the same statement, and take over from whoever is reading: their page is
            rolled back, and is read again from the beginning. A crash after this repeats, and skips nothing.
        is_alone: nothing else is under way in this process. Otherwise None also where the last worker died: the
            statement itself decides, since a lease may run out between a look and the claim.
        still: what the row must be besides, such as due: whoever waited to be alone, or came second, may find that
            somebody has read the page meanwhile.
    """
    token = new_token()
    rows = rows_of(state)
    values: dict[str, Any] = {"unfinished": F("unfinished") + 1}
    if from_start:
        values = {"unfinished": 1, "cursor": "", "pages_in_run": 0}
    else:
        rows = rows.filter(free(), unfinished__lt=MAX_DEATHS if is_alone else 1)
    if still is not None:
        rows = rows.filter(still)
    if not rows.update(**taken(token, conf.PULL_LEASE_SECONDS), status=Status.RUNNING, **values):
        return None
    read_again(state)
    return PullLease(state, token)


def is_suspect(state: AbstractSyncState) -> bool:
    """Tell whether the last worker that read died; until its lease has run out, it counts as reading."""
    return rows_of(state).filter(free(), unfinished__gt=0).exists()


def given_up() -> Q:
    """The condition of a state whose workers died too often, as `give_up` left it."""
    return Q(unfinished__gte=MAX_DEATHS, lease_token="")


def give_up(state: AbstractSyncState, problem: str) -> bool:
    """Write down `problem` if the last worker that the state may cost has died; tell whether that is so.

    The count stays, and says that nobody is to read on; `start over` and `pull now` of a person take it back.
    """
    spent = rows_of(state).filter(~Q(lease_token=""), free(), unfinished__gte=MAX_DEATHS)
    is_new = spent.update(
        status=Status.FAILED,
        error_count=F("error_count") + 1,
        last_error=problem,
        next_sync_at=None,
        **leases.RELEASED,
    )
    return bool(is_new)


def outlast(lease: PullLease, adapter: BaseConnector) -> None:
    """Hold the state for as long as `adapter` may take for one page, if that is longer than PULL_LEASE_SECONDS.

    Raises:
        LeaseLost: it is no longer ours.
    """
    attempts, timeout = adapter.binding.attempts, adapter.binding.timeout or conf.TIMEOUT_SECONDS
    # A token may have to be fetched before, and again after a refusal: as long once more.
    seconds = 2 * (attempts * timeout + (attempts - 1) * conf.HTTP_WAIT_CAP_SECONDS)
    if isinstance(adapter.gate, CallGate) and adapter.gate.is_paced:  # each waits for its turn
        seconds += attempts * conf.PACE_SECONDS
    if seconds > conf.PULL_LEASE_SECONDS:
        extend(lease, seconds)


def extend(lease: PullLease, seconds: float) -> None:
    """Hold the state for `seconds` from now.

    Raises:
        LeaseLost: it is no longer ours.
    """
    lease.write(lease_expires_at=after(seconds))


def release(lease: PullLease) -> None:
    """Give the state back unread, if it is still ours."""
    rows_of(lease.state).filter(lease_token=lease.token).update(status=Status.IDLE, **RELEASED)


def save_page(lease: PullLease, cursor: str, *, has_more: bool) -> None:
    """Write where to go on, and give the state back; part of the transaction of the page's effect.

    Raises:
        LeaseLost: it is no longer ours; the transaction must be rolled back.
    """
    minutes = getattr(lease.state, "interval_minutes", None)
    following = None if minutes is None else Now() if has_more else after(minutes * 60)
    lease.write(
        cursor=cursor,
        status=Status.COMPLETED,
        error_count=0,
        last_error="",
        last_sync_at=Now(),
        next_sync_at=following,
        pages_in_run=F("pages_in_run") + 1 if has_more else 0,
        **RELEASED,
    )


def save_failure(lease: PullLease, problem: str, wait: float, **more: Any) -> None:
    """Write why there is no page, and give the state back; the cursor stays.

    Args:
        problem: our own words, at most 500 characters.
        wait: seconds during which tasks and scheduled pulls leave the provider alone.

    Raises:
        LeaseLost: it is no longer ours, and nothing was written.
    """
    lease.write(
        status=Status.FAILED,
        error_count=F("error_count") + 1,
        last_error=problem,
        next_sync_at=after(wait),
        **RELEASED,
        **more,
    )
