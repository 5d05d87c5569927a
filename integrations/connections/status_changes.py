"""Announce that a connection went up or down, and tell which columns a save writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import router

from integrations.lifecycle import announce, connection_disabled, connection_status_changed

from .row import ConnectionRow

# What tests, calls and lanes write beside everybody else's saves.
RUN_TIME = frozenset(
    {
        "is_connected",
        "is_enabled",
        "last_test_at",
        "auth_failure_count",
        "refused_calls",
        "last_auth_failure_at",
        "disabled_reason",
    }
)


class Status(NamedTuple):
    """What a connection's two switches say; None for a column that was not loaded."""

    is_connected: bool | None
    is_enabled: bool | None


def loaded(connection: ConnectionRow) -> dict[str, Any]:
    """Return the run-time columns that the instance has, without asking the database for a deferred one."""
    return {name: value for name, value in connection.__dict__.items() if name in RUN_TIME}


def columns_to_save(connection: ConnectionRow, before: Mapping[str, Any]) -> list[str]:
    """Return the columns of a save that names none: all but the run-time columns that this instance did not change.

    Otherwise saving new credentials on an instance that was read earlier would enable a row that was disabled since.
    """
    deferred = connection.get_deferred_fields()
    return [
        field.name
        for field in connection._meta.concrete_fields
        if not field.primary_key
        and field.attname not in deferred
        and not (field.name in before and before[field.name] == getattr(connection, field.name))
    ]


def announce_saved(connection: ConnectionRow, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Announce what a save changed; `before` and `now` are run-time columns."""
    was, is_ = (Status(values.get("is_connected"), values.get("is_enabled")) for values in (before, now))
    announce_change(connection, was, is_)


def announce_change(connection: ConnectionRow, before: Status, now: Status) -> None:
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


def announce_disabled(connection: ConnectionRow, *, auth_failure_count: int, reason: str) -> None:
    """Send connection_disabled after the commit; the caller makes sure that it is once per trip."""
    announce(
        connection_disabled,
        type(connection),
        using=router.db_for_write(type(connection), instance=connection),
        connection=connection,
        auth_failure_count=auth_failure_count,
        reason=reason,
    )
