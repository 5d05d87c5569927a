"""Deliveries, pulls and calls of one integration: one timeout, one circuit breaker, one pace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from integrations.connections.binding import bind
from integrations.connectors.base import BaseConnector
from integrations.connectors.exported import exported
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.page import Page
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.database.times import after
from integrations.delivery.call_gate import CallGate
from integrations.delivery.drain import drain
from integrations.delivery.lease import take
from integrations.delivery.operator_actions import re_enable, resume
from integrations.delivery.settle import pause
from integrations.errors import (
    QUOTA,
    SETUP,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.models import IntegrationSync, Lane, SyncState, TenantIntegration
from integrations.services import SyncService
from integrations.services.lookup import get_connector
from integrations.tests.factories import make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.response import Response

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

DOWN = (IntegrationTemporaryError,)


class Ledger(BaseConnector):
    """A system that takes events, is read in pages, and is asked things."""

    manifest = Manifest(
        key="ledger",
        label="Ledger",
        family="test",
        fields=(Field(name="base_url", kind="url", required=True),),
        does=("deliver", "read"),
    )

    def deliver(self, envelope: Envelope) -> Receipt:
        return self.receipt(self.http.send("POST", "/events", json=envelope.payload))

    @exported
    def get_entries(self, cursor: str | None = None) -> Page[Any]:
        return Page([self.http.get("/entries")], "1", False)

    def entry(self) -> Any:
        return self.http.get("/entry")


class Patient(Ledger):
    """A kind that says how long it takes."""

    manifest = Ledger.manifest.model_copy(update={"key": "patient", "timeout": 25.0})


@pytest.fixture(autouse=True)
def _kinds(receiver: Receiver, settings: Any) -> Iterator[None]:
    settings.INTEGRATIONS = {
        "ALLOWED_HOSTS": [receiver.netloc],
        "HTTP_MAX_ATTEMPTS": 1,
        "BREAKER_FAILURES_TO_OPEN": 2,
        "RETRY_BASE_SECONDS": 0.001,
        "RETRY_JITTER": 0.0,
    }
    for kind in (Ledger, Patient, Spent):
        ConnectorRegistry.register(kind.manifest.key, kind)
    yield
    for kind in (Ledger, Patient, Spent):
        ConnectorRegistry.unregister(kind.manifest.key)


@pytest.fixture
def made(receiver: Receiver) -> TenantIntegration:
    return make(receiver)


def make(receiver: Receiver, kind: str = "ledger", **values: Any) -> TenantIntegration:
    config = {"base_url": f"http://{receiver.netloc}"}
    found = TenantIntegration.objects.create(
        tenant=make_tenant(), integration_type=kind, name="Ledger", config=config, is_connected=True, **values
    )
    found.subscribe("workitem_created")
    return found


def call(made: TenantIntegration) -> Any:
    return get_connector("ledger", made.tenant_id).entry()


def fails(made: TenantIntegration, times: int = 1) -> list[str]:
    found = []
    for _ in range(times):
        with pytest.raises(IntegrationError) as failure:
            call(made)
        found.append(failure.value.code)
    return found


def pulled(made: TenantIntegration) -> Any:
    state, _ = SyncState.objects.get_or_create(connection=made, resource_type="entries")
    return SyncService.incremental_sync(made, state, "entries")


def lane(made: TenantIntegration) -> Lane:
    return Lane.objects.get(pk=made.pk)


def pause_is_over(made: TenantIntegration) -> None:
    Lane.objects.filter(pk=made.pk).update(paused_until=after(-1))


# -- one timeout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "own", "named", "expected"),
    [
        ("ledger", None, {"TIMEOUT_SECONDS": 2.0}, (2.0, 2.0)),
        ("patient", None, {"TIMEOUT_SECONDS": 2.0}, (2.0, 2.0)),
        ("patient", None, {}, (25.0, 25.0)),
        ("patient", 7.0, {"TIMEOUT_SECONDS": 2.0}, (7.0, 7.0)),
        ("ledger", None, {"TIMEOUT_SECONDS": 2.0, "ADAPTER_TIMEOUT_SECONDS": 3.0}, (2.0, 3.0)),
        ("ledger", None, {}, (None, 10.0)),
    ],
)
def test_integration_before_setting_before_kind(
    receiver: Receiver, settings: Any, kind: str, own: float | None, named: Any, expected: Any
) -> None:
    settings.INTEGRATIONS |= named
    made = make(receiver, kind, timeout_seconds=own)
    called = get_connector(kind, made.tenant_id).binding.timeout
    assert (bind(made).binding.timeout, called) == expected
    assert made.get_adapter().binding.timeout == called


# -- one circuit breaker ---------------------------------------------------------------------------------------


def test_calls_open_the_breaker_and_then_nothing_is_sent(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(default=503)
    assert fails(made, 12)[2:] == ["circuit_open"] * 10
    assert len(receiver.requests) == 2
    found = lane(made)
    assert (found.breaker, found.times_opened, found.consecutive_failures) == ("open", 1, 2)
    assert found.opened_at is not None and found.pause_reason == "circuit breaker: 2 failures in a row"
    with pytest.raises(
        IntegrationTemporaryError, match=r"not asked now: circuit breaker.* try again in \d+ s"
    ) as error:
        call(made)
    assert 20 < error.value.retry_after <= 30 and not error.value.was_sent
    # The same for a pull, and for events.
    assert "circuit breaker" in pulled(made).errors[0]
    make_item(made.tenant)
    assert drain(made.pk).outcome == "busy or paused"
    assert len(receiver.requests) == 2


def test_its_name_begins_no_line_of_the_log(made: TenantIntegration, receiver: Receiver, caplog: Any) -> None:
    TenantIntegration.objects.filter(pk=made.pk).update(name="Led\nERROR \x1b[31mger")
    receiver.answer_with(default=503)
    fails(made, 3)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("integrations")]
    assert "Led\\nERROR \\x1b[31mger: the circuit breaker is open for 30 s" in said
    assert all(line.isprintable() for line in said)


def test_the_attempts_of_one_call_count_each(made: TenantIntegration, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS |= {"HTTP_MAX_ATTEMPTS": 5, "HTTP_BASE_SECONDS": 0.001}
    receiver.answer_with(default=503)
    with pytest.raises(IntegrationTemporaryError) as error:
        call(made)
    assert error.value.status == 503 and len(receiver.requests) == 2, "its own error, and no attempt after the last"


def test_pulls_and_deliveries_open_it_for_calls(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    assert [bool(pulled(made).errors) for _ in range(2)] == [True, True]
    assert fails(made) == ["circuit_open"] and len(receiver.requests) == 2
    resume(made, actor="jane")
    for n in range(4):
        make_item(made.tenant, reference_id=f"RMA-{n}")
    drain(made.pk)
    sent = len(receiver.requests)
    assert lane(made).breaker == "open"
    assert fails(made) == ["circuit_open"] and len(receiver.requests) == sent


def test_failures_of_calls_and_deliveries_add_up(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    fails(made)
    make_item(made.tenant)
    drain(made.pk)
    assert lane(made).breaker == "open" and lane(made).consecutive_failures == 2


@pytest.mark.parametrize("how", ["call", "pull", "delivery"])
def test_whoever_is_taken_closes_it(made: TenantIntegration, receiver: Receiver, how: str) -> None:
    receiver.answer_with(503, 503)
    fails(made, 2)
    pause_is_over(made)
    if how == "call":
        assert call(made) == {"ok": True}
    elif how == "pull":
        assert not pulled(made).errors
    else:
        make_item(made.tenant)
        drain(made.pk)
    found = lane(made)
    assert (found.breaker, found.times_opened, found.consecutive_failures) == ("closed", 0, 0)
    assert (found.paused_until, found.opened_at, found.pause_reason) == (None, None, "")
    call(made)


def test_a_success_between_ends_the_count(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(503, 200, 503, 200, 503, 404, 503)
    for is_failing in (True, False, True, False, True):
        fails(made) if is_failing else call(made)
    assert lane(made).consecutive_failures == 1
    fails(made)  # 404: neither
    assert lane(made).consecutive_failures == 1 and lane(made).breaker == "closed"
    fails(made)
    assert lane(made).breaker == "open"


@pytest.mark.parametrize("fault", ["event", "setup", "quota"])
def test_what_is_not_the_destinations_fault_opens_no_breaker(
    made: TenantIntegration, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """As in a lane (verdicts.py)."""

    def classify(self: Any, response: Any) -> IntegrationError | None:
        return IntegrationTemporaryError("locked", fault=fault) if response.status == 423 else None

    monkeypatch.setattr(Ledger, "classify", classify)
    receiver.answer_with(423, 423, 423)
    assert fails(made, 3) == ["temporary"] * 3
    assert (lane(made).consecutive_failures, lane(made).breaker) == (0, "closed")
    call(made)


def test_a_failed_probe_doubles_the_pause(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(default=503)
    fails(made, 2)
    pause_is_over(made)
    assert fails(made, 2) == ["http_503", "circuit_open"]
    found = lane(made)
    assert len(receiver.requests) == 3 and found.times_opened == 2
    assert 50 < (found.paused_until - timezone.now()).total_seconds() <= 61


def test_a_probe_that_proves_nothing_lets_the_next_one_go(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(503, 503, 404, 200)
    fails(made, 2)
    pause_is_over(made)
    assert fails(made) == ["http_404"] and lane(made).breaker == "open"
    assert call(made) == {"ok": True} and lane(made).breaker == "closed"


def test_of_ten_callers_one_is_the_probe(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(503, 503)
    fails(made, 2)
    pause_is_over(made)
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: Any) -> Answer:
        asked.set()
        assert go_on.wait(10)
        return Answer()

    receiver.answer_with(default=slow)

    def one() -> str:
        try:
            call(made)
            return "taken"
        except IntegrationError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(one)
        assert asked.wait(10)
        others = [each.result() for each in [pool.submit(one) for _ in range(4)]]
        go_on.set()
        assert first.result() == "taken" and others == ["circuit_open"] * 4
    assert lane(made).breaker == "closed"


def test_a_check_by_a_person_is_never_refused(made: TenantIntegration, receiver: Receiver) -> None:
    Lane.objects.update(paused_until=after(60), pause_reason="circuit breaker: 5 failures in a row", times_opened=1)
    made.test_connection()
    with bind(made) as adapter:
        assert adapter.entry() == {"ok": True}


def test_a_pause_of_the_lane_alone_stops_no_call(made: TenantIntegration, receiver: Receiver) -> None:
    Lane.objects.update(paused_until=after(60), pause_reason="another lane of its process is sent row by row too")
    assert call(made) == {"ok": True}


def test_retry_after_holds_for_everybody(made: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(Answer(429, headers={"Retry-After": "90"}), 200)
    assert fails(made, 2) == ["rate_limited", "paused"]
    with pytest.raises(IntegrationRateLimited, match="asked us to wait") as error:
        call(made)
    assert 80 < error.value.retry_after <= 90 and len(receiver.requests) == 1
    make_item(made.tenant)
    assert drain(made.pk).outcome == "busy or paused"
    assert lane(made).breaker == "closed"


class Spent(Ledger):
    """A kind whose refusals are those of an allowance that is used up."""

    manifest = Ledger.manifest.model_copy(update={"key": "spent"})

    def classify(self, response: Response) -> IntegrationError | None:
        if response.status == 200:
            return None
        return IntegrationPermanentError(
            "this month's allowance is used up", fault=QUOTA, status=402, retry_after=4000.0
        )


@pytest.fixture
def spent(receiver: Receiver) -> TenantIntegration:
    receiver.answer_with(402)
    return make(receiver, "spent")


def test_a_quota_that_a_delivery_finds_used_up_holds_for_calls(spent: TenantIntegration, receiver: Receiver) -> None:
    make_item(spent.tenant)
    drain(spent.pk)
    assert statuses() == ["pending"] and "used up" in lane(spent).pause_reason
    with pytest.raises(IntegrationRateLimited, match="used up") as refusal:
        get_connector("spent", spent.tenant_id).entry()
    assert refusal.value.retry_after > 3900 and len(receiver.requests) == 1


def test_a_quota_that_a_call_finds_used_up_holds_for_deliveries(spent: TenantIntegration, receiver: Receiver) -> None:
    with pytest.raises(IntegrationPermanentError, match="used up"):
        get_connector("spent", spent.tenant_id).entry()
    make_item(spent.tenant)
    assert drain(spent.pk).outcome == "busy or paused"
    assert len(receiver.requests) == 1 and rests(spent) > 3900


def rests(made: TenantIntegration) -> float:
    until = lane(made).paused_until
    return 0.0 if until is None else (until - timezone.now()).total_seconds()


def test_retry_after_is_obeyed_within_a_longer_pause_of_the_lane(made: TenantIntegration, receiver: Receiver) -> None:
    Lane.objects.update(paused_until=after(600), pause_reason="the destination refused our credentials (2 in a row)")
    receiver.answer_with(Answer(429, headers={"Retry-After": "90"}))
    assert fails(made, 2) == ["rate_limited", "paused"]
    assert len(receiver.requests) == 1 and rests(made) > 500, "the lane's own pause is not shortened"


def test_a_longer_pause_of_the_holder_does_not_hide_what_a_call_was_asked_for(
    made: TenantIntegration, receiver: Receiver
) -> None:
    lease = take(made.pk)
    assert lease is not None
    receiver.answer_with(Answer(429, headers={"Retry-After": "90"}))
    assert fails(made) == ["rate_limited"]
    lease.renew(pause(300.0, "the address is missing"))
    assert rests(made) > 200 and fails(made) == ["paused"]


def test_a_success_under_way_does_not_end_what_was_asked_for(made: TenantIntegration, receiver: Receiver) -> None:
    """The breaker opens at an answer that asks for 900 s; a request that began before is taken."""
    gate = CallGate(made.pk, "Ledger", longest=30.0, interval=0.0)
    Lane.objects.update(consecutive_failures=1)
    ticket = gate.enter()
    busy = IntegrationTemporaryError("503", retry_after=900.0)
    assert not gate.note(gate.enter(), busy) and lane(made).breaker == "open"
    gate.note(ticket, None)
    assert rests(made) > 800
    assert fails(made) == ["paused"]


def while_it_is_sent(made: TenantIntegration, receiver: Receiver, events: Answer, *calls: Answer) -> None:
    """Answer the first event with `events`, after calls got `calls`."""
    left = list(calls)

    def answer(request: Any) -> Answer:
        if request.path != "/events":
            return left.pop(0)
        fails(made, len(left))
        connections.close_all()
        return events

    receiver.answer_with(default=answer)


def test_retry_after_of_a_call_outlasts_the_slice(made: TenantIntegration, receiver: Receiver, settings: Any) -> None:
    """The slice knew nothing of it: it neither ends the rest nor begins another slice."""
    settings.INTEGRATIONS |= {"SLICE_ROWS": 1}
    while_it_is_sent(made, receiver, Answer(), Answer(429, headers={"Retry-After": "900"}))
    for n in range(3):
        make_item(made.tenant, reference_id=f"RMA-{n}")
    assert drain(made.pk).sent == 1
    found = lane(made)
    assert (found.paused_until - timezone.now()).total_seconds() > 800
    assert found.pause_reason == "the destination asked us to wait" and drain(made.pk).outcome == "busy or paused"


@pytest.mark.parametrize("status", [422, 503])
def test_a_breaker_that_calls_opened_outlasts_the_slice(
    made: TenantIntegration, receiver: Receiver, status: int
) -> None:
    while_it_is_sent(made, receiver, Answer(status), Answer(503), Answer(503))
    make_item(made.tenant)
    drain(made.pk)
    found = lane(made)
    assert (found.breaker, found.times_opened) == ("open", 1) and found.opened_at is not None
    assert found.consecutive_failures == 2 + (status == 503) and found.paused_until > timezone.now()
    assert fails(made) == ["circuit_open"]


def test_what_a_slice_delivered_closes_the_breaker_of_calls(made: TenantIntegration, receiver: Receiver) -> None:
    while_it_is_sent(made, receiver, Answer(), Answer(503), Answer(503))
    make_item(made.tenant)
    drain(made.pk)
    found = lane(made)
    assert (found.breaker, found.times_opened, found.paused_until, found.opened_at) == ("closed", 0, None, None)


def test_inside_a_transaction_nothing_is_locked(made: TenantIntegration, receiver: Receiver) -> None:
    """The lane's row would stay locked for as long as the caller's transaction lasts; no worker could settle."""
    receiver.answer_with(default=503)
    with transaction.atomic():
        fails(made, 2)
        assert lane(made).consecutive_failures == 0
    assert lane(made).consecutive_failures == 2 and lane(made).breaker == "open"
    with transaction.atomic():
        assert fails(made) == ["circuit_open"]


# -- one pace ----------------------------------------------------------------------------------------------------


def test_ten_calls_keep_the_limit(receiver: Receiver) -> None:
    made = make(receiver, rate_limit_per_minute=6)
    call(made)
    assert fails(made, 9) == ["paced"] * 9 and len(receiver.requests) == 1
    with pytest.raises(
        IntegrationRateLimited, match=r"rate limit of 6 requests a minute .* try again in \d+ s"
    ) as error:
        call(made)
    assert 8 < error.value.retry_after <= 10
    assert lane(made).breaker == "closed" and lane(made).consecutive_failures == 0


def test_a_short_turn_is_waited_for(receiver: Receiver) -> None:
    made = make(receiver, rate_limit_per_minute=600)
    call(made)
    booked = lane(made).next_send_at
    for _ in range(3):
        call(made)
    assert len(receiver.requests) == 4
    assert lane(made).next_send_at - booked >= timedelta(seconds=0.3)  # each had its turn after the one before


def test_calls_pulls_and_deliveries_take_turns(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS |= {"PACE_SECONDS": 0.0}
    made = make(receiver, rate_limit_per_minute=6)
    call(made)
    make_item(made.tenant)
    assert drain(made.pk).outcome == "paced"
    assert "rate limit" in pulled(made).errors[0] and len(receiver.requests) == 1
    Lane.objects.update(next_send_at=Now(), paused_until=None)
    assert drain(made.pk).sent == 1
    assert fails(made) == ["paced"] and len(receiver.requests) == 2


def test_what_calls_booked_during_a_slice_is_kept(receiver: Receiver, settings: Any) -> None:
    """Both together keep the limit: the slice adds its own requests to what is booked, and forgets nothing."""
    settings.INTEGRATIONS |= {"HTTP_WAIT_CAP_SECONDS": 1.0}
    made = make(receiver, rate_limit_per_minute=60)

    def while_it_is_sent(request: Any) -> Answer:
        if request.path == "/events":
            get_connector("ledger", made.tenant_id).entry()
            connections.close_all()
        return Answer()

    receiver.answer_with(default=while_it_is_sent)
    make_item(made.tenant)
    drain(made.pk)
    assert IntegrationSync.objects.get().status == "synced" and len(receiver.requests) == 2
    assert timezone.now() + timedelta(seconds=1.5) < lane(made).next_send_at < timezone.now() + timedelta(seconds=2.5)


def test_a_limit_of_its_own_in_a_transaction(receiver: Receiver) -> None:
    made = make(receiver, rate_limit_per_minute=6)
    adapter = get_connector("ledger", made.tenant_id)
    with transaction.atomic():
        adapter.entry()
        with pytest.raises(IntegrationRateLimited):
            adapter.entry()
    assert len(receiver.requests) == 1


# -- refusals -------------------------------------------------------------------------------------------------


REFUSED = Answer(403)


def answers(receiver: Receiver, *, events: Answer, calls: Answer) -> None:
    receiver.answer_with(default=lambda request: events if request.path == "/events" else calls)


def refusals(made: TenantIntegration) -> tuple[int, int, bool]:
    found = TenantIntegration.objects.get(pk=made.pk)
    return found.refused_deliveries, found.refused_calls, found.is_enabled


def delivers(made: TenantIntegration) -> None:
    make_item(made.tenant)
    pause_is_over(made)
    drain(made.pk)


@pytest.mark.parametrize("how", ["call", "pull", "test"])
def test_calls_that_succeed_do_not_end_the_refusals_of_deliveries(
    made: TenantIntegration, receiver: Receiver, how: str
) -> None:
    answers(receiver, events=REFUSED, calls=Answer())
    succeed = {"call": call, "pull": pulled, "test": TenantIntegration.mark_connected}[how]
    for number in (1, 2):
        delivers(made)
        assert refusals(made) == (number, 0, True)
        succeed(TenantIntegration.objects.get(pk=made.pk))
        assert refusals(made) == (number, 0, True)
    delivers(made)
    assert refusals(made) == (3, 0, False)
    made.refresh_from_db()
    assert "refused our credentials 3 times in a row" in made.disabled_reason
    re_enable(made, actor="jane")
    assert refusals(made) == (0, 0, True)


def test_a_success_ends_the_refusals_of_calls(made: TenantIntegration, receiver: Receiver) -> None:
    """Two refused, one answered, two refused: still enabled."""
    answers(receiver, events=Answer(), calls=REFUSED)
    fails(made, 2)
    assert refusals(made) == (0, 2, True)
    answers(receiver, events=Answer(), calls=Answer())
    call(made)
    assert refusals(made) == (0, 0, True)
    answers(receiver, events=Answer(), calls=REFUSED)
    fails(made, 2)
    delivers(made)
    assert refusals(made) == (0, 0, True), "an event that is taken ends all"
    fails(made, 3)
    assert refusals(made)[2] is False


def test_three_refusals_in_a_row_disable_whoever_met_them(made: TenantIntegration, receiver: Receiver) -> None:
    answers(receiver, events=REFUSED, calls=REFUSED)
    fails(made, 2)
    delivers(made)
    assert refusals(made) == (1, 2, False)


def test_a_set_up_that_deliveries_find_wrong_is_counted_apart_from_refused_calls(
    made: TenantIntegration, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Any, response: Response) -> IntegrationError | None:
        return IntegrationPermanentError("the channel is gone", fault=SETUP) if response.status == 404 else None

    answers(receiver, events=REFUSED, calls=REFUSED)
    fails(made, 2)
    monkeypatch.setattr(Ledger, "classify", gone)
    answers(receiver, events=Answer(404), calls=REFUSED)
    for number in (1, 2):
        delivers(made)
        assert refusals(made) == (number, 2, True)
    delivers(made)
    made.refresh_from_db()
    assert not made.is_enabled
    assert made.disabled_reason.startswith("the channel is gone. This happened 3 times in a row")
