"""The Celery application: ``celery -A app worker``, ``celery -A app beat``."""

import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")

app = Celery("app")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_postrun.connect(dispatch_uid="give back pooled connections")
def _give_back(sender: Any = None, **_: Any) -> None:
    """Give this thread's connections back to their pool: a thread that waits for its next task needs none.

    CELERY_DB_REUSE_MAX would have each thread keep one, and a hundred threads share ten.
    """
    from django.db import connections

    if not getattr(getattr(sender, "request", None), "is_eager", False):
        for connection in connections.all(initialized_only=True):
            if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
                connection.close()


def _after_fork() -> None:
    """Forget the pool in a forked child: the threads that serve it are not there, its sockets are its parent's."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        pools = getattr(connection, "_connection_pools", None)
        if pools and connection.settings_dict["OPTIONS"].get("pool"):
            _inherited.append((dict(pools), connection.connection))  # kept, so that nothing ends them
            pools.clear()
            connection.connection = None


_inherited: list[Any] = []
os.register_at_fork(after_in_child=_after_fork)
