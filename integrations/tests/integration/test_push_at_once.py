"""Pushes beside other transactions, threads, workers and holders of the lane."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import F

from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.encryption import EncryptionService
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.lease import release, take
from integrations.erp.push import PushOrchestrator, PushResult
from integrations.models import (
    ERPConnection,
    ERPPushLog,
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Lane,
    TenantIntegration,
)
from integrations.tests.factories import make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import Broker, CeleryProcess, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

EDI = {"sender": "4012345000009", "recipient": "4098765000010"}
LINES = [{"sku": "A", "quantity": 1}]


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver, broker: Broker) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


@pytest.fixture
def target(receiver: Receiver) -> ERPConnection:
    config = EncryptionService.encrypt_config({**EDI, "url": receiver.url})
    return ERPConnection.objects.create(org_id=make_tenant().pk, connector_type="EDI", config_encrypted=config)


def push(target: ERPConnection, order_id: Any = 1, **options: Any) -> PushResult:
    options = {"sleep": lambda seconds: None, **options}
    return PushOrchestrator().push_order(target.tenant_id, {"id": order_id, "lines": LINES}, **options)


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        try:
            start.wait(10)
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(run, action) for action in actions]]


# -- transactions -------------------------------------------------------------------------------------------


def test_no_transaction_is_open_while_sending(
    target: ERPConnection, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = ConnectorRegistry.type_of("EDI")
    real, seen = kind.deliver, []

    def deliver(self: Any, envelope: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return real(self, envelope)

    monkeypatch.setattr(kind, "deliver", deliver)
    receiver.answer_with(503, 200)
    assert push(target, sleep=lambda seconds: seen.append(connection.in_atomic_block)).status == "SUCCESS"
    assert seen == [False, False, False]


def test_a_push_inside_a_transaction_goes_out_after_it(target: ERPConnection, receiver: Receiver) -> None:
    with transaction.atomic():
        result = push(target)
        assert result.status == "PENDING"
        assert drain(target.pk).sent == 1  # only this very transaction sees it
        transaction.set_rollback(True)
    receiver.clear()
    assert not IntegrationEvent.objects.exists()
    with transaction.atomic():
        assert push(target).status == "PENDING" and receiver.requests == []
    assert drain(target.pk).sent == 1 and ERPPushLog.objects.get().status == "SUCCESS"


# -- threads ------------------------------------------------------------------------------------------------


def test_of_many_that_push_one_order_exactly_one_sends(target: ERPConnection, receiver: Receiver) -> None:
    for order in range(3):
        receiver.clear()
        results = at_once(*[lambda order=order: push(target, order)] * 6)
        (first,) = [result for result in results if not result.already_pushed]
        assert first.status == "SUCCESS" and len(receiver.requests) == 1
        assert {result.push_log.pk for result in results} == {first.push_log.pk}
        assert all("already pushed" in result.message for result in results if result is not first)
    assert IntegrationSync.objects.count() == 3 == ExecutionLog.objects.count()


def test_pushes_of_different_orders_take_turns(target: ERPConnection, receiver: Receiver) -> None:
    results = at_once(*[lambda n=n: push(target, n) for n in range(6)])
    assert [result.status for result in results] == ["SUCCESS"] * 6
    assert len(receiver.requests) == 6 and Lane.objects.get().delivered_count == 6
    assert Lane.objects.get().lease_token == ""


def test_a_push_waits_for_a_lane_that_is_given_back_in_time(target: ERPConnection, receiver: Receiver) -> None:
    lease = take(target.pk)
    is_over = threading.Event()
    threading.Timer(0.3, lambda: (is_over.set(), release(lease), connections.close_all())).start()
    sent_in_time = []
    receiver.answer_with(default=lambda request: sent_in_time.append(is_over.is_set()) or Answer())
    assert push(target).status == "SUCCESS" and sent_in_time == [True]


def test_workers_leave_a_lane_alone_while_a_push_waits(target: ERPConnection, receiver: Receiver) -> None:
    receiver.answer_with(503, 200)
    seen: list[Any] = []

    def meanwhile(seconds: float) -> None:
        push(target, 2, wait=False)
        seen.append((drain(target.pk).outcome, take(target.pk), Lane.objects.get().lease_token != ""))

    assert push(target, 1, sleep=meanwhile).status == "SUCCESS"
    assert seen == [("busy or paused", None, True)]
    assert drain(target.pk).sent == 1


def test_who_pauses_while_a_push_waits_is_obeyed(target: ERPConnection, receiver: Receiver) -> None:
    receiver.answer_with(503, 200)
    integration = TenantIntegration.objects.get(pk=target.pk)
    result = push(target, sleep=lambda _: operator_actions.pause(integration, actor="ann"))
    assert result.status == "RETRYING" and "paused by ann" in result.message and len(receiver.requests) == 1
    row = IntegrationSync.objects.get()
    assert (row.status, row.attempts, Lane.objects.get().lease_token) == ("pending", 1, "")
    operator_actions.resume(integration, actor="ann")
    IntegrationSync.objects.update(next_attempt_at=F("created_at"))
    assert drain(target.pk).sent == 1 and len(receiver.requests) == 2


def test_a_pusher_that_slept_beyond_its_lease_changes_nothing(target: ERPConnection, receiver: Receiver) -> None:
    receiver.answer_with(503, 200)
    written: list[Any] = []

    def too_long(seconds: float) -> None:
        Lane.objects.update(lease_expires_at=F("lease_expires_at") - timedelta(minutes=5))
        IntegrationSync.objects.update(next_attempt_at=F("created_at"))
        assert drain(target.pk).sent == 1  # a worker has it now
        written.append((IntegrationSync.objects.values().get(), Lane.objects.values().get()))

    result = push(target, sleep=too_long)
    assert result.status == "SUCCESS" and len(receiver.requests) == 2  # not by us, and not once more
    assert written == [(IntegrationSync.objects.values().get(), Lane.objects.values().get())]


def test_a_worker_cannot_take_what_is_being_pushed(target: ERPConnection, receiver: Receiver) -> None:
    gate = receiver.hold()
    with ThreadPoolExecutor(1) as pool:

        def in_thread() -> PushResult:
            try:
                return push(target)
            finally:
                connections.close_all()

        pushing = pool.submit(in_thread)
        receiver.wait_for(1)
        assert drain(target.pk).outcome == "busy or paused"
        assert push(target).status == "PENDING"  # the same key: the state of the first, and no second request
        gate.set()
        assert pushing.result(20).status == "SUCCESS"
    assert len(receiver.requests) == 1


# -- workers --------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(celery_worker: Callable[..., CeleryProcess], receiver: Receiver) -> Iterator[CeleryProcess]:
    yield celery_worker(pool="threads", concurrency=2, env={"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc})


def test_a_worker_sends_what_nobody_waits_for(target: ERPConnection, receiver: Receiver, worker: CeleryProcess) -> None:
    with transaction.atomic():
        results = [push(target, n, wait=n == 0) for n in range(3)]
    assert {result.status for result in results} == {"PENDING"}
    receiver.wait_for(3)
    wait_until(lambda: ERPPushLog.objects.filter(status="SUCCESS").count() == 3)
