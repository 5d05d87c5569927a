"""Tell whoever listens that a connection went up or down (S0-87, S0-88)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from django.db import router

from integrations.lifecycle import announce, connection_disabled, connection_status_changed

if TYPE_CHECKING:
    from .abstract import AbstractConnection

COLUMNS = frozenset({"is_connected", "is_enabled"})


class Status(NamedTuple):
    """What a connection's two switches say; None for a column that was not loaded."""

    is_connected: bool | None
    is_enabled: bool | None


def status_of(connection: AbstractConnection) -> Status:
    """Return what the instance says, without asking the database for a deferred column."""
    values = connection.__dict__
    return Status(values.get("is_connected"), values.get("is_enabled"))


def announce_change(connection: AbstractConnection, before: Status, now: Status) -> None:
    """Send connection_status_changed after the commit, if anything did change."""
    if before == now or None in (*before, *now):
        return
    announce(
        connection_status_changed,
        type(connection),
        using=router.db_for_write(type(connection), instance=connection),
        connection=connection,
        is_connected=now.is_connected,
        is_enabled=now.is_enabled,
        previous_connected=before.is_connected,
        previous_enabled=before.is_enabled,
    )


def announce_disabled(connection: AbstractConnection, *, auth_failure_count: int, reason: str) -> None:
    """Send connection_disabled after the commit; the caller makes sure that it is once per trip."""
    announce(
        connection_disabled,
        type(connection),
        using=router.db_for_write(type(connection), instance=connection),
        connection=connection,
        auth_failure_count=auth_failure_count,
        reason=reason,
    )
