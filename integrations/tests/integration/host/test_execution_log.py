"""Every attempt is a row of the host's log; no row breaks a call, holds a secret, or stays for ever."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.db import connection as database
from django.utils import timezone

from integrations.audit import patience
from integrations.audit.retention import purge_log
from integrations.callbacks import make_execution_log_callback
from integrations.connectors.base import BaseConnector
from integrations.errors import IntegrationAuthError
from integrations.models import AbstractConnection, ExecutionLog
from integrations.services import ConnectionService
from integrations.tasks import purge_settled
from integrations.tests.receiver import Answer, Receiver

from .conftest import CANARY, Make

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True), pytest.mark.portable]

POSTGRESQL = database.vendor == "postgresql"


def logged(adapter: BaseConnector, model: Any, connection: AbstractConnection) -> BaseConnector:
    """The adapter, wired as docs/your-own-models.md prints it."""
    on_response, on_error = make_execution_log_callback(model, connection)
    adapter.client.http.middleware.add_on_response(on_response)
    adapter.client.http.middleware.add_on_error(on_error)
    return adapter


@pytest.fixture
def mine(make: Make) -> Any:
    return make("host")


def test_a_call_is_a_row(mine: Any, host: SimpleNamespace, receiver: Receiver) -> None:
    logged(mine.get_adapter(), host.ExecutionLog, mine).get_visits()
    row = host.ExecutionLog.objects.get()
    assert row.action == f"GET http://{receiver.netloc}/visits"
    assert (row.method, row.url) == ("GET", f"http://{receiver.netloc}/visits")
    assert (row.connection, row.response_status, row.error) == (mine, 200, "")
    assert 0 <= row.duration_ms < 10_000 and timezone.now() - row.created_at < timedelta(seconds=30)
    assert list(mine.execution_logs.all()) == [row]


def test_every_attempt_is_one(mine: Any, host: SimpleNamespace, receiver: Receiver) -> None:
    receiver.answer_with(503, Answer(then="drop"), 401)
    with pytest.raises(IntegrationAuthError):
        logged(mine.get_adapter(), host.ExecutionLog, mine).get_visits()
    rows = host.ExecutionLog.objects.order_by("pk").values_list("response_status", "error")
    assert [(status, bool(error)) for status, error in rows] == [(503, True), (None, True), (401, True)]


def test_our_own_log_too(make: Make, receiver: Receiver) -> None:
    ours = make("ours")
    logged(ours.get_adapter(), ExecutionLog, ours).get_visits()
    row = ExecutionLog.objects.get()
    assert (row.integration, row.attempt, row.response_status) == (ours, 1, 200)


def test_long_addresses_are_masked_before_they_are_cut(mine: Any, host: SimpleNamespace, receiver: Receiver) -> None:
    adapter = logged(mine.get_adapter(), host.ExecutionLog, mine)
    adapter.http.get("/" + "p" * 480 + "/token=" + CANARY + "x" * 200, params={"key": CANARY, "q": CANARY * 40})
    row = host.ExecutionLog.objects.get()
    assert (len(row.url), len(row.action)) == (500, 100)
    assert CANARY[:6] not in row.url


def test_nothing_secret_is_in_any_table(mine: Any, host: SimpleNamespace, receiver: Receiver, caplog: Any) -> None:
    """A canary in every secret, echoed by the provider, searched in every column of every table."""
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"you": CANARY, "pin": f"pin-{CANARY}", "header": f"Bearer {CANARY}"}).encode()
    receiver.answer_with(
        Answer(200, echo),
        Answer(200, echo, {"X-Echo": CANARY}),
        *[Answer(503, echo)] * 3,
        Answer(400, echo),
        Answer(401, echo),
        Answer(200, echo),
    )
    adapter = logged(mine.get_adapter(), host.ExecutionLog, mine)
    adapter.get_visits()
    adapter.http.get(f"/of/{CANARY}/visits", params={"access_token": CANARY}, headers={"X-Pin": f"pin-{CANARY}"})
    for _ in range(3):
        with pytest.raises(Exception) as caught:
            adapter.get_visits()
        assert CANARY not in str(caught.value)
    mine.test_connection()
    ConnectionService.rotate_credentials(mine, {"token": f"{CANARY}-2", "pin": f"pin-{CANARY}-2"})
    assert host.ExecutionLog.objects.count() == 8  # seven attempts and the rotation
    assert CANARY not in everything_stored() and CANARY not in caplog.text


def everything_stored() -> str:
    """Every value of every column of every table, as the database returns it."""
    found = []
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")
            found += [repr(bytes(value) if isinstance(value, memoryview) else value) for row in cursor for value in row]
    return "\n".join(found)


# -- a row that cannot be written -------------------------------------------------------------------------------


def test_without_its_table_the_call_succeeds(mine: Any, host: SimpleNamespace, caplog: Any) -> None:
    with database.schema_editor() as editor:
        editor.delete_model(host.ExecutionLog)
    try:
        logged(mine.get_adapter(), host.ExecutionLog, mine).get_visits()
        with transaction.atomic():
            logged(mine.get_adapter(), host.ExecutionLog, mine).get_visits()
            assert host.Company.objects.count() == 1, "the transaction of the caller goes on"
    finally:
        with database.schema_editor() as editor:
            editor.create_model(host.ExecutionLog)
    missing = "a line is missing from connectors.ExecutionLog: "
    assert [record.message.startswith(missing) for record in caplog.records if "missing" in record.message] == [
        True
    ] * 2


def test_in_a_broken_transaction_the_call_succeeds(mine: Any, host: SimpleNamespace) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        with database.cursor() as cursor, pytest.raises(DatabaseError):
            cursor.execute("SELECT nothing FROM nowhere")
        if not POSTGRESQL:
            transaction.set_rollback(True)
        logged(mine.get_adapter(), host.ExecutionLog, mine).get_visits()
        host.Company.objects.count()  # PostgreSQL and Django both say that the transaction is broken
    assert host.ExecutionLog.objects.count() == 0


def test_while_the_table_is_locked_the_call_succeeds(
    mine: Any, host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds the lock for as long as the test wants; a log line waits for it a moment."""
    monkeypatch.setattr(patience, "LOCK_SECONDS", 0.2)
    adapter = logged(mine.get_adapter(), host.ExecutionLog, mine)
    other = connections.create_connection("default")
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            table = other.ops.quote_name(host.ExecutionLog._meta.db_table)
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE" if POSTGRESQL else f"DELETE FROM {table}")
        adapter.get_visits()
        with database.cursor() as cursor:
            cursor.execute("SHOW lock_timeout" if POSTGRESQL else "PRAGMA busy_timeout")
            assert cursor.fetchone()[0] in ("0", 20_000), "what the caller had is as it was"
    finally:
        other.rollback()
        other.close()
    assert host.ExecutionLog.objects.count() == 0
    adapter.get_visits()
    assert host.ExecutionLog.objects.count() == 1


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite has one lock, and the transaction of the caller holds it")
def test_the_callers_lock_timeout_is_left_alone(mine: Any, host: SimpleNamespace) -> None:
    adapter = logged(mine.get_adapter(), host.ExecutionLog, mine)
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        adapter.get_visits()
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "7s"
    assert host.ExecutionLog.objects.count() == 1


def test_a_log_of_other_connections_is_refused(mine: Any, host: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="ExecutionLog has no foreign key to connectors"):
        make_execution_log_callback(ExecutionLog, mine)
    for wrong in (host.Company, object, None):
        with pytest.raises(TypeError, match="derived from AbstractExecutionLog"):
            make_execution_log_callback(wrong, mine)


# -- retention --------------------------------------------------------------------------------------------------


def test_old_rows_go_and_young_ones_stay(mine: Any, host: SimpleNamespace, settings: Any, make: Make) -> None:
    settings.INTEGRATIONS |= {"RETENTION_DAYS": 7, "RETENTION_BATCH": 2}
    ours = make("ours")
    host.ExecutionLog.objects.bulk_create(host.ExecutionLog(connection=mine, action=f"call {n}") for n in range(7))
    old = list(host.ExecutionLog.objects.order_by("pk").values_list("pk", flat=True)[:5])
    host.ExecutionLog.objects.filter(pk__in=old).update(created_at=timezone.now() - timedelta(days=8))
    ExecutionLog.objects.create(integration=ours, action="test")
    ExecutionLog.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert purge_settled()["log"] == 6
    left = list(host.ExecutionLog.objects.order_by("pk").values_list("action", flat=True))
    assert left == ["call 5", "call 6"] and not ExecutionLog.objects.exists()
    assert purge_log() == 0


def test_a_hosts_missing_table_keeps_ours_from_nothing(host: SimpleNamespace, make: Make, caplog: Any) -> None:
    ExecutionLog.objects.create(integration=make("ours"), action="test")
    ExecutionLog.objects.update(created_at=timezone.now() - timedelta(days=99))
    with database.schema_editor() as editor:
        editor.delete_model(host.ExecutionLog)
    try:
        assert purge_log() == 1
    finally:
        with database.schema_editor() as editor:
            editor.create_model(host.ExecutionLog)
    assert "the log connectors.ExecutionLog was not purged" in caplog.text
