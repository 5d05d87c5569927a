"""PostgreSQL's plans of the hot statements: an index each, and no more rows than there is to do.

Asked with a custom plan and with the generic one that PostgreSQL changes to after some executions, on young tables that
were never analysed, on a lane that owns nearly all of a long history, and on one with a long backlog.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from integrations.audit.models import ExecutionLog
from integrations.audit.notes import AuditNote, write_notes
from integrations.console.workbench.overview import _first_rows
from integrations.delivery import statements
from integrations.delivery.lease import take
from integrations.delivery.unsendable import BATCH, cancel_pending
from integrations.models import Lane, TenantIntegration
from integrations.observability.backlog import oldest_by_rest
from integrations.outbox.models import NEWEST, IntegrationSync, of_lane
from integrations.services.subscription_trial import LOOKED_AT, _events_of
from integrations.statistics.figures import Figures
from integrations.statistics.writing import packed
from integrations.tests.factories import make_integration, make_tenant
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

LANES = 3000
PG = "postgresql"


def fill(integration_ids: list[int], each: int, *, pending: int, failed: int = 0) -> None:
    """Give each of these lanes `each` rows: the last `pending` of them wait, `failed` of those for a retry."""
    event, sync = statements.EVENT, statements.SYNC
    kind = ContentType.objects.get_for_model(WorkItem).pk
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {event} "
            "(tenant_id, event_type, content_type_id, object_id, body, occurred_at, idempotency_key) "
            "SELECT 1, 'workitem_created', %s, n::text, '{}', now(), 'evt_' || i || '_' || n "
            "FROM unnest(%s::bigint[]) i, generate_series(1, %s) n",
            [kind, integration_ids, each],
        )
        cursor.execute(
            f"INSERT INTO {sync} (event_id, integration_id, object_key, status, attempts, last_error, reason, "
            "first_failed_at, last_failed_at, next_attempt_at, settled_at) "
            "SELECT e.id, split_part(e.idempotency_key, '_', 2)::bigint, %s || ':' || e.object_id, "
            "CASE WHEN e.object_id::int > %s THEN 'pending' ELSE 'synced' END, 0, '', '', "
            "CASE WHEN e.object_id::int > %s THEN now() END, CASE WHEN e.object_id::int > %s THEN now() END, "
            f"now(), CASE WHEN e.object_id::int <= %s THEN now() END FROM {event} e ORDER BY e.id",
            [str(kind), each - pending, each - failed, each - failed, each - pending],
        )


@pytest.fixture(autouse=True)
def _indexes_without_what_was_rolled_back(db: None) -> None:
    """Let no index look dear for what other tests left in it."""
    if connection.vendor == PG:
        with connection.cursor() as cursor:
            for table in (statements.SYNC, statements.EVENT, WorkItem._meta.db_table):
                cursor.execute(f"REINDEX TABLE {table}")


@pytest.fixture(params=["young", "history", "analysed history", "analysed backlog"])
def lane(request: Any) -> Iterator[int]:
    """A lane with a few rows to send, in one of the shapes that tables take; its id."""
    if connection.vendor != PG:
        pytest.skip("plans of PostgreSQL")
    tenant = make_tenant()
    first = make_integration(tenant)
    if request.param == "young":  # many lanes, a row each, statistics from when all was empty
        many = [
            TenantIntegration(tenant=tenant, name=str(n), integration_type="webhook", config={}) for n in range(LANES)
        ]
        TenantIntegration.objects.bulk_create(many)
        Lane.objects.bulk_create(Lane(integration_id=one.pk) for one in many)
        fill([first.pk, *(one.pk for one in many)], 1, pending=1)
    else:
        pending, failed = (40_000, 5) if "backlog" in request.param else (120, 20)
        fill([first.pk], 60_000, pending=pending, failed=failed)
    if "analysed" in request.param:
        analyze()
    yield first.pk
    analyze()


def analyze() -> None:
    """Let the check of foreign keys at the end of a test, a plan of PostgreSQL's own, know how many rows there are."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def numbered(sql: str) -> str:
    parts = sql.replace("%%", "%").split("%s")
    return "".join(part + (f"${place}" if place < len(parts) else "") for place, part in enumerate(parts, 1))


def literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def plan_of(sql: str, parameters: list[Any], mode: str) -> dict[str, Any]:
    with undone(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = force_{mode}_plan")
        if sql == statements.settle_rows(PG):
            cursor.execute(f"SELECT {statements.KEYED}")  # as the statement before it has done
        cursor.execute(f"PREPARE asked AS {numbered(sql)}".replace("%", "%%"), None)
        values = f"({', '.join(map(literal, parameters))})" if parameters else ""
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked{values}".replace("%", "%%"), None)
        found = cursor.fetchone()[0]
        cursor.execute("DEALLOCATE asked")
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    assert isinstance(plan, dict)
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def rows_read(plan: dict[str, Any], tables: set[str]) -> float:
    """Rows that scans of these tables looked at, those that a filter dropped included."""
    total = 0.0
    for node in nodes(plan):
        if node.get("Relation Name") in tables:
            dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            total += (node["Actual Rows"] + dropped) * node["Actual Loops"]
    return total


@contextmanager
def rows_read_by(beginning: str, tables: set[str]) -> Iterator[list[float]]:
    """Note how many rows of `tables` each statement reads that begins like this."""
    read: list[float] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(beginning):
            return execute(sql, params, many, context)
        execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params, many, context)
        found = context["cursor"].fetchone()[0]
        read.append(rows_read((json.loads(found) if isinstance(found, str) else found)[0]["Plan"], tables))
        return execute(sql, params, many, context) if sql.startswith("SELECT") else None

    with connection.execute_wrapper(explained):
        yield read


Asked = tuple[str, list[Any], float]  # SQL, parameters, how many rows of the outbox it may read


def asked(lane: int) -> dict[str, Asked]:
    """Every hot statement with parameters, and how many outbox rows it may look at for a slice of 100."""
    listed = json.dumps(
        [{"id": 1, "generation": 0, "tried": 1, "state": "synced", "response_status": 200, "error": "", "why": ""}]
    )
    logged = json.dumps([{"id": 1, "attempt": 1, "duration_ms": 1, "error": ""}])
    log = statements.log_attempts(PG, ExecutionLog._meta.db_table)
    return {
        "take": (statements.take(PG, only_turn=True), ["token", lane, 0], 0),
        "rows": (statements.rows(PG, 100, True), [lane] * 6, 1500),
        "rows in any order": (statements.rows(PG, 100, False), [lane] * 6, 1500),
        "one": (statements.one(PG, True), [lane, 1], 10),
        "fresh from": (statements.fresh_from(PG, True), [lane, lane, 1, 10], 50),
        "fresh range": (statements.FRESH_RANGE, [lane] * 4, 10),
        "first retries": (statements.first_retries(PG, 100, True), [lane] * 2, 300),
        "failing": (statements.FAILING, [lane], 200),
        "renew": (statements.renew(PG, "turn = turn"), [lane, "token"], 0),
        "look": (statements.look(PG), [lane], 10),
        "idle": (statements.idle(PG, 1), [lane], 0),
        "settle": (statements.settle_rows(PG), [listed], 10),
        "log": (log, [lane, packed(Figures()), "deliver", "POST", "u", "system", logged], 0),
        "mark": (statements.mark_attempt(PG), [1, 0], 10),
    }


@pytest.mark.parametrize("mode", ["custom", "generic"])
def test_no_statement_of_a_slice_reads_what_it_does_not_need(lane: int, mode: str) -> None:
    big = {statements.SYNC, statements.EVENT}
    for name, (sql, parameters, bound) in asked(lane).items():
        plan = plan_of(sql, parameters, mode)
        scanned = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
        assert not scanned & big, (name, json.dumps(plan, indent=1))
        # Above jit_above_cost PostgreSQL compiles a statement, which takes 40 to 80 ms for these, each time.
        assert plan["Total Cost"] < 100_000, (name, json.dumps(plan, indent=1))
        assert rows_read(plan, big) <= bound, (name, json.dumps(plan, indent=1))


@pytest.mark.parametrize("mode", ["custom", "generic"])
def test_a_sweep_asks_each_lane_once(lane: int, mode: str) -> None:
    big = {statements.SYNC, statements.EVENT}
    plan = plan_of(statements.sweep(PG, 1000), [], mode)
    assert not {node.get("Relation Name") for node in nodes(plan) if node["Node Type"] == "Seq Scan"} & big
    assert plan["Total Cost"] < 100_000, json.dumps(plan, indent=1)
    assert rows_read(plan, big) <= 6 * Lane.objects.count()


def test_what_is_settled_is_looked_up_by_key() -> None:
    if connection.vendor != PG:
        pytest.skip("plans of PostgreSQL")
    lease = take(make_integration(make_tenant()).pk)
    assert lease is not None
    with connection.cursor() as cursor:
        lease.renew({})
        cursor.execute("SHOW enable_seqscan")
        assert cursor.fetchone()[0] == "off"
        cursor.execute("SET LOCAL enable_seqscan = on")


def test_notes_find_their_items_by_key_in_a_table_that_has_just_grown() -> None:
    """Statistics of one item: the tenant's index looks as good as the key, and holds thousands since."""
    if connection.vendor != PG:
        pytest.skip("plans of PostgreSQL")
    tenant = make_tenant()
    WorkItem.objects.create(tenant=tenant, reference_id="R")
    analyze()
    WorkItem.objects.bulk_create([WorkItem(tenant=tenant, reference_id=f"R-{n}") for n in range(3_000)])
    kind = ContentType.objects.get_for_model(WorkItem).pk
    items = WorkItem.objects.order_by("-id").values_list("id", flat=True)[:100]
    with rows_read_by(f"INSERT INTO {Note._meta.db_table}", {WorkItem._meta.db_table}) as read:
        write_notes([AuditNote(tenant.pk, kind, str(item), "✓ It arrived.") for item in items])
    assert Note.objects.count() == 100
    assert read == [100]
    analyze()


@pytest.mark.parametrize("lane", ["analysed backlog"], indirect=True)
def test_what_is_asked_of_a_lane_beside_its_turns_does_not_go_through_its_history(lane: int) -> None:
    TenantIntegration.objects.filter(pk=lane).update(is_active=False)
    integration = TenantIntegration.objects.get(pk=lane)
    with rows_read_by(f'SELECT "{statements.SYNC}"."id"', {statements.SYNC}) as read:
        assert cancel_pending(integration, "switched off", stop_at=0) == BATCH
    assert read and max(read) <= 2 * BATCH
    TenantIntegration.objects.filter(pk=lane).update(is_active=True)
    with rows_read_by("SELECT MIN", {statements.SYNC}) as read:
        assert oldest_by_rest()["free"] is not None
    assert read and max(read) <= 10 * Lane.objects.count()
    with rows_read_by("SELECT", {statements.SYNC}) as read:
        assert len(_first_rows(lane)) == 2
    assert len(read) == 1 and max(read) <= 10


def test_the_newest_rows_of_a_quiet_lane_are_found_without_those_of_a_busy_one() -> None:
    if connection.vendor != PG:
        pytest.skip("plans of PostgreSQL")
    tenant = make_tenant()
    quiet, busy = make_integration(tenant).pk, make_integration(tenant, name="busy").pk
    fill([quiet, busy], 20_000, pending=0)
    analyze()
    with rows_read_by("SELECT", {statements.SYNC}) as read:
        assert len(list(IntegrationSync.objects.filter(of_lane(quiet)).order_by(*NEWEST)[:20])) == 20
        assert _first_rows(quiet) == []
        assert _events_of([quiet])
    assert len(read) == 3 and max(read) <= LOOKED_AT
    analyze()


def test_a_plan_that_was_made_while_the_tables_were_empty_still_serves() -> None:
    """A worker starts, delivers a few events, and keeps its plans; then thousands come."""
    if connection.vendor != PG:
        pytest.skip("plans of PostgreSQL")
    big = {statements.SYNC, statements.EVENT}
    integration = make_integration(make_tenant())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"SELECT {statements.KEYED}")
        questions = asked(integration.pk)
        for number, (sql, parameters, _) in enumerate(
            questions.values()
        ):  # nothing is rolled back: psycopg would forget
            cursor.execute(f"PREPARE early{number} AS {numbered(sql)}".replace("%", "%%"), None)
            cursor.execute(f"EXECUTE early{number}({', '.join(map(literal, parameters))})".replace("%", "%%"), None)
        fill([integration.pk], 1_200, pending=1_200)
        for number, (name, (_, parameters, bound)) in enumerate(questions.items()):
            values = ", ".join(map(literal, parameters))
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE early{number}({values})".replace("%", "%%"), None)
            found = cursor.fetchone()[0]
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            assert rows_read(plan, big) <= bound, (name, json.dumps(plan, indent=1))
            cursor.execute(f"DEALLOCATE early{number}")
    analyze()
