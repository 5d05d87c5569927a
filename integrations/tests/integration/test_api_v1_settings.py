"""Settings through API v1: made, read and changed as with the form; ETags; secrets; subscriptions, tried first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.cache import cache

from integrations.api.v1.settings import SettingsChange, SettingsOut
from integrations.api_keys.models import IdempotentRequest
from integrations.connections.models import LIMITS, SIGNING
from integrations.models import EventSubscription, TenantIntegration
from integrations.tests.api_world import World, call, key_for, person
from integrations.tests.receiver import Receiver
from integrations.tests.versions import second_version

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

CANARY = "canary-19f3"
WANTED = {"event_type": "workitem_created"}
ONE = "/integrations/{public_id}"
SETTINGS = f"{ONE}/settings"
WISH = f"{ONE}/subscriptions/{{event_type}}"


@pytest.fixture(autouse=True)
def _http(settings: Any, broker: Any) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def world() -> World:
    return World("acme")


@pytest.fixture
def manager(world: World) -> Any:
    return person(world.tenant, "manager")


def new(**values: Any) -> dict[str, Any]:
    settings = {"url": f"https://hooks.example.com/{CANARY}", "headers": {"X-API-Key": CANARY}}
    return {"connector_type": "webhook", "name": "By API", "settings": settings, **values}


def test_an_integration_is_made_whole_and_its_secret_is_shown_once(world: World, manager: Any) -> None:
    wanted = [
        {"event_type": "workitem_created", "condition": "workitem.priority == 'Urgent'"},
        {"event_type": "workitem_updated", "payload": "{text: workitem.reference_id}"},
    ]
    made = call("post", "/integrations", new(subscriptions=wanted, max_attempts=5, is_active=False), client=manager)
    assert made.status_code == 201, made.content
    body = made.json()
    assert body["signing_secret"].startswith("whsec_") and made["Cache-Control"] == "no-store, private"
    assert CANARY not in made.content.decode()
    row = TenantIntegration.objects.get(public_id=body["id"])
    assert (row.webhook_url, row.headers) == (new()["settings"]["url"], {"X-API-Key": CANARY})
    assert (row.max_attempts, row.is_active, row.signing_secrets()) == (5, False, (body["signing_secret"],))
    found = {each.event_type: (each.condition, each.payload) for each in row.subscriptions.all()}
    assert found["workitem_created"] == ("workitem.priority == 'Urgent'", "")
    assert found["workitem_updated"] == ("", "{text: workitem.reference_id}")
    assert call("get", made["Location"], client=manager).json()["name"] == "By API"
    read = call("get", f"/integrations/{body['id']}/settings", client=manager)
    assert "signing_secret" not in read.json() and CANARY not in read.content.decode()
    assert read["ETag"] == made["ETag"]


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"settings": {}}, {"settings.url"}),
        ({"settings": {"url": "https://x.example.com/", "ulr": "x"}}, {"settings.ulr"}),
        ({"settings": {"url": "https://10.0.0.1/"}}, {"settings.url"}),
        ({"connector_type": "nothing"}, {"connector_type"}),
        ({"name": " "}, {"name"}),
        ({"max_atempts": 4}, {"max_atempts"}),
        ({"max_attempts": 101, "timeout_seconds": 0.5}, {"max_attempts", "timeout_seconds"}),
        ({"inbound_actions": ["fly"]}, {"inbound_actions"}),
        ({"subscriptions": [{"event_type": "nothing"}]}, {"subscriptions.0.event_type"}),
        (
            {"subscriptions": [{"event_type": "workitem_created", "condition": "workitem.prority == 'x'"}]},
            {"subscriptions.0.condition"},
        ),
        (
            {"subscriptions": [{"event_type": "workitem_created"}, {"event_type": "workitem_created"}]},
            {"subscriptions.1.event_type"},
        ),
        ({"connector_type": "slack", "is_signed": True, "settings": {}}, {"is_signed", "settings.channel"}),
    ],
)
def test_whatever_is_wrong_is_named_by_field_and_nothing_is_made(
    world: World, manager: Any, values: dict[str, Any], fields: set[str]
) -> None:
    before = TenantIntegration.objects.count()
    answer = call("post", "/integrations", new(**values), client=manager)
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json"), answer.content
    assert fields <= answer.json()["fields"].keys(), answer.json()
    assert TenantIntegration.objects.count() == before


def test_settings_are_changed_only_by_whoever_read_them_last(world: World, manager: Any) -> None:
    path = world.path(SETTINGS)
    first = call("get", path, client=manager)
    same = call("get", path, client=manager, **{"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    weak = call("get", path, client=manager, **{"If-None-Match": f'"other", W/{first["ETag"]}'})
    assert weak.status_code == 304
    changed = call("patch", path, {"name": "New name"}, client=manager, **{"If-Match": first["ETag"]})
    assert (changed.status_code, changed.json()["name"]) == (200, "New name")
    late = call("patch", path, {"name": "Too late"}, client=manager, **{"If-Match": first["ETag"]})
    assert (late.status_code, late.json()["code"], late["ETag"]) == (412, "changed_meanwhile", changed["ETag"])
    assert TenantIntegration.objects.get(pk=world.integration.pk).name == "New name"
    fresh = call("get", path, client=manager, **{"If-None-Match": first["ETag"]})
    assert (fresh.status_code, fresh["ETag"]) == (200, changed["ETag"])
    assert call("patch", path, {"name": "Whoever"}, client=manager, **{"If-Match": "*"}).status_code == 200
    assert call("patch", path, {"name": "No matter"}, client=manager).status_code == 200


def test_a_secret_that_only_was_rotated_is_another_state_too(world: World, manager: Any) -> None:
    etag = call("get", world.path(SETTINGS), client=manager)["ETag"]
    body = {"settings": {"headers": {"X-API-Key": CANARY}}}
    first = call("patch", world.path(SETTINGS), body, client=manager, **{"If-Match": etag})
    body = {"settings": {"headers": {"X-API-Key": f"{CANARY}-2"}}}
    second = call("patch", world.path(SETTINGS), body, client=manager, **{"If-Match": first["ETag"]})
    assert first.json()["settings"] == second.json()["settings"]  # dots
    assert first["ETag"] != second["ETag"]
    rotated = call("post", world.path(f"{ONE}/rotate-secret"), {}, client=manager)
    assert rotated.status_code == 200
    late = call("patch", world.path(SETTINGS), {"name": "x"}, client=manager, **{"If-Match": second["ETag"]})
    assert late.status_code == 412


def test_what_was_read_may_be_sent_back_and_secrets_stay(world: World, manager: Any) -> None:
    call("patch", world.path(SETTINGS), {"settings": {"headers": {"X-API-Key": CANARY}}}, client=manager)
    read = call("get", world.path(SETTINGS), client=manager).json()
    answer = call("patch", world.path(SETTINGS), {"settings": read["settings"], "max_attempts": 9}, client=manager)
    assert answer.status_code == 200, answer.content
    row = TenantIntegration.objects.get(pk=world.integration.pk)
    assert (row.headers, row.max_attempts) == ({"X-API-Key": CANARY}, 9)
    moved = {"settings": {"url": "https://elsewhere.example.com/x"}}
    refused = call("patch", world.path(SETTINGS), moved, client=manager)
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["settings.headers"])
    cleared = call("patch", world.path(SETTINGS), {"max_attempts": None}, client=manager)
    assert cleared.json()["max_attempts"] is None
    for name in ("name", "is_active", "ordering"):
        assert call("patch", world.path(SETTINGS), {name: None}, client=manager).json()["fields"].keys() == {name}


def test_a_signing_secret_is_rotated_with_an_overlap_and_seen_once(world: World, manager: Any) -> None:
    (old,) = world.integration.signing_secrets()
    rotated = call("post", world.path(f"{ONE}/rotate-secret"), {}, client=manager)
    new_secret = rotated.json()["signing_secret"]
    assert rotated["Cache-Control"] == "no-store, private" and rotated.json()["old_secret_until"]
    row = TenantIntegration.objects.get(pk=world.integration.pk)
    assert row.signing_secrets() == (new_secret, old)
    wrong = call("post", world.path(f"{ONE}/rotate-secret"), {"secret": "whsec_short"}, client=manager)
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["secret"])
    nothing = call("post", world.path(f"{ONE}/reveal-secret"), client=manager)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_reveal")


def test_a_kept_answer_with_a_secret_is_encrypted(world: World) -> None:
    _, text = key_for(world.tenant, "integrations:write")
    named = {"Idempotency-Key": "rotate"}
    first, again = (
        call("post", world.path(f"{ONE}/rotate-secret"), {}, key=text, **named).json()["signing_secret"]
        for _ in range(2)
    )
    assert first == again
    assert first not in json.dumps(list(IdempotentRequest.objects.values()), default=str)
    IdempotentRequest.objects.update(answer="v1.gone.AAAA")
    lost = call("post", world.path(f"{ONE}/rotate-secret"), {}, key=text, **named)
    assert (lost.status_code, lost.json()["code"]) == (409, "answer_lost")


def test_whoever_begins_to_sign_gets_a_secret(world: World, manager: Any) -> None:
    made = call("post", "/integrations", new(is_signed=False), client=manager).json()
    assert made["signing_secret"] is None
    path = f"/integrations/{made['id']}"
    refused = call("post", f"{path}/rotate-secret", {}, client=manager)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_signed")
    signed = call("patch", f"{path}/settings", {"is_signed": True}, client=manager).json()
    assert signed["signing_secret"].startswith("whsec_")
    assert call("patch", f"{path}/settings", {"name": "x"}, client=manager).json()["signing_secret"] is None


def test_advice_of_the_form_is_in_the_answer(world: World, manager: Any) -> None:
    settings = {"url": "https://n8n.example.com/webhook-test/abc"}
    (advice,) = call("post", "/integrations", new(settings=settings), client=manager).json()["advice"]
    assert "n8n test URL" in advice


def test_subscriptions_are_made_changed_and_ended(world: World, manager: Any) -> None:
    path = world.path(WISH).replace("workitem_created", "workitem_updated")
    assert call("get", path, client=manager).status_code == 404
    made = call("put", path, {"condition": "changes.status"}, client=manager, **{"If-None-Match": "*"})
    assert made.status_code == 201, made.content
    assert call("put", path, {}, client=manager, **{"If-None-Match": "*"}).status_code == 412
    read = call("get", path, client=manager)
    assert read.json()["condition"] == "changes.status" and read["ETag"] == made["ETag"]
    assert call("get", path, client=manager, **{"If-None-Match": read["ETag"]}).status_code == 304
    changed = call("put", path, {"payload": "{text: workitem.id}"}, client=manager, **{"If-Match": read["ETag"]})
    assert (changed.status_code, changed.json()["condition"]) == (200, "")
    assert call("delete", path, client=manager, **{"If-Match": read["ETag"]}).status_code == 412
    listed = call("get", world.path(f"{ONE}/subscriptions?limit=1"), client=manager).json()
    assert [each["event_type"] for each in listed["data"]] == ["workitem_updated"] and listed["next"]
    assert call("delete", path, client=manager, **{"If-Match": changed["ETag"]}).status_code == 204
    assert call("delete", path, client=manager).status_code == 404
    assert call("delete", path, client=manager, **{"If-Match": changed["ETag"]}).status_code == 412


@pytest.mark.parametrize(
    ("event_type", "body", "field"),
    [
        ("nothing", {}, "event_type"),
        ("workitem_created", {"condition": "workitem.prority == 'x'"}, "condition"),
        ("workitem_created", {"condition": "[["}, "condition"),
        ("workitem_created", {"payload": "workitem.prority"}, "payload"),
        ("workitem_created", {"conditon": "x"}, "conditon"),
    ],
)
def test_a_subscription_that_can_never_be_met_is_refused(
    world: World, manager: Any, event_type: str, body: dict[str, Any], field: str
) -> None:
    answer = call("put", world.path(WISH).replace("workitem_created", event_type), body, client=manager)
    assert (answer.status_code, list(answer.json()["fields"])) == (422, [field]), answer.content
    assert EventSubscription.objects.get(integration=world.integration).condition == ""


def test_a_condition_is_tried_on_what_happened_and_saves_nothing(world: World, manager: Any) -> None:
    path = world.path(f"{WISH}/try")
    body = {"condition": "workitem.priority == 'Urgent'", "payload": "{text: workitem.reference_id}"}
    trial = call("post", path, body, client=manager).json()
    (event,) = trial["events"]
    assert (trial["sent"], trial["are_samples"], event["is_sent"]) == (0, False, False)
    assert event["event"] == world.sync.event_id
    assert event["decided"] == [{"path": "workitem.priority", "value": "'Standard'"}]
    trial = call("post", path, {**body, "condition": ""}, client=manager).json()
    assert json.loads(trial["events"][0]["payload"]) == {"text": "item of acme"}
    wrong = call("post", path, {"condition": "[["}, client=manager)
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["condition"])
    assert EventSubscription.objects.get(integration=world.integration).condition == ""


def test_a_subscription_is_moved_to_another_version_of_the_payload(world: World, manager: Any) -> None:
    path = world.path(WISH)
    with second_version():
        before = call("get", path, client=manager)
        assert (before.json()["payload_version"], before.json()["payload_versions"]) == (1, [1, 2])
        kept = call("put", path, {"condition": "workitem.estimated_price"}, client=manager)
        assert (kept.status_code, kept.json()["payload_version"]) == (200, 1), kept.content
        wrong = call("put", path, {"condition": "workitem.estimated_price", "payload_version": 2}, client=manager)
        assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["condition"])
        wrong = call("put", path, {"payload_version": 3}, client=manager)
        assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["payload_version"])
        tried = {"payload": "{costs: workitem.prices.estimated}", "payload_version": 2}
        assert call("post", f"{path}/try", tried, client=manager).json()["failed"] == 0
        assert call("post", f"{path}/try", {**tried, "payload_version": 1}, client=manager).status_code == 422
        moved = call("put", path, {"payload_version": 2}, client=manager, **{"If-Match": kept["ETag"]})
        assert (moved.status_code, moved.json()["payload_version"]) == (200, 2)
        assert moved["ETag"] != kept["ETag"]
        made = call(
            "post",
            "/integrations",
            new(subscriptions=[WANTED, {**WANTED, "event_type": "workitem_updated", "payload_version": 1}]),
            client=manager,
        )
    assert made.status_code == 201, made.content
    rows = EventSubscription.objects.filter(integration__name="By API").order_by("event_type")
    assert list(rows.values_list("event_type", "payload_version")) == [("workitem_created", 2), ("workitem_updated", 1)]


def test_the_test_event_that_is_chosen_is_sent_and_its_condition_spoken_of(
    world: World, manager: Any, receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    world.integration.webhook_url = receiver.url
    world.integration.save()
    path = world.path(f"{ONE}/test")
    assert call("post", path, client=manager).json()["event_type"] == "workitem_created"
    call("put", world.path(WISH), {"condition": "workitem.priority == 'Urgent'"}, client=manager)
    skipped = call("post", path, {"event_type": "workitem_created"}, client=manager).json()
    assert skipped["success"] and skipped["remark"]
    plain = call("post", path, {"event_type": "test"}, client=manager).json()
    assert (plain["event_type"], plain["remark"]) == ("test", "")
    assert [json.loads(each.body)["event_type"] for each in receiver.requests] == ["workitem_created"] * 2 + ["test"]
    unknown = call("post", path, {"event_type": "nothing"}, client=manager)
    assert (unknown.status_code, list(unknown.json()["fields"])) == (422, ["event_type"])
    assert "workitem_updated" in unknown.json()["fields"]["event_type"] and len(receiver.requests) == 3


def test_connector_types_say_what_they_ask_for(world: World, manager: Any) -> None:
    found = call("get", "/connector-types?family=chat", client=manager).json()["data"]
    assert {each["family"] for each in found} == {"chat"}
    webhook = call("get", "/connector-types/webhook", client=manager).json()
    assert "url" in {field["name"] for field in webhook["fields"]} and "workitem_created" in webhook["events"]
    assert call("get", "/connector-types/nothing", client=manager).status_code == 404


def test_integrations_are_found_by_name_type_event_and_health(world: World, manager: Any) -> None:
    def names(query: str) -> list[str]:
        return [each["name"] for each in call("get", f"/integrations?{query}", client=manager).json()["data"]]

    assert names("name=HOOK") == ["hook of acme"]
    assert names("connector_type=MOCK") == ["ERP of acme"]
    assert names("event_type=workitem_created") == ["hook of acme"]
    assert names("health=never_tried") == ["ERP of acme", "hook of acme"]
    call("post", world.path(f"{ONE}/pause"), client=manager)
    assert names("health=paused") == ["hook of acme"] and names("health=never_tried") == ["ERP of acme"]
    wrong = call("get", "/integrations?health=ill", client=manager)
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["health"])


def test_what_came_in_is_shown_without_secrets(world: World, manager: Any) -> None:
    (secret,) = world.integration.signing_secrets()
    world.inbound.payload = {"text": "hello", "token": CANARY, "note": f"it is {secret}"}
    world.inbound.headers = {"content-type": "application/json", "x-signature": CANARY, "authorization": CANARY}
    world.inbound.body = json.dumps(world.inbound.payload).encode()
    world.inbound.save()
    answer = call("get", world.path("/inbound/{pk}"), client=manager)
    story = answer.json()
    assert story["payload"]["text"] == "hello" and story["headers"]["content-type"] == "application/json"
    assert CANARY not in answer.content.decode() and secret not in answer.content.decode()
    assert call("get", "/inbound?status=rejected", client=manager).json()["data"] == []
    assert len(call("get", "/inbound?status=received", client=manager).json()["data"]) == 1


def test_a_pull_that_nobody_takes_is_refused_in_words(world: World, manager: Any) -> None:
    refused = call("post", world.path("/pulls/{pk}/run"), client=manager)
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_done")
    assert "skipped" in refused.json()["detail"]


def test_a_push_tells_what_was_sent_and_what_came_back(world: World, manager: Any) -> None:
    body = {"order": {"id": "RO-1", "total": "12.50"}}
    pushed = call("post", world.path(f"{ONE}/push"), body, client=manager)
    assert pushed.status_code == 202, pushed.content
    story = call("get", pushed["Location"], client=manager).json()
    assert (story["status"], story["order"]["total"], story["order_id"]) == ("PENDING", "12.50", "RO-1")
    again = call("post", world.path(f"{ONE}/push"), body, client=manager)
    assert again.json()["id"] == story["id"]
    found = call("get", "/pushes?order=RO-1&status=PENDING", client=manager).json()["data"]
    assert [each["id"] for each in found] == [story["id"]]
    assert call("get", "/pushes?order=RO-2", client=manager).json()["data"] == []


def test_a_job_is_previewed_before_it_is_started(world: World, manager: Any) -> None:
    replay = {"kind": "replay", "filter": {"status": "pending", "integration": str(world.integration.public_id)}}
    found = call("post", "/jobs/preview", replay, client=manager).json()
    assert (found["count"], found["is_complete"], found["sample"][0]["delivery"]) == (1, True, world.sync.pk)
    assert "hook of acme" in found["in_words"]
    backfill = {"kind": "backfill", "integration": str(world.integration.public_id), "model": "tasks.workitem"}
    found = call("post", "/jobs/preview", backfill, client=manager).json()
    assert (found["count"], found["looked_at"], found["sample"][0]["is_wanted"]) == (1, 1, True)
    assert found["sample"][0]["body"]["workitem"]["reference_id"] == "item of acme"
    nobodys = {**backfill, "condition": "workitem.reference_id == 'x'"}
    found = call("post", "/jobs/preview", nobodys, client=manager).json()
    assert (found["sent"], found["left_out"], found["sample"][0]["body"]) == (0, 1, None)
    assert found["sample"][0]["why_not"] == "`workitem.reference_id == 'x'`: it was item of acme"
    wrong = call("post", "/jobs/preview", {**backfill, "condition": "[["}, client=manager)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_job")


def test_a_key_reads_the_audit_trail_with_a_scope_of_its_own(world: World) -> None:
    _, writer = key_for(world.tenant, "integrations:write")
    call("patch", world.path(SETTINGS), {"max_attempts": 8}, key=writer)
    _, text = key_for(world.tenant, "audit:read")
    query = f"action=changed&source=api&integration={world.integration.public_id}&since=2020-01-01T00:00:00Z"
    (entry,) = call("get", f"/audit?{query}", key=text).json()["data"]
    assert entry["changes"]["max_attempts"] == [None, 8]
    for asked in (f"action=Changed&object={world.integration.pk}", f"actor={entry['actor'].upper()}"):
        assert entry in call("get", f"/audit?{asked}", key=text).json()["data"], asked
    assert call("get", "/audit?until=2020-01-01T00:00:00Z", key=text).json()["data"] == []
    wrong = call("get", "/audit?since=0001-01-01T00:00:00Z", key=text)
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["since"])


def test_a_key_is_tried_by_asking_who_calls(world: World) -> None:
    key, text = key_for(world.tenant, "workitems:write")
    found = call("get", "/me", key=text).json()
    assert (found["name"], found["scopes"]) == (f"API key {key.name}", ["workitems:write"])
    assert [each["slug"] for each in found["tenants"]] == ["acme"]
    assert call("get", "/me", client=person(world.tenant, "")).json()["scopes"] is None


def test_what_people_set_in_forms_is_in_the_schemas() -> None:
    for schema in (SettingsChange, SettingsOut):
        assert {*SIGNING, *LIMITS} - schema.model_fields.keys() == set()
