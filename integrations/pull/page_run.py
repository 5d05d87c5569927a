"""One page: claim → fetch, with no transaction open → ONE transaction: effect, cursor, fence.

A crash before that transaction commits repeats the page; after it, the next page follows. Nothing is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import transaction
from django.db.models import Q

from integrations import conf, retry_policy
from integrations.acting import caused_by
from integrations.alone import MAX_DEATHS, PATIENCE, alone, times_died
from integrations.connections import health
from integrations.connections.abstract import AbstractConnection
from integrations.connections.models import TenantIntegration
from integrations.database.leases import LeaseLost
from integrations.delivery.call_gate import CallGate
from integrations.errors import (
    MAX_MESSAGE,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
    printable,
)
from integrations.lifecycle import announce, sync_completed
from integrations.telemetry.counters import PULL_PAGES
from integrations.telemetry.logs import IdLogger, about

from . import lease as leases
from .fetch import Fetched, FetchFn, fetch, next_cursor
from .handlers import ProcessFn
from .lease import PullLease
from .models import AbstractSyncState

logger = IdLogger(logging.getLogger("integrations.pull"))

QUIET = "its last worker died, so it must be read alone, and this process is busy; it is read later"
LOST = "another run took over while this page was read; it reads the page again"
WAY_OUT = "Fix the handler of the items, then pull now."
GONE = "the sync state was deleted meanwhile"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """One page, committed; or why there is none.

    Attributes:
        items: what the page held, as the connector returns it. Customers' data: not in the repr.
        items_fetched: how many.
        has_more: another page follows; ask again. False after an error, so that a loop over it ends.
        cursor: where the next page begins, already saved; after an error the old one.
        errors: why it failed, in our own words; empty after success.
        is_skipped: somebody else is reading, nothing was asked; no error.
        pages: 1 if a page was committed, else 0.
    """

    items: list[Any] = field(default_factory=list, repr=False)
    items_fetched: int = 0
    has_more: bool = False
    cursor: str = field(default="", repr=False)  # a provider may hide anything in it
    errors: list[str] = field(default_factory=list)
    is_skipped: bool = False
    pages: int = 0


def run_page(
    connection: AbstractConnection,
    sync_state: AbstractSyncState,
    resource_type: str,
    fetch_fn: FetchFn | None = None,
    process_fn: ProcessFn | None = None,
    *,
    is_full_resync: bool = False,
    from_start: bool = False,
    visited: Collection[str] = (),
    still: Q | None = None,
) -> SyncResult:
    """Fetch the page at the saved cursor, have its items processed, and save the next cursor with that.

    Args:
        fetch_fn: ``fetch_fn(adapter, cursor=…)`` instead of the connector's exported ``get_<resource_type>``.
        process_fn: ``process_fn(items, connection)``, inside the transaction that saves the cursor; what it raises
            rolls both back. Not called for a page without items.
        is_full_resync: what receivers of sync_completed are told.
        from_start: begin at the beginning; see lease.claim.
        visited: cursors that must not come again.
        still: see lease.claim; a row that is no longer so is skipped.

    Returns:
        The page, or what went wrong; whatever a provider, connector or `process_fn` does is a result.

    Raises:
        ValueError: the state belongs to another connection or resource.
        RuntimeError: called inside of a transaction, which would stay open while the provider is asked.
    """
    # The cursor of products is no place in orders, and one shop's is none in another's.
    if sync_state.resource_type != resource_type:
        raise ValueError(f"sync_state is of {sync_state.resource_type!r}, not of {str(resource_type)[:50]!r}")
    if getattr(sync_state, "connection_id", connection.pk) != connection.pk:
        raise ValueError("sync_state belongs to another connection")
    with about({**connection.log_ids(), "resource_type": resource_type, "sync_state_id": sync_state.pk}):
        claimed = partial(_claimed, sync_state, from_start, still)
        return _run(connection, sync_state, resource_type, fetch_fn, process_fn, is_full_resync, claimed, visited)


def _run(
    connection: AbstractConnection,
    sync_state: AbstractSyncState,
    resource_type: str,
    fetch_fn: FetchFn | None,
    process_fn: ProcessFn | None,
    is_full_resync: bool,
    claimed: Callable[[bool], PullLease | None],
    visited: Collection[str],
) -> SyncResult:
    name = f"{resource_type} of connection {connection.pk}"
    died = bool(sync_state.unfinished) and leases.is_suspect(sync_state)
    lease = None if died else claimed(False)
    if lease is not None:  # the usual
        return _read(_Page(connection, lease, resource_type, is_full_resync), fetch_fn, process_fn, visited)
    if not (died or leases.is_suspect(sync_state)):
        return _unclaimed(sync_state, name)
    with alone(PATIENCE) as is_alone:  # before it is claimed: who waits here may die of somebody else
        if not is_alone:
            logger.warning("pull of %s: %s", name, QUIET)
            return SyncResult(cursor=sync_state.cursor, is_skipped=True)
        lease = claimed(True)
        if lease is None:
            return _unclaimed(sync_state, name)
        return _read(_Page(connection, lease, resource_type, is_full_resync), fetch_fn, process_fn, visited)


def _read(run: _Page, fetch_fn: FetchFn | None, process_fn: ProcessFn | None, visited: Collection[str]) -> SyncResult:
    lease = run.lease
    try:
        if (too_many := run.too_many_pages()) is not None:
            return too_many
        try:
            page = run.fetched(fetch_fn)
            cursor = next_cursor(page, run.state.cursor, visited)
            health.record_success(run.connection)
            leases.extend(lease, conf.PULL_LEASE_SECONDS)  # the effect has the whole of it
        except LeaseLost:
            raise
        except Exception as error:
            health.count_refusal(run.connection, error)
            return run.failed(error, "the fetch")
        try:
            return run.committed(page, cursor, process_fn)
        except LeaseLost:
            raise
        except Exception as error:
            return run.failed(error, "the processing")
    except LeaseLost:
        return run.lost()
    except (DatabaseFailure, KeyboardInterrupt):  # no failure of the provider, nor of a handler
        with suppress(DatabaseFailure):  # the lease ends by itself
            leases.release(lease)
        raise
    except BaseException as error:  # sys.exit() in a handler, as much as our own end: it must not be tried at once
        with suppress(DatabaseFailure, LeaseLost):
            run.failed(error, "the page")
        raise


def _unclaimed(sync_state: AbstractSyncState, name: str) -> SyncResult:
    """Say why the state could not be taken; whoever finds that its last worker has died gives it up."""
    problem = f"given up: {times_died(MAX_DEATHS, conf.PULL_LEASE_SECONDS)} for this page. {WAY_OUT}"
    if leases.give_up(sync_state, problem):
        logger.error("pull of %s: %s", name, problem)
    try:
        leases.read_again(sync_state)
    except type(sync_state).DoesNotExist:
        return SyncResult(errors=[GONE])
    if sync_state.is_given_up:
        return SyncResult(cursor=sync_state.cursor, errors=[sync_state.last_error])
    return SyncResult(cursor=sync_state.cursor, is_skipped=True)


def _claimed(sync_state: AbstractSyncState, from_start: bool, still: Q | None, is_alone: bool) -> PullLease | None:
    try:
        # Durable: a claim that others do not see yet would be none, and the fetch would keep the transaction open.
        with transaction.atomic(using=leases.database_of(sync_state), durable=True):
            if sync_state.pk is None:
                sync_state.save()
            return leases.claim(sync_state, from_start=from_start, is_alone=is_alone, still=still)
    except RuntimeError:
        raise RuntimeError(
            "a pull commits page by page: call it outside of transaction.atomic() and of ATOMIC_REQUESTS"
        ) from None


class _Page:
    """One page on its way; the holder of `lease`."""

    def __init__(
        self, connection: AbstractConnection, lease: PullLease, resource_type: str, is_full_resync: bool
    ) -> None:
        self.connection, self.lease, self.state = connection, lease, lease.state
        self.resource_type, self.is_full_resync = resource_type, is_full_resync
        self.is_durable = False

    @property
    def name(self) -> str:
        return f"{self.resource_type} of connection {self.connection.pk}"

    def too_many_pages(self) -> SyncResult | None:
        """End a run that does not end by itself; the next one goes on where it was."""
        if self.state.pages_in_run < conf.PULL_MAX_PAGES:
            return None
        error = IntegrationPermanentError(
            f"stopped after {self.state.pages_in_run:,} pages without an end. If there are so many, raise "
            "INTEGRATIONS_PULL_MAX_PAGES; the next run goes on here.",
            code="too_many_pages",
        )
        return self.failed(error, "the run", pages_in_run=0)

    def fetched(self, fetch_fn: FetchFn | None) -> Fetched:
        adapter = self.connection.get_adapter()
        if isinstance(adapter.gate, CallGate):
            adapter.gate.patience = conf.PACE_SECONDS  # as a lane on the slow queue
        leases.outlast(self.lease, adapter)
        with adapter:
            return fetch(adapter, self.resource_type, self.state.cursor, fetch_fn)

    def committed(self, page: Fetched, cursor: str, process_fn: ProcessFn | None) -> SyncResult:
        """Write the page's effect and the cursor, together, if the state is still ours."""
        result = SyncResult(page.items, len(page.items), page.has_more, cursor, pages=1)
        try:
            with transaction.atomic(using=self.lease.using):
                # Before the effect, whose own callbacks may raise: Django then drops those that come later.
                transaction.on_commit(self._note_durable, using=self.lease.using)
                self._announce(result)
                if process_fn is not None and page.items:
                    # What is written because a provider said so is no news to that provider.
                    is_ours = isinstance(self.connection, TenantIntegration)
                    with caused_by(self.connection.pk, may_loop=False) if is_ours else nullcontext():
                        process_fn(page.items, self.connection)
                    if transaction.get_rollback(using=self.lease.using):
                        raise IntegrationTemporaryError(
                            "the processing rolled its transaction back", code="rolled_back"
                        )
                leases.save_page(self.lease, cursor, has_more=page.has_more)
                leases.read_again(self.state)
        except Exception as error:
            if not self.is_durable:
                raise
            logger.error("pull of %s: a callback after the commit failed: %s", self.name, _kind_and_place(error))
        PULL_PAGES.labels("committed").inc()
        return result

    def failed(self, error: BaseException, what: str, **more: Any) -> SyncResult:
        """Write down `error`; the cursor stays."""
        if isinstance(error, IntegrationError):
            known = error
            logger.warning("pull of %s failed: %s", self.name, getattr(error, "message", "") or type(error).__name__)
        else:
            # Not its text: a driver or a parser repeats what it was given.
            known = IntegrationTemporaryError(f"{what} failed: unexpected {type(error).__name__}", code="unexpected")
            logger.error("pull of %s: %s failed: %s", self.name, what, _kind_and_place(error))
        # A connector's or a handler's own kind of error may be made in any way.
        words = str(getattr(known, "message", "") or f"{what} failed: {getattr(known, 'code', type(known).__name__)}")
        problem = printable(words[:MAX_MESSAGE])
        leases.save_failure(self.lease, problem, _wait(known, self.state.error_count + 1), **more)
        PULL_PAGES.labels("failed").inc()
        leases.read_again(self.state)
        return SyncResult(cursor=self.state.cursor, errors=[problem])

    def lost(self) -> SyncResult:
        """Say why nothing was written: the state is another run's now, or it was deleted, as with its connection."""
        try:
            leases.read_again(self.state)
            problem = LOST
        except type(self.state).DoesNotExist:
            problem = GONE
        logger.warning("pull of %s: %s", self.name, problem)
        return SyncResult(cursor=self.state.cursor, errors=[problem])

    def _note_durable(self) -> None:
        self.is_durable = True

    def _announce(self, result: SyncResult) -> None:
        announce(
            sync_completed,
            type(self.connection),
            using=self.lease.using,
            connection=self.connection,
            sync_state=self.state,
            sync_result=result,
            resource_type=self.resource_type,
            is_full_resync=self.is_full_resync,
        )


def _wait(error: IntegrationError, attempt: int) -> float:
    """Return the seconds until the next try: as a lane waits, but never giving up, and not for hours."""
    cap = conf.PULL_RETRY_CAP_SECONDS
    policy = replace(retry_policy.webhook(), cap=cap, max_attempts=attempt + 1)
    delay = policy.delay(attempt, error, 0.0)
    return cap if delay is None else delay


def _kind_and_place(error: BaseException) -> str:
    """Return ``KeyError at orders.py:12``, without the text of `error`."""
    frames = extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
