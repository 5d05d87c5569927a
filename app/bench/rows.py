"""Insert many rows with one statement, on PostgreSQL and SQLite, whatever columns a model gains meanwhile."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.db.models.fields import NOT_PROVIDED

from integrations.models import IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from tasks.models import WorkItem
from tenants.models import Tenant

ITEM_PREFIX = "R"


def literal(value: Any) -> str:
    """Return `value` as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return str(value)
    text = json.dumps(value) if isinstance(value, list | dict) else str(value)
    return "'" + text.replace("'", "''") + "'"


def insert(model: type[models.Model], values: dict[str, str], source: str) -> int:
    """Run ``INSERT INTO model SELECT values FROM source``; return the number of rows.

    Args:
        values: attribute (``integration_id``) → SQL expression. Every other column gets its default.
    """
    columns, expressions = [], []
    unknown = set(values)
    for field in model._meta.concrete_fields:
        unknown -= {field.attname}
        expression = values.get(field.attname) or _default(field)
        if expression is not None:
            columns.append(connection.ops.quote_name(field.column or ""))
            expressions.append(expression)
    if unknown:
        raise ValueError(f"{model.__name__} has no column {', '.join(sorted(unknown))}")
    into = table(model)
    with connection.cursor() as cursor:
        # No parameters, so that a % in a text stays one.
        cursor.execute(f"INSERT INTO {into} ({', '.join(columns)}) SELECT {', '.join(expressions)} FROM {source}", None)
        return int(cursor.rowcount)


def _default(field: models.Field[Any, Any]) -> str | None:
    if field.primary_key or field.db_default is not NOT_PROVIDED:
        return None
    if isinstance(field, models.DateTimeField):
        return None if field.null else "CURRENT_TIMESTAMP"
    if isinstance(field, models.UUIDField):
        return "gen_random_uuid()" if connection.vendor == "postgresql" else "lower(hex(randomblob(16)))"
    if field.has_default():
        return literal(field.get_default())
    return None if field.null else "''"


def series(count: int) -> str:
    """Return a source of the numbers ``i`` from 1 to `count`."""
    return f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n) AS n"


def table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def analyze() -> None:
    """Give the planner its statistics, as autovacuum does sooner or later."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def template_body(integration: TenantIntegration) -> str:
    """Return the body of a real event of one work item; the item, its event and its hint are rolled back."""
    with transaction.atomic():
        item = WorkItem.objects.create(
            tenant=integration.tenant,
            reference_id="BENCHREF",
            description="Screen repair: the glass is cracked, the display still works; customer waits for a call.",
            comments="Dropped on concrete. No water damage. Back cover has scratches from before.",
        )
        body = IntegrationEvent.objects.get(object_id=str(item.pk)).body
        transaction.set_rollback(True)
    return body


def add_due(integrations: list[TenantIntegration], rows_each: int, body: str, *, with_items: bool = True) -> int:
    """Make `rows_each` rows due for each of `integrations`, each of a work item of its own (so that notes are written).

    With `with_items` False the objects do not exist: for rows that are only there to be in the way.
    """
    content_type = ContentType.objects.get_for_model(WorkItem).pk
    ids = ", ".join(str(one.pk) for one in integrations)
    chosen = f"(SELECT id, tenant_id FROM {table(TenantIntegration)} WHERE id IN ({ids})) AS t"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table(IntegrationEvent)}")
        last_event = cursor.fetchone()[0]
        cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table(WorkItem)}")
        last_item = cursor.fetchone()[0]
    if with_items:
        insert(
            WorkItem,
            {"tenant_id": "t.tenant_id", "reference_id": f"'{ITEM_PREFIX}' || t.id || '-' || n.i"},
            f"{series(rows_each)} CROSS JOIN {chosen}",
        )
        source = f"{table(WorkItem)} w WHERE w.id > {last_item}"
        what = {"tenant_id": "w.tenant_id", "object_id": "CAST(w.id AS VARCHAR(255))"}
        reference = "w.reference_id"
    else:
        source = f"{series(rows_each)} CROSS JOIN {chosen}"
        what = {"tenant_id": "t.tenant_id", "object_id": "'0' || t.id || '-' || n.i"}
        reference = f"'{ITEM_PREFIX}' || t.id || '-' || n.i"
    insert(
        IntegrationEvent,
        {
            **what,
            "event_type": "'workitem_created'",
            "content_type_id": str(content_type),
            "body": f"replace({literal(body)}, 'BENCHREF', {reference})",
            "occurred_at": "CURRENT_TIMESTAMP",
            "idempotency_key": f"'evt_bench_{last_event}_' || {reference}",
        },
        source,
    )
    return insert(
        IntegrationSync,
        {
            "event_id": "e.id",
            "integration_id": "t.id",
            "object_key": "e.content_type_id || ':' || e.object_id",
            "next_attempt_at": "CURRENT_TIMESTAMP",
            "created_at": "CURRENT_TIMESTAMP",
        },
        f"{table(IntegrationEvent)} e JOIN {chosen} ON t.tenant_id = e.tenant_id WHERE e.id > {last_event}",
    )


def add_settled(integrations: str, rows_each: int) -> int:
    """Give the integrations of a source with (id, tenant_id) `rows_each` delivered rows each: their history."""
    content_type = ContentType.objects.get_for_model(WorkItem).pk
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table(IntegrationEvent)}")
        last_event = cursor.fetchone()[0]
    insert(
        IntegrationEvent,
        {
            "tenant_id": "t.tenant_id",
            "event_type": "'workitem_created'",
            "content_type_id": str(content_type),
            "object_id": "'0' || t.id || '-' || n.i",
            "body": "'{}'",
            "occurred_at": "CURRENT_TIMESTAMP",
            "idempotency_key": f"'evt_old_{last_event}_' || t.id || '-' || n.i",
        },
        f"{series(rows_each)} CROSS JOIN {integrations}",
    )
    return insert(
        IntegrationSync,
        {
            "event_id": "e.id",
            "integration_id": "t.id",
            "object_key": "e.content_type_id || ':' || e.object_id",
            "status": "'synced'",
            "attempts": "1",
            "response_status": "200",
            "next_attempt_at": "CURRENT_TIMESTAMP",
            "created_at": "CURRENT_TIMESTAMP",
            "synced_at": "CURRENT_TIMESTAMP",
            "settled_at": "CURRENT_TIMESTAMP",
        },
        f"{table(IntegrationEvent)} e JOIN {integrations} ON t.tenant_id = e.tenant_id WHERE e.id > {last_event}",
    )


def add_lanes(count: int) -> str:
    """Add `count` tenants with one integration and its lane each; return them as a source with (id, tenant_id).

    They have no address: nothing is ever sent to them.
    """
    insert(Tenant, {"name": "'Crowd ' || n.i", "slug": "'crowd-' || n.i"}, series(count))
    insert(
        TenantIntegration,
        {"tenant_id": "t.id", "name": "'Crowd'", "integration_type": "'webhook'"},
        f"{table(Tenant)} t WHERE t.slug LIKE 'crowd-%'",
    )
    source = f"(SELECT id, tenant_id FROM {table(TenantIntegration)} WHERE name = 'Crowd') AS t"
    insert(Lane, {"integration_id": "t.id"}, f"{source} WHERE t.id NOT IN (SELECT integration_id FROM {table(Lane)})")
    return source
