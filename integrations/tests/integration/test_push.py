"""Pushing orders: the plain case, the rows they leave, retries, idempotency, and what never happens."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.encryption import EncryptionService
from integrations.delivery.drain import drain
from integrations.delivery.lease import take
from integrations.delivery.operator_actions import retry
from integrations.delivery.sweep import sweep
from integrations.erp.connection import connector_types
from integrations.erp.ports import ConnectorError, ExportResult
from integrations.erp.push import PushOrchestrator
from integrations.errors import (
    ConfigurationError,
    IntegrationDisabled,
    IntegrationNotConfigured,
    IntegrationPermanentError,
)
from integrations.models import ERPConnection, ERPPushLog, ExecutionLog, IntegrationSync, Lane, TenantIntegration
from integrations.tests.effort import computing
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from tasks.models import Note, WorkItem
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

CANARY = "canary-4b8e17"
ORDER = {"id": "3f0c7a52-0000-4000-8000-000000000001", "total": "12.50"}


class PostingConnector(BaseConnector):
    """An ERP that takes JSON by POST."""

    manifest = Manifest(
        key="HERP_POST",
        label="Posting ERP",
        family="erp",
        allow_multiple=False,
        fields=(Field(name="url", kind="url", required=True), Field(name="api_key", kind="secret")),
    )

    def deliver(self, envelope: Envelope) -> Receipt:
        response = self.http.send("POST", "", json=envelope.payload, headers={"X-Key": envelope.idempotency_key})
        return self.receipt(response, external_id="4711", order_number=f"SO-4711 {CANARY}")


@pytest.fixture(autouse=True)
def _kinds(settings: Any, receiver: Receiver) -> Iterator[None]:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    ConnectorRegistry.register("HERP_POST", PostingConnector)
    yield
    ConnectorRegistry.unregister("HERP_POST")


def connect(tenant: Tenant, kind: str = "MOCK", **config: Any) -> ERPConnection:
    return ERPConnection.objects.create(
        org_id=tenant.pk,
        connector_type=kind,
        config_encrypted=EncryptionService.encrypt_config(config or {"mode": "success"}),
        status="ACTIVE",
    )


def posting(tenant: Tenant, receiver: Receiver) -> ERPConnection:
    return connect(tenant, "HERP_POST", url=receiver.url, api_key=CANARY)


def push(tenant: Tenant, order: Any = ORDER, **options: Any) -> Any:
    options = {"sleep": lambda seconds: None, **options}
    return PushOrchestrator().push_order(tenant.pk, order, **options)


def connectors_of(sync: IntegrationSync) -> list[tuple[int, str]]:
    return list(sync.logs.order_by("id").values_list("attempt", "error"))


# -- the plain case --------------------------------------------------------------------------------------


def test_push_order_with_mock_connector() -> None:
    test_org, db_session, draft_order = make_tenant(), None, SimpleNamespace(id=uuid4(), total=1)
    # Create encrypted connection
    config = {"mode": "success"}
    encrypted = EncryptionService.encrypt_config(config)

    connection = ERPConnection(
        org_id=test_org.id,
        connector_type="MOCK",
        config_encrypted=encrypted,
        status="ACTIVE",
    )
    connection.save()

    # Push order
    orchestrator = PushOrchestrator(db_session)
    result = orchestrator.push_order(test_org.id, draft_order)

    assert result.status == "SUCCESS"
    assert result.success and result.error_message is None and result.export_id.startswith("MOCK-")


def test_the_push_is_an_event_a_sync_and_a_log_entry_like_everything_else(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    receiver.answer_with(Answer(201, body=b'{"ok": true}'))
    result = push(tenant)
    (request,) = receiver.requests
    sync = IntegrationSync.objects.select_related("event").get()
    assert (sync.status, sync.attempts, sync.response_status) == ("synced", 1, 201)
    assert sync.event.event_type == "order_push" and sync.event.idempotency_key == result.idempotency_key
    assert request.headers["x-key"] == result.idempotency_key
    assert request.json == json.loads(sync.event.body)
    assert request.json["order"] == ORDER and request.json["tenant"] == {"id": tenant.pk, "name": tenant.name}
    assert sync.event.content_type == ContentType.objects.get(app_label="integrations", model="erppushlog")
    log = ExecutionLog.objects.get()
    assert (log.integration_id, log.sync_id, log.attempt, log.error) == (target.pk, sync.pk, 1, "")
    assert log.response_payload == {"answer": '{"ok": true}', "external_id": "4711", "order_number": "SO-4711 ***"}
    lane = Lane.objects.get()
    assert lane.lease_token == "" and lane.delivered_count == 1

    row = ERPPushLog.objects.get()
    assert row.id == sync.pk and row.org_id == tenant.pk and row.draft_order_id == ORDER["id"]
    assert (row.connector_type, row.status, row.retry_count) == ("HERP_POST", "SUCCESS", 0)
    assert row.request_json == request.json and row.error_message == ""
    assert row.response_json == {"status": 201, "answer": '{"ok": true}', "external_id": "4711",
                                 "order_number": "SO-4711 ***"}  # fmt: skip
    assert row.latency_ms == log.duration_ms and row.created_at == sync.event.occurred_at
    assert result.push_log == row and result.export_id == "4711"
    assert result.connector_metadata == {"order_number": "SO-4711 ***"}


def test_an_order_of_ours_gets_the_note(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    item = make_item(tenant)
    assert push(tenant, item).success
    assert receiver.requests[0].json["order"]["reference_id"] == "RMA-1"
    assert IntegrationSync.objects.get().event.content_type == ContentType.objects.get_for_model(WorkItem)
    assert Note.objects.get().text == "✓ Posting ERP received order_push (HTTP 200)."


def test_any_kind_of_order(receiver: Receiver) -> None:
    @dataclass
    class Draft:
        id: int
        total: float

    tenant = make_tenant()
    posting(tenant, receiver)
    for order in ({"id": 1, "total": 2.5}, Draft(2, 2.5), SimpleNamespace(id=3, total=2.5)):
        assert push(tenant, order).success
    assert [request.json["order"] for request in receiver.requests] == [{"id": n, "total": 2.5} for n in (1, 2, 3)]


# -- retries --------------------------------------------------------------------------------------------


def test_a_stored_order_comes_with_its_parts(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    item = make_item(tenant)
    Note.objects.create(tenant=tenant, work_item=item, text="first")
    assert push(tenant, item).status == "SUCCESS"
    sent = receiver.requests[0].json["order"]
    assert sent["reference_id"] == item.reference_id
    assert [(note["text"], note["work_item_id"]) for note in sent["notes"]] == [("first", item.pk)]


def test_a_row_of_another_tenant_is_never_sent(receiver: Receiver) -> None:
    tenant, other = make_tenant(), make_tenant("Other")
    posting(tenant, receiver)
    item = make_item(tenant)
    foreign = Note.objects.create(tenant=other, work_item=item, text="theirs")
    with pytest.raises(ConfigurationError, match=re.escape("holds a row of another tenant at lines[0]")):
        push(tenant, {"id": 1, "lines": [foreign]})
    with suppress(ConfigurationError):
        push(tenant, item)
    assert not any(b"theirs" in request.body for request in receiver.requests)


def test_four_attempts_one_two_four_seconds_apart(receiver: Receiver) -> None:
    tenant, slept = make_tenant(), []
    posting(tenant, receiver)
    receiver.answer_with(default=503)
    result = push(tenant, max_retries=3, retry_delay_base=1.0, sleep=slept.append)
    assert slept == [1.0, 2.0, 4.0]
    assert len(receiver.requests) == 4 and len({request.headers["x-key"] for request in receiver.requests}) == 1
    row = ERPPushLog.objects.get()
    assert result.status == row.status == "FAILED" and row.retry_count == 3
    assert [attempt for attempt, _ in connectors_of(row)] == [1, 2, 3, 4]
    assert row.latency_ms == sum(ExecutionLog.objects.values_list("duration_ms", flat=True))
    assert "503" in result.error_message and Lane.objects.get().lease_token == ""


def test_other_numbers_other_waits() -> None:
    tenant, slept = make_tenant(), []
    connect(tenant, mode="flaky", failures=2)
    result = push(tenant, max_retries=2, retry_delay_base=0.5, sleep=slept.append)
    assert (result.status, slept) == ("SUCCESS", [0.5, 1.0])
    assert result.push_log.retry_count == 2


@pytest.mark.parametrize(("mode", "words"), [("permanent", "does not want"), ("auth", "refuses the credentials")])
def test_what_no_repetition_mends_is_not_repeated(mode: str, words: str) -> None:
    tenant, slept = make_tenant(), []
    connect(tenant, mode=mode)
    result = push(tenant, sleep=slept.append)
    assert (result.status, slept) == ("FAILED", []) and words in result.message
    assert TenantIntegration.objects.get().auth_failure_count == (mode == "auth")


def test_three_refused_credentials_disable_the_connection() -> None:
    tenant = make_tenant()
    connect(tenant, mode="auth")
    for n in range(3):
        push(tenant, {"id": n})
        Lane.objects.update(paused_until=None)  # refusals within a moment count as one
    assert ERPConnection.objects.get().status == "DISABLED"
    result = push(tenant, {"id": "later"})
    assert result.status == "PENDING" and "refused our credentials 3 times" in result.message
    assert result.push_log.attempts == 0  # it waits for a person, and goes out then


def test_a_long_retry_after_is_left_to_the_lane(receiver: Receiver) -> None:
    tenant, slept = make_tenant(), []
    posting(tenant, receiver)
    receiver.answer_with(Answer(429, headers={"Retry-After": "120"}))
    result = push(tenant, sleep=slept.append)
    assert (result.status, slept) == ("RETRYING", []) and "429" in result.message
    sync = IntegrationSync.objects.get()
    assert 110 < (sync.next_attempt_at - timezone.now()).total_seconds() < 140
    again = push(tenant, {"id": "other"})
    assert again.status == "PENDING" and "paused" in again.message and len(receiver.requests) == 1


def test_a_short_retry_after_is_waited_for(receiver: Receiver) -> None:
    tenant, slept = make_tenant(), []
    posting(tenant, receiver)
    receiver.answer_with(Answer(429, headers={"Retry-After": "3"}), 200)
    assert push(tenant, sleep=slept.append).status == "SUCCESS" and slept == [3.0]


def test_an_open_breaker_ends_the_wait(receiver: Receiver) -> None:
    tenant, slept = make_tenant(), []
    posting(tenant, receiver)
    receiver.answer_with(default=500)
    assert push(tenant, {"id": 1}).status == "FAILED"
    result = push(tenant, {"id": 2}, sleep=slept.append)  # the fifth failure in a row
    assert (result.status, slept) == ("RETRYING", []) and len(receiver.requests) == 5
    assert Lane.objects.get().breaker == "open"
    receiver.answer_with(default=200)
    Lane.objects.update(paused_until=None)
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    drain(TenantIntegration.objects.get().pk)
    assert PushOrchestrator.check_idempotency(result.idempotency_key).status == "SUCCESS"


# -- idempotency ----------------------------------------------------------------------------------------


def test_the_key_depends_on_tenant_order_and_number_alone() -> None:
    key = PushOrchestrator().generate_idempotency_key
    assert key(1, "a") == key("1", "a", attempt=0)
    others = {key(1, "a"), key(2, "a"), key(1, "b"), key(1, "a", 1), key(1, "a1"), key(11, "a"), key(1, '","a')}
    assert len(others) == 7 and all(len(each) < 100 for each in others)


def test_the_same_order_is_pushed_once(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    assert PushOrchestrator.check_idempotency("push_unknown") is None
    first = push(tenant)
    again = push(tenant)
    assert len(receiver.requests) == 1 and not first.already_pushed
    assert again.already_pushed and again.status == "SUCCESS" and again.push_log == first.push_log
    assert again.message == f"already pushed: Posting ERP has order {ORDER['id']}."
    existing = PushOrchestrator.check_idempotency(first.idempotency_key)
    assert existing.status == "SUCCESS" and existing.already_pushed


def test_a_failed_push_is_not_repeated_by_accident_only_on_purpose(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    receiver.answer_with(422, 200)
    assert push(tenant).status == "FAILED"
    again = push(tenant)
    assert (again.status, again.already_pushed, len(receiver.requests)) == ("FAILED", True, 1)
    assert push(tenant, attempt=1).status == "SUCCESS"
    assert len({request.headers["x-key"] for request in receiver.requests}) == 2


def test_a_mended_order_is_a_new_attempt(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    receiver.answer_with(422, 422, 200)
    first = push(tenant, {"id": "A", "total": 0})
    second = push(tenant, {"id": "A", "total": -1})
    assert (first.status, second.status, second.already_pushed) == ("FAILED", "FAILED", False)
    mended = push(tenant, {"id": "A", "total": 5})
    assert mended.status == "SUCCESS" and not mended.already_pushed
    assert "changed after its push failed: this is a new one, attempt 2" in mended.message
    assert [request.json["order"]["total"] for request in receiver.requests] == [0, -1, 5]
    assert mended.idempotency_key == PushOrchestrator.generate_idempotency_key(tenant.pk, "A", 2)
    assert ERPPushLog.objects.filter(draft_order_id="A").count() == 3
    again = push(tenant, {"id": "A", "total": 5})
    assert again.already_pushed and again.push_log == mended.push_log


def test_a_changed_order_that_was_taken_is_not_sent_twice_by_accident(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    push(tenant, {"id": "A", "total": 1})
    changed = push(tenant, {"id": "A", "total": 2})
    assert changed.already_pushed and changed.status == "SUCCESS" and len(receiver.requests) == 1
    assert "has changed since and is not sent again; push it with attempt=1" in changed.message
    assert "changed" not in push(tenant, {"id": "A", "total": 1}).message
    assert push(tenant, {"id": "A", "total": 2}, attempt=1).status == "SUCCESS" and len(receiver.requests) == 2


def test_a_changed_order_does_not_pass_the_one_that_waits(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    push(tenant, {"id": "A", "total": 1}, wait=False)
    changed = push(tenant, {"id": "A", "total": 2})
    assert (changed.status, changed.already_pushed) == ("PENDING", True) and "has changed since" in changed.message
    assert IntegrationSync.objects.count() == 1


def test_values_that_json_writes_alike_are_no_change(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    receiver.answer_with(422)
    moment, number = timezone.now(), uuid4()
    push(tenant, {"id": number, "at": moment, "lines": ({"n": 1},)})
    again = push(tenant, {"lines": [{"n": 1}], "at": moment.isoformat(), "id": str(number)})
    assert again.already_pushed and again.status == "FAILED" and len(receiver.requests) == 1


def test_the_tenant_by_its_slug(receiver: Receiver) -> None:
    tenant = make_tenant("Acme Corp")
    posting(tenant, receiver)
    by_slug = PushOrchestrator().push_order("acme-corp", ORDER)
    assert by_slug.status == "SUCCESS" and by_slug.push_log.org_id == tenant.pk
    for key in (tenant.pk, str(tenant.pk), tenant, "acme-corp"):
        assert PushOrchestrator().push_order(key, ORDER).push_log == by_slug.push_log
        assert PushOrchestrator.generate_idempotency_key(key, ORDER["id"]) == by_slug.idempotency_key
    assert PushOrchestrator().push_order("acme-corp", {"id": 2}, connection=ERPConnection.objects.get()).success
    for nobody in ("nobody", 999_999, None):
        unknown = PushOrchestrator().push_order(nobody, {"id": 3})
        assert unknown.status == "FAILED" and "no such tenant" in unknown.message
        assert isinstance(unknown.error, IntegrationNotConfigured)


# -- how long somebody waits ------------------------------------------------------------------------------


def test_nobody_waits_longer_than_the_stated_time(receiver: Receiver, settings: Any) -> None:
    """The ERP hangs for as long as the test lasts, so an answer is one that came without it."""
    settings.INTEGRATIONS |= {"PUSH_WAIT_SECONDS": 0.2}
    is_over = threading.Event()
    tenant = make_tenant()
    posting(tenant, receiver)
    receiver.answer_with(default=lambda request: Answer() if is_over.wait(20) else Answer(500))
    try:
        result = push(tenant)
        assert not is_over.is_set() and result.status == "RETRYING" and len(receiver.requests) == 1
        assert "did not answer in time; waiting longer was not asked for" in result.message
    finally:
        is_over.set()
    assert Lane.objects.get().lease_token == ""


def test_no_try_is_begun_that_could_not_end(receiver: Receiver) -> None:
    tenant, slept = make_tenant(), []
    posting(tenant, receiver)
    receiver.answer_with(default=503)
    result = push(tenant, max_wait=5.0, sleep=slept.append)
    assert (result.status, slept) == ("RETRYING", [1.0])
    assert "waiting longer was not asked for" in result.message
    assert IntegrationSync.objects.get().next_attempt_at is not None


def test_a_lane_in_other_hands_is_not_waited_for_longer(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    assert take(target.pk) is not None
    result = push(tenant, max_wait=0.1)
    assert result.status == "PENDING" and "another sender has the lane" in result.message


def test_losing_the_race_for_a_key_is_no_error(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    push(tenant)
    first_look = iter([None])
    real = PushOrchestrator.check_idempotency

    class Late(PushOrchestrator):
        """Looks before the other one has committed, and inserts after it."""

        @staticmethod
        def check_idempotency(key: str) -> Any:
            return next(first_look, real(key))

    result = Late().push_order(tenant.pk, ORDER)
    assert result.already_pushed and result.status == "SUCCESS" and len(receiver.requests) == 1


def test_an_existing_result_outlives_its_connection(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    push(tenant)
    target.status = "DISABLED"
    target.save()
    assert push(tenant).status == "SUCCESS"
    other = push(tenant, {"id": "other"})
    assert other.status == "FAILED" and isinstance(other.error, IntegrationDisabled)
    assert other.push_log is None and IntegrationSync.objects.count() == 1


# -- later, and by workers --------------------------------------------------------------------------------


def test_without_waiting_a_worker_sends_it(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    result = push(tenant, wait=False)
    assert result.status == "PENDING" and receiver.requests == []
    assert drain(target.pk).sent == 1
    assert ERPPushLog.objects.get().status == "SUCCESS"


def test_a_delayed_push_waits_for_its_time(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    due = timezone.now() + timedelta(days=10)
    result = push(tenant, not_before=due)
    assert result.status == "PENDING" and drain(target.pk).sent == 0
    sync = IntegrationSync.objects.get()
    assert sync.next_attempt_at == due == sync.not_before  # its three days of retries begin then
    for row in (sync, result.push_log):
        assert abs((row.created_at - timezone.now()).total_seconds()) < 10
    IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert drain(target.pk).sent == 1 and len(receiver.requests) == 1


def test_a_delayed_push_needs_a_time_zone(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    with pytest.raises(ConfigurationError, match="not_before: must be aware"):
        push(tenant, not_before=datetime(2030, 1, 1))


def test_an_operator_may_retry_a_failed_push(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    receiver.answer_with(422, 200)
    failed = push(tenant)
    assert retry([failed.push_log.pk], actor="root") == 1
    assert drain(target.pk).sent == 1
    assert PushOrchestrator.check_idempotency(failed.idempotency_key).status == "SUCCESS"


# -- the lane's promises ----------------------------------------------------------------------------------


def test_a_lane_in_other_hands_is_waited_for_and_then_left_to_them(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.delivery.send_now.LANE_SECONDS", 0.1)
    tenant = make_tenant()
    target = posting(tenant, receiver)
    lease = take(target.pk)
    result = push(tenant)
    assert result.status == "PENDING" and "another sender has the lane" in result.message
    assert receiver.requests == [] and Lane.objects.get().lease_token == lease.token
    Lane.objects.update(lease_expires_at=None)
    assert drain(target.pk).sent == 1  # due at once, not at the end of our patience


def test_no_push_overtakes_an_earlier_one_of_its_order(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    first = push(tenant, wait=False)
    second = push(tenant, attempt=1)
    assert second.status == "PENDING" and "an earlier one" in second.message and receiver.requests == []
    assert push(tenant, {"id": "other"}).status == "SUCCESS"
    drain(target.pk)
    keys = [request.headers["x-key"] for request in receiver.requests]
    assert keys[1:] == [first.idempotency_key, second.idempotency_key]


def test_what_a_person_must_mend_is_said_and_kept(receiver: Receiver) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)
    TenantIntegration.objects.filter(pk=target.pk).update(webhook_url_encrypted="")
    result = push(tenant)
    assert result.status == "PENDING" and "Url is empty; set it on the integration" in result.message
    assert Lane.objects.get().attention and IntegrationSync.objects.get().attempts == 0


def test_a_process_that_dies_between_record_and_lease_leaves_a_row_for_the_sweep(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant()
    target = posting(tenant, receiver)

    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("integrations.erp.push.send_now", die)
    with pytest.raises(KeyboardInterrupt):
        push(tenant)
    sync = IntegrationSync.objects.get()
    assert sync.status == "pending" and 0 < (sync.next_attempt_at - timezone.now()).total_seconds() < 15
    assert sweep()["due"] == 0
    IntegrationSync.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert sweep()["due"] == 1 and drain(target.pk).sent == 1


def test_an_interrupted_wait_gives_the_lane_back(receiver: Receiver) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    receiver.answer_with(503)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(tenant, sleep=interrupted)
    assert Lane.objects.get().lease_token == "" and ERPPushLog.objects.get().status == "RETRYING"


# -- tenants ----------------------------------------------------------------------------------------------


def test_a_tenant_pushes_only_to_its_own_erp(receiver: Receiver) -> None:
    ours, theirs = make_tenant(), make_tenant("Other")
    foreign = posting(theirs, receiver)
    with pytest.raises(ConfigurationError, match="connection: belongs to another tenant"):
        push(ours, connection=foreign)
    result = push(ours)
    assert result.status == "FAILED" and isinstance(result.error, IntegrationNotConfigured)
    with pytest.raises(ConfigurationError, match="draft_order: belongs to another tenant"):
        push(theirs, make_item(ours))
    assert receiver.requests == [] and not IntegrationSync.objects.exists()


def test_the_log_is_found_by_the_guides_names() -> None:
    ours, theirs = make_tenant(), make_tenant("Other")
    connect(ours), connect(theirs, mode="permanent")
    first, second = push(ours), push(theirs)
    assert first.idempotency_key != second.idempotency_key
    assert [row.status for row in ERPPushLog.objects.filter(org_id=ours.pk)] == ["SUCCESS"]
    assert ERPPushLog.objects.get(status="FAILED").org_id == theirs.pk
    assert ERPPushLog.objects.get(idempotency_key=first.idempotency_key, connector_type="MOCK") == first.push_log
    assert ERPPushLog.objects.filter(draft_order_id=ORDER["id"], status__in=["SUCCESS", "FAILED"]).count() == 2
    assert ERPPushLog.objects.defer("status", "created_at").get(status="FAILED").status == "FAILED"
    with pytest.raises(TypeError, match="written by deliveries"):
        first.push_log.save()


# -- orders that are refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ({"total": 1}, "draft_order: has no id"),
        ({"id": 1, "total": float("nan")}, "draft_order: contains a value that JSON cannot represent"),
        ({"id": 1, "text": "a\0b"}, "draft_order: contains a value that JSON cannot represent"),
        ({"id": 1, "lines": [{"text": "x" * 30_000}] * 9}, "draft_order: is larger than"),
    ],
)
def test_no_order_is_sent_as_something_else(receiver: Receiver, order: Any, problem: str) -> None:
    tenant = make_tenant()
    posting(tenant, receiver)
    with pytest.raises(ConfigurationError, match=problem):
        push(tenant, order)
    assert receiver.requests == [] and not IntegrationSync.objects.exists()


# -- what others write --------------------------------------------------------------------------------------


class ExportOnly(BaseConnector):
    """No manifest, and an export that tells too much."""

    def export(self, draft_order: Any, config: dict[str, Any]) -> ExportResult:
        if config.get("fail"):
            try:
                raise ValueError(f"https://erp.example.com?key={config['api_key']}")
            except ValueError as e:
                raise ConnectorError(f"MyERP export failed: {e}") from e
        return ExportResult(True, draft_order.id, f"myerp/exports/{draft_order.id}.json", {"erp_order_id": "9"})


@pytest.fixture
def export_only() -> Iterator[str]:
    ConnectorRegistry.register("HERP_EXPORT", ExportOnly)
    yield "HERP_EXPORT"
    ConnectorRegistry.unregister("HERP_EXPORT")


def test_a_connector_that_only_exports(export_only: str) -> None:
    tenant = make_tenant()
    connect(tenant, export_only, api_key=CANARY)
    result = push(tenant)
    assert (result.status, result.export_id) == ("SUCCESS", ORDER["id"])
    assert result.storage_key == f"myerp/exports/{ORDER['id']}.json"
    assert result.connector_metadata == {"erp_order_id": "9"}


def test_no_secret_in_rows_logs_results_or_exceptions(
    export_only: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tenant = make_tenant()
    target = connect(tenant, export_only, api_key=CANARY, fail="yes")
    seen: list[Any] = [push(tenant, {"id": 1}), target]
    target.status = "DISABLED"
    target.save()
    posting(tenant, receiver)
    receiver.answer_with(Answer(200, body=f"you said {CANARY}".encode()))
    seen.append(push(tenant, {"id": 2}))
    seen += [row.__dict__ for row in (*ERPPushLog.objects.all(), *ExecutionLog.objects.all())]
    seen += [row.__dict__ for row in (*ERPConnection.objects.all(), *Lane.objects.all())]
    text = "".join(map(repr, seen)) + caplog.text
    assert "MyERP export failed" in text and CANARY not in text
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            if table.startswith("integrations_"):
                cursor.execute(f"SELECT * FROM {table}")
                assert CANARY not in repr(cursor.fetchall()), table


# -- replaceable --------------------------------------------------------------------------------------


# What each kind needs to take an order; a kind that is not registered here is left out.
def configs(receiver: Receiver) -> dict[str, dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {
        "MOCK": {"mode": "success"},
        "HERP_POST": {"url": receiver.url, "api_key": CANARY},
        "EDI": {"url": receiver.url, "sender": "4012345000009", "recipient": "4098765000010"},
    }
    return {kind: config for kind, config in known.items() if kind in connector_types()}


def domain_of(tenant: Tenant) -> str:
    """The business's code: it names no kind of ERP."""
    order = {"id": uuid4(), "lines": [{"sku": "A", "quantity": 1}]}
    return PushOrchestrator().push_order(tenant.pk, order).status


def test_any_erp_is_swapped_for_any_other_without_a_change_of_the_domain(receiver: Receiver) -> None:
    pairs = list(permutations(configs(receiver).items(), 2))
    assert len(pairs) >= 2
    for (first, one), (second, other) in pairs:
        tenant = make_tenant(f"{first}, then {second}")
        old = connect(tenant, first, **one)
        assert domain_of(tenant) == "SUCCESS"
        old.status = "DISABLED"
        old.save()
        connect(tenant, second, **other)
        assert domain_of(tenant) == "SUCCESS"
        pushes = ERPPushLog.objects.filter(org_id=tenant.pk).order_by("id")
        assert [push.connector_type for push in pushes] == [first, second]


def test_figures() -> None:
    """Look-up < 10 ms, encryption < 5 ms. Medians, so that a busy machine does not fail them."""

    def median(action: Any) -> float:
        times = []
        for _ in range(51):
            with computing() as computed:
                action()
            times.append(computed.seconds)
        return sorted(times)[25] * 1000

    encrypted = EncryptionService.encrypt_config({"host": "sftp.example.com", "password": "secret"})
    figures = {
        "ConnectorRegistry.get": (median(lambda: ConnectorRegistry.get("MOCK")), 10),
        "encrypt_config": (median(lambda: EncryptionService.encrypt_config({"password": "secret"})), 5),
        "decrypt_config": (median(lambda: EncryptionService.decrypt_config(encrypted)), 5),
    }
    print("".join(f"\n{name}: {took:.3f} ms (< {limit})" for name, (took, limit) in figures.items()))
    assert all(took < limit for took, limit in figures.values())


def test_the_guides_errors(receiver: Receiver) -> None:
    with pytest.raises(ValueError, match=r"^Unknown connector type: 'MY_ERP'$"):
        ConnectorRegistry.get("MY_ERP")
    tenant = make_tenant()
    with pytest.raises(ValueError, match=r"^Invalid connector_type: MY_ERP$"):
        ERPConnection(org_id=tenant.pk, connector_type="MY_ERP")
    connect(tenant)
    push(tenant)
    event = IntegrationSync.objects.get().event
    event.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():  # the database itself refuses a key twice
        event.save(force_insert=True)


def test_an_integration_that_is_no_erp_may_be_named(receiver: Receiver) -> None:
    tenant = make_tenant()
    hook = make_integration(tenant, receiver.url, events=())
    assert push(tenant, connection=hook).success
    with pytest.raises(IntegrationPermanentError):
        ConnectorRegistry.get("MOCK").export(ORDER, {"mode": "permanent"})


def test_a_push_sends_nobody_elses_row(receiver: Receiver) -> None:
    """Its brisk policy would give up for good what the lane tries for days."""
    tenant = make_tenant()
    posting(tenant, receiver)
    receiver.answer_with(default=500)
    push(tenant, {"id": "other"}, sleep=lambda _: None)
    other = IntegrationSync.objects.get()
    due = timezone.now() - timedelta(seconds=1)
    IntegrationSync.objects.update(status="pending", settled_at=None, next_attempt_at=due)
    Lane.objects.update(paused_until=None, times_opened=1, breaker="open", consecutive_failures=9)
    tries = IntegrationSync.objects.get(pk=other.pk).attempts
    result = push(tenant, {"id": "mine"}, sleep=lambda _: None)
    assert result.status in {"PENDING", "RETRYING"} and result.push_log.attempts >= 1
    other.refresh_from_db()
    assert (other.status, other.attempts) == ("pending", tries)
