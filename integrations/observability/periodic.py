"""Periodic tasks whose messages pile up while no worker runs: one of them does the work, the others nothing.

A message has no expiry. Celery would compare the clocks of two machines for it, and a worker that is a minute ahead
would drop every sweep without a word.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.apps import apps
from kombu.exceptions import OperationalError

from integrations.database.times import after
from integrations.delivery.schedule import scheduled

from .heartbeat import beat
from .models import Heartbeat

logger = logging.getLogger("integrations.observability")

LOOK = "integrations.tasks.tell_alerts"  # at what is wrong
LOOKS_MISSED = 5  # then beat is no longer waited for


def scheduled_as(request: Any) -> str:
    """Return the name of the row (django-celery-beat) for which a scheduler sent the message of `request`; "": none."""
    headers = getattr(request, "headers", None) or {}
    return str(headers.get("periodic_task_name") or getattr(request, "periodic_task_name", None) or "")


def has_just_run(task: str, scheduled_name: str) -> bool:
    """Tell whether another run of `task` ended less than half a period ago, by the database's clock."""
    period = _period(scheduled_name)
    return period > 0 and Heartbeat.objects.filter(name=_key(task), beaten_at__gt=after(-period / 2)).exists()


def note_end(task: str) -> None:
    """Note that a run of `task` has ended now."""
    beat(_key(task))


def last_ends() -> dict[str, datetime]:
    """Return when a run of each of our periodic tasks last ended, by the task's name."""
    ends = dict(Heartbeat.objects.values_list("name", "beaten_at"))
    return {each.task: ends[_key(each.task)] for each in scheduled() if _key(each.task) in ends}


def look_in_place_of_beat(app: Any, queues: Collection[str]) -> bool:
    """Ask for the look at what is wrong, if beat has stopped doing so; tell whether that was necessary.

    Called by every worker every few seconds. Nobody else could tell people that beat is silent.

    Args:
        queues: those that the calling worker takes messages from. The message goes into one of them, the task's own if
            that is among them: no other worker may run.
    """
    entry = next((each for each in scheduled() if each.task == LOOK and each.is_enabled), None)
    if entry is None or not apps.is_installed("django_celery_beat"):
        return False  # then no run is noted, and none is missed
    if not Heartbeat.objects.filter(name=_key(LOOK), beaten_at__lt=after(-LOOKS_MISSED * entry.seconds)).exists():
        return False
    task = app.tasks[LOOK]
    queue = task.queue if task.queue in queues else min(queues, default=task.queue)
    try:
        task.apply_async(headers={"periodic_task_name": entry.name}, queue=queue)
    except OperationalError:
        logger.warning("beat is silent, and the broker does not take the look at what is wrong")
    return True


def _key(task: str) -> str:
    return task.rpartition(".")[2][:50]


def _period(scheduled_name: str) -> float:
    """Return the seconds between two messages, 0 for a row without an interval."""
    if not scheduled_name or not apps.is_installed("django_celery_beat"):
        return 0.0
    from django_celery_beat.models import PeriodicTask

    row = PeriodicTask.objects.select_related("interval").filter(name=scheduled_name).first()
    return row.interval.schedule.run_every.total_seconds() if row is not None and row.interval else 0.0
