"""Undo what a piece of somebody's code did in the database, if it fails; free where it does not ask the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections


@contextmanager
def lazy_savepoint(using: str) -> Iterator[None]:
    """Set a savepoint before the first statement of the block, and go back to it if the block raises.

    On PostgreSQL a statement that fails spoils the transaction around it, even if its exception is handled: that of the
    user's save, where a payload is made.
    """
    connection = connections[using]
    if not connection.in_atomic_block:
        yield
        return
    was_spoilt = connection.needs_rollback
    savepoint: str | None = None
    is_first = True

    def before(execute: Callable[..., Any], *statement: Any) -> Any:
        nonlocal is_first, savepoint
        if is_first:
            is_first = False  # the savepoint is a statement, too
            savepoint = connection.savepoint()
        return execute(*statement)

    try:
        with connection.execute_wrapper(before):
            yield
    except Exception:
        connection.needs_rollback = was_spoilt
        if savepoint:
            connection.savepoint_rollback(savepoint)
            connection.savepoint_commit(savepoint)
        raise
    if savepoint:
        connection.savepoint_commit(savepoint)
