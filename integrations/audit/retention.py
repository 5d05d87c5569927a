"""Forget log entries that belong to no sync (tests, re-enabling): those of a sync go with it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from integrations import conf

from .models import ExecutionLog


def purge_log() -> int:
    """Delete entries without a sync older than RETENTION_DAYS, in batches; return how many."""
    before = timezone.now() - timedelta(days=conf.RETENTION_DAYS)
    old = ExecutionLog.objects.filter(sync=None, created_at__lt=before).order_by("id")
    count = 0
    while ids := list(old.values_list("id", flat=True)[: conf.RETENTION_BATCH]):
        count += ExecutionLog.objects.filter(id__in=ids).delete()[0]
    return count
