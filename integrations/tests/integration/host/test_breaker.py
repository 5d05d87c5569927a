"""Three refused credentials in a row disable a connection, wherever they were refused; each change is told once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.connections import health
from integrations.delivery import operator_actions, settle
from integrations.delivery.drain import drain
from integrations.delivery.health_checks import check_one
from integrations.delivery.trial import send_test_event
from integrations.errors import IntegrationAuthError, IntegrationError
from integrations.models import AbstractConnection, ERPConnection, IntegrationSync, Lane, TenantIntegration
from integrations.signals import connection_disabled
from integrations.tasks import execute_adapter_method
from integrations.tests.factories import make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.http.guarded_client import client

from .conftest import CANARY, Make, changed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.portable]

UP, DOWN = (True, True), (False, False)  # (is_connected, is_enabled)
Heard = list[tuple[str, dict[str, Any]]]


def stored(connection: AbstractConnection) -> Any:
    return type(connection)._base_manager.get(pk=connection.pk)


def state(connection: AbstractConnection) -> tuple[int, bool, bool]:
    row = stored(connection)
    return row.auth_failure_count, row.is_connected, row.is_enabled


def refused(connection: AbstractConnection, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(IntegrationAuthError):
            connection.get_adapter().get_visits()


# -- the methods ---------------------------------------------------------------------------------------------


@pytest.mark.integration
def test_the_third_failure_disables(connection: AbstractConnection, heard: Heard) -> None:
    for count in (1, 2):
        connection.record_auth_failure()
        assert state(connection) == (count, True, True) and heard == []
        assert timezone.now() - stored(connection).last_auth_failure_at < timedelta(seconds=30)
    connection.record_auth_failure()
    assert state(connection) == (3, False, False)
    reason = stored(connection).disabled_reason
    assert "3 times in a row" in reason
    disabled = ("disabled", {"connection": connection, "auth_failure_count": 3, "reason": reason})
    assert heard == [changed(connection, UP, DOWN), disabled]
    said = heard[0][1]["connection"]
    assert (said.is_enabled, said.auth_failure_count) == (False, 3), "receivers get it as it is now"
    connection.record_auth_failure()
    connection.save()
    assert state(connection)[0] == 4 and len(heard) == 2


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("is_connected", [True, False])
def test_operational_is_enabled_and_connected(
    connection: AbstractConnection, is_enabled: bool, is_connected: bool
) -> None:
    connection.is_enabled, connection.is_connected = is_enabled, is_connected
    connection.save()
    assert stored(connection).is_operational is (is_enabled and is_connected)


def test_mark_connected(connection: AbstractConnection, heard: Heard) -> None:
    for _ in range(2):
        connection.record_auth_failure()
    health.write(connection, is_connected=False, disabled_reason="before")
    heard.clear()
    connection.mark_connected()
    assert state(connection) == (0, True, True) and stored(connection).disabled_reason == ""
    assert heard == [changed(connection, (False, True), UP)]
    connection.mark_connected()
    assert len(heard) == 1, "nothing changed"


@pytest.mark.integration
def test_only_a_person_enables_it_again(connection: AbstractConnection, heard: Heard, receiver: Receiver) -> None:
    receiver.answer_with(401, 401, 401)
    refused(connection, 3)
    heard.clear()
    connection.credentials = {"token": "the right one"}
    connection.save()
    assert state(connection)[2] is False and heard == []
    connection.test_connection()
    assert state(connection) == (0, True, False), "it works, and is disabled"
    health.write(connection, is_connected=False)
    heard.clear()
    connection.re_enable()
    assert state(connection) == (0, False, True) and stored(connection).disabled_reason == ""
    assert connection.test_connection().success and state(connection) == (0, True, True)
    assert heard == [changed(connection, DOWN, (False, True)), changed(connection, (False, True), UP)]


def test_a_long_reason_is_cut(connection: AbstractConnection) -> None:
    connection.disabled_reason = "x" * 600
    connection.save()
    assert len(stored(connection).disabled_reason) == 500
    health.disable(connection, "y" * 600)
    assert stored(connection).disabled_reason == "y" * 500


@pytest.mark.integration
def test_a_row_that_is_gone_breaks_nothing(connection: AbstractConnection, heard: Heard, receiver: Receiver) -> None:
    receiver.answer_with(default=401)
    type(connection)._base_manager.get(pk=connection.pk).delete()
    refused(connection)
    assert not connection.test_connection().success
    connection.record_auth_failure()
    health.disable(connection, "gone")
    assert heard == []


# -- what counts ---------------------------------------------------------------------------------------------


def test_calls_count(connection: AbstractConnection, heard: Heard, receiver: Receiver) -> None:
    receiver.answer_with(401, Answer(403), Answer(200, body=b'{"ok": false}'))
    refused(connection, 3)
    count, _, is_enabled = state(connection)
    assert len(receiver.requests) == 3 and (count, is_enabled) in ((3, False), (2, True))
    assert len([name for name, _ in heard if name == "disabled"]) == (count == 3)


def test_a_refusal_with_a_200_is_no_success(connection: AbstractConnection, receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(200, body=b'{"ok": false}'))
    refused(connection, 3)
    assert state(connection) == (3, False, False)


@pytest.mark.integration
def test_a_call_counts_once_whoever_looks_at_it(connection: AbstractConnection, receiver: Receiver) -> None:
    receiver.answer_with(401)
    with pytest.raises(IntegrationAuthError) as caught:
        connection.get_adapter().get_visits()
    health.count_refusal(connection, caught.value)  # as services do, in their except clause
    assert caught.value.is_counted and state(connection)[0] == 1


@pytest.mark.integration
def test_a_success_starts_the_count_anew(connection: AbstractConnection, heard: Heard, receiver: Receiver) -> None:
    receiver.answer_with(401, 401, 200, 401, 401)
    refused(connection, 2)
    connection.get_adapter().get_visits()
    assert state(connection)[0] == 0
    refused(connection, 2)
    assert state(connection) == (2, True, True) and heard == []


@pytest.mark.integration
def test_a_success_counts_on_an_instance_that_was_read_before(
    connection: AbstractConnection, heard: Heard, receiver: Receiver
) -> None:
    early = type(connection)._base_manager.get(pk=connection.pk).get_adapter()
    receiver.answer_with(401, 200, 401, 200, 401, 200)
    for _ in range(3):
        refused(connection, 1)
        early.get_visits()
    assert state(connection) == (0, True, True) and heard == []


@pytest.mark.parametrize("answer", [Answer(500), Answer(429), Answer(404), Answer(then="drop"), Answer(then="hang")])
def test_nothing_else_counts(connection: AbstractConnection, receiver: Receiver, settings: Any, answer: Answer) -> None:
    hangs = answer.then == "hang"
    settings.INTEGRATIONS |= {"HTTP_MAX_ATTEMPTS": 1, "ADAPTER_TIMEOUT_SECONDS": 0.05, "TEST_TIMEOUT_SECONDS": 0.05}
    receiver.answer_with(default=answer)
    for _ in range(1 if hangs else 10):
        with pytest.raises(IntegrationError):
            connection.get_adapter().get_visits()
    assert state(connection) == (0, True, True)
    assert not connection.test_connection().success
    assert state(connection) == (0, False, True), "the last test failed, and it is on"


def test_tests_count(connection: AbstractConnection, heard: Heard, receiver: Receiver) -> None:
    receiver.answer_with(default=401)
    for count in (1, 2, 3):
        assert not connection.test_connection().success
        assert state(connection) == (count, False, count < 3)
    assert [name for name, _ in heard] == ["changed", "changed", "disabled"]
    assert heard[1] == changed(connection, (False, True), DOWN)


@pytest.mark.integration
def test_tasks_count_and_leave_the_disabled_alone(make: Make, heard: Heard, receiver: Receiver) -> None:
    connection = make("host")
    connection.mark_connected()
    receiver.answer_with(default=401)
    names = {"method_name": "get_visits", "app_label": "connectors", "model_name": "Connection"}
    for count in (1, 2, 3):
        with pytest.raises(IntegrationAuthError):
            execute_adapter_method(connection_id=connection.pk, **names)
        assert state(connection) == (count, count < 3, count < 3)
    assert execute_adapter_method(connection_id=connection.pk, **names) is None
    assert len(receiver.requests) == 3
    assert [name for name, _ in heard] == ["changed", "changed", "disabled"]  # the first: it became connected


@pytest.mark.integration
def test_two_at_once_count_as_two_and_the_third_disables_once(connection: AbstractConnection, heard: Heard) -> None:
    def fail(barrier: Barrier) -> None:
        mine = stored(connection)
        barrier.wait(10)
        try:
            mine.record_auth_failure()
        finally:
            connections.close_all()

    for expected in ((2, True, True), (4, False, False)):
        barrier = Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(fail, [barrier] * 2))
        assert state(connection) == expected
    assert [name for name, _ in heard] == ["changed", "disabled"]
    assert heard[1][1]["auth_failure_count"] in (3, 4)


# -- saving ----------------------------------------------------------------------------------------------------


@pytest.mark.integration
def test_a_save_tells_what_changed_and_nothing_else(connection: AbstractConnection, heard: Heard) -> None:
    connection.save()
    connection.config = {**connection.config, "opens_at": "08:30"}
    connection.save(update_fields=["config"])
    connection.is_enabled = False
    connection.save(update_fields=["config"])
    assert heard == []
    connection.save()
    assert heard == [changed(connection, UP, (True, False))]
    connection.save()
    assert len(heard) == 1


@pytest.mark.integration
def test_a_save_undoes_nothing_that_happened_meanwhile(connection: AbstractConnection, heard: Heard) -> None:
    """Somebody read the row, it was disabled, and now they store what they had in mind."""
    early = stored(connection)
    for _ in range(3):
        connection.record_auth_failure()
    heard.clear()
    early.credentials = {"token": "new"}
    early.save()
    assert state(connection) == (3, False, False) and "3 times" in stored(connection).disabled_reason
    assert stored(connection).credentials == {"token": "new"} and heard == []
    early.is_enabled = False
    early.save()
    early.is_enabled = True
    early.save()
    assert state(connection) == (3, False, True), "what they do change is stored"


@pytest.mark.integration
def test_what_is_rolled_back_is_not_told(connection: AbstractConnection, heard: Heard) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        for _ in range(3):
            connection.record_auth_failure()
        raise RuntimeError
    assert heard == [] and state(connection) == (0, True, True)


@pytest.mark.integration
def test_receivers_see_it_from_another_connection_and_break_nothing(connection: AbstractConnection) -> None:
    seen: list[bool] = []

    def look(**_: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(elsewhere).result(10))

    def elsewhere() -> bool:
        try:
            return bool(stored(connection).is_enabled)
        finally:
            connections.close_all()

    def fall(**_: Any) -> None:
        raise RuntimeError(CANARY)

    for each in (fall, look):
        connection_disabled.connect(each)
    try:
        for _ in range(3):
            connection.record_auth_failure()
    finally:
        for each in (fall, look):
            connection_disabled.disconnect(each)
    assert seen == [False]


# -- lanes and people --------------------------------------------------------------------------------------------


@pytest.fixture
def ours(make: Make) -> TenantIntegration:
    made = make("ours")
    assert isinstance(made, TenantIntegration)
    made.subscribe("workitem_created")
    made.mark_connected()
    return made


def events(ours: TenantIntegration, count: int) -> None:
    for _ in range(count):
        make_item(ours.tenant)


def due() -> None:
    IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    Lane.objects.update(paused_until=None)


@pytest.mark.integration
def test_a_lane_that_is_refused_tells_it_once(ours: TenantIntegration, heard: Heard, receiver: Receiver) -> None:
    heard.clear()
    receiver.answer_with(default=401)
    events(ours, 5)
    for _ in range(3):
        drain(ours.pk)
        due()
    assert len(receiver.requests) == 3 and state(ours) == (3, False, False)
    reason = stored(ours).disabled_reason
    disabled = ("disabled", {"connection": ours, "auth_failure_count": 3, "reason": reason})
    assert heard == [changed(ours, UP, DOWN), disabled]
    assert not heard[1][1]["connection"].is_enabled


@pytest.mark.integration
def test_a_lane_adds_to_what_others_counted(ours: TenantIntegration, receiver: Receiver) -> None:
    """A call is refused while the lane is sending: neither forgets the other's."""

    def answer(request: Any) -> Answer:
        try:
            stored(ours).record_auth_failure()
        finally:
            connections.close_all()  # of the receiver's thread
        return Answer(401)

    events(ours, 1)
    receiver.answer_with(answer)
    drain(ours.pk)
    assert state(ours) == (2, True, True)


@pytest.mark.integration
def test_a_delivery_between_refusals_starts_the_count_anew(
    ours: TenantIntegration, heard: Heard, receiver: Receiver
) -> None:
    heard.clear()
    receiver.answer_with(401, 401, 200, 401, 401, 200)
    events(ours, 6)
    for _ in range(4):
        drain(ours.pk)
        due()
    assert state(ours)[0] == 0 and heard == []


@pytest.mark.integration
def test_gone_disables_and_tells_why(ours: TenantIntegration, heard: Heard, receiver: Receiver) -> None:
    heard.clear()
    receiver.answer_with(410)
    events(ours, 1)
    drain(ours.pk)
    reason = stored(ours).disabled_reason
    assert reason and state(ours) == (0, False, False)
    disabled = ("disabled", {"connection": ours, "auth_failure_count": 0, "reason": reason})
    assert heard == [changed(ours, UP, DOWN), disabled]


@pytest.mark.integration
def test_a_slice_that_is_settled_twice_counts_once(
    ours: TenantIntegration, heard: Heard, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database refuses a text after the count was written: the second settlement counts the same."""
    heard.clear()
    write, calls = health.write_refusals, []

    def then_fail(*args: Any) -> None:
        write(*args)
        calls.append(args)
        if len(calls) == 3:
            raise ValueError("a text that cannot be stored")

    monkeypatch.setattr(settle.health, "write_refusals", then_fail)
    receiver.answer_with(default=401)
    events(ours, 3)
    for _ in range(3):
        drain(ours.pk)
        due()
    assert len(calls) == 4 and state(ours) == (3, False, False)
    assert [name for name, _ in heard] == ["changed", "disabled"]


@pytest.mark.integration
def test_a_healthy_slice_asks_the_row_nothing_more(ours: TenantIntegration, receiver: Receiver) -> None:
    events(ours, 1)
    with CaptureQueriesContext(connections["default"]) as asked:
        drain(ours.pk)
    writes = [query["sql"] for query in asked if query["sql"].startswith('UPDATE "integrations_tenantint')]
    assert writes == [] and IntegrationSync.objects.get().status == "synced"


@pytest.mark.integration
def test_operators_health_checks_and_test_events_tell_it(
    ours: TenantIntegration, heard: Heard, receiver: Receiver
) -> None:
    receiver.answer_with(401, 401, 401)
    for _ in range(3):
        check_one(ours.pk)
    heard.clear()
    operator_actions.re_enable(ours, actor="jane")
    assert heard == [changed(ours, DOWN, (False, True))]
    send_test_event(stored(ours), client())
    assert heard[1:] == [changed(ours, (False, True), UP)]
    receiver.answer_with(401)
    send_test_event(stored(ours), client())
    assert heard[2:] == [changed(ours, UP, (False, True))] and state(ours)[0] == 0, "a test event counts nowhere"


@pytest.mark.integration
def test_the_erp_of_a_tenant_counts_and_tells_it(heard: Heard) -> None:
    erp = ERPConnection(org_id=make_tenant().pk, connector_type="MOCK")
    erp.set_config({"mode": "success"})
    erp.save()
    assert erp.test_connection().success
    erp.set_config({"mode": "auth"})
    erp.save()
    for _ in range(3):
        assert not erp.test_connection().success
    assert state(erp) == (3, False, False) and erp.status == "DISABLED"
    assert [name for name, _ in heard] == ["changed", "changed", "changed", "disabled"]
    erp.status = "ACTIVE"
    erp.save()
    assert heard[4:] == [changed(erp, DOWN, (False, True))]
