"""The periodic tasks, as rows that operators may edit in the admin (django-celery-beat)."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.db.models.functions import Now

from integrations import conf
from integrations.database.tables import has_tables


def beat_schedule(sweep_seconds: float = 15.0) -> dict[str, dict[str, Any]]:
    """Return the periodic tasks as ``CELERY_BEAT_SCHEDULE`` has them, for a project without django-celery-beat.

        CELERY_BEAT_SCHEDULE = {**beat_schedule(), "mine": …}

    Args:
        sweep_seconds: how often what is due is looked for.
    """
    return {name: {"task": task, "schedule": seconds} for name, task, seconds in _tasks(sweep_seconds)}


class Scheduled(NamedTuple):
    """One periodic task: its name for people, the task, the seconds between two runs, and whether it is switched on."""

    name: str
    task: str
    seconds: float
    is_enabled: bool = True


def scheduled() -> list[Scheduled]:
    """Return our periodic tasks as they are scheduled: as operators have edited them, if their rows are here."""
    tasks = [Scheduled(*each) for each in _tasks(conf.SWEEP_SECONDS)]
    if "django_celery_beat" not in settings.INSTALLED_APPS:
        return tasks
    from django_celery_beat.models import PeriodicTask

    rows = PeriodicTask.objects.filter(task__in=[each.task for each in tasks]).select_related("interval")
    edited = {row.task: row for row in rows}
    found = []
    for each in tasks:
        row = edited.get(each.task)
        if row is None:
            found.append(each._replace(is_enabled=False))
            continue
        seconds = row.interval.schedule.run_every.total_seconds() if row.interval else each.seconds
        found.append(Scheduled(row.name, each.task, seconds, row.enabled))
    return found


def _tasks(sweep_seconds: float) -> tuple[tuple[str, str, float], ...]:
    return (
        ("Deliver what is due", "integrations.tasks.retry_failed_syncs", sweep_seconds),
        ("Process webhooks that came in", "integrations.tasks.process_received_webhooks", sweep_seconds),
        ("Go on with replays and backfills", "integrations.tasks.run_jobs", sweep_seconds),
        ("Forget what is settled and old", "integrations.tasks.purge_settled", 3600),
        ("Delete what is marked", "integrations.tasks.delete_marked", 60),
        ("Tell what is wrong", "integrations.tasks.tell_alerts", 60),
        ("Sum up figures", "integrations.tasks.roll_up_figures", 60),
        ("Check connections", "integrations.tasks.check_connections", 60),
        ("Pull what is due", "integrations.tasks.pull_due", 60),
        ("Renew old credentials", "integrations.tasks.rotate_credentials", 86400),
    )


def ensure_schedule(using: str = "default") -> None:
    """Create the rows that are missing, and mend those that a clock stops. Runs after every migrate.

    What an operator changed stays changed, but for an expiry: Celery compares the clocks of two machines for it, and a
    worker whose clock is ahead would drop every message. Messages that pile up are harmless
    (observability/periodic.py).
    """
    if "django_celery_beat" not in settings.INSTALLED_APPS:
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    if not has_tables(using, PeriodicTask, IntervalSchedule):
        return
    tasks = _tasks(int(conf.SWEEP_SECONDS))
    for name, task, seconds in tasks:
        if not PeriodicTask.objects.using(using).filter(task=task).exists():
            every, _ = IntervalSchedule.objects.using(using).get_or_create(every=seconds, period="seconds")
            PeriodicTask.objects.using(using).create(name=name, task=task, interval=every)
    ours = PeriodicTask.objects.using(using).filter(task__in=[task for _, task, _ in tasks])
    mended = ours.exclude(expire_seconds=None, expires=None).update(expire_seconds=None, expires=None)
    mended += ours.filter(last_run_at__gt=Now()).update(last_run_at=Now())  # written by a clock that was ahead
    if mended and using == "default":
        PeriodicTasks.update_changed()  # a scheduler that runs reads them again
