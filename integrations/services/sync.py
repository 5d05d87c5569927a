"""Pull from a provider, page by page.

result = SyncService.incremental_sync(connection, sync_state, "orders", process_fn=store_orders)
"""

from __future__ import annotations

from integrations.connections.abstract import AbstractConnection
from integrations.pull.fetch import FetchFn
from integrations.pull.handlers import ProcessFn
from integrations.pull.models import AbstractSyncState
from integrations.pull.page_run import SyncResult, run_page


class SyncService:
    """One page per call; a loop over ``has_more`` reads all of them, and ends."""

    @staticmethod
    def incremental_sync(
        connection: AbstractConnection,
        sync_state: AbstractSyncState,
        resource_type: str,
        fetch_fn: FetchFn | None = None,
        process_fn: ProcessFn | None = None,
    ) -> SyncResult:
        """Fetch one page from where the last one ended, and save where it ends.

        Args:
            sync_state: whose cursor is used; brought up to date.
            resource_type: what to read: ``orders`` calls the connector's exported ``get_orders``.
            fetch_fn: ``fetch_fn(adapter, cursor=…)`` is called instead.
            process_fn: ``process_fn(items, connection)`` stores them, in the transaction that saves the cursor.

        Returns:
            The page; or `errors`, and the cursor stays; or `is_skipped`, because another run is reading.

        Raises:
            ValueError: `sync_state` belongs to another connection or resource.
            RuntimeError: called inside of a transaction.
        """
        return run_page(connection, sync_state, resource_type, fetch_fn, process_fn)

    @staticmethod
    def full_resync(
        connection: AbstractConnection,
        sync_state: AbstractSyncState,
        resource_type: str,
        fetch_fn: FetchFn | None = None,
        process_fn: ProcessFn | None = None,
    ) -> SyncResult:
        """Forget the cursor and fetch the first page; `incremental_sync` reads the others.

        The cursor is forgotten before anything is fetched, for good: after a failure or a crash the next run begins at
        the beginning too. A run that is reading meanwhile is interrupted, and commits nothing more.
        """
        return run_page(
            connection, sync_state, resource_type, fetch_fn, process_fn, is_full_resync=True, from_start=True
        )
