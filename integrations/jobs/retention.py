"""Forget jobs that ended long ago."""

from __future__ import annotations

from integrations.database.retention import is_old

from .models import OVER, Job


def purge_jobs() -> int:
    """Delete jobs that ended more than RETENTION_DAYS ago; return how many."""
    return Job.objects.filter(is_old("ended_at"), state__in=OVER).delete()[0]
