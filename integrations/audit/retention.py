"""Forget entries of the logs and of the audit trail that are old, whether what they tell about is there or not."""

from __future__ import annotations

import logging

from django.db import DatabaseError

from integrations import conf
from integrations.database.retention import is_old, old_pages
from integrations.tenancy.deletion import delete_page

from .models import AbstractExecutionLog, ExecutionLog, log_models
from .trail import AuditEntry

logger = logging.getLogger("integrations.audit")


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


def purge_trail() -> int:
    """Delete audit entries older than AUDIT_RETENTION_DAYS, in batches; return how many."""
    rows, old = AuditEntry.objects.all(), is_old("created_at", conf.AUDIT_RETENTION_DAYS)
    return sum(delete_page(rows.filter(old), page)[AuditEntry._meta.label] for page in old_pages(rows, old))


def _purge(model: type[AbstractExecutionLog]) -> int:
    rows, old = model._base_manager.all(), is_old("created_at")
    return sum(delete_page(rows.filter(old), page)[model._meta.label] for page in old_pages(rows, old))
