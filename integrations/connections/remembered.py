"""What an instance knows of its row, valid across rollbacks.

A rollback undoes what was written and what was read since, but not the attributes of an instance. So each piece of
knowledge keeps the transaction (or savepoint) in which it was obtained; if that is rolled back, the previous one
counts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connections


class Moment:
    """A transaction or savepoint that is still open: what happens in it stands unless it is rolled back."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._level = tuple(connection.savepoint_ids)
        connection.on_commit(self)
        self._queue = connection.run_on_commit

    def __call__(self) -> None:
        """Take note of the commit: from now on it is durable."""
        self._connection = self._queue = None

    def __deepcopy__(self, memo: Any) -> Moment:
        return self

    def __reduce__(self) -> Any:
        return _durable, ()  # another process cannot tell; it trusts the instance

    @property
    def is_open(self) -> bool:
        """True until the transaction is committed."""
        return self._connection is not None

    @property
    def stands(self) -> bool:
        """True unless it was rolled back: Django then drops what was to run after the commit."""
        if self._connection is None:
            return True
        queue = self._connection.run_on_commit
        if queue is not self._queue:
            if not any(call[1] is self for call in queue):
                return False
            self._queue = queue
        return True

    def is_now(self, connection: Any) -> bool:
        """Tell whether the same transaction and savepoint are open still."""
        return (
            self._connection is connection
            and self._queue is connection.run_on_commit
            and self._level == tuple(connection.savepoint_ids)
        )


def moment(using: str | None) -> Moment | None:
    """Return the present moment of a database; None outside of transactions, where all is durable at once."""
    connection: Any = connections[using] if using else None
    if connection is None or not connection.in_atomic_block:
        return None
    latest: Moment | None = getattr(connection, "_outbox_moment", None)
    if latest is None or not latest.is_now(connection):
        latest = connection._outbox_moment = Moment(connection)
    return latest


def _durable() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Remembered:
    """Columns as the database has them, as far as an instance knows.

    Attributes:
        values: the columns by name.
        at: when they were read or written; None: durable.
        before: what was known before that.
    """

    values: Mapping[str, Any]
    at: Moment | None = None
    before: Remembered | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any], using: str | None) -> Remembered:
        """Return what was just read from, or written to, the database `using`."""
        return cls(values, moment(using))

    def then(self, values: Mapping[str, Any], using: str | None) -> Remembered:
        """Return what is known after `values` were read or written too."""
        at = moment(using)
        before = None if at is None else self.before if self.at is at else self
        return Remembered({**self.values, **values}, at, before)


def still_known(found: Remembered | None) -> Remembered | None:
    """Return what is left of `found` after rollbacks; None: nothing."""
    while found is not None and found.at is not None and not found.at.stands:
        found = found.before
    return found
