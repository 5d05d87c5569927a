"""Signs of life by name: ``worker`` whenever a worker starts or runs the sweep, ``beat`` whenever the scheduler sends
something, and the end of each periodic task (periodic.py). Who the processes are is in processes.py.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError
from django.db.models.functions import Now

from integrations import conf
from integrations.database.times import after

from .models import Heartbeat

logger = logging.getLogger("integrations.observability")


def beat(name: str) -> None:
    """Note that `name` is alive; never raises because of the database."""
    try:
        Heartbeat.objects.bulk_create(
            [Heartbeat(name=name, beaten_at=Now())],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["beaten_at"],
        )
    except DatabaseError:
        logger.exception("could not note that %s is alive", name)


def is_alive(name: str, *, since: datetime | None = None) -> bool:
    """Tell whether `name` was seen since then; by default within HEARTBEAT_STALE_SECONDS."""
    start = since or after(-conf.HEARTBEAT_STALE_SECONDS)
    return Heartbeat.objects.filter(name=name, beaten_at__gte=start).exists()


def which_are_alive(*names: str) -> set[str]:
    """Return those of `names` that were seen within HEARTBEAT_STALE_SECONDS."""
    rows = Heartbeat.objects.filter(name__in=names, beaten_at__gte=after(-conf.HEARTBEAT_STALE_SECONDS))
    return set(rows.values_list("name", flat=True))
