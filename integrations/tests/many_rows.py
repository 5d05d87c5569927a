"""Rows by the ten thousand, made in the database: one statement per table, on PostgreSQL and on SQLite."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.utils import timezone

from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, TenantIntegration, WebhookEvent
from tasks.models import Note, WorkItem

_numbers = itertools.count(1)
_TEXT = "CAST(i AS VARCHAR(20))"
_COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s)"


def make_history(
    integration: TenantIntegration, count: int, *, status: str = "synced", days: float = 0, logs: bool = True
) -> None:
    """Give `integration` so many events, each with its sync and a log entry, `days` old."""
    prefix = f"many-{next(_numbers)}-"
    when = _when(days)
    content_type = ContentType.objects.get_for_model(WorkItem).pk
    _run(
        f"INSERT INTO {IntegrationEvent._meta.db_table} (tenant_id, event_type, content_type_id, object_id, body, "
        f"occurred_at, idempotency_key) {_COUNT} SELECT %s, 'workitem_updated', %s, {_TEXT}, '{{}}', {_TIME}, "
        f"%s || {_TEXT} FROM n",
        [count, integration.tenant_id, content_type, when, prefix],
    )
    add_syncs(integration, prefix, status=status)
    if logs:
        _run(
            f"INSERT INTO {ExecutionLog._meta.db_table} (tenant_id, integration_id, sync_id, action, method, url, "
            "duration_ms, error, created_at, actor, attempt) SELECT %s, integration_id, id, 'deliver', 'POST', '', 1, "
            f"'', {_TIME}, 'system', 1 FROM {IntegrationSync._meta.db_table} WHERE integration_id = %s",
            [integration.tenant_id, when, integration.pk],
        )
    _analyze()


def add_syncs(integration: TenantIntegration, prefix: str = "many-", *, status: str = "synced") -> None:
    """Owe (or have owed) the events made above to `integration` too."""
    _run(
        f"INSERT INTO {IntegrationSync._meta.db_table} (event_id, integration_id, object_key, status, attempts, "
        "last_error, reason) SELECT id, %s, '1:' || object_id, %s, 1, '', '' "
        f"FROM {IntegrationEvent._meta.db_table} WHERE idempotency_key LIKE %s",
        [integration.pk, status, f"{prefix}%"],
    )


def make_log(integration: TenantIntegration, count: int, *, days: float) -> None:
    """Give `integration` so many log entries of no sync."""
    _run(
        f"INSERT INTO {ExecutionLog._meta.db_table} (tenant_id, integration_id, action, method, url, duration_ms, "
        f"error, created_at, actor, attempt) {_COUNT} SELECT %s, %s, 'test', 'POST', '', 1, '', {_TIME}, 'system', 0 "
        "FROM n",
        [count, integration.tenant_id, integration.pk, _when(days)],
    )


def make_received(integration: TenantIntegration, count: int, *, days: float, valid: bool = True) -> None:
    """Give `integration` so many webhooks that came in and are done with."""
    _run(
        f"INSERT INTO {WebhookEvent._meta.db_table} (connection_id, provider, event_type, action, idempotency_key, "
        "body, payload, headers, signature_valid, status, error, attempts, duplicates, received_at) "
        f"{_COUNT} SELECT %s, 'mock', '', '', %s || {_TEXT}, %s, '{{}}', '{{}}', %s, 'processed', '', 1, 0, {_TIME} "
        "FROM n",
        [count, integration.pk, f"many-{next(_numbers)}-", b"", valid, _when(days)],
    )


def make_items(tenant_id: int, count: int) -> None:
    """Give a tenant so many work items, each with a note; nobody hears of them."""
    _run(
        f"INSERT INTO {WorkItem._meta.db_table} (tenant_id, reference_id, description, status, type, priority, "
        f"created_date, intake_method, comments) {_COUNT} SELECT %s, 'many', '', 'new', 'diagnostic', 'low', {_TIME}, "
        "'online', '' FROM n",
        [count, tenant_id, _when(0)],
    )
    _run(
        f"INSERT INTO {Note._meta.db_table} (tenant_id, work_item_id, text, created_at) "
        f"SELECT tenant_id, id, 'many', {_TIME} FROM {WorkItem._meta.db_table} WHERE tenant_id = %s",
        [_when(0), tenant_id],
    )
    _analyze()


_TIME = "CAST(%s AS TIMESTAMP WITH TIME ZONE)" if connection.vendor == "postgresql" else "%s"


def _when(days: float) -> Any:
    moment: datetime = timezone.now() - timedelta(days=days)
    return connection.ops.adapt_datetimefield_value(moment)


def _run(statement: str, values: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _analyze() -> None:
    """Tell the planner of the rows, as autovacuum would."""
    with connection.cursor() as cursor:
        for model in (IntegrationEvent, IntegrationSync, ExecutionLog, WorkItem, Note):
            cursor.execute(f"ANALYZE {model._meta.db_table}")
