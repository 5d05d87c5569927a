"""What is a copy of a webhook, for how long, and what a copy brings about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.db.models import F

from integrations.database.times import after
from integrations.errors import IntegrationPermanentError
from integrations.inbound import actions
from integrations.models import TenantIntegration, WebhookEvent
from integrations.signals import webhook_event_processed
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import EFFECT, SECRET, make_connection, provider, work_off
from integrations.tests.integration.test_inbound_process import make_due, receive
from integrations.tests.integration.test_inbound_view import send
from integrations.tests.services import Broker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.integration]

STATUS = b'{"status": "completed"}'


@pytest.fixture(autouse=True)
def _quiet(broker: Broker) -> None:
    cache.clear()


@pytest.fixture
def done() -> Iterator[list[str]]:
    """What the action did; it fails while `fails` is in it."""
    found: list[str] = []

    def handle(dto: Any, connection: Any) -> None:
        if "fails" in found:
            raise IntegrationPermanentError("status: not now")
        found.append(str(dto.payload.get("status")))

    actions.register_action(EFFECT, "An effect", handle)
    yield found
    actions.forget_action(EFFECT)


@pytest.fixture
def flow(done: list[str]) -> Iterator[TenantIntegration]:
    with provider("github", is_chosen=True, id_header="X-Id", id_path="id") as key:
        yield make_connection(make_tenant(), key, secret=SECRET, inbound_actions=[EFFECT])


def call(flow: TenantIntegration, body: bytes = STATUS, **headers: str) -> str:
    return str(send(flow, body, action=EFFECT, **headers).json()["status"])


def pass_by(seconds: float) -> None:
    """Let what was received be older; the database's clock is the one that counts."""
    for pk, received in WebhookEvent.objects.values_list("pk", "received_at"):
        assert received
        WebhookEvent.objects.filter(pk=pk).update(received_at=after(-seconds))


class TestWithoutAnId:
    def test_the_same_words_minutes_later_are_a_new_call(self, flow: TenantIntegration, done: list[str]) -> None:
        assert call(flow) == "received" and work_off() == {"processed": 1}
        assert call(flow) == "duplicate" and work_off() == {}
        pass_by(601)
        assert call(flow) == "received" and work_off() == {"processed": 1}
        assert call(flow) == "duplicate"
        assert done == ["completed"] * 2
        assert sorted(WebhookEvent.objects.values_list("duplicates", flat=True)) == [1, 1]
        assert len(set(WebhookEvent.objects.values_list("idempotency_key", flat=True))) == 2

    def test_how_many_minutes_is_a_setting(self, flow: TenantIntegration, settings: Any, done: list[str]) -> None:
        settings.INTEGRATIONS = {"INBOUND_COPY_SECONDS": 60.0}
        assert call(flow) == "received" and work_off() == {"processed": 1}
        pass_by(50)
        assert call(flow) == "duplicate"
        pass_by(61)
        assert call(flow) == "received"

    def test_what_is_not_done_yet_is_not_called_twice(self, flow: TenantIntegration, done: list[str]) -> None:
        assert call(flow) == "received"
        pass_by(3600)
        assert call(flow) == "duplicate"
        assert work_off() == {"processed": 1} and done == ["completed"]

    def test_a_row_without_end(self, flow: TenantIntegration, done: list[str]) -> None:
        for _ in range(4):
            assert call(flow) == "received" and work_off() == {"processed": 1}
            pass_by(601)
        assert WebhookEvent.objects.count() == len(done) == 4

    def test_news_of_a_provider_too(self, done: list[str]) -> None:
        with provider("github") as key:
            shop = make_connection(make_tenant(), key)
            assert not receive(shop, headers={"X-Id": ""}).is_duplicate and work_off() == {"processed": 1}
            assert receive(shop, headers={"X-Id": ""}).is_duplicate
            pass_by(601)
            assert not receive(shop, headers={"X-Id": ""}).is_duplicate

    def test_two_at_once_are_one_row(self, flow: TenantIntegration, done: list[str]) -> None:
        call(flow)
        work_off()
        pass_by(601)
        start, answers = threading.Barrier(4), []

        def post() -> None:
            try:
                start.wait(10)
                answers.append(call(flow))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(answers) == ["duplicate"] * 3 + ["received"]
        assert WebhookEvent.objects.count() == 2


@pytest.mark.parametrize("headers", [{"X_Id": "d-1"}, {}])
def test_with_an_id_a_copy_is_a_copy(flow: TenantIntegration, done: list[str], headers: dict[str, str]) -> None:
    body = STATUS if headers else b'{"id": "d-1", "status": "completed"}'
    assert call(flow, body, **headers) == "received" and work_off() == {"processed": 1}
    pass_by(20 * 86400)
    assert call(flow, body, **headers) == "duplicate" and work_off() == {} and done == ["completed"]


class TestGivenUp:
    def test_sent_again_it_is_tried_once_more(self, flow: TenantIntegration, done: list[str]) -> None:
        """GitHub's Redeliver: the same X-GitHub-Delivery and the same body."""
        done.append("fails")
        assert call(flow, X_Id="d-1") == "received" and work_off() == {"failed": 1}
        event = WebhookEvent.objects.get()
        assert event.next_attempt_at is None
        assert call(flow, X_Id="d-1") == "duplicate" and work_off() == {"failed": 1}, "once"
        assert work_off() == {}
        done.clear()
        assert call(flow, X_Id="d-1") == "duplicate" and work_off() == {"processed": 1}
        event.refresh_from_db()
        assert (event.status, event.error, event.attempts, event.duplicates) == ("processed", "", 3, 2)
        assert call(flow, X_Id="d-1") == "duplicate" and work_off() == {} and done == ["completed"]

    def test_after_all_its_attempts(self, flow: TenantIntegration, done: list[str], settings: Any) -> None:
        settings.INTEGRATIONS = {"RETRY_MAX_ATTEMPTS": 2}

        def broken(dto: Any, connection: Any) -> None:
            raise RuntimeError

        actions.register_action(EFFECT, "An effect", broken)
        call(flow, X_Id="d-1")
        for _ in range(3):
            make_due()
            work_off()
        event = WebhookEvent.objects.get()
        assert (event.attempts, event.next_attempt_at) == (2, None)
        assert call(flow, X_Id="d-1") == "duplicate" and work_off() == {"failed": 1}
        event.refresh_from_db()
        assert (event.attempts, event.next_attempt_at) == (3, None)
        assert "given up after 3 attempts" in event.error

    def test_a_receiver_that_never_heard_is_told_once_more(
        self, flow: TenantIntegration, done: list[str], settings: Any
    ) -> None:
        settings.INTEGRATIONS = {"RETRY_MAX_ATTEMPTS": 1}
        heard: list[Any] = []

        def receiver(webhook_event: Any, **_: Any) -> None:
            heard.append(webhook_event.pk)
            if len(heard) == 1:
                raise RuntimeError

        webhook_event_processed.connect(receiver)
        try:
            call(flow, X_Id="d-1")
            work_off()
            event = WebhookEvent.objects.get()
            assert event.status == "processed" and event.error and event.next_attempt_at is None
            assert call(flow, X_Id="d-1") == "duplicate"
            work_off()
            assert call(flow, X_Id="d-1") == "duplicate"
            work_off()
        finally:
            webhook_event_processed.disconnect(receiver)
        assert len(heard) == 2 and done == ["completed"], "told again, not done again"
        event.refresh_from_db()
        assert event.announced_at and not event.error

    def test_what_a_host_marked_as_processed_is_left_alone(self, flow: TenantIntegration, done: list[str]) -> None:
        call(flow, X_Id="d-1")
        WebhookEvent.objects.get().mark_processed()
        WebhookEvent.objects.update(next_attempt_at=None, attempts=F("attempts") + 1)
        assert call(flow, X_Id="d-1") == "duplicate" and work_off() == {} and done == []
