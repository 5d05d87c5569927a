"""A database as large as the console has to stand: 200 tenants, 5,000 integrations, 10⁶ deliveries. PostgreSQL only.

    python -m app.bench.scale postgres://…/outbox_scale      makes it, in some minutes
    python -m app.bench.console postgres://…/outbox_scale    opens every page of the console on it (`make console-load`)

Set-based SQL: what differs from row to row is reckoned from its number. A third of everything belongs to the first
tenant, and a tenth of that to its first integration, so that the largest is a thousand times the smallest.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

TENANTS, A_TENANT, EVENTS, DAYS = 200, 25, 250_000, 30
KINDS = ("webhook", "n8n", "slack", "webhook", "discord")
EACH = 4  # deliveries of an event
MANY = 30  # tenants of one person
SCHEDULE = f"now() - interval '{DAYS} days' * (1 - n.i::float / {{events}})"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m app.bench.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("database", help="postgres://…; an empty database")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"each is owed {EACH} times (default: %(default)s)")
    options = parser.parse_args()
    os.environ["DATABASE_URL"] = options.database
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tenants.models import Tenant

    if connection.vendor != "postgresql":
        sys.stderr.write("A database of this size is for PostgreSQL: name one by its address, postgres://…\n")
        return 1
    call_command("migrate", verbosity=0, interactive=False)
    if Tenant.objects.exists():
        sys.stderr.write("This database has tenants already; nothing was written. Make an empty one: createdb …\n")
        return 1
    make(options.events)
    return 0


def make(events: int, *, tenants: int = TENANTS, integrations: int = A_TENANT, say: bool = True) -> None:
    """Fill the empty database with `events` events, of which each is owed `EACH` times."""
    from django.contrib.auth.models import User
    from django.contrib.contenttypes.models import ContentType

    from integrations.audit.trail import AuditEntry
    from integrations.jobs.models import Job
    from integrations.models import (
        ExecutionLog,
        IntegrationEvent,
        IntegrationSync,
        Lane,
        SyncState,
        TenantIntegration,
        WebhookEvent,
    )
    from integrations.outbox.canonical_json import encode
    from tasks.models import WorkItem
    from tenants.models import Membership, Tenant

    from .rows import analyze, insert, literal, series, table

    started = time.monotonic()

    def tell(what: str, number: int) -> None:
        if say:
            sys.stdout.write(f"{time.monotonic() - started:6.1f} s  {number:>9,} {what}\n")
            sys.stdout.flush()

    at = SCHEDULE.format(events=events)
    tell(
        "tenants",
        insert(Tenant, {"name": "'Tenant ' || lpad(n.i::text, 3, '0')", "slug": "'tenant-' || n.i"}, series(tenants)),
    )
    kinds = ", ".join(literal(kind) for kind in KINDS)
    tenant_of = f"(SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM {table(Tenant)}) t"
    made = insert(
        TenantIntegration,
        {
            "tenant_id": "t.id",
            "name": "'Destination ' || n.i",
            "integration_type": f"(ARRAY[{kinds}])[1 + (n.i + t.place) % {len(KINDS)}]",
            "is_active": "(n.i + t.place) % 33 <> 0",
            "is_enabled": "(n.i + t.place) % 20 <> 0",
            "disabled_reason": "CASE WHEN (n.i + t.place) % 20 = 0 THEN "
            "'The destination refused our credentials 3 times in a row.' ELSE '' END",
            "is_connected": "(n.i + t.place) % 20 <> 0",
        },
        f"{series(integrations)} CROSS JOIN {tenant_of}",
    )
    tell("integrations", made)
    insert(
        Lane,
        {
            "integration_id": "i.id",
            "last_success_at": "now() - interval '1 minute' * (i.id % 300)",
            "last_failure_at": "CASE WHEN i.id % 4 = 0 THEN now() - interval '1 minute' * (i.id % 200) END",
            "breaker": "CASE WHEN i.id % 25 = 0 THEN 'open' ELSE 'closed' END",
            "times_opened": "CASE WHEN i.id % 25 = 0 THEN 3 ELSE 0 END",
            "paused_until": "CASE WHEN i.id % 25 = 0 THEN now() + interval '10 minutes' END",
            "pause_reason": "CASE WHEN i.id % 25 = 0 THEN 'circuit breaker: 5 failures in a row' ELSE '' END",
            "failing_since": "CASE WHEN i.id % 25 = 0 THEN now() - interval '5 hours' END",
            "failing_rows": "CASE WHEN i.id % 25 = 0 THEN 40 ELSE 0 END",
            "failing_attempts": "CASE WHEN i.id % 25 = 0 THEN 40 ELSE 0 END",
            "last_error": "CASE WHEN i.id % 4 = 0 THEN 'hooks.example.com answered 503' ELSE '' END",
            "delivered_count": "200",
        },
        f"{table(TenantIntegration)} i",
    )
    subscription = TenantIntegration._meta.get_field("subscriptions").related_model
    insert(
        subscription,
        {"integration_id": "i.id", "event_type": "'workitem_created'"},
        f"{table(TenantIntegration)} i",
    )
    # People: one who runs the product, one of each tenant, and one of many tenants.
    User.objects.create_superuser("scale-operator", password=None)
    insert(
        User,
        {"username": "'scale-' || t.place", "password": "'!'", "is_active": "true", "date_joined": "now()"},
        tenant_of,
    )
    person_of = f"{tenant_of} JOIN {table(User)} u ON u.username = 'scale-' || t.place"
    insert(Membership, {"tenant_id": "t.id", "user_id": "u.id", "role": "'manager'"}, person_of)
    of_many = User.objects.create_user("scale-many").pk
    insert(
        Membership,
        {"tenant_id": "t.id", "user_id": str(of_many), "role": "'manager'"},
        f"{tenant_of} WHERE t.place BETWEEN 1 AND {MANY}",
    )
    items = max(tenants, events // 5)
    # A third is of the first tenant.
    place = f"CASE WHEN n.i % 3 = 0 THEN 0 ELSE n.i % {tenants} END"
    tell(
        "work items",
        insert(
            WorkItem,
            {"tenant_id": "t.id", "reference_id": "'R-' || n.i", "description": "'Screen repair ' || n.i"},
            f"{series(items)} JOIN {tenant_of} ON t.place = {place}",
        ),
    )
    item_of = f"(SELECT id, tenant_id, row_number() OVER (ORDER BY id) AS number FROM {table(WorkItem)}) w"
    body = encode(
        {
            "event_type": "workitem_created",
            "tenant": {"id": 0, "name": "Tenant"},
            "workitem": {
                "id": 0,
                "reference_id": "R-0",
                "description": "Screen repair: the glass is cracked, the display still works; customer waits.",
                "status": "New",
                "priority": "Standard",
                "comments": "Dropped on concrete. No water damage. Back cover has scratches from before.",
            },
        }
    )
    content_type = ContentType.objects.get_for_model(WorkItem).pk
    tell(
        "events",
        insert(
            IntegrationEvent,
            {
                "tenant_id": "w.tenant_id",
                "event_type": "(ARRAY['workitem_created', 'workitem_updated', 'workitem_status_changed'])[1 + n.i % 3]",
                "content_type_id": str(content_type),
                "object_id": "w.id::text",
                "body": f"replace({literal(body)}, 'R-0', 'R-' || n.i)",
                "occurred_at": at,
                "idempotency_key": "'evt_' || md5(n.i::text)",
            },
            f"{series(events)} JOIN {item_of} ON w.number = 1 + n.i % {items} ORDER BY n.i",
        ),
    )
    lane_of = (
        f"(SELECT id, tenant_id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) - 1 AS place "
        f"FROM {table(TenantIntegration)}) l"
    )
    # Every tenth event is owed to the first integration of its tenant, too; the others go round.
    which = f"CASE WHEN e.id % 10 = 0 AND n.i = 1 THEN 0 ELSE 1 + (e.id / 7 * {EACH} + n.i) % {integrations - 1} END"
    state = "(e.id * 31 + l.id * 17) % 100"
    settled = "e.occurred_at + interval '1 millisecond' * (40 + (e.id * 7919) % 900)"
    is_recent = "e.occurred_at > now() - interval '3 days'"
    status = (
        f"CASE WHEN {state} < 3 THEN 'failed' WHEN {state} = 3 THEN 'cancelled' WHEN {state} IN (8, 9) THEN 'skipped' "
        f"WHEN {state} < 7 AND {is_recent} THEN 'pending' ELSE 'synced' END"
    )
    source = (
        f"{table(IntegrationEvent)} e CROSS JOIN {series(EACH)} JOIN {lane_of} "
        f"ON l.tenant_id = e.tenant_id AND l.place = {which}"
    )
    is_tried = f"{state} IN (4, 5)"
    wrong = f"({status} = 'failed' OR ({status} = 'pending' AND {is_tried}))"
    tell(
        "deliveries",
        insert(
            IntegrationSync,
            {
                "event_id": "e.id",
                "integration_id": "l.id",
                "object_key": "e.content_type_id || ':' || e.object_id",
                "status": status,
                "attempts": f"CASE WHEN {status} = 'failed' THEN 22 WHEN {status} = 'pending' THEN "
                f"CASE WHEN {is_tried} THEN 6 ELSE 0 END WHEN {status} = 'synced' THEN 1 ELSE 0 END",
                "next_attempt_at": f"CASE WHEN {status} = 'pending' THEN now() + interval '1 minute' * (e.id % 90) "
                "ELSE e.occurred_at END",
                "first_failed_at": f"CASE WHEN {wrong} THEN {settled} END",
                "last_failed_at": f"CASE WHEN {wrong} THEN {settled} END",
                "last_error": f"CASE WHEN {wrong} THEN (ARRAY['hooks.example.com answered 503 Service Unavailable', "
                "'hooks.example.com answered 422 Unprocessable Entity', "
                "'hooks.example.com did not answer in time'])[1 + e.id % 3] ELSE '' END",
                "response_status": f"CASE WHEN {wrong} THEN (ARRAY[503, 422, NULL])[1 + e.id % 3] "
                f"WHEN {status} = 'synced' THEN 200 END",
                "reason": f"CASE {status} WHEN 'failed' THEN 'gave up: hooks.example.com answered 503' "
                "WHEN 'cancelled' THEN 'the integration is switched off' "
                "WHEN 'skipped' THEN '`workitem.priority == ''Urgent''`: it was Standard' ELSE '' END",
                "created_at": "e.occurred_at",
                "synced_at": f"CASE WHEN {status} = 'synced' THEN {settled} END",
                "settled_at": f"CASE WHEN {status} <> 'pending' THEN {settled} END",
            },
            f"{source} ORDER BY e.id, n.i",
        ),
    )
    tell(
        "attempts",
        insert(
            ExecutionLog,
            {
                "tenant_id": "e.tenant_id",
                "tenant_name": "'Tenant'",
                "integration_id": "s.integration_id",
                "integration_name": "'Destination'",
                "sync_id": "s.id",
                "actor": "'system'",
                "action": "'deliver'",
                "method": "'POST'",
                "url": "'https://hooks.example.com'",
                "attempt": "s.attempts",
                "response_status": "s.response_status",
                "duration_ms": "40 + (s.id * 7919) % 900",
                "error": "s.last_error",
                "created_at": "COALESCE(s.settled_at, s.created_at)",
            },
            f"{table(IntegrationSync)} s JOIN {table(IntegrationEvent)} e ON e.id = s.event_id "
            "WHERE s.attempts > 0 ORDER BY s.id",
        ),
    )
    inbound = max(1, events // 5)
    tell(
        "inbound webhooks",
        insert(
            WebhookEvent,
            {
                "connection_id": "l.id",
                "provider": "'webhook'",
                "event_type": "'order.updated'",
                "action": "'events'",
                "idempotency_key": "l.id || ':' || n.i",
                "payload": "'{\"order\": 1}'",
                "headers": "'{}'",
                "body": "'\\x7b7d'::bytea",
                "signature_valid": "n.i % 50 <> 0",
                "status": "CASE WHEN n.i % 50 = 0 OR n.i % 40 = 0 THEN 'failed' ELSE 'processed' END",
                "error": "CASE WHEN n.i % 40 = 0 THEN 'order.id: is missing' ELSE '' END",
                "attempts": "1",
                "received_at": SCHEDULE.format(events=inbound),
                "processed_at": SCHEDULE.format(events=inbound),
            },
            f"{series(inbound)} JOIN {lane_of} ON l.place = n.i % {integrations} JOIN {tenant_of} "
            f"ON t.id = l.tenant_id AND t.place = {place} ORDER BY n.i",
        ),
    )
    insert(
        SyncState,
        {"connection_id": "l.id", "resource_type": "'orders'", "interval_minutes": "15", "status": "'completed'",
         "last_sync_at": "now()", "next_sync_at": "now() + interval '9 minutes'"},
        f"{lane_of} WHERE l.place < 5",
    )  # fmt: skip
    tell("figures", _figures())
    insert(
        AuditEntry,
        {
            "created_at": at,
            "actor": "'scale-' || t.place",
            "action": "(ARRAY['changed', 'resumed', 'retried'])[1 + n.i % 3]",
            "object_type": "'integrations.tenantintegration'",
            "object_key": "l.id::text",
            "object_name": "'Destination'",
            "integration_key": "l.id",
            "integration_name": "'Destination'",
            "tenant_key": "t.id::text",
            "tenant_name": "'Tenant'",
            "changes": """'{"rate_limit_per_minute": [60, 120]}'""",
            "details": "'{}'",
        },
        f"{series(events)} JOIN {lane_of} ON l.place = n.i % {integrations} JOIN {tenant_of} "
        f"ON t.id = l.tenant_id AND t.place = {place} ORDER BY n.i",
    )
    insert(
        Job,
        {
            "tenant_id": "t.id",
            "kind": "'replay'",
            "in_words": "'failed deliveries'",
            "made_by": "'scale-' || t.place",
            "state": "'done'",
            "total": "120",
            "done": "120",
            "filter": "'{}'",
            "messages": "'[]'",
        },
        f"{series(20)} CROSS JOIN {tenant_of}",
    )
    analyze()
    tell("rows in all, analysed", 0)


def _figures() -> int:
    """Add the figures that settling would have written, by integration and minute, and sum them up."""
    from django.db import connection

    from integrations.models import IntegrationSync
    from integrations.statistics.models import MINUTE, IntegrationFigures
    from integrations.statistics.rolling import roll_up

    from .rows import insert, table

    synced, failed = "sum((s.status = 'synced')::int)", "sum((s.status = 'failed')::int)"
    found = insert(
        IntegrationFigures,
        {
            "integration_id": "g.integration_id",
            "resolution": str(MINUTE),
            "start": "g.minute",
            "delivered": "g.delivered",
            "given_up": "g.given_up",
            "duration_ms": "g.delivered * 240",
            "duration_6": "g.delivered + g.given_up",
            "age_ms": "g.delivered * 400",
            "age_2": "g.delivered",
        },
        f"(SELECT s.integration_id, floor(extract(epoch FROM s.settled_at) / 60)::int AS minute, "
        f"{synced} AS delivered, {failed} AS given_up FROM {table(IntegrationSync)} s "
        "WHERE s.status IN ('synced', 'failed') GROUP BY 1, 2) g",
    )
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table(IntegrationFigures)}")
    roll_up()
    return found


if __name__ == "__main__":
    sys.exit(main())
