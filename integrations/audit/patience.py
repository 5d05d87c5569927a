"""A bound on how long the database may keep waiting what is written about a call: the call must not wait with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

LOCK_SECONDS = 2  # for a lock that somebody else holds, a table's or a row's


def commits_at_once(using: str) -> bool:
    """Tell whether what is written now is durable at once; the frame of a test case does not count as a transaction."""
    blocks = connections[using].atomic_blocks
    return not connections[using].in_atomic_block or bool(blocks and getattr(blocks[-1], "_from_testcase", False))


@contextmanager
def briefly(using: str) -> Iterator[None]:
    """Run the block in a transaction of its own (inside another one: a savepoint) that waits for locks LOCK_SECONDS.

    Raises:
        DatabaseError: the lock was not to be had, or the transaction around it is broken already.
    """
    connection = connections[using]
    bounded = {"postgresql": _on_postgresql, "sqlite": _on_sqlite}.get(connection.vendor, transaction.atomic)
    with bounded(using):
        yield


@contextmanager
def _on_postgresql(using: str) -> Iterator[None]:
    connection = connections[using]
    is_inside = connection.in_atomic_block
    with transaction.atomic(using=using), connection.cursor() as cursor:
        before = ""
        if is_inside:
            cursor.execute("SELECT current_setting('lock_timeout')")
            before = cursor.fetchone()[0]
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
        yield
        if is_inside:  # a savepoint that is kept keeps its settings; one that is rolled back does not
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])


@contextmanager
def _on_sqlite(using: str) -> Iterator[None]:
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        before = int(cursor.fetchone()[0])
        cursor.execute(f"PRAGMA busy_timeout = {min(before, LOCK_SECONDS * 1000)}")
    try:
        with transaction.atomic(using=using):
            yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {before}")
