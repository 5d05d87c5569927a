"""Hints that are sent together: one that fails takes no other with it; the time for all of them is bounded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from app.celery import app
from integrations.delivery import hints, wakeup
from integrations.delivery.sweep import pass_on, sweep
from integrations.models import Lane, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Receiver
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

PATIENCE = 30.0  # seconds

Fails = Callable[[str, dict[str, Any]], bool]


class FlakyBroker:
    """What takes the place of the client library: it fails as it is told, and notes what arrived."""

    def __init__(self) -> None:
        self.fails: Fails = lambda task, kwargs: False
        self.tried: list[str] = []
        self.woken: list[int] = []

    def __call__(self, task: str, kwargs: dict[str, Any], queue: str) -> None:
        self.tried.append(task)
        if self.fails(task, kwargs):
            raise ConnectionError
        self.woken += [lane[0] for lane in kwargs["lanes"]] if "lanes" in kwargs else [kwargs["integration_id"]]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FlakyBroker:
    found = FlakyBroker()
    monkeypatch.setattr(hints, "_send", found)
    monkeypatch.setattr(hints, "_rest_until", 0.0)
    return found


@pytest.fixture
def three() -> list[TenantIntegration]:
    tenant = make_tenant()
    return [make_integration(tenant, "https://a.example.com", name=f"number {n}") for n in range(3)]


def save(tenant: Tenant, **fields: Any) -> None:
    """Save a work item, and wait for the hints that go out behind it."""
    make_item(tenant, **fields)
    assert wakeup.wait_until_sent(PATIENCE)


def keys(integrations: list[TenantIntegration]) -> list[int]:
    return sorted(each.pk for each in integrations)


def test_the_one_message_for_all_fails_and_each_has_its_chance(
    broker: FlakyBroker, three: list[TenantIntegration]
) -> None:
    broker.fails = lambda task, kwargs: task == wakeup.TASK_OF_MANY
    save(three[0].tenant)
    assert sorted(broker.woken) == keys(three)
    assert not hints.is_away(), "a broker that takes messages is not left alone"


def test_one_that_fails_takes_no_other_with_it(broker: FlakyBroker, three: list[TenantIntegration]) -> None:
    unlucky = three[0].pk
    broker.fails = lambda task, kwargs: task == wakeup.TASK_OF_MANY or kwargs["integration_id"] == unlucky
    save(three[0].tenant)
    assert sorted(broker.woken) == keys(three)[1:]
    broker.woken.clear()
    broker.fails = lambda task, kwargs: False
    save(three[0].tenant, reference_id="RMA-2")
    assert broker.woken == [unlucky], "the hints of the others are still under way"


def test_a_broker_that_is_away_is_left_alone_after_three(broker: FlakyBroker, three: list[TenantIntegration]) -> None:
    broker.fails = lambda task, kwargs: True
    save(three[0].tenant)
    assert len(broker.tried) == hints.FAILURES and hints.is_away()
    save(three[0].tenant, reference_id="RMA-2")
    assert len(broker.tried) == hints.FAILURES


def test_a_worker_that_passes_hints_on_goes_on_after_a_failure(
    broker: FlakyBroker, three: list[TenantIntegration]
) -> None:
    Lane.objects.update(hinted_at="2026-01-01T00:00Z")
    broker.fails = lambda task, kwargs: kwargs["integration_id"] == three[0].pk
    assert pass_on([[each.pk, 0, 0] for each in three]) == 2
    assert sorted(broker.woken) == keys(three)[1:]
    unmarked = Lane.objects.filter(hinted_at=None).values_list("pk", flat=True)
    assert list(unmarked) == [three[0].pk], "it is asked for again by the next sweep, and only it"


def test_a_sweep_goes_on_after_a_failure(
    broker: FlakyBroker, three: list[TenantIntegration], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.fails = lambda task, kwargs: True
    save(three[0].tenant)
    monkeypatch.setattr(hints, "_rest_until", 0.0)
    broker.fails = lambda task, kwargs: task == wakeup.TASK_OF_MANY
    assert sweep() == {"due": 3, "woken": 3}
    assert sorted(broker.woken) == keys(three)


def test_there_is_one_time_for_all(broker: FlakyBroker, three: list[TenantIntegration], monkeypatch: Any) -> None:
    monkeypatch.setattr(hints, "WAKE_SECONDS", 0.05)

    def late(task: str, kwargs: dict[str, Any]) -> bool:
        time.sleep(0.06)
        return True

    broker.fails = late
    save(three[0].tenant)
    assert broker.tried == [wakeup.TASK_OF_MANY] and hints.is_away()


def test_without_a_broker_none_is_left_out(receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the deliveries take, and whatever a broker did before."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    monkeypatch.setitem(app.conf.changes, "task_always_eager", True)
    monkeypatch.setattr(hints, "WAKE_SECONDS", 0.0)
    hints._leave_alone()
    tenant = make_tenant()
    for number in range(3):
        make_integration(tenant, receiver.url, name=f"number {number}")
    make_item(tenant)
    assert statuses() == ["synced"] * 3


def test_more_lanes_at_once_than_a_statement_has_parameters(
    broker: FlakyBroker, three: list[TenantIntegration]
) -> None:
    wakeup.wake_idle([*range(2_000_000, 2_300_000), *keys(three)])
    assert wakeup.wait_until_sent(PATIENCE)
    assert sorted(broker.woken) == keys(three)


# -- behind the request -----------------------------------------------------------------------------


class Held:
    """A broker that takes what it is sent, and answers only when it is let go."""

    def __init__(self) -> None:
        self.has_begun, self.may_answer = threading.Event(), threading.Event()
        self.sent: list[dict[str, Any]] = []

    def __call__(self, task: str, kwargs: dict[str, Any], queue: str) -> None:
        self.has_begun.set()
        assert self.may_answer.wait(PATIENCE)
        self.sent.append(kwargs)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    found = Held()
    monkeypatch.setattr(hints, "_send", found)
    monkeypatch.setattr(hints, "_rest_until", 0.0)
    yield found
    found.may_answer.set()
    assert wakeup.wait_until_sent(PATIENCE)


def test_a_save_is_through_before_the_broker_answers(held: Held, three: list[TenantIntegration]) -> None:
    make_item(three[0].tenant)
    assert held.has_begun.wait(PATIENCE)
    assert held.sent == [] and not wakeup.wait_until_sent(0)
    held.may_answer.set()
    assert wakeup.wait_until_sent(PATIENCE)
    assert sorted(lane[0] for lane in held.sent[0]["lanes"]) == keys(three)


def test_what_is_saved_while_a_hint_is_sent_goes_in_one_message(held: Held) -> None:
    first, second, third = (make_tenant(name) for name in ("first", "second", "third"))
    one, *two = [make_integration(each, "https://a.example.com") for each in (first, second, third)]
    make_item(first)
    assert held.has_begun.wait(PATIENCE)
    make_item(second), make_item(third), make_item(second)
    held.may_answer.set()
    assert wakeup.wait_until_sent(PATIENCE)
    assert held.sent[0]["integration_id"] == one.pk
    assert [sorted(lane[0] for lane in each["lanes"]) for each in held.sent[1:]] == [keys(two)]


def test_a_lane_that_is_asked_for_already_is_not_asked_for_again(held: Held, three: list[TenantIntegration]) -> None:
    make_item(three[0].tenant)
    assert held.has_begun.wait(PATIENCE)
    make_item(three[0].tenant, reference_id="RMA-2")
    held.may_answer.set()
    assert wakeup.wait_until_sent(PATIENCE)
    assert len(held.sent) == 1, "it has not been followed yet, and whoever does sees both"


def test_a_time_limit_that_strikes_while_the_thread_is_told_stops_no_later_hint(
    broker: FlakyBroker, three: list[TenantIntegration]
) -> None:
    def strike(*_: Any) -> None:
        raise SoftTimeLimitExceeded

    behind = wakeup._Behind()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SoftTimeLimitExceeded):
        patch.setattr(ThreadPoolExecutor, "submit", strike)
        behind.take([(three[0].pk, 0, False)])
    behind.take([(three[1].pk, 0, False)])
    assert behind.wait(PATIENCE)
    assert broker.woken == keys(three[:2])


def test_a_forked_process_sends_for_itself(held: Held, three: list[TenantIntegration]) -> None:
    """What the parent is sending is the parent's; the child must neither wait for it nor send it again."""
    wakeup._behind.take([(three[0].pk, 0, False)])
    assert held.has_begun.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        held.may_answer.set()
        wakeup._behind.take([(three[1].pk, 0, False)])
        is_right = wakeup.wait_until_sent(PATIENCE) and [each["integration_id"] for each in held.sent] == [three[1].pk]
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
