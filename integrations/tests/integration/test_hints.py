"""Hints that are sent together: one that fails takes no other with it; the time for all of them is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from integrations.delivery import wakeup
from integrations.delivery.sweep import pass_on, sweep
from integrations.models import Lane, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

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
    monkeypatch.setattr(wakeup, "_send", found)
    monkeypatch.setattr(wakeup, "_rest_until", 0.0)
    return found


@pytest.fixture
def three() -> list[TenantIntegration]:
    tenant = make_tenant()
    return [make_integration(tenant, "https://a.example.com", name=f"number {n}") for n in range(3)]


def keys(integrations: list[TenantIntegration]) -> list[int]:
    return sorted(each.pk for each in integrations)


def test_the_one_message_for_all_fails_and_each_has_its_chance(
    broker: FlakyBroker, three: list[TenantIntegration]
) -> None:
    broker.fails = lambda task, kwargs: task == wakeup.TASK_OF_MANY
    make_item(three[0].tenant)
    assert sorted(broker.woken) == keys(three)
    assert not wakeup.is_away(), "a broker that takes messages is not left alone"


def test_one_that_fails_takes_no_other_with_it(broker: FlakyBroker, three: list[TenantIntegration]) -> None:
    unlucky = three[0].pk
    broker.fails = lambda task, kwargs: task == wakeup.TASK_OF_MANY or kwargs["integration_id"] == unlucky
    make_item(three[0].tenant)
    assert sorted(broker.woken) == keys(three)[1:]
    broker.woken.clear()
    broker.fails = lambda task, kwargs: False
    make_item(three[0].tenant, reference_id="RMA-2")
    assert broker.woken == [unlucky], "the hints of the others are still under way"


def test_a_broker_that_is_away_is_left_alone_after_three(broker: FlakyBroker, three: list[TenantIntegration]) -> None:
    broker.fails = lambda task, kwargs: True
    make_item(three[0].tenant)
    assert len(broker.tried) == wakeup.FAILURES and wakeup.is_away()
    make_item(three[0].tenant, reference_id="RMA-2")
    assert len(broker.tried) == wakeup.FAILURES


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
    make_item(three[0].tenant)
    monkeypatch.setattr(wakeup, "_rest_until", 0.0)
    broker.fails = lambda task, kwargs: task == wakeup.TASK_OF_MANY
    assert sweep() == {"due": 3, "woken": 3}
    assert sorted(broker.woken) == keys(three)


def test_there_is_one_time_for_all(broker: FlakyBroker, three: list[TenantIntegration], monkeypatch: Any) -> None:
    monkeypatch.setattr(wakeup, "WAKE_SECONDS", 0.05)

    def late(task: str, kwargs: dict[str, Any]) -> bool:
        time.sleep(0.06)
        return True

    broker.fails = late
    make_item(three[0].tenant)
    assert broker.tried == [wakeup.TASK_OF_MANY] and wakeup.is_away()
