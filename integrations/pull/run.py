"""Page after page, for PULL_SECONDS; what remains is for the next message."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db.models import Q
from django.db.models.functions import Now

from integrations import conf
from integrations.connections.abstract import AbstractConnection

from .handlers import ProcessFn
from .lease import rows_of
from .models import AbstractSyncState
from .page_run import run_page

DISABLED = "the connection is not operational"
UNKNOWN = "unknown connection"


@dataclass(slots=True)
class Run:
    """What one worker pulled: counts and the outcome in our own words, no items."""

    pages: int = 0
    items: int = 0
    outcome: str = "done"
    has_more: bool = False

    def answer(self) -> dict[str, int | str]:
        """Return what a task answers."""
        return {"pages": self.pages, "items": self.items, "outcome": self.outcome}


def may_pull(connection: AbstractConnection) -> bool:
    """Tell whether `connection` is on: by the breaker, by its last test, and by its owner's switch."""
    return connection.is_operational and bool(getattr(connection, "is_active", True))


def is_resting(sync_state: AbstractSyncState) -> bool:
    """Tell whether the provider failed, or asked to wait, and is to be left alone for now."""
    return rows_of(sync_state).filter(error_count__gt=0, next_sync_at__gt=Now()).exists()


def pull_pages(
    connection: AbstractConnection,
    sync_state: AbstractSyncState,
    resource_type: str,
    process_fn: ProcessFn | None = None,
    *,
    is_full_resync: bool = False,
    from_start: bool = False,
    still: Q | None = None,
) -> Run:
    """Pull until the end, an error, or PULL_SECONDS; see `run_page`."""
    run, visited = Run(), set[str]()
    stop_at = time.monotonic() + conf.PULL_SECONDS
    while True:
        result = run_page(
            connection,
            sync_state,
            resource_type,
            process_fn=process_fn,
            is_full_resync=is_full_resync,
            from_start=from_start,
            visited=visited,
            still=still,
        )
        from_start = False
        run.pages += result.pages
        run.items += result.items_fetched
        run.has_more = result.has_more
        if result.is_skipped:
            run.outcome = "busy"
        elif result.errors:
            run.outcome = "failed"
        if not result.has_more:
            return run
        # A run that goes on at a later message knows its start alone; PULL_MAX_PAGES ends the longer circles.
        visited.add(result.cursor)
        if time.monotonic() > stop_at:
            run.outcome = "continues"
            return run
        switches = {"is_enabled", "is_connected", "is_active"}
        try:
            connection.refresh_from_db(fields=[f.name for f in connection._meta.concrete_fields if f.name in switches])
        except type(connection).DoesNotExist:  # deleted between two pages: nothing is left to do
            run.outcome = UNKNOWN
            return run
        if not may_pull(connection):
            run.outcome = DISABLED
            return run
