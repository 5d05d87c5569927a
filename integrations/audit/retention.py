"""Forget log entries that belong to no sync (tests, re-enabling): those of a sync go with it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError, models

from integrations import conf, database_clock

from .models import AbstractExecutionLog, ExecutionLog
from .tables import log_models

logger = logging.getLogger("integrations.audit")


def purge_log() -> int:
    """Delete entries older than RETENTION_DAYS, in batches; return how many.

    Ours without a sync first, then those of the hosts' own logs: a host's table that is not there costs ours nothing.
    """
    before = database_clock.now() - timedelta(days=conf.RETENTION_DAYS)
    old = ExecutionLog.objects.filter(sync=None, created_at__lt=before).order_by("id")
    count = 0
    while ids := list(old.values_list("id", flat=True)[: conf.RETENTION_BATCH]):
        count += ExecutionLog.objects.filter(id__in=ids).delete()[0]
    for model in log_models():
        if model is ExecutionLog:
            continue
        try:
            count += _purge(model, before)
        except DatabaseError as problem:
            logger.error("the log %s was not purged: %s", model._meta.label, type(problem).__name__)
    return count


def _purge(model: type[AbstractExecutionLog], before: datetime) -> int:
    """Delete in the order of the key: rows are written in that of time, so the first young one is the end.

    A host whose keys do not ascend has its table looked through instead.
    """
    rows = model._base_manager.order_by("pk")
    ascends = isinstance(model._meta.pk, models.AutoField | models.BigAutoField | models.SmallAutoField)
    count = 0
    while True:
        some = rows if ascends else rows.filter(created_at__lt=before)
        batch = list(some.values_list("pk", "created_at")[: conf.RETENTION_BATCH])
        old = [pk for pk, created_at in batch if created_at < before]
        if not old:
            return count
        count += model._base_manager.filter(pk__in=old).delete()[0]
