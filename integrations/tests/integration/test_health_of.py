"""Health by outcomes: real receivers that fail all, some or none; what rests, recovers, is paused; what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.audit.trail import AuditEntry
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.send import Slice
from integrations.delivery.sweep import sweep
from integrations.delivery.trial import send_test_event
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.pull.models import SyncState
from integrations.services.status import overall
from integrations.services.status import statuses as statuses_of
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.transport.http.guarded_client import client

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


@pytest.fixture
def target(receiver: Receiver, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0, "PARALLEL_SECONDS": 60.0}
    return make_integration(make_tenant(), receiver.url)


def health(integration: TenantIntegration) -> Health:
    found: Health = health_of([integration])[integration.pk]
    return found


def send(target: TenantIntegration, *names: str) -> None:
    """Let these happen, and drain as if every rest and every delay were over."""
    for name in names:
        make_item(target.tenant, reference_id=name)
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
    Lane.objects.update(paused_until=None)
    drain(target.pk)


def bad_is_refused(status: int) -> Callable[[Request], int]:
    return lambda request: status if request.json["workitem"]["reference_id"].startswith("BAD") else 200


def test_one_that_answers_400_to_all_is_failing_until_something_is_taken(
    receiver: Receiver, target: TenantIntegration
) -> None:
    send(target, "first")
    assert health(target).state == State.WORKING
    receiver.answer_with(default=400)
    send(target, *(f"RMA-{number}" for number in range(24)))
    found = health(target)
    assert found.state == State.FAILING and "400" in found.why and "24 events" in found.why
    assert found.since == Lane.objects.get().failing_since and found.since is not None
    began = found.since
    send(target)  # retries of the same rows are no further events
    assert Lane.objects.get().failing_rows == 24 and health(target).since == began
    operator_actions.resume(target, actor="jane")
    assert health(target).state == State.FAILING, "nothing was taken yet"
    receiver.answer_with(default=200)
    send(target)
    lane = Lane.objects.get()
    assert (lane.failing_since, lane.failing_rows, lane.failing_attempts) == (None, 0, 0)
    assert (health(target).state, health(target).is_partial) == (State.WORKING, False)


def test_one_that_never_took_anything_fails_from_the_first(receiver: Receiver, target: TenantIntegration) -> None:
    assert health(target).state == State.NEVER_TRIED
    receiver.answer_with(default=400)
    send(target, "RMA-1")
    assert health(target).state == State.FAILING


def test_one_that_takes_some_works_in_part(receiver: Receiver, target: TenantIntegration) -> None:
    receiver.answer_with(default=bad_is_refused(400))
    send(target, "GOOD-0", *(f"BAD-{number}" for number in range(4)), "GOOD-1")
    found = health(target)
    assert (found.state, found.is_partial) == (State.WORKING, True)
    assert "4 events wait for a retry (400 for 4)" in found.why and Lane.objects.get().attention == ""
    for _ in range(3):  # nothing else is due all night: their own trouble says nothing of the others
        send(target)
    assert health(target).state == State.WORKING and Lane.objects.get().failing_rows < 3
    receiver.answer_with(default=200)
    send(target)
    assert not health(target).is_partial


def test_one_that_dies_in_the_middle_of_a_slice_fails(receiver: Receiver, target: TenantIntegration) -> None:
    taken = []

    def dies(request: Request) -> int:
        taken.append(request)
        return 200 if len(taken) <= 3 else 503

    receiver.answer_with(default=dies)
    send(target, *(f"RMA-{number}" for number in range(6)))
    found = health(target)
    assert found.state == State.FAILING and "503" in found.why
    lane = Lane.objects.get()
    assert lane.failing_attempts == lane.failing_rows == 3


def test_a_name_that_nobody_knows_is_one_tenants_trouble(receiver: Receiver, target: TenantIntegration) -> None:
    send(target, "RMA-1")
    other = make_integration(make_tenant("Umbrella"), "https://no-such-host.invalid/x", name="Slack of Umbrella")
    TenantIntegration.objects.filter(pk=other.pk).update(integration_type="n8n")
    for number in range(2):
        make_item(other.tenant, reference_id=f"U-{number}")
    drain(other.pk)
    found = health(other)
    assert found.state == State.FAILING and "no-such-host.invalid" in found.why
    assert overall(statuses_of(TenantIntegration.objects.all())) == "degraded"  # was: a kind of system is down
    assert overall(statuses_of(TenantIntegration.objects.filter(pk=other.pk))) == "down"  # for that tenant it is


def test_refused_credentials_and_410_are_disabled_with_what_to_do(
    receiver: Receiver, target: TenantIntegration
) -> None:
    receiver.answer_with(default=403)
    for number in range(4):
        send(target, f"RMA-{number}")
    found = health(target)
    assert (found.state, found.fault) == (State.DISABLED, "credentials")
    assert found.why == "The destination refused our credentials 3 times in a row."
    assert "enter the right ones" in found.what_to_do
    assert found.since is not None
    target.refresh_from_db()
    operator_actions.re_enable(target, actor="jane")
    assert health(target).state == State.FAILING, "nothing was taken yet"
    receiver.answer_with(default=410)
    send(target)
    found = health(target)
    assert (found.state, found.fault) == (State.DISABLED, "gone") and "410" in found.why


def test_one_that_asks_us_to_slow_down_rests(receiver: Receiver, target: TenantIntegration) -> None:
    send(target, "RMA-0")
    receiver.answer_with(default=Answer(429, b"", {"Retry-After": "600"}))
    send(target, "RMA-1", "RMA-2")
    found = health(target)
    assert found.state == State.RESTING and "asked us" in found.why
    assert found.until == Lane.objects.get().paused_until and not found.is_failing


def test_one_that_is_down_is_failing_also_while_it_rests(receiver: Receiver, target: TenantIntegration) -> None:
    send(target, "RMA-0")
    receiver.answer_with(default=500)
    send(target, *(f"RMA-{number}" for number in range(12)))
    found = health(target)
    assert (found.state, found.fault) == (State.FAILING, "destination")
    assert found.until is not None and "500" in found.why


def test_a_test_event_that_is_taken_says_so(receiver: Receiver, target: TenantIntegration) -> None:
    receiver.answer_with(default=404)
    send(target, "RMA-0")
    receiver.answer_with(default=200)
    assert send_test_event(target, client()).success
    assert health(target).label == "⚠ Test passed"


def test_a_pull_that_fails_is_what_counts_where_nothing_is_sent(target: TenantIntegration) -> None:
    TenantIntegration.objects.filter(pk=target.pk).update(integration_type="woocommerce", is_connected=True)
    SyncState.objects.create(connection=target, resource_type="orders", last_sync_at=timezone.now())
    state = health(target)
    assert state.state in (State.WORKING, State.NEVER_TRIED)
    SyncState.objects.update(status=SyncState.Status.FAILED, last_error="HTTP 500")
    Lane.objects.update(last_success_at=timezone.now())
    assert "orders: HTTP 500" in health(target).why


# -- a person's pause -------------------------------------------------------------------------------------------


def test_a_person_pauses_and_nothing_is_lost(receiver: Receiver, target: TenantIntegration) -> None:
    operator_actions.pause(target, actor="jane")
    operator_actions.pause(target, actor="bob")  # too late: jane has
    for name in ("RMA-1", "RMA-2"):
        make_item(target.tenant, reference_id=name)
    assert sweep()["due"] == 0
    drain(target.pk)  # a hint that was under way
    assert receiver.requests == [] and statuses() == ["pending"] * 2
    assert set(IntegrationSync.objects.values_list("attempts", flat=True)) == {0}
    found = health(target)
    assert found.state == State.PAUSED and "jane" in found.why and found.since is not None
    operator_actions.re_enable(target, actor="bob")
    assert health(target).state == State.PAUSED, "nobody has resumed it"
    operator_actions.resume(target, actor="bob")
    drain(target.pk)
    assert statuses() == ["synced"] * 2
    done = AuditEntry.objects.filter(integration_key=target.pk, actor__in=("jane", "bob")).order_by("id")
    assert list(done.values_list("action", "actor")) == [("paused", "jane"), ("re-enabled", "bob"), ("resumed", "bob")]


def test_a_pause_ends_a_turn_after_its_slice(
    receiver: Receiver, target: TenantIntegration, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SLICE_ROWS": 2, "PARALLEL_SECONDS": 60.0}
    original = Slice.send

    def send_and_pause(self: Any, chains: Any) -> None:
        original(self, chains)
        operator_actions.pause(target, actor="jane")

    monkeypatch.setattr(Slice, "send", send_and_pause)
    for number in range(6):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    assert drain(target.pk).outcome == "paused"
    assert statuses() == ["synced"] * 2 + ["pending"] * 4 and health(target).state == State.PAUSED


def test_what_is_switched_off_is_cancelled_though_it_is_paused(target: TenantIntegration) -> None:
    make_item(target.tenant)
    operator_actions.pause(target, actor="jane")
    TenantIntegration.objects.filter(pk=target.pk).update(is_active=False)
    assert sweep()["due"] == 1
    drain(target.pk)
    assert statuses() == ["cancelled"] and health(target).state == State.OFF


# -- what it costs ----------------------------------------------------------------------------------------------


def test_a_page_of_integrations_costs_as_many_queries_as_one(target: TenantIntegration) -> None:
    with CaptureQueriesContext(connection) as one:
        health_of(TenantIntegration.objects.all())
    tenant = make_tenant("Umbrella")
    for number in range(30):
        make_integration(tenant, name=f"hook {number}")
    make_integration(tenant, name="shop", integration_type="webhook", last_test_at=timezone.now() - timedelta(days=1))
    with CaptureQueriesContext(connection) as many:
        found = health_of(TenantIntegration.objects.all())
    assert len(found) == 32 and len(many) == len(one) <= 3
