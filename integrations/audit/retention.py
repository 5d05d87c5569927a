"""Forget log entries that are old, whether what they tell about is still there or not."""

from __future__ import annotations

import logging

from django.db import DatabaseError, models
from django.db.models import BooleanField, ExpressionWrapper, Q

from integrations import conf
from integrations.database_clock import after
from integrations.tenancy.deletion import delete_page

from .models import AbstractExecutionLog, ExecutionLog
from .tables import log_models

logger = logging.getLogger("integrations.audit")
DAY = 86400.0


def purge_log() -> int:
    """Delete entries older than RETENTION_DAYS, in batches; return how many.

    Ours first, then those of the hosts' own logs: a host's table that is not there costs ours nothing.
    """
    count = _purge(ExecutionLog)
    for model in log_models():
        if model is ExecutionLog:
            continue
        try:
            count += _purge(model)
        except DatabaseError as problem:
            logger.error("the log %s was not purged: %s", model._meta.label, type(problem).__name__)
    return count


def _purge(model: type[AbstractExecutionLog]) -> int:
    """Delete in the order of the key: rows are written in that of time, so the first young one is the end.

    A host whose keys do not ascend has its table looked through instead. Old is what the database's clock says.
    """
    is_old = Q(created_at__lt=after(-conf.RETENTION_DAYS * DAY))
    rows = model._base_manager.all()
    ascends = isinstance(model._meta.pk, models.AutoField | models.BigAutoField | models.SmallAutoField)
    some = rows.order_by("pk") if ascends else rows.filter(is_old).order_by("pk")
    some = some.annotate(is_old=ExpressionWrapper(is_old, output_field=BooleanField()))
    count, last = 0, None
    while True:
        left = some if last is None else some.filter(pk__gt=last)
        old = [pk for pk, is_old_enough in left.values_list("pk", "is_old")[: conf.RETENTION_BATCH] if is_old_enough]
        if not old:
            return count
        last = old[-1]
        count += delete_page(rows.filter(is_old), old)[model._meta.label]
