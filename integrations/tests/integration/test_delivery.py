"""One lane at a time, in this process: real database, real HTTP; what each answer does to the row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone
from standardwebhooks import Webhook

from integrations.audit import notes
from integrations.database.leases import LeaseLost
from integrations.delivery import operator_actions, send, unsendable
from integrations.delivery import settle as settle_module
from integrations.delivery.drain import Drained, drain
from integrations.delivery.lease import release, take
from integrations.delivery.outcome import Outcome
from integrations.models import ExecutionLog, IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

CASES = json.loads((Path(__file__).parents[1] / "cases" / "bad-inputs.json").read_text())["cases"]


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


def integration(receiver: Receiver, **fields: Any) -> TenantIntegration:
    return make_integration(make_tenant(), receiver.url, **fields)


def row() -> IntegrationSync:
    return IntegrationSync.objects.select_related("integration__lane").get()


def make_due() -> None:
    """As if the waiting were over."""
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
    Lane.objects.update(paused_until=None)


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Let a person act after the slice was sent and before it is settled."""
    original = send.Slice.send

    def sent(self: Any, chains: Any) -> None:
        original(self, chains)
        act()

    send.Slice.send = sent  # type: ignore[method-assign]
    try:
        yield
    finally:
        send.Slice.send = original  # type: ignore[method-assign]


def seconds_until(moment: Any) -> float:
    return (moment - timezone.now()).total_seconds()


def test_delivered_signed_logged_noted(receiver: Receiver) -> None:
    target = integration(receiver, headers={"X-API-Key": "k-123"})
    item = make_item(target.tenant)
    assert drain(target.pk).sent == 1
    (request,) = receiver.requests
    event = row().event
    assert request.method == "POST" and request.body.decode() == event.body
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["x-api-key"] == "k-123"
    assert request.headers["webhook-id"] == event.idempotency_key
    assert request.headers["webhook-event"] == "workitem_created"
    assert request.headers["webhook-sequence"] == str(event.pk)
    assert Webhook(SECRET).verify(request.body, request.headers) == json.loads(event.body)
    sync = row()
    assert (sync.status, sync.attempts, sync.response_status, sync.last_error) == ("synced", 1, 200, "")
    assert sync.get_status_display() == "✓ Synced" and sync.synced_at and sync.settled_at
    log = ExecutionLog.objects.get()
    assert (log.attempt, log.method, log.response_status, log.error) == (1, "POST", 200, "")
    assert log.url == f"http://{receiver.netloc}/•••"
    note = Note.objects.get()
    assert note.work_item_id == item.pk and note.author is None
    assert note.text == "✓ Production n8n Workflow received workitem_created (HTTP 200)."
    lane = Lane.objects.get()
    assert lane.lease_token == "" and lane.delivered_count == 1 and lane.last_success_at


def test_a_note_is_not_news(receiver: Receiver) -> None:
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    assert IntegrationSync.objects.count() == 1


@pytest.mark.parametrize("secret", ["unsigned", "rotated"])
def test_signing_is_optional_and_rotates_with_an_overlap(receiver: Receiver, secret: str) -> None:
    from integrations.connections.signing_keys import rotate_signing_secret

    target = integration(receiver, is_signed=secret != "unsigned")
    new = rotate_signing_secret(target)
    make_item(target.tenant)
    drain(target.pk)
    (request,) = receiver.requests
    if secret == "unsigned":
        assert "webhook-signature" not in request.headers
        return
    for key in (SECRET, new):  # the receiver may hold either
        Webhook(key).verify(request.body, request.headers)
    keys = target.credentials["signing_keys"]
    keys[1]["until"] = (timezone.now() - timedelta(seconds=1)).isoformat()
    target.credentials = {**target.credentials, "signing_keys": keys}
    target.save()
    make_item(target.tenant)
    drain(target.pk)
    assert len(receiver.requests[1].headers["webhook-signature"].split()) == 1


def test_an_integration_made_without_a_secret_signs_all_the_same(receiver: Receiver) -> None:
    target = integration(receiver, signed=False)
    make_item(target.tenant)
    drain(target.pk)
    (request,) = receiver.requests
    Webhook(target.credentials["signing_keys"][0]["secret"]).verify(request.body, request.headers)


def test_basic_and_api_key(receiver: Receiver) -> None:
    target = integration(
        receiver,
        credentials={"username": "django-integration", "password": "your-secure-password", "api_key": "abc"},
    )
    make_item(target.tenant)
    drain(target.pk)
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Basic ZGphbmdvLWludGVncmF0aW9uOnlvdXItc2VjdXJlLXBhc3N3b3Jk"
    assert request.headers["x-api-key"] == "abc"


# -- what each answer means ---------------------------------------------------------------------------

RESPONSES = [
    case for case in CASES
    if case["area"] == "response" and case["name"][:3].isdigit() and "(GitHub" not in case["name"]
    and "once" not in case["name"] and "100 Continue" not in case["name"] and "101" not in case["name"]
    and "BOM" not in case["name"]
]  # fmt: skip


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case["id"])
def test_responses(receiver: Receiver, case: dict[str, Any]) -> None:
    status, expected = int(case["name"][:3]), case["expect"]["result"]
    receiver.answer_with(Answer(status, body=b"" if status in (204, 304) else b"answer text"))
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    sync = row()
    if expected.startswith("synced"):
        assert sync.status == "synced"
    elif status == 410:  # the only answer of a webhook's receiver that ends the row at once
        assert (sync.status, Note.objects.count()) == ("failed", 1)
        assert str(status) in sync.last_error
    else:
        assert expected.startswith(("temporary", "rate_limited", "permanent")), expected
        assert (sync.status, sync.attempts, Note.objects.count()) == ("pending", 1, 0)
        assert seconds_until(sync.next_attempt_at) == pytest.approx(15, abs=2)
    assert ExecutionLog.objects.count() == 1
    assert Lane.objects.get().lease_token == ""
    if status == 410:
        target.refresh_from_db()
        assert not target.is_enabled and "410" in target.disabled_reason
    if status in (301, 308):
        assert "redirect" in Lane.objects.get().attention.lower() or "moved" in Lane.objects.get().attention.lower()
    if status == 429:
        assert Lane.objects.get().paused_until


@pytest.mark.parametrize("status", [404, 400, 409, 422])
def test_an_answer_that_may_be_mended_is_repeated_and_noted_once_at_the_end(receiver: Receiver, status: int) -> None:
    receiver.answer_with(default=status)
    target = integration(receiver, max_attempts=2)
    make_item(target.tenant)
    drain(target.pk)
    assert (row().status, row().attempts, Note.objects.count()) == ("pending", 1, 0)
    make_due()
    drain(target.pk)
    assert (row().status, row().attempts, Note.objects.count()) == ("failed", 2, 1)
    assert Lane.objects.get().consecutive_failures == 0  # such an answer says nothing about the destination


def test_n8n_404_means_not_active(receiver: Receiver) -> None:
    receiver.answer_with(404)
    target = integration(receiver, integration_type="n8n")
    make_item(target.tenant)
    drain(target.pk)
    assert row().status == "pending"
    assert "not active" in row().last_error


@pytest.mark.parametrize("then", ["drop", "reset"])
def test_broken_connections_are_tried_again(receiver: Receiver, then: Any) -> None:
    receiver.answer_with(Answer(then=then))
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    assert row().status == "pending" and row().last_error
    make_due()
    drain(target.pk)
    assert row().status == "synced"
    first, second = receiver.requests
    assert first.id == second.id and first.body == second.body
    assert second.headers["webhook-attempt"] == "2"
    assert "attempt 2" in Note.objects.get().text


def test_a_body_cut_after_200_is_a_success(receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, then="cut"))
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    assert statuses() == ["synced"]


def test_connection_refused_says_so(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": ["127.0.0.1:9"]}
    target = make_integration(make_tenant(), "http://127.0.0.1:9/secret-path")
    make_item(target.tenant)
    drain(target.pk)
    assert row().status == "pending"
    assert "127.0.0.1" in row().last_error and "secret-path" not in row().last_error


def test_a_private_address_is_refused_at_delivery_too(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {}
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    drain(target.pk)
    assert row().status == "failed" and receiver.requests == []
    assert Lane.objects.get().attention


def test_b164_anything_else_is_settled_and_tried_again(receiver: Receiver, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        "integrations.connectors.kinds.webhook.WebhookConnector.deliver",
        lambda self, envelope: "\ud800".encode(),
    )
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    assert row().status == "pending" and "UnicodeEncodeError" in row().last_error
    assert Lane.objects.get().lease_token == ""


def test_the_answer_is_kept_without_our_secret(receiver: Receiver) -> None:
    receiver.answer_with(Answer(400, body=b'{"error": "bad key k-canary-123456"}'))
    target = integration(receiver, headers={"X-API-Key": "k-canary-123456"}, max_attempts=1)
    make_item(target.tenant)
    drain(target.pk)
    stored = row().last_error + str(ExecutionLog.objects.values().get()) + Note.objects.get().text
    assert "bad key" in stored and "canary" not in stored


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, body=b"a NUL: \0, an escape: \x1b[31m"),
        Answer(400, body=b"\0\xed\xa0\x80"),
        Answer(301, headers={"Location": "https://a\x1bb/"}),
    ],
    ids=["200", "400", "301"],
)
def test_no_answer_can_keep_its_slice_from_being_settled(receiver: Receiver, answer: Answer) -> None:
    receiver.answer_with(answer)
    target = integration(receiver, max_attempts=1)
    make_item(target.tenant), make_item(target.tenant)
    drain(target.pk)
    assert len(receiver.requests) == 2 and "pending" not in statuses()
    stored = str(list(ExecutionLog.objects.values())) + str(list(IntegrationSync.objects.values()))
    assert "\\x00" not in stored and "\\x1b" not in stored


def test_text_that_the_database_refuses_does_not_undo_a_delivery(receiver: Receiver, monkeypatch: Any) -> None:
    original = Outcome.answer.fget

    def refuse(result: Outcome) -> Any:
        if result.receipt is not None and result.receipt.excerpt:
            raise ValueError("what this database does not take")
        return original(result)

    monkeypatch.setattr(Outcome, "answer", property(refuse))
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    assert statuses() == ["synced"] and len(receiver.requests) == 1


def test_a_failing_note_writer_costs_only_its_notes(receiver: Receiver, monkeypatch: Any) -> None:
    monkeypatch.setitem(notes._known, "tasks.workitem", (lambda group: {}["nothing"], None))
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    assert statuses() == ["synced"] and Note.objects.count() == 0


def test_an_object_of_a_kind_that_never_was_has_no_notes() -> None:
    assert notes.notes_on(999_999, make_tenant().pk, "1", 5) == []


def test_unreadable_signing_keys_park_the_lane(receiver: Receiver) -> None:
    target = integration(receiver, credentials={"signing_keys": [{"secret": SECRET, "until": "soon"}]}, signed=False)
    make_item(target.tenant)
    assert drain(target.pk).outcome == "not configured"
    assert "rotate" in Lane.objects.get().attention


def test_a_secret_is_masked_before_the_answer_is_cut(receiver: Receiver) -> None:
    secret = "canary-" + "k" * 60
    receiver.answer_with(Answer(400, body=b"x" * 470 + secret.encode()))
    target = integration(receiver, headers={"X-API-Key": secret})
    make_item(target.tenant)
    drain(target.pk)
    assert "canary" not in row().last_error


def test_a_header_goes_out_once_however_it_is_spelt(receiver: Receiver) -> None:
    target = integration(receiver, headers={"content-type": "text/plain", "AUTHORIZATION": "Bearer x"})
    target.credentials = {**target.credentials, "username": "u", "password": "p"}
    target.save()
    make_item(target.tenant)
    drain(target.pk)
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["authorization"] == "Bearer x"


# -- giving up, waiting, pausing ------------------------------------------------------------------------


def test_gives_up_with_a_reason_and_one_note(receiver: Receiver) -> None:
    receiver.answer_with(default=503)
    target = integration(receiver, max_attempts=3)
    make_item(target.tenant)
    for _ in range(3):
        make_due()
        drain(target.pk)
    sync = row()
    assert (sync.status, sync.attempts) == ("failed", 3)
    assert sync.reason.startswith("gave up") and ExecutionLog.objects.count() == 3
    assert "failed after 3 attempts" in Note.objects.get().text


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_by_the_whole_lane(receiver: Receiver, status: int) -> None:
    receiver.answer_with(Answer(status, headers={"Retry-After": "120"}))
    target = integration(receiver)
    make_item(target.tenant), make_item(target.tenant)
    drain(target.pk)
    assert len(receiver.requests) == 1
    assert IntegrationSync.objects.order_by("id").last().attempts == 0  # deferred, not tried
    assert 118 < seconds_until(Lane.objects.get().paused_until) < 135
    assert drain(target.pk).outcome == "busy or paused"
    Lane.objects.update(paused_until=None)
    drain(target.pk)
    assert statuses() == ["pending", "synced"]


def test_three_wrong_credential_answers_stop_it_until_a_person_says_go(receiver: Receiver) -> None:
    receiver.answer_with(401, 403, 401)
    target = integration(receiver)
    for n in range(5):
        make_item(target.tenant, reference_id=f"RMA-{n}")
    for refusals, rest in ((1, 5), (2, 60)):
        drain(target.pk)
        target.refresh_from_db()
        assert target.is_enabled and target.auth_failure_count == refusals == len(receiver.requests)
        assert seconds_until(Lane.objects.get().paused_until) == pytest.approx(rest, abs=4)
        Lane.objects.update(paused_until=None)
    drain(target.pk)
    target.refresh_from_db()
    assert len({r.json["workitem"]["id"] for r in receiver.requests}) == 3 == len(receiver.requests)
    assert not target.is_enabled and target.auth_failure_count == 3
    assert "credentials" in target.disabled_reason
    make_due()
    assert drain(target.pk).outcome == "disabled"
    assert statuses() == ["pending"] * 5
    refused = [r.json["workitem"]["id"] for r in receiver.requests]
    operator_actions.re_enable(target, actor="alice")
    make_due()
    drain(target.pk)
    assert statuses() == ["synced"] * 5
    assert receiver.requests[3].json["workitem"]["id"] not in refused  # who was refused before does not go first
    target.refresh_from_db()
    assert (target.auth_failure_count, target.disabled_reason) == (0, "")


def test_a_success_between_wrong_answers_starts_the_count_anew(receiver: Receiver) -> None:
    receiver.answer_with(401, 401, 200, 401, 401, 200)
    target = integration(receiver)
    for _ in range(6):
        make_item(target.tenant)
    for _ in range(3):
        drain(target.pk)
        Lane.objects.update(paused_until=None)
    target.refresh_from_db()
    assert target.is_enabled and target.auth_failure_count == 0


def test_texts_that_a_firewall_refuses_do_not_stop_the_integration(receiver: Receiver) -> None:
    """Three 403 within a moment, then 200 for ever."""
    receiver.answer_with(403, 403, 403)
    target = integration(receiver)
    for n in range(6):
        make_item(target.tenant, reference_id=f"RMA-{n}")
    for _ in range(4):
        drain(target.pk)
        Lane.objects.update(paused_until=None)
        target.refresh_from_db()
        if target.auth_failure_count == 2:
            receiver.answer_with(default=200)
    assert target.is_enabled and target.auth_failure_count == 0
    make_due()
    drain(target.pk)
    assert statuses() == ["synced"] * 6


def test_a_refused_text_beside_others_that_are_taken_costs_the_others_nothing(receiver: Receiver) -> None:
    receiver.answer_with(default=lambda r: 403 if r.json["workitem"]["reference_id"].startswith("BAD") else 200)
    target = integration(receiver)
    make_item(target.tenant, reference_id="GOOD-first")
    drain(target.pk)
    for n in range(3):
        make_item(target.tenant, reference_id=f"BAD-{n}")
    for n in range(20):
        make_item(target.tenant, reference_id=f"GOOD-{n}")
    drain(target.pk)
    target.refresh_from_db()
    lane = Lane.objects.get()
    assert target.is_enabled and target.auth_failure_count == 0 and lane.paused_until is None
    assert statuses().count("synced") == 21
    assert lane.trouble == ("3 events wait for a retry (403 for 3), while 21 others were taken: look at these events.")
    receiver.answer_with(default=200)
    make_due()
    drain(target.pk)
    assert Lane.objects.get().trouble == ""


@pytest.mark.parametrize("bad", [6, 20, 40])
def test_bad_payloads_ahead_do_not_hold_up_the_good_ones(receiver: Receiver, bad: int) -> None:
    receiver.answer_with(default=lambda r: 500 if r.json["workitem"]["reference_id"].startswith("BAD") else 200)
    target = integration(receiver)
    for n in range(bad):
        make_item(target.tenant, reference_id=f"BAD-{n}")
    for n in range(20):
        make_item(target.tenant, reference_id=f"GOOD-{n}")
    rests = 0
    while statuses().count("synced") < 20:
        drain(target.pk)
        rests += Lane.objects.filter(paused_until__isnull=False).update(paused_until=None)
        assert rests < 8  # chance may have it that five of the bad ones are asked, not again and again
    assert set(IntegrationSync.objects.exclude(status="synced").values_list("status", flat=True)) <= {"pending"}
    assert IntegrationSync.objects.filter(attempts__gt=2).count() == 0  # the bad ones keep to their own backoff


def test_breaker_opens_probes_and_closes(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    target = integration(receiver, max_in_flight=1)
    for _ in range(30):
        make_item(target.tenant)
    drain(target.pk)
    lane = Lane.objects.get()
    assert len(receiver.requests) == 10 and lane.breaker == "open" and lane.opened_at  # five, and five others
    assert 25 < seconds_until(lane.paused_until) < 35
    Lane.objects.update(paused_until=None)
    drain(target.pk)  # the probe: five, which all fail
    assert len(receiver.requests) == 15
    assert 55 < seconds_until(Lane.objects.get().paused_until) < 65
    make_due()
    receiver.answer_with(default=200)
    drain(target.pk)  # the probe succeeds, and everything follows
    assert statuses() == ["synced"] * 30
    assert Lane.objects.get().breaker == "closed"


def test_a_lone_row_is_its_own_probe(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    target = integration(receiver)
    make_item(target.tenant)
    for _ in range(7):
        make_due()
        drain(target.pk)
    assert len(receiver.requests) == 7 and Lane.objects.get().times_opened == 3


def test_an_inactive_integration_cancels_with_a_reason(receiver: Receiver) -> None:
    target = integration(receiver)
    make_item(target.tenant)
    TenantIntegration.objects.filter(pk=target.pk).update(is_active=False)
    drain(target.pk)
    assert row().status == "cancelled" and "switched off" in row().reason
    assert receiver.requests == [] and "cancelled" in Note.objects.get().text


def test_unreadable_credentials_cost_no_attempt(receiver: Receiver) -> None:
    target = integration(receiver)
    make_item(target.tenant)
    TenantIntegration.objects.update(headers_encrypted=target.webhook_url_encrypted)
    assert drain(target.pk).outcome == "not configured"
    lane = Lane.objects.get()
    assert (row().attempts, row().status) == (0, "pending")
    assert "verification failed" in lane.attention and lane.paused_until
    target.refresh_from_db()
    assert target.auth_failure_count == 0


def test_retry_after_counts_for_the_lane_also_when_the_row_is_given_up(receiver: Receiver) -> None:
    receiver.answer_with(Answer(429, headers={"Retry-After": "3600"}))
    target = integration(receiver, max_attempts=1)
    make_item(target.tenant)
    drain(target.pk)
    assert row().status == "failed"
    assert seconds_until(Lane.objects.get().paused_until) > 3500


def test_a_limit_that_the_slow_queue_can_sit_out_is_handed_over(receiver: Receiver) -> None:
    target = integration(receiver, rate_limit_per_minute=30)  # every 2 s
    make_item(target.tenant), make_item(target.tenant)
    assert drain(target.pk, is_slow_worker=False).sent == 1
    lane = Lane.objects.get()
    assert lane.is_slow and lane.paused_until is None
    assert drain(target.pk, is_slow_worker=True).sent == 1
    first, second = receiver.requests
    assert second.time - first.time > 1.8


def test_a_rate_limit_spaces_requests(receiver: Receiver) -> None:
    target = integration(receiver, rate_limit_per_minute=1200, ordering="none")  # every 50 ms
    for _ in range(6):
        make_item(target.tenant)
    drain(target.pk)
    times = [request.time for request in receiver.requests]
    assert len(times) == 6 and times[-1] - times[0] > 4 * 0.05
    assert Lane.objects.get().next_send_at


def test_a_slow_limit_gives_the_worker_back(receiver: Receiver) -> None:
    target = integration(receiver, rate_limit_per_minute=1)
    make_item(target.tenant), make_item(target.tenant)
    drain(target.pk)
    assert sorted(statuses()) == ["pending", "synced"]
    lane = Lane.objects.get()
    assert 50 < seconds_until(lane.paused_until) <= 60
    assert lane.pause_reason


# -- order ------------------------------------------------------------------------------------------------


def test_one_objects_events_arrive_in_order(receiver: Receiver) -> None:
    target = integration(receiver)
    items = [make_item(target.tenant, reference_id=f"RMA-{n}") for n in range(3)]
    for status in ("in_progress", "completed"):
        for item in items:
            item.status = status
            item.save()
    drain(target.pk)
    for item in items:
        own = [r.json for r in receiver.requests if r.json["workitem"]["id"] == item.pk]
        assert [body["workitem"]["status"] for body in own] == ["New", "In Progress", "Completed"]


def test_a_stuck_event_holds_back_only_its_own_object(receiver: Receiver) -> None:
    target = integration(receiver)
    stuck, free = make_item(target.tenant, reference_id="stuck"), make_item(target.tenant, reference_id="free")
    receiver.answer_with(default=lambda r: 500 if r.json["workitem"]["reference_id"] == "stuck" else 200)
    for item in (stuck, free):
        item.status = "in_progress"
        item.save()
    drain(target.pk)
    assert [r.json["workitem"]["reference_id"] for r in receiver.requests] == ["stuck", "free", "free"]
    stuck.status = "completed"
    stuck.save()  # a later event, while the first waits for its retry
    drain(target.pk)
    assert len(receiver.requests) == 3
    receiver.answer_with(default=200)
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
    drain(target.pk)
    assert [r.json["workitem"]["status"] for r in receiver.requests[3:]] == ["New", "In Progress", "Completed"]


def test_after_an_hour_the_stuck_one_holds_nobody(receiver: Receiver) -> None:
    target = integration(receiver)
    item = make_item(target.tenant)
    receiver.answer_with(500)
    drain(target.pk)
    IntegrationSync.objects.update(first_failed_at=timezone.now() - timedelta(hours=1, seconds=1))
    item.status = "completed"
    item.save()
    drain(target.pk)
    assert statuses() == ["pending", "synced"]


def test_nobody_is_held_longer_than_an_hour(receiver: Receiver) -> None:
    target = integration(receiver)
    item = make_item(target.tenant)
    receiver.answer_with(500)
    drain(target.pk)
    later = timezone.now() + timedelta(minutes=64)
    IntegrationSync.objects.update(first_failed_at=timezone.now() - timedelta(minutes=59), next_attempt_at=later)
    item.status = "completed"
    item.save()
    assert drain(target.pk).sent == 0
    IntegrationSync.objects.exclude(first_failed_at=None).update(first_failed_at=timezone.now() - timedelta(minutes=61))
    assert drain(target.pk).sent == 1
    assert sorted(statuses()) == ["pending", "synced"]


def test_a_blocker_outside_the_slice_is_seen(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SLICE_ROWS": 2}
    target = integration(receiver)
    item = make_item(target.tenant)
    for status in ("in_progress", "waiting", "completed"):
        item.status = status
        item.save()
    first, *_ = IntegrationSync.objects.order_by("id")
    # A web host whose clock is behind: the first event seems the latest.
    IntegrationSync.objects.filter(pk=first.pk).update(next_attempt_at=timezone.now() - timedelta(microseconds=1))
    IntegrationSync.objects.exclude(pk=first.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=5))
    drain(target.pk)
    assert [r.json["workitem"]["status"] for r in receiver.requests] == ["New", "In Progress", "Waiting", "Completed"]


def test_many_events_behind_a_stuck_one_do_not_clog_the_lane(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SLICE_ROWS": 5}
    target = integration(receiver)
    stuck = make_item(target.tenant, reference_id="stuck")
    receiver.answer_with(500)
    drain(target.pk)
    for n in range(30):
        stuck.comments = str(n)
        stuck.save()
    make_item(target.tenant, reference_id="other")
    drain(target.pk)
    assert [r.json["workitem"]["reference_id"] for r in receiver.requests] == ["stuck", "other"]


def test_without_order_nothing_waits(receiver: Receiver) -> None:
    target = integration(receiver, ordering="none")
    item = make_item(target.tenant)
    item.status = "completed"
    item.save()
    receiver.answer_with(500, 200)
    drain(target.pk)
    assert statuses() == ["pending", "synced"]


def test_a_slow_receiver_gets_parallel_requests_up_to_its_limit(receiver: Receiver) -> None:
    target = integration(receiver, max_in_flight=4)
    receiver.answer_with(default=Answer(delay=0.05))
    for _ in range(13):
        make_item(target.tenant)
    drain(target.pk)
    assert statuses() == ["synced"] * 13
    assert len({request.connection for request in receiver.requests}) in (4, 5)


def test_a_patient_integration_holds_its_lane_longer(receiver: Receiver) -> None:
    target = integration(receiver, timeout_seconds=60)
    make_item(target.tenant)
    lease = take(target.pk)
    assert lease is not None
    lease.renew(seconds=120)
    assert 115 < seconds_until(Lane.objects.get().lease_expires_at) < 125
    release(lease)
    with pytest.raises(LeaseLost):
        lease.renew(seconds=120)
    assert drain(target.pk).sent == 1


# -- by hand ------------------------------------------------------------------------------------------------


def test_retry_cancel_and_replay(receiver: Receiver) -> None:
    receiver.answer_with(400)
    target = integration(receiver)
    make_item(target.tenant)
    drain(target.pk)
    pk = row().pk
    assert operator_actions.retry([pk], actor="alice") == 1
    assert (row().status, row().reason, row().attempts) == ("pending", "retried by alice", 0)
    drain(target.pk)
    assert row().status == "synced"
    assert operator_actions.retry([pk], actor="bob") == 0  # it arrived: sending it again must be meant
    assert operator_actions.replay([pk], actor="bob") == 1
    assert row().reason == "replayed by bob"
    assert operator_actions.cancel([pk], actor="bob") == 1
    assert operator_actions.cancel([pk], actor="bob") == 0
    assert row().status == "cancelled"
    drain(target.pk)
    assert len(receiver.requests) == 2
    assert set(ExecutionLog.objects.values_list("actor", flat=True)) == {"system", "alice", "bob"}


def test_cancelled_while_it_was_being_sent_stays_cancelled(receiver: Receiver) -> None:
    target = integration(receiver)
    make_item(target.tenant)
    with meanwhile(lambda: operator_actions.cancel([row().pk], actor="alice")):
        drain(target.pk)
    assert row().status == "cancelled" and ExecutionLog.objects.filter(action="deliver").count() == 1


def test_a_retry_by_hand_is_not_put_off_by_an_older_attempt(receiver: Receiver) -> None:
    receiver.answer_with(500)
    target = integration(receiver)
    make_item(target.tenant)
    with meanwhile(lambda: operator_actions.retry([row().pk], actor="alice")):
        drain(target.pk)
    assert (row().status, row().attempts) == ("pending", 0) and seconds_until(row().next_attempt_at) < 1
    drain(target.pk)
    assert row().status == "synced"


def test_a_resumed_lane_is_not_paused_by_an_older_failure(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    target = integration(receiver)
    for _ in range(12):
        make_item(target.tenant)
    with meanwhile(lambda: operator_actions.resume(target, actor="alice")):
        drain(target.pk)
    lane = Lane.objects.get()
    assert (lane.paused_until, lane.times_opened, lane.consecutive_failures, lane.breaker) == (None, 0, 0, "closed")


@pytest.mark.parametrize("status", [410, 401])
def test_new_settings_are_not_switched_off_by_an_answer_to_the_old_ones(receiver: Receiver, status: int) -> None:
    receiver.answer_with(status)
    target = integration(receiver)
    health_row = TenantIntegration.objects.get(pk=target.pk)
    TenantIntegration.objects.filter(pk=target.pk).update(auth_failure_count=2)

    def mend() -> None:
        health_row.refresh_from_db()
        health_row.headers = {"X-API-Key": "the right one"}
        health_row.save()

    make_item(target.tenant)
    with meanwhile(mend):
        drain(target.pk)
    target.refresh_from_db()
    assert target.is_enabled


def test_new_settings_do_not_rest_for_what_was_answered_to_the_old_ones(receiver: Receiver) -> None:
    receiver.answer_with(default=500)
    target = integration(receiver)
    for _ in range(12):
        make_item(target.tenant)

    def mend() -> None:  # and nobody says "resume"
        row = TenantIntegration.objects.get(pk=target.pk)
        row.headers = {"X-API-Key": "the right one"}
        row.save()

    with meanwhile(mend):
        drain(target.pk)
    lane = Lane.objects.get()
    assert (lane.paused_until, lane.pause_reason, lane.times_opened, lane.breaker) == (None, "", 0, "closed")


def test_a_settlement_that_fails_gives_the_lane_back(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was rolled back together with the release that it holds."""

    def fail(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(settle_module, "_write_log", fail)
    target = integration(receiver)
    make_item(target.tenant)
    with pytest.raises(RuntimeError):
        drain(target.pk)
    lane = Lane.objects.get()
    assert (lane.lease_token, lane.lease_expires_at) == ("", None)
    assert statuses() == ["pending"]


def test_a_long_backlog_is_cancelled_in_turns(receiver: Receiver, settings: Any, monkeypatch: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SLICE_SECONDS": 0.0}
    monkeypatch.setattr(unsendable, "BATCH", 2)
    target = integration(receiver)
    for _ in range(5):
        make_item(target.tenant)
    TenantIntegration.objects.filter(pk=target.pk).update(is_active=False)
    for left in (3, 1, 0):
        drain(target.pk)
        assert statuses().count("pending") == left


def test_the_object_may_be_gone(receiver: Receiver) -> None:
    target = integration(receiver)
    item = make_item(target.tenant)
    WorkItem.unannounced.filter(pk=item.pk).delete()
    drain(target.pk)
    assert statuses() == ["synced", "synced"] and Note.objects.count() == 0


def test_many_held_objects_do_not_keep_a_worker_busy(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SLICE_ROWS": 1}
    target = integration(receiver, max_in_flight=1)
    receiver.answer_with(default=500)
    items = [make_item(target.tenant, reference_id=f"RMA-{n}") for n in range(60)]
    later = timezone.now() + timedelta(hours=1)
    IntegrationSync.objects.update(attempts=1, next_attempt_at=later, first_failed_at=timezone.now())
    for item in items:
        item.comments = "held"
        item.save()
    assert drain(target.pk) == Drained(0, "empty")  # nobody's turn, and nobody is asked to look again
    assert receiver.requests == [] and Lane.objects.get().hinted_at is None
