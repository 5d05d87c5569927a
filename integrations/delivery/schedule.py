"""The periodic tasks, as rows that operators may edit in the admin (django-celery-beat)."""

from __future__ import annotations

from django.conf import settings

from integrations import conf


def ensure_schedule(using: str = "default") -> None:
    """Create the rows that are missing; what an operator changed stays changed. Runs after every migrate."""
    if "django_celery_beat" not in settings.INSTALLED_APPS:
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    if PeriodicTask._meta.db_table not in _tables(using):
        return  # its own migrations come later in this very run; post_migrate is sent once more
    for name, task, seconds in (
        ("Deliver what is due", "integrations.tasks.retry_failed_syncs", int(conf.SWEEP_SECONDS)),
        ("Process webhooks that came in", "integrations.tasks.process_received_webhooks", int(conf.SWEEP_SECONDS)),
        ("Forget what is settled and old", "integrations.tasks.purge_settled", 3600),
        ("Delete what is marked", "integrations.tasks.delete_marked", 60),
        ("Check connections", "integrations.tasks.check_connections", 60),
        ("Pull what is due", "integrations.tasks.pull_due", 60),
        ("Renew old credentials", "integrations.tasks.rotate_credentials", 86400),
    ):
        if not PeriodicTask.objects.using(using).filter(task=task).exists():
            every, _ = IntervalSchedule.objects.using(using).get_or_create(every=seconds, period="seconds")
            # Expires with the next one: while no worker runs, they must not pile up in the broker.
            PeriodicTask.objects.using(using).create(name=name, task=task, interval=every, expire_seconds=seconds)


def _tables(using: str) -> list[str]:
    from django.db import connections

    return connections[using].introspection.table_names()
