"""What host code may listen to: five signals, each sent when its cause is durable.

    webhook_event_received     webhook_event, connection, provider_family, provider_name
    webhook_event_processed    the same, webhook_dto, event_type
    connection_status_changed  connection, is_connected, is_enabled, previous_connected, previous_enabled
    connection_disabled        connection, auth_failure_count, reason
    sync_completed             connection, sync_state, sync_result, resource_type, is_full_resync

Import them from integrations.signals. A receiver that raises is logged by name, and breaks nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections
from django.dispatch import Signal

logger = logging.getLogger("integrations.lifecycle")


class _Quiet(Signal):
    """Django would log what receivers raise, text and all."""

    def _log_robust_failure(self, receiver: Any, err: Exception) -> None:
        """Say nothing: `announce_now` does, in our words."""


webhook_event_received = _Quiet()
webhook_event_processed = _Quiet()
connection_status_changed = _Quiet()
connection_disabled = _Quiet()
sync_completed = _Quiet()


def announce(signal: Signal, sender: type, *, using: str = "default", **values: Any) -> None:
    """Send `signal` once the current transaction is durable; at once if there is none, never if it rolls back."""

    def after_commit() -> None:
        announce_now(signal, sender, **values)

    connections[using].on_commit(after_commit, robust=True)


def announce_now(signal: Signal, sender: type, **values: Any) -> list[str]:
    """Send `signal` and return the names of the receivers that raised.

    Their errors' texts are not repeated: they are other people's, and may hold anything.
    """
    failed = []
    for receiver, answer in signal.send_robust(sender=sender, **values):
        if isinstance(answer, Exception):
            name = getattr(receiver, "__qualname__", type(receiver).__qualname__)
            failed.append(name)
            logger.error("the receiver %s failed: %s", name, type(answer).__name__)
    return failed
