"""Connections of a pool (``OPTIONS["pool"]`` of a database), in workers whose threads share them."""

from __future__ import annotations

import os
from typing import Any

from celery.signals import task_postrun
from django.db import connections

_inherited: list[Any] = []


@task_postrun.connect(dispatch_uid="give back pooled connections")
def _give_back(sender: Any = None, **_: Any) -> None:
    """Give this thread's connections back after a task of ours: a thread that waits for its next task needs none.

    CELERY_DB_REUSE_MAX would have each thread keep one, and a hundred threads share ten.
    """
    is_ours = str(getattr(sender, "name", "")).startswith("integrations.")
    if not is_ours or getattr(sender.request, "is_eager", False):
        return
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
            connection.close()


def _after_fork() -> None:
    """Forget the pool in a forked child: the threads that serve it are not there, its sockets are its parent's."""
    for connection in connections.all(initialized_only=True):
        pools = getattr(connection, "_connection_pools", None)
        if pools and connection.settings_dict["OPTIONS"].get("pool"):
            _inherited.append((dict(pools), connection.connection))  # kept, so that nothing ends them
            pools.clear()
            connection.connection = None


os.register_at_fork(after_in_child=_after_fork)
