"""Whose fault an answer is: the set-up's stops the lane and loses nothing, the event's ends its row, a quota rests."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from integrations.connections import signing_keys
from integrations.connections.settings import apply_settings
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import operator_actions, rotation
from integrations.delivery.drain import drain
from integrations.delivery.settle import fingerprint
from integrations.health.reading import health_of
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SETTINGS: dict[str, dict[str, Any]] = {
    "teams": {"url": "{address}/workflows/abc/triggers/manual/paths/invoke?sig=canary-7f3a91c4d2"},
    "discord": {"url": "{address}/api/webhooks/1234/canary-7f3a91c4d2"},
    "slack": {"token": "xoxb-canary-7f3a91c4d2", "channel": "C0123456789", "base_url": "{address}/api"},
    "github": {"token": "canary-7f3a91c4d2", "repository": "octocat/hello-world", "base_url": "{address}"},
    "notion": {
        "token": "canary-7f3a91c4d2",
        "database_id": "1a2b3c4d5e6f708192a3b4c5d6e7f809",
        "base_url": "{address}",
    },
    "weaviate": {"url": "{address}"},
}


GONE = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 404"
TOO_LARGE = GONE.replace(b"404", b"413")


def set_up(receiver: Receiver, settings: Any, key: str, **more: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    target = make_integration(make_tenant(), "", integration_type=key, signed=False, rate_limit_per_minute=60_000)
    given = {
        name: str(value).replace("{address}", f"http://{receiver.netloc}") for name, value in SETTINGS[key].items()
    }
    apply_settings(target, {**given, **more})
    target.save()
    return target


def said(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def teams(code: str) -> Answer:
    return said(400, {"error": {"code": code, "message": "…"}})


def discord(status: int, code: int, **more: Any) -> Answer:
    return said(status, {"code": code, "message": "…", **more})


def slack(word: str) -> Answer:
    return said(200, {"ok": False, "error": word})


def until_it_stops(target: TenantIntegration, turns: int = 6) -> None:
    """Drain until the integration is disabled, as if every rest were over."""
    for _ in range(turns):
        IntegrationSync.objects.filter(status="pending").update(next_attempt_at=F("created_at"))
        Lane.objects.update(paused_until=None)
        drain(target.pk)
        target.refresh_from_db()
        if not target.is_enabled:
            return


SET_UP = [
    ("teams", teams("WorkflowTriggerIsNotEnabled"), "switched off"),
    ("teams", Answer(200, GONE), "make a new one"),
    ("discord", discord(400, 50035, errors={"username": {"_errors": []}}), "Username"),
    ("discord", discord(404, 10003), "channel was deleted"),
    ("discord", discord(400, 220001), "forum"),
    ("slack", slack("channel_not_found"), "was not invited"),
    ("slack", slack("not_in_channel"), "invite the app"),
    ("github", said(404, {"message": "Not Found"}), "the token may not see it"),
    ("github", said(301, {"message": "Moved Permanently"}), "renamed or moved"),
    ("notion", said(404, {"code": "object_not_found"}), "Connections"),
    ("notion", said(400, {"code": "validation_error", "message": "Status is not a property that exists."}), "columns"),
    ("weaviate", said(429, {"errorCode": "USAGE_LIMIT_EXCEEDED", "limit": "objects"}), "limits"),
    ("weaviate", said(422, {"error": [{"message": "no such prop with name 'x' found in class 'Y'"}]}), "schema"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "reply", "words"), SET_UP, ids=[f"{key}: {words}" for key, _, words in SET_UP])
def test_what_is_wrong_with_the_set_up_stops_the_lane_and_loses_nothing(
    receiver: Receiver, settings: Any, key: str, reply: Answer, words: str
) -> None:
    receiver.answer_with(default=reply)
    target = set_up(receiver, settings, key)
    for number in range(5):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    drain(target.pk)
    lane = Lane.objects.get()
    assert statuses() == ["pending"] * 5 and target.is_enabled
    assert words in lane.attention and lane.paused_until and lane.consecutive_failures == 0
    assert health_of([target])[target.pk].label == "✗ Needs attention"
    until_it_stops(target)
    assert not target.is_enabled and words in target.disabled_reason and "re-enable" in target.disabled_reason
    assert statuses() == ["pending"] * 5
    assert "canary" not in target.disabled_reason + Lane.objects.get().attention


def test_what_was_mended_is_delivered_after_re_enable(receiver: Receiver, settings: Any) -> None:
    receiver.answer_with(default=teams("WorkflowTriggerIsNotEnabled"))
    target = set_up(receiver, settings, "teams")
    for number in range(4):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    until_it_stops(target)
    receiver.answer_with(default=Answer(202, b""))
    operator_actions.re_enable(target, actor="alice")
    until_it_stops(target, turns=2)
    assert statuses() == ["synced"] * 4
    target.refresh_from_db()
    assert (target.is_enabled, target.auth_failure_count, Lane.objects.get().attention) == (True, 0, "")


EVENTS = [
    ("discord", discord(400, 50035, errors={"content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH"}]}})),
    ("slack", slack("msg_too_long")),
    ("notion", said(400, {"code": "validation_error", "message": "body failed validation"})),
    (
        "teams",
        Answer(
            200,
            TOO_LARGE,
        ),
    ),
]


@pytest.mark.parametrize(("key", "reply"), EVENTS, ids=[key for key, _ in EVENTS])
def test_what_is_the_events_fault_ends_its_row(receiver: Receiver, settings: Any, key: str, reply: Answer) -> None:
    receiver.answer_with(reply)
    target = set_up(receiver, settings, key)
    make_item(target.tenant)
    drain(target.pk)
    sync = IntegrationSync.objects.get()
    assert (sync.status, sync.attempts) == ("failed", 1)
    lane = Lane.objects.get()
    assert lane.paused_until is None and lane.consecutive_failures == 0
    target.refresh_from_db()
    assert target.is_enabled and target.auth_failure_count == 0


def test_the_same_refusal_of_one_event_after_the_other_is_the_set_ups(receiver: Receiver, settings: Any) -> None:
    receiver.answer_with(default=slack("something_that_nobody_has_listed"))
    target = set_up(receiver, settings, "slack")
    make_item(target.tenant, reference_id="first")
    drain(target.pk)
    assert statuses() == ["failed"]  # one event says nothing of the others
    for number in range(6):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    until_it_stops(target)
    assert not target.is_enabled and "something_that_nobody_has_listed" in target.disabled_reason
    assert statuses() == ["failed", *["pending"] * 6]
    receiver.answer_with(default=said(200, {"ok": True, "ts": "1.2", "channel": "C0123456789"}))
    operator_actions.re_enable(target, actor="alice")
    until_it_stops(target, turns=2)
    assert statuses() == ["failed", *["synced"] * 6]


def test_what_was_taken_speaks_for_settings_that_another_key_seals(receiver: Receiver, settings: Any) -> None:
    """Or the next three events in a row that are too long, after years, would disable the integration at once."""
    settings.ENCRYPTION_MASTER_KEY = f"old:{'0a' * 32}"
    receiver.answer_with(said(200, {"ok": True, "ts": "1"}), default=slack("msg_too_long"))
    target = set_up(receiver, settings, "slack")
    make_item(target.tenant)
    drain(target.pk)
    settings.ENCRYPTION_MASTER_KEY = f"new:{'0b' * 32},old:{'0a' * 32}"
    call_command("rotate_encryption", stdout=StringIO())
    for number in range(4):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    drain(target.pk)
    target.refresh_from_db()
    assert target.is_enabled and target.auth_failure_count == 1


def test_what_was_taken_speaks_for_a_secret_that_the_schedule_renews(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    target = make_integration(make_tenant(), receiver.url, renew_secret_days=1, is_connected=True)
    make_item(target.tenant)
    drain(target.pk)

    def is_trusted() -> bool:
        target.refresh_from_db()
        return Lane.objects.get().taken_with == fingerprint(target)

    TenantIntegration.objects.update(secret_renewed_at=timezone.now() - timedelta(days=9))
    assert is_trusted() and rotation.rotate_overdue()["rotated"] == 1 and is_trusted()
    assert signing_keys.reveal_signing_secret(target) and is_trusted()
    signing_keys.rotate_signing_secret(target)
    assert not is_trusted(), "a person has made a new one: whatever was refused before says nothing of it"


def test_events_that_are_refused_beside_others_that_are_taken_stop_nobody(receiver: Receiver, settings: Any) -> None:
    def reply(request: Any) -> Answer:
        return slack("msg_too_long") if "BAD" in request.body.decode() else said(200, {"ok": True, "ts": "1"})

    receiver.answer_with(default=reply)
    target = set_up(receiver, settings, "slack")
    for number in range(10):
        make_item(target.tenant, reference_id=f"BAD-{number}")
    for number in range(10):
        make_item(target.tenant, reference_id=f"GOOD-{number}")
    until_it_stops(target, turns=3)
    assert target.is_enabled, str([r.json["text"][-6:] for r in receiver.requests])
    assert sorted(statuses()) == ["failed"] * 10 + ["synced"] * 10


def test_a_quota_rests_and_ends_nothing(receiver: Receiver, settings: Any) -> None:
    receiver.answer_with(slack("message_limit_exceeded"))
    target = set_up(receiver, settings, "slack")
    make_item(target.tenant), make_item(target.tenant)
    drain(target.pk)
    lane = Lane.objects.get()
    assert statuses() == ["pending"] * 2 and lane.paused_until is not None
    assert (lane.paused_until - timezone.now()).total_seconds() > 3500
    assert "used up" in lane.pause_reason and lane.consecutive_failures == 0


def test_github_asks_to_be_slower(receiver: Receiver, settings: Any) -> None:
    problem = {"resource": "Issue", "code": "custom", "message": "was submitted too quickly"}
    too_quick = {"message": "Validation Failed", "errors": [problem]}
    receiver.answer_with(said(200, []), said(422, too_quick))
    target = set_up(receiver, settings, "github")
    make_item(target.tenant)
    drain(target.pk)
    lane = Lane.objects.get()
    assert statuses() == ["pending"] and lane.paused_until is not None
    assert (lane.paused_until - timezone.now()).total_seconds() > 50


def test_settings_that_are_missing_wait_for_a_person(receiver: Receiver, settings: Any) -> None:
    target = set_up(receiver, settings, "slack")
    apply_settings(target, {"token": "", "url": ""})
    TenantIntegration.objects.filter(pk=target.pk).update(config={"channel": ""})
    for number in range(4):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    until_it_stops(target)
    assert not target.is_enabled and "channel" in target.disabled_reason and statuses() == ["pending"] * 4


@pytest.mark.parametrize("name", ["Discord Bot", "clyde", "My DISCORD"])
def test_the_form_refuses_a_name_that_discord_refuses(receiver: Receiver, settings: Any, name: str) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    url = f"http://{receiver.netloc}/api/webhooks/1234/canary"
    assert list(ConnectorRegistry.type_of("discord").validate_config({"url": url, "username": name})) == ["username"]


def test_the_form_takes_other_names(receiver: Receiver, settings: Any) -> None:
    assert set_up(receiver, settings, "discord", username="Réparations 🛠").config["username"] == "Réparations 🛠"
