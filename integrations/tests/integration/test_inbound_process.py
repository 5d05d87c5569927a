"""What becomes of a stored webhook: one effect, told at least once, tried again, and found when it was dropped."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from integrations import alone as alone_module
from integrations.acting import origin
from integrations.alone import shared
from integrations.connectors.base import BaseConnector
from integrations.connectors.registry import ConnectorRegistry
from integrations.database.times import after
from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError
from integrations.inbound import actions, sweep
from integrations.inbound import process as processing
from integrations.inbound import receive as receive_module
from integrations.inbound.by_hand import process_again
from integrations.inbound.process import _claim, process
from integrations.inbound.receive import Delivery
from integrations.inbound.retention import purge_received
from integrations.models import SyncState, TenantIntegration, WebhookEvent
from integrations.services import WebhookService
from integrations.signals import webhook_event_processed, webhook_event_received
from integrations.tasks import process_received_webhooks, process_webhook, purge_settled
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import (
    BODY,
    EFFECT,
    OTHER_SECRET,
    SECRET,
    headers_of,
    make_connection,
    provider,
    work_off,
)
from integrations.tests.services import Broker, CeleryProcess, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

POSTGRESQL = database.vendor == "postgresql"


@pytest.fixture(autouse=True)
def _broker(broker: Broker) -> None:
    """Hints are taken by a broker, and read by nobody."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def connection() -> Iterator[TenantIntegration]:
    with provider("github", id_header="X-Id", event_header="X-Event") as key:
        yield make_connection(make_tenant(), key)


@pytest.fixture
def flow() -> Iterator[TenantIntegration]:
    """An integration that may do one thing: leave a mark."""
    with provider("github", is_chosen=True, id_header="X-Id", event_header="X-Event") as key:
        yield make_connection(make_tenant(), key, inbound_actions=[EFFECT])
    actions.forget_action(EFFECT)


def effect(do: Callable[[Any, Any], None] = lambda dto, connection: None) -> None:
    """Offer an action that leaves a mark and then does `do`."""

    def handle(dto: Any, connection: Any) -> None:
        SyncState.objects.create(connection=connection, resource_type=f"mark-{SyncState.objects.count()}")
        do(dto, connection)

    actions.register_action(EFFECT, "An effect", handle)


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What receivers of webhook_event_processed were told."""
    told: list[dict[str, Any]] = []

    def receiver(**values: Any) -> None:
        told.append(values)

    webhook_event_processed.connect(receiver)
    yield told
    webhook_event_processed.disconnect(receiver)


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The messages that would have gone to workers."""
    sent: list[Any] = []
    monkeypatch.setattr("integrations.inbound.receive.send_hint", lambda task, kwargs, queue: sent.append(kwargs))
    return sent


def receive(connection: TenantIntegration | None, body: bytes = BODY, **more: Any) -> WebhookEvent:
    headers = {**headers_of("github", body), "X-Id": "d-1", "X-Event": "order.created", **more.pop("headers", {})}
    values = {"provider": "demo", "signature_method": "github", "secret": SECRET, **more}
    event = WebhookService(webhook_event_model=WebhookEvent).receive(
        headers=headers, body=body, connection=connection, **values
    )
    assert isinstance(event, WebhookEvent)
    return event


def make_due() -> None:
    WebhookEvent.objects.exclude(next_attempt_at=None).update(next_attempt_at=Now())


class TestTheService:
    def test_as_the_guide_calls_it(self, connection: TenantIntegration) -> None:
        body = b'{"id":727,"status":"processing","total":"29.35"}'
        connection.config = {"webhook_secret": SECRET}
        event = WebhookService(webhook_event_model=WebhookEvent).receive(
            provider="woocommerce",
            headers={**headers_of("woocommerce", body), "X-WC-Webhook-Topic": "order.created"},
            body=body,
            signature_method="hmac-sha256",
            signature_header="X-WC-Webhook-Signature",
            secret=connection.config.get("webhook_secret", ""),
            connection=connection,
        )
        assert event.signature_valid and not event.is_duplicate
        assert event.provider == "woocommerce" and event.payload["status"] == "processing"

    def test_the_view_of_our_page(self, connection: TenantIntegration) -> None:
        page = Path(__file__).resolve().parents[3] / "docs" / "inbound.md"
        (code,) = [block for block in page.read_text().split("```python\n") if "def receive_order" in block]
        names: dict[str, Any] = {}
        exec(code.split("```")[0], names)  # our own documentation
        body = b'{"id":728}'
        request = SimpleNamespace(headers=headers_of("woocommerce", body), body=body)
        connection.credentials = {"webhook_secret": SECRET}
        assert names["receive_order"](request, connection) == (True, False)
        assert names["receive_order"](request, connection) == (True, True)
        connection.credentials = {}
        connection.config = {"webhook_secret": SECRET}
        assert names["receive_order"](request, connection)[0] is False, "what is not encrypted is no secret"

    def test_a_connector_that_cannot_parse_costs_no_delivery(self, connection: TenantIntegration) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                ConnectorRegistry.type_of(connection.connector_key), "parse_webhook", lambda *_: {}["nothing"]
            )
            event = receive(connection)
        assert event.pk and event.signature_valid

    def test_nothing_is_hinted_before_it_is_durable(self, connection: TenantIntegration, hints: list[Any]) -> None:
        with transaction.atomic():
            receive(connection)
            assert hints == []
        assert [each["webhook_event_id"] for each in hints] == [WebhookEvent.objects.get().pk]

    def test_a_copy(self, connection: TenantIntegration) -> None:
        first, second = receive(connection), receive(connection)
        assert not first.is_duplicate and second.is_duplicate and first.pk == second.pk

    @pytest.mark.parametrize("more", [{"secret": OTHER_SECRET}, {"secret": ""}, {"signature_method": "none"}])
    def test_what_proves_nothing(self, connection: TenantIntegration, heard: list[Any], more: dict[str, str]) -> None:
        event = receive(connection, **more)
        assert not event.signature_valid and event.pk
        assert process(WebhookEvent, event.pk) == "rejected"
        assert work_off() == {} and not heard

    def test_content_that_is_none(self, connection: TenantIntegration) -> None:
        with pytest.raises(ValueError, match="NaN is not JSON"):
            receive(connection, b'{"a": NaN}')
        assert not WebhookEvent.objects.exists()

    def test_without_a_connection(self, heard: list[Any]) -> None:
        headers = {"X-GitHub-Delivery": "g-1", "X-GitHub-Event": "push"}
        event = receive(None, headers=headers)
        assert event.event_type == "push" and receive(None, headers=headers).is_duplicate
        assert work_off() == {"processed": 1}
        assert heard[0]["connection"] is None and heard[0]["provider_name"] == "demo"

    def test_inside_a_transaction_of_the_caller(self, connection: TenantIntegration, heard: list[Any]) -> None:
        told: list[Any] = []
        webhook_event_received.connect(hear := lambda **values: told.append(values))
        try:
            with transaction.atomic():
                receive(connection)
                assert receive(connection).is_duplicate  # the caller's transaction lives on
                assert WebhookEvent.objects.get().duplicates == 1 and not told
            assert len(told) == 1
            with pytest.raises(RuntimeError), transaction.atomic():
                receive(connection, headers={"X-Id": "d-2"})
                raise RuntimeError
        finally:
            webhook_event_received.disconnect(hear)
        assert len(told) == 1 and WebhookEvent.objects.count() == 1

    def test_a_rolled_back_first_copy_leaves_its_place(self, connection: TenantIntegration) -> None:
        with pytest.raises(RuntimeError), transaction.atomic():
            receive(connection)
            raise RuntimeError
        assert not receive(connection).is_duplicate

    @pytest.mark.skipif(not POSTGRESQL, reason="SQLite has one writer")
    def test_a_copy_waits_for_the_first_one(self, connection: TenantIntegration) -> None:
        found: list[bool] = []

        def copy() -> None:
            try:
                found.append(receive(connection).is_duplicate)
            finally:
                connections.close_all()

        with transaction.atomic():
            receive(connection)
            thread = threading.Thread(target=copy)
            thread.start()
            thread.join(0.3)
            assert thread.is_alive() and not found
        thread.join(10)
        assert found == [True]


class TestKeys:
    """What tells copies apart: no owner, action or id may take another one's place."""

    def key(self, owner: Any, event_id: str = "1", *, provider: str = "demo", action: str = "", **more: Any) -> str:
        connection = TenantIntegration(pk=owner) if owner is not None else None
        delivery = Delivery(connection, provider, {}, b"{}", action, is_call=bool(action), **more)
        return receive_module._key(delivery, event_id)

    def test_of_two_things_are_two(self) -> None:
        keys = [
            self.key("a", "b:c"),
            self.key("a:b", "c"),
            self.key("a%3Ab", "c"),
            self.key(7),
            self.key(None, provider="7"),
            self.key("@7"),
            self.key(None, provider="a:b"),
            self.key(None, "b:1", provider="a"),
            self.key(7, action="note"),
            self.key(7, "note:1"),
            self.key("7/note"),
            self.key(7, "", action="note"),
            self.key("x" * 300),
            self.key("x" * 301),
            self.key(7, "i" * 200, action="a" * 100),
            self.key(7, "i" * 200, action="a" * 99),
            self.key(7, "i" * 201),
        ]
        assert len(set(keys)) == len(keys) and max(map(len, keys)) <= 255
        assert keys[3] == "7:1" and keys[8] == "7/note:1"

    def test_without_an_id_the_address_counts_for_nothing(self) -> None:
        assert self.key(7, "", action="note") == self.key(7, "", action="status") == self.key(7, "")

    def test_the_service_refuses_another_action(self, flow: TenantIntegration) -> None:
        effect()
        with pytest.raises(ValueError, match='action: must be "demo-effect"'):
            receive(flow, b'{"action": "other"}', action=EFFECT)
        assert not WebhookEvent.objects.exists()


class TestProcessing:
    def test_told_exactly_as_documented(self, connection: TenantIntegration, heard: list[dict[str, Any]]) -> None:
        received: list[dict[str, Any]] = []
        webhook_event_received.connect(hear := lambda **values: received.append(values))
        try:
            event = receive(connection)
        finally:
            webhook_event_received.disconnect(hear)
        assert process_webhook(event.pk, "integrations", "WebhookEvent") == {"outcome": "processed"}
        for values in (*received, *heard):
            assert values.pop("signal") and values.pop("sender") is WebhookEvent
            assert values.pop("webhook_event") == event and values.pop("connection") == connection
            assert values.pop("provider_family") == "demo" and values.pop("provider_name") == "inbounddemo"
        dto = heard[0].pop("webhook_dto")
        assert (dto.event_type, dto.payload, dto.event_id) == ("order.created", {"id": 727}, "d-1")
        assert heard == [{"event_type": "order.created"}] and received == [{}]
        event.refresh_from_db()
        assert event.status == "processed" and event.processed_at and event.announced_at
        assert event.next_attempt_at is None and event.attempts == 1

    def test_receivers_see_what_is_committed(self, connection: TenantIntegration) -> None:
        seen: list[Any] = []

        def look(webhook_event: Any, **_: Any) -> None:
            def from_elsewhere() -> None:
                seen.append(WebhookEvent.objects.values_list("status", flat=True).get())
                connections.close_all()

            thread = threading.Thread(target=from_elsewhere)
            thread.start()
            thread.join(10)

        for signal in (webhook_event_received, webhook_event_processed):
            signal.connect(look)
        try:
            process(WebhookEvent, receive(connection).pk)
        finally:
            for signal in (webhook_event_received, webhook_event_processed):
                signal.disconnect(look)
        assert seen == ["received", "processed"]

    def test_a_second_look_finds_nothing_to_do(self, flow: TenantIntegration, heard: list[Any]) -> None:
        effect()
        event = receive(flow, action=EFFECT)
        outcomes = [process(WebhookEvent, event.pk) for _ in range(3)]
        assert outcomes == ["processed", "not due", "not due"]
        assert SyncState.objects.count() == len(heard) == 1

    @pytest.mark.parametrize("pk", [999_999, "x", None, 2**70, [1], float("inf"), "1\0"])
    def test_an_unknown_one_is_logged_and_not_tried_again(self, pk: Any, caplog: Any) -> None:
        assert process_webhook(pk, "integrations", "WebhookEvent") == {"outcome": "unknown"}
        assert "does not exist" in caplog.text

    @pytest.mark.parametrize("model", [("auth", "User"), ("integrations", "TenantIntegration"), ("no", "where")])
    def test_only_models_of_webhooks(self, model: tuple[str, str]) -> None:
        with pytest.raises(IntegrationPermanentError):
            process_webhook(1, *model)

    def test_our_action_runs_on_behalf_of_the_integration(self, flow: TenantIntegration) -> None:
        causes: list[Any] = []
        effect(lambda dto, connection: causes.append((origin(), dto.payload, connection)))
        process(WebhookEvent, receive(flow, action=EFFECT).pk)
        assert causes == [(flow.pk, {"id": 727}, flow)] and origin() is None

    def test_what_is_no_longer_allowed_is_not_done(self, flow: TenantIntegration) -> None:
        effect()
        event = receive(flow, action=EFFECT)
        TenantIntegration.objects.filter(pk=flow.pk).update(inbound_actions=[])
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert "may not do demo-effect" in event.error and event.next_attempt_at is None
        assert not SyncState.objects.exists()

    def test_a_host_kind_without_actions_is_told_only(self, connection: TenantIntegration, heard: list[Any]) -> None:
        assert process(WebhookEvent, receive(connection, action="whatever").pk) == "processed"
        assert heard[0]["webhook_event"].action == "whatever"


class TestFailures:
    def test_all_or_nothing_and_again(self, flow: TenantIntegration, heard: list[Any], settings: Any) -> None:
        settings.INTEGRATIONS = {"RETRY_JITTER": 0.0, "RETRY_BASE_SECONDS": 15.0}

        def fail(dto: Any, connection: Any) -> None:
            raise KeyError("canary-2b")

        effect(fail)
        event = receive(flow, action=EFFECT)
        assert process(WebhookEvent, event.pk) == "failed"
        assert not SyncState.objects.exists() and not heard
        event.refresh_from_db()
        assert event.status == "failed" and event.error == "unexpected KeyError" and event.attempts == 1
        wait = event.next_attempt_at - timezone.now()
        assert timedelta(seconds=10) < wait <= timedelta(seconds=16)
        assert work_off() == {}  # not before its time
        effect()
        make_due()
        assert work_off() == {"processed": 1}
        event.refresh_from_db()
        assert event.error == "" and event.status == "processed" and SyncState.objects.count() == len(heard) == 1

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (IntegrationPermanentError("text: must be a text"), "text: must be a text"),
            (IntegrationTemporaryError("busy"), "busy"),
        ],
    )
    def test_what_can_never_work_is_given_up(self, flow: TenantIntegration, error: Exception, text: str) -> None:
        def fail(dto: Any, connection: Any) -> None:
            raise error

        effect(fail)
        event = receive(flow, action=EFFECT)
        process(WebhookEvent, event.pk)
        event.refresh_from_db()
        assert event.error == text and (event.next_attempt_at is None) == isinstance(error, IntegrationPermanentError)

    def test_given_up_after_so_many_attempts(self, flow: TenantIntegration, settings: Any) -> None:
        settings.INTEGRATIONS = {"RETRY_MAX_ATTEMPTS": 3}

        def fail(dto: Any, connection: Any) -> None:
            raise RuntimeError

        effect(fail)
        event = receive(flow, action=EFFECT)
        for _ in range(5):
            make_due()
            work_off()
        event.refresh_from_db()
        assert event.attempts == 3 and event.next_attempt_at is None
        assert event.error == "unexpected RuntimeError (given up after 3 attempts)"
        effect()
        assert work_off() == {} and not SyncState.objects.exists()  # nobody asks for it

    def test_a_copy_of_what_is_still_to_be_tried_has_it_tried_now(self, flow: TenantIntegration) -> None:
        def fail(dto: Any, connection: Any) -> None:
            raise RuntimeError

        effect(fail)
        event = receive(flow, action=EFFECT)
        assert process(WebhookEvent, event.pk) == "failed" and work_off() == {}
        effect()
        assert receive(flow, action=EFFECT).is_duplicate
        assert work_off() == {"processed": 1}

    def test_a_receiver_that_raises_is_told_again(
        self, flow: TenantIntegration, heard: list[Any], settings: Any, caplog: Any
    ) -> None:
        settings.INTEGRATIONS = {"RETRY_MAX_ATTEMPTS": 3}
        effect()

        def broken(**_: Any) -> None:
            raise RuntimeError("canary-2c")

        webhook_event_processed.connect(broken)
        try:
            event = receive(flow, action=EFFECT)
            for _ in range(5):
                make_due()
                work_off()
        finally:
            webhook_event_processed.disconnect(broken)
        event.refresh_from_db()
        assert event.status == "processed" and event.announced_at is None and event.next_attempt_at is None
        assert "broken (given up after 3 attempts)" in event.error and "canary" not in event.error + caplog.text
        assert len(heard) == 3 and SyncState.objects.count() == 1  # told again, not done again

    def test_a_connector_that_cannot_parse(self, connection: TenantIntegration, heard: list[Any]) -> None:
        kind = ConnectorRegistry.type_of("inbounddemo")

        def parse_webhook(self: BaseConnector, headers: Any, body: bytes) -> Any:
            raise ValueError("canary")

        kind.parse_webhook = parse_webhook  # type: ignore[assignment, method-assign]
        event = receive(connection)
        assert process(WebhookEvent, event.pk) == "failed"
        del kind.parse_webhook
        make_due()
        assert work_off() == {"processed": 1} and len(heard) == 1

    def test_nobody_knows_its_kind_any_more(self, connection: TenantIntegration) -> None:
        event = receive(connection)
        ConnectorRegistry.unregister("inbounddemo")
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert "inbounddemo" in event.error and event.next_attempt_at

    def test_what_a_provider_calls_an_event_fits_its_column(self, connection: TenantIntegration) -> None:
        event = receive(connection, headers={"X-Event": "x" * 300})
        assert process(WebhookEvent, event.pk) == "processed"
        event.refresh_from_db()
        assert event.event_type == "x" * 100


def test_every_line_says_whose_it_is(connection: TenantIntegration, caplog: pytest.LogCaptureFixture) -> None:
    event = receive(connection)
    ConnectorRegistry.unregister("inbounddemo")
    with caplog.at_level("INFO", logger="integrations"):
        assert process(WebhookEvent, event.pk) == "failed"
        TestDeadWorkers().die_of(event, 5)
        make_due()
        assert process(WebhookEvent, event.pk) == "given up"
    lines = [record for record in caplog.records if record.name == "integrations.inbound"]
    assert len(lines) == 2
    for line in lines:
        ids = (line.tenant_id, line.integration_id, line.connector, line.webhook_event_id)  # type: ignore[attr-defined]
        assert ids == (connection.tenant_id, connection.pk, "inbounddemo", event.pk)


class TestDeadWorkers:
    """A worker that dies writes nothing down; what kills every one is given up all the same (crash/test_poison.py)."""

    def die_of(self, event: WebhookEvent, times: int) -> None:
        """Claim it and do nothing, as a worker that was killed at once."""
        for _ in range(times):
            make_due()
            event.refresh_from_db()
            assert _claim(WebhookEvent._base_manager.all(), event)

    def outcomes(self, event: WebhookEvent) -> list[str]:
        found = []
        for _ in range(2):
            make_due()
            found.append(process(WebhookEvent, event.pk))
        event.refresh_from_db()
        return found

    def test_five_of_them(self, flow: TenantIntegration) -> None:
        event = receive(flow, action=EFFECT)
        self.die_of(event, 5)
        assert self.outcomes(event) == ["given up", "not due"]
        assert event.status == "failed" and event.next_attempt_at is None and event.attempts == 5
        assert event.error == "its worker died 5 times, or took longer than 90 s (given up after 5 attempts)"

    def test_the_last_one_that_the_attempts_allow(self, flow: TenantIntegration, settings: Any) -> None:
        settings.INTEGRATIONS = {"RETRY_MAX_ATTEMPTS": 3}
        event = receive(flow, action=EFFECT)
        self.die_of(event, 3)
        assert self.outcomes(event) == ["given up", "not due"]
        assert event.error == "its worker died 3 times, or took longer than 90 s (given up after 3 attempts)"

    def test_after_the_mark(self, flow: TenantIntegration) -> None:
        event = receive(flow, action=EFFECT)
        WebhookEvent.objects.update(status="processed", processed_at=Now())
        self.die_of(event, 5)
        assert self.outcomes(event) == ["given up", "not due"]
        assert event.status == "processed" and event.announced_at is None and event.next_attempt_at is None
        assert "may have missed it (given up after 5 attempts)" in event.error

    @pytest.mark.parametrize("event_id", ["", "delivery-1"])
    @pytest.mark.parametrize("status", ["received", "processed"])
    def test_a_copy_of_what_killed_its_workers_is_counted_and_kills_none(
        self, flow: TenantIntegration, status: str, event_id: str
    ) -> None:
        headers = {"X-Id": event_id}
        event = receive(flow, action=EFFECT, headers=headers)
        WebhookEvent.objects.update(status=status)
        self.die_of(event, 5)
        assert self.outcomes(event)[0] == "given up"
        WebhookEvent.objects.update(received_at=after(-7200))  # without an id, the same words would be a new wish
        receive(flow, action=EFFECT, headers=headers)
        kept = WebhookEvent.objects.get()
        assert (kept.next_attempt_at, kept.duplicates, kept.error) == (None, 1, event.error)

    @pytest.mark.parametrize("attempts", [5, 30])
    def test_a_person_who_asks_for_it_has_it_tried_once_and_alone(self, flow: TenantIntegration, attempts: int) -> None:
        event = receive(flow, action=EFFECT)
        self.die_of(event, 5)
        self.outcomes(event)
        WebhookEvent.objects.update(attempts=attempts)
        assert process_again(WebhookEvent.objects.all(), lambda row: True).count == 1
        during: list[bool] = []
        effect(lambda dto, connection: during.append(alone_module._is_alone))
        self.die_of(event, 1)
        assert self.outcomes(event)[0] == "given up"
        process_again(WebhookEvent.objects.all(), lambda row: True)
        assert process(WebhookEvent, event.pk) == "processed" and during == [True]
        event.refresh_from_db()
        assert event.unfinished == 0

    def test_four_of_them_and_then_none(self, flow: TenantIntegration) -> None:
        """A failure between them, or a success, ends the row of deaths."""
        effect()
        event = receive(flow, action=EFFECT)
        self.die_of(event, 4)
        assert self.outcomes(event)[0] == "processed"
        assert (event.status, event.unfinished, event.error) == ("processed", 0, "")

    def test_it_is_processed_alone(self, flow: TenantIntegration) -> None:
        """Nothing else begins in the process meanwhile, and what was under way is waited for."""
        during: list[str] = []
        beside = threading.Thread(target=lambda: self.beside(during))
        effect(lambda dto, connection: (beside.start(), beside.join(0.3), during.append("effect")))
        event = receive(flow, action=EFFECT)
        self.die_of(event, 1)
        make_due()
        assert process(WebhookEvent, event.pk) == "processed"
        beside.join(10)
        assert during == ["effect", "beside"]

    def test_it_is_not_taken_beside_others_if_its_lease_runs_out_after_the_look(
        self, flow: TenantIntegration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        effect()
        event = receive(flow, action=EFFECT)
        self.die_of(event, 1)
        make_due()
        looks = iter([True])
        unchanged = processing._unchanged
        monkeypatch.setattr(
            processing,
            "_unchanged",
            lambda rows, event: unchanged(rows.none() if next(looks, False) else rows, event),
        )
        assert process(WebhookEvent, event.pk) == "not due"
        assert process(WebhookEvent, event.pk) == "processed"

    def beside(self, during: list[str]) -> None:
        with shared():
            during.append("beside")


class TestOddEnds:
    """Whatever a handler or a receiver does, the row says so and is tried again, or ended."""

    def test_it_ends_the_process(self, flow: TenantIntegration) -> None:
        effect(lambda dto, connection: sys.exit(3))
        event = receive(flow, action=EFFECT)
        with pytest.raises(SystemExit):
            process(WebhookEvent, event.pk)
        event.refresh_from_db()
        assert (event.status, event.error, event.unfinished) == ("failed", "unexpected SystemExit", 0)
        assert event.next_attempt_at and not SyncState.objects.exists()

    def test_a_receiver_ends_the_process(self, connection: TenantIntegration) -> None:
        event = receive(connection)

        def leave(**_: Any) -> None:
            sys.exit(3)

        webhook_event_processed.connect(leave)
        try:
            with pytest.raises(SystemExit):
                process(WebhookEvent, event.pk)
        finally:
            webhook_event_processed.disconnect(leave)
        event.refresh_from_db()
        assert (event.status, event.error, event.unfinished) == ("processed", "unexpected SystemExit", 0)
        make_due()
        assert process(WebhookEvent, event.pk) == "processed"

    def test_it_rolls_back_and_says_nothing(self, flow: TenantIntegration) -> None:
        effect(lambda dto, connection: transaction.set_rollback(True))
        event = receive(flow, action=EFFECT)
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert event.error == "the action rolled its transaction back" and not SyncState.objects.exists()

    @pytest.mark.parametrize("wait", ["soon", float("nan"), -1, object()])
    def test_it_asks_for_nonsense(self, flow: TenantIntegration, wait: Any) -> None:
        def refuse(dto: Any, connection: Any) -> None:
            raise IntegrationTemporaryError("not now", retry_after=wait)

        effect(refuse)
        event = receive(flow, action=EFFECT)
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert event.error == "not now" and event.next_attempt_at

    def test_its_error_is_made_in_its_own_way(self, flow: TenantIntegration) -> None:
        class Odd(IntegrationTemporaryError):
            def __init__(self) -> None:
                self.retry_after = None

        def refuse(dto: Any, connection: Any) -> None:
            raise Odd

        effect(refuse)
        event = receive(flow, action=EFFECT)
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert event.error == "Odd" and event.next_attempt_at

    def test_a_text_that_cannot_be_stored(self, flow: TenantIntegration) -> None:
        class Raw(IntegrationTemporaryError):
            def __init__(self) -> None:
                super().__init__("x")
                self.message = "a NUL \0 and half a \ud800"

        def refuse(dto: Any, connection: Any) -> None:
            raise Raw

        effect(refuse)
        event = receive(flow, action=EFFECT)
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert event.error == "a NUL   and half a  "

    @pytest.mark.parametrize("answer", [None, 7, "text"])
    @pytest.mark.parametrize("status", ["received", "processed"])
    def test_its_connector_returns_nonsense(self, connection: TenantIntegration, answer: Any, status: str) -> None:
        event = receive(connection)
        kind = ConnectorRegistry.type_of("inbounddemo")
        kind.parse_webhook = lambda self, headers, body: answer  # type: ignore[method-assign]
        WebhookEvent.objects.update(status=status)
        assert process(WebhookEvent, event.pk) == "failed"
        event.refresh_from_db()
        assert event.error == "unexpected AttributeError" and event.next_attempt_at and event.unfinished == 0

    def test_nothing_is_given_up_before_its_time(self, connection: TenantIntegration) -> None:
        event = receive(connection)
        WebhookEvent.objects.update(status="processing", attempts=3, next_attempt_at=after(60))
        assert process(WebhookEvent, event.pk) == "not due"
        event.refresh_from_db()
        assert event.status == "processing" and event.next_attempt_at

    def test_a_person_gets_one_more_attempt(self, connection: TenantIntegration) -> None:
        event = receive(connection)
        WebhookEvent.objects.update(status="received", attempts=4, next_attempt_at=Now())  # as the admin does
        assert process(WebhookEvent, event.pk) == "processed"


class TestReceivers:
    def test_what_they_save_is_the_integrations_doing(self, connection: TenantIntegration) -> None:
        causes: list[Any] = []

        def look(**_: Any) -> None:
            causes.append(origin())

        webhook_event_processed.connect(look)
        try:
            process(WebhookEvent, receive(connection).pk)
            process(WebhookEvent, receive(None).pk)
        finally:
            webhook_event_processed.disconnect(look)
        assert causes == [connection.pk, None] and origin() is None

    def test_deleted_before_they_are_told(self, flow: TenantIntegration, heard: list[Any], caplog: Any) -> None:
        def delete_after_commit(dto: Any, connection: Any) -> None:
            transaction.on_commit(lambda: WebhookEvent.objects.all().delete() and None)

        effect(delete_after_commit)
        assert process(WebhookEvent, receive(flow, action=EFFECT).pk) == "lost"
        assert not heard and "was deleted while" in caplog.text and SyncState.objects.count() == 1


class TestTheSweep:
    """It asks, and does nothing itself."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
        """What goes to the broker: (row, queue)."""
        found: list[tuple[int, str]] = []

        def send(task: str, message: dict[str, Any], queue: str) -> bool:
            assert task == process_webhook.name
            assert (message["app_label"], message["model_name"]) == ("integrations", "WebhookEvent")
            found.append((message["webhook_event_id"], queue))
            return True

        monkeypatch.setattr(receive_module, "send_hint", send)
        return found

    def rows(self, connection: TenantIntegration, count: int) -> list[int]:
        made = [receive(connection, headers={"X-Id": str(n)}).pk for n in range(count)]
        for n, pk in enumerate(made):  # the last is the oldest
            WebhookEvent.objects.filter(pk=pk).update(next_attempt_at=after(-10.0 - n))
        return made

    def test_asks_for_the_oldest_first(self, connection: TenantIntegration, asked: list[Any], heard: list[Any]) -> None:
        one, two, three, four = self.rows(connection, 4)
        WebhookEvent.objects.filter(pk__in=(one, four)).update(attempts=1)
        asked.clear()
        assert process_received_webhooks() == {"due": 4, "asked": 4}
        assert asked == [(three, "deliveries"), (two, "deliveries"), (four, "slow"), (one, "slow")]
        assert not heard and set(WebhookEvent.objects.values_list("status", flat=True)) == {"received"}

    def test_asks_for_so_many_and_none_stands_behind_the_others(
        self, connection: TenantIntegration, asked: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sweep, "AT_ONCE", 2)
        made = self.rows(connection, 6)
        WebhookEvent.objects.filter(pk__in=made[3:]).update(attempts=1)
        asked.clear()
        assert process_received_webhooks() == {"due": 4, "asked": 4}
        assert [queue for _, queue in asked] == ["deliveries"] * 2 + ["slow"] * 2

    def test_stops_where_there_is_no_broker(
        self, connection: TenantIntegration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.rows(connection, 3)
        monkeypatch.setattr(receive_module, "send_hint", lambda *_: False)
        assert process_received_webhooks() == {"due": 3, "asked": 0}

    @pytest.mark.parametrize("switch", ["is_enabled", "is_active"])
    def test_those_that_wait_do_not_stand_before_others(
        self, connection: TenantIntegration, asked: list[Any], switch: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.rows(connection, 3)
        TenantIntegration.objects.filter(pk=connection.pk).update(**{switch: False})
        other = receive(make_connection(connection.tenant, name="Other")).pk
        orphan = receive(None, headers={"X-GitHub-Delivery": "1"}).pk
        asked.clear()
        monkeypatch.setattr(sweep, "AT_ONCE", 2)
        assert process_received_webhooks() == {"due": 2, "asked": 2}
        assert asked == [(other, "deliveries"), (orphan, "deliveries")]


class TestWhoeverIsOff:
    @pytest.mark.parametrize("switch", ["is_enabled", "is_active"])
    def test_waits(self, connection: TenantIntegration, heard: list[Any], switch: str) -> None:
        event = receive(connection)
        TenantIntegration.objects.filter(pk=connection.pk).update(**{switch: False})
        assert process(WebhookEvent, event.pk) == "waiting"
        make_due()
        assert work_off() == {} and not heard
        TenantIntegration.objects.filter(pk=connection.pk).update(**{switch: True})
        make_due()
        assert work_off() == {"processed": 1} and len(heard) == 1

    def test_disabled_ones_are_still_taken_in(self, connection: TenantIntegration) -> None:
        TenantIntegration.objects.filter(pk=connection.pk).update(is_enabled=False)
        connection.refresh_from_db()
        assert receive(connection).status == "received"


class TestClaims:
    def test_one_of_many_workers_gets_it(self, flow: TenantIntegration, heard: list[Any]) -> None:
        effect()
        event = receive(flow, action=EFFECT)
        start, outcomes = threading.Barrier(6), []

        def work() -> None:
            try:
                start.wait(10)
                outcomes.append(process(WebhookEvent, event.pk))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["not due"] * 5 + ["processed"]
        assert SyncState.objects.count() == len(heard) == 1

    def test_who_took_too_long_has_no_effect(self, flow: TenantIntegration, heard: list[Any]) -> None:
        def taken_over(dto: Any, connection: Any) -> None:
            WebhookEvent.objects.update(attempts=2, next_attempt_at=after(60))

        effect(taken_over)
        event = receive(flow, action=EFFECT)
        # The takeover is in the same transaction here, so it is undone together with the effect.
        assert process(WebhookEvent, event.pk) == "lost"
        assert not SyncState.objects.exists() and not heard

    def test_a_dead_worker_is_replaced(self, connection: TenantIntegration, heard: list[Any]) -> None:
        event = receive(connection)
        WebhookEvent.objects.update(status="processing", attempts=1, next_attempt_at=after(60))
        assert process(WebhookEvent, event.pk) == "not due" and work_off() == {}
        make_due()
        assert work_off() == {"processed": 1} and len(heard) == 1


def test_old_ones_are_forgotten(connection: TenantIntegration, settings: Any) -> None:
    settings.INTEGRATIONS = {"RETENTION_DAYS": 10, "RETENTION_BATCH": 2}
    for n in range(5):
        process(WebhookEvent, receive(connection, headers={"X-Id": str(n)}).pk)
    owed = receive(connection, headers={"X-Id": "owed"})
    rejected = receive(connection, secret="")
    young = process(WebhookEvent, receive(connection, headers={"X-Id": "young"}).pk)
    assert young == "processed"
    long_ago = timezone.now() - timedelta(days=11)
    WebhookEvent.objects.filter(pk__lte=rejected.pk).update(received_at=long_ago)
    assert purge_settled()["webhooks"] == 6
    assert [row.idempotency_key.partition(":")[2].partition("-")[0] for row in WebhookEvent.objects.order_by("pk")] == [
        "owed",
        "young",
    ]
    assert purge_received() == 0 and owed.pk


@pytest.mark.parametrize("switch", ["is_enabled", "is_active"])
def test_what_waits_for_ever_is_forgotten_too(connection: TenantIntegration, settings: Any, switch: str) -> None:
    settings.INTEGRATIONS = {"RETENTION_DAYS": 10}
    receive(connection, headers={"X-Id": "off"})
    owed = receive(make_connection(connection.tenant, name="Other"))
    TenantIntegration.objects.filter(pk=connection.pk).update(**{switch: False})
    assert purge_received() == 0
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(days=11))
    assert purge_received() == 1 and WebhookEvent.objects.get() == owed


def test_what_proved_nothing_is_forgotten_sooner(connection: TenantIntegration) -> None:
    receive(connection, secret="")
    receive(connection)
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(days=4))
    assert purge_received() == 1 and WebhookEvent.objects.get().signature_valid


def test_a_worker_and_the_sweep(connection: TenantIntegration, celery_worker: Callable[..., CeleryProcess]) -> None:
    """The worker knows nothing of our kind: it fails in its own words; that it tried is what counts here."""
    lost = receive(connection)
    celery_worker(pool="threads")

    def tried(times: int) -> bool:
        row = WebhookEvent.objects.get(pk=lost.pk)
        return (row.attempts, row.status) == (times, "failed")  # what it wrote at last, not what it began with

    wait_until(lambda: tried(1))
    WebhookEvent.objects.update(status="received", next_attempt_at=Now())
    process_received_webhooks.delay()  # asks the slow queue, which this worker reads too
    wait_until(lambda: tried(2))
    assert "inbounddemo" in WebhookEvent.objects.get(pk=lost.pk).error
