"""The API v1: paging, idempotency, problems, stories; each operation's callers are in test_api_v1_operations.py."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connections
from django.test import Client

from integrations.api.v1 import jobs
from integrations.api.waiting import place_to_try
from integrations.api_keys.models import IdempotentRequest
from integrations.audit.trail import AuditEntry
from integrations.database import clock, stretches
from integrations.delivery.drain import drain
from integrations.inbound.models import WebhookEvent
from integrations.jobs.models import Job
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.pull.models import SyncState
from integrations.tests.api_world import World, call, key_for, person
from integrations.tests.factories import make_integration, make_item
from integrations.tests.receiver import Receiver
from tenants.models import Membership

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


@pytest.fixture(autouse=True)
def _http(settings: Any, broker: Any) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def world() -> World:
    return World("acme")


def test_a_list_is_read_page_by_page(world: World) -> None:
    for number in range(6):
        make_item(world.tenant, reference_id=f"RMA-{number}")
    client = person(world.tenant, "viewer")
    seen, address = [], "/deliveries?limit=3&status=pending"
    while address:
        page = call("get", address.replace("http://testserver", ""), client=client).json()
        seen += [each["id"] for each in page["data"]]
        address = page["next"] or ""
    expected = IntegrationSync.objects.order_by("-pk").values_list("pk", flat=True)
    assert seen == list(expected)
    assert call("get", "/deliveries?limit=0", client=client).json()["fields"].keys() == {"limit"}
    wrong = call("get", "/deliveries?status=gone&since=yesterday", client=client)
    assert (wrong.status_code, wrong.json()["fields"].keys()) == (422, {"status", "since"})


@pytest.mark.parametrize("path", ["nothing", "integrations/a%0Ab/pause"])
def test_what_is_no_call_is_a_problem_too(path: str, client: Any) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        ({"kind": "replay", "since": "1h"}, "since"),
        ({"kind": "replay", "filter": {"sinse": "1h"}}, "sinse"),
        ({"kind": "replay", "integration": "34c667c4-8053-418a-963a-46d3df7e5ad4"}, "integration"),
        ({"kind": "backfill", "filter": {"since": "1h"}}, "filter"),
    ],
)
def test_a_slip_in_a_job_does_not_replay_everything(world: World, job: dict[str, Any], wrong: str) -> None:
    answer = call("post", "/jobs", job, client=person(world.tenant, "manager"))
    assert (answer.status_code, set(answer.json()["fields"])) == (422, {wrong})
    assert not Job.objects.filter(tenant=world.tenant, kind=job["kind"]).exclude(pk=world.job.pk).exists()


def test_a_delivery_tells_its_story(world: World, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    receiver.answer_with(default=500)
    there = World("contoso", receiver.url)
    drain(there.integration.pk)
    client = person(there.tenant, "operator")
    story = call("get", there.path("/deliveries/{pk}"), client=client).json()
    assert (story["status"], story["attempts"], story["response_status"]) == ("pending", 1, 500)
    (attempt,) = story["log"]
    (request,) = attempt["requests"]
    assert request["method"] == "POST" and json.loads(request["body"])["workitem"]["reference_id"] == "item of contoso"
    assert "whsec_" not in json.dumps(story)
    retried = call("post", there.path("/deliveries/{pk}/retry"), client=client)
    assert retried.json() == {"count": 1, "message": "1 delivery due now."}
    nothing = call("post", there.path("/deliveries/{pk}/replay"), client=client)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_done")


def test_an_event_says_to_whom_it_went_and_why_not(world: World) -> None:
    make_integration(world.tenant, name="deaf", events=())
    found = call("get", world.path("/events/{pk}"), client=person(world.tenant, "viewer")).json()
    assert [each["integration"]["name"] for each in found["deliveries"]] == ["hook of acme"]
    assert [each["integration"] for each in found["not_owed"]] == ["ERP of acme", "deaf"]
    assert found["payload"]["workitem"]["reference_id"] == "item of acme"


def test_health_is_that_of_the_console(world: World) -> None:
    client = person(world.tenant, "operator")
    paused = call("post", world.path("/integrations/{public_id}/pause"), client=client).json()
    assert (paused["health"]["state"], paused["health"]["is_failing"]) == ("paused", False)
    resumed = call("post", world.path("/integrations/{public_id}/resume"), client=client).json()
    assert resumed["health"]["state"] == "never_tried"
    assert Lane.objects.get(pk=world.integration.pk).paused_since is None


def test_integrations_of_one_health_are_read_page_by_page_however_many_others_there_are(world: World) -> None:
    paused = [make_integration(world.tenant, name=f"paused {number}") for number in range(5)]
    Lane.objects.filter(pk__in=[row.pk for row in paused]).update(paused_since=clock.now())
    off = {"tenant": world.tenant, "integration_type": "webhook", "is_active": False}
    TenantIntegration.unannounced.bulk_create(TenantIntegration(name=f"off {n}", **off) for n in range(20_000))
    client, names, address = person(world.tenant, "viewer"), [], "/integrations?health=paused&limit=2"
    while address:
        page = call("get", address.replace("http://testserver", ""), client=client).json()
        assert {each["health"]["state"] for each in page["data"]} == {"paused"}
        names.append([each["name"] for each in page["data"]])
        address = page["next"] or ""
    assert names == [["paused 4", "paused 3"], ["paused 2", "paused 1"], ["paused 0"]]


def test_what_is_deleted_is_marked_and_gone_from_lists(world: World) -> None:
    client = person(world.tenant, "manager")
    answer = call("delete", world.path("/integrations/{public_id}"), client=client)
    assert answer.status_code == 202 and answer.json()["health"]["state"] == "deleting"
    assert "hook of acme" not in {each["name"] for each in call("get", "/integrations", client=client).json()["data"]}
    assert TenantIntegration.objects.filter(pk=world.integration.pk).exists()  # a worker does it


def test_a_write_that_is_sent_twice_is_done_once(world: World) -> None:
    client = person(world.tenant, "operator")
    body = {"kind": "replay", "filter": {"status": "failed"}}
    first = call("post", "/jobs", body, client=client, **{"Idempotency-Key": "a"})
    again = call("post", "/jobs", body, client=client, **{"Idempotency-Key": "a"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json() and again["Idempotent-Replayed"] == "true"
    other = call("post", "/jobs", {**body, "pace": 7}, client=client, **{"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Job.objects.exclude(pk=world.job.pk).count() == 1
    key, text = key_for(world.tenant, "read", "deliveries:write")
    call("post", "/jobs", body, key=text, **{"Idempotency-Key": "a"})  # another caller's name is another one
    assert Job.objects.exclude(pk=world.job.pk).count() == 2
    IdempotentRequest.objects.filter(caller=f"key {key.pk}").update(status=None)
    under_way = call("post", "/jobs", body, key=text, **{"Idempotency-Key": "a"})
    assert (under_way.status_code, under_way.json()["code"]) == (409, "under_way")


def test_a_kept_answer_is_told_only_to_who_may_still_do_it(world: World) -> None:
    """It has a new signing secret in it, and roles are lost within a day."""
    client, named = person(world.tenant, "manager"), {"Idempotency-Key": "a"}
    path = world.path("/integrations/{public_id}/rotate-secret")
    mine = Membership.objects.filter(user=client.session["_auth_user_id"])
    first = call("post", path, {}, client=client, **named)
    assert first.status_code == 200
    mine.update(role="operator")
    demoted = call("post", path, {}, client=client, **named)
    assert (demoted.status_code, demoted.json()["code"]) == (403, "forbidden")
    mine.update(role="manager")
    again = call("post", path, {}, client=client, **named)
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
    mine.delete()
    assert call("post", path, {}, client=client, **named).status_code == 404


SEE, CHANGE = "integrations.view_tenantintegration", "integrations.change_tenantintegration"
KEPT_FOR = [  # a write, and each permission of Django that it asked for beside those
    ("post", "/integrations/{public_id}/rotate-secret", {}, ["use_webhook_connectors"]),
    ("patch", "/integrations/{public_id}/settings", {"max_attempts": 7}, ["use_webhook_connectors"]),
    ("post", "/integrations/{public_id}/pause", {}, ["use_webhook_connectors"]),
    ("post", "/integrations/{public_id}/subscriptions/{event_type}/try", {}, ["view_integrationsync"]),
]


@pytest.mark.parametrize(("method", "path", "body", "needs"), KEPT_FOR, ids=lambda value: str(value)[-30:])
def test_each_right_that_was_asked_is_asked_again(
    world: World, method: str, path: str, body: dict[str, Any], needs: list[str]
) -> None:
    """The family of the connector as well, and what was shown only to who may see it."""
    names = [f"integrations.{name}" for name in needs]
    client, named = person(world.tenant, "", SEE, CHANGE, *names), {"Idempotency-Key": "a"}
    first = call(method, world.path(path), body, client=client, **named)
    assert first.status_code == 200, first.content
    user = User.objects.get(pk=client.session["_auth_user_id"])
    for name in needs:
        permission = user.user_permissions.get(codename=name)
        user.user_permissions.remove(permission)
        refused = call(method, world.path(path), body, client=client, **named)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), name
        user.user_permissions.add(permission)
    again = call(method, world.path(path), body, client=client, **named)
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")


def test_an_action_that_was_ticked_is_asked_again(world: World) -> None:
    client = person(world.tenant, "manager", "tasks.change_workitem")
    path, named = world.path("/integrations/{public_id}/settings"), {"Idempotency-Key": "a"}
    body = {"inbound_actions": ["workitem-status"]}
    first = call("patch", path, body, client=client, **named)
    assert first.status_code == 200, first.content
    user = User.objects.get(pk=client.session["_auth_user_id"])
    user.user_permissions.clear()
    refused = call("patch", path, body, client=client, **named)
    assert (refused.status_code, "workitem-status" in refused.json()["detail"]) == (403, True)


def test_a_refused_write_may_be_sent_again_under_the_same_name(world: World) -> None:
    client = person(world.tenant, "operator")
    named = {"Idempotency-Key": "a"}
    wrong = call("post", "/jobs", {"kind": "replay", "filter": {"status": "no"}}, client=client, **named)
    assert wrong.status_code == 422 and "status" in wrong.json()["fields"]
    assert not IdempotentRequest.objects.exists()
    mended = call("post", "/jobs", {"kind": "replay", "filter": {"status": "failed"}}, client=client, **named)
    assert mended.status_code == 201 and IdempotentRequest.objects.get().status == 201


def test_whoever_is_taken_for_dead_still_gets_an_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than two minutes; meanwhile the same request came again, and its row is another one."""
    real = jobs.actions.start_replay

    def slowly(*args: Any, **kwargs: Any) -> Any:
        row = IdempotentRequest.objects.get()
        row.delete()
        IdempotentRequest.objects.create(caller=row.caller, key=row.key, digest=row.digest, made_at=row.made_at)
        return real(*args, **kwargs)

    monkeypatch.setattr(jobs.actions, "start_replay", slowly)
    named = {"Idempotency-Key": "a"}
    answer = call("post", "/jobs", {"kind": "replay"}, client=person(world.tenant, "operator"), **named)
    assert answer.status_code == 201
    assert IdempotentRequest.objects.get().status is None  # that of whoever took over


def test_a_test_event_and_a_deletion_are_done_once_too(world: World, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    there = World("contoso", receiver.url)
    client = person(there.tenant, "manager")
    for method, path in (("post", "/integrations/{public_id}/test"), ("delete", "/integrations/{public_id}")):
        first, again = (call(method, there.path(path), client=client, **{"Idempotency-Key": path}) for _ in range(2))
        assert first.json() == again.json() and again["Idempotent-Replayed"] == "true"
        assert first.status_code == again.status_code and first.status_code < 300
    assert len(receiver.requests) == 1


def test_a_backfill_is_stopped_by_whoever_may_retry_and_goes_on_as_it_was_started(world: World) -> None:
    Job.objects.filter(pk=world.job.pk).update(kind="backfill", integration=world.integration, state="running")
    operator, manager = person(world.tenant, "operator"), person(world.tenant, "manager")
    assert call("post", world.path("/jobs/{pk}/pause"), client=operator).json()["state"] == "paused"
    refused = call("post", world.path("/jobs/{pk}/resume"), client=operator)
    assert refused.status_code == 403 and "need the role manager to" in refused.json()["detail"]
    assert call("post", world.path("/jobs/{pk}/resume"), client=manager).json()["state"] == "waiting"
    assert call("post", world.path("/jobs/{pk}/cancel"), client=operator).json()["state"] == "cancelled"
    late = call("post", world.path("/jobs/{pk}/cancel"), client=operator)
    assert (late.status_code, late.json()["detail"]) == (409, "A job that is cancelled cannot be cancelled.")


def test_a_tenant_has_so_many_jobs_at_once(world: World, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "JOBS_PER_TENANT": 2}
    client, body = person(world.tenant, "operator"), {"kind": "replay", "filter": {"status": "failed"}}
    second = call("post", "/jobs", body, client=client).json()
    refused = call("post", "/jobs", body, client=client)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_jobs")
    assert "has 2 jobs that are not over" in refused.json()["detail"]
    other = World("contoso").tenant
    assert call("post", "/jobs", body, client=person(other, "operator")).status_code == 201
    Job.objects.filter(pk=second["id"]).update(state="failed")
    assert call("post", "/jobs", body, client=client).status_code == 201  # in the place of what failed
    refused = call("post", f"/jobs/{second['id']}/resume", client=client)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_jobs")
    assert call("post", world.path("/jobs/{pk}/cancel"), client=client).status_code == 200
    assert call("post", f"/jobs/{second['id']}/resume", client=client).json()["state"] == "waiting"


@pytest.mark.django_db(transaction=True)
def test_the_same_write_at_once_is_done_once_and_refused_in_words(world: World) -> None:
    _, key = key_for(world.tenant, "deliveries:write", "read")
    right, wrong = {"kind": "replay", "filter": {}}, {"kind": "backfill"}
    for body, allowed in ((right, {201, 409}), (wrong, {422, 409})):
        for number in range(6):
            named = {"Idempotency-Key": f"{body['kind']} {number}"}
            before, start = Job.objects.count(), Barrier(6)

            def send(body: Any = body, named: Any = named, start: Barrier = start) -> int:
                start.wait(30)
                try:
                    client = Client(raise_request_exception=False)
                    return int(call("post", "/jobs", body, key=key, client=client, **named).status_code)
                finally:
                    connections.close_all()

            with ThreadPoolExecutor(6) as pool:
                found = {each.result() for each in [pool.submit(send) for _ in range(6)]}
            assert found <= allowed
            assert Job.objects.count() - before == (body is right)


def test_texts_that_cannot_be_stored_and_keys_that_no_row_has_are_refused(world: World) -> None:
    client = person(world.tenant, "operator")
    for text in ("\ud800", "a\0b"):
        for body in ({"tenant": text}, {"filter": {"status": text}}, {"filter": {text: "failed"}}):
            answer = call("post", "/jobs", {"kind": "replay", **body}, client=client)
            assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), body
    many = list(range(1, 10_002))
    for ids in ([2**63], [-1], many):
        answer = call("post", "/jobs", {"kind": "replay", "filter": {"ids": ids}}, client=client)
        assert answer.status_code == 422, ids[:3]
    words = {"object": "RMA", "objects": [[1, [str(each) for each in many]]]}
    assert call("post", "/jobs", {"kind": "replay", "filter": words}, client=client).status_code == 422
    answer = call("post", "/jobs", {"kind": "replay", "filter": {"ids": many[:-1]}}, client=client)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{"X-A": ' * 101 + "1" + "}" * 101, "nested"),
        ("[" * 100_000, "nested"),
        ("NaN", "NaN is no number"),
        ("1e400", "too large"),
        ("9" * 5_000, "too large"),
        ('{"X-A": "1", "X-A": "2"}', "twice"),
        ('{"X-A": ', "no JSON"),
        ('"\\ud800"', "half a character"),
    ],
)
def test_a_body_that_says_no_one_thing_is_refused_in_words(world: World, value: str, words: str) -> None:
    client = person(world.tenant, "manager")
    body = f'{{"settings": {{"headers": {value}}}}}'
    path = world.path("/integrations/{public_id}/settings")
    answer = client.patch(f"/api/v1{path}", data=body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "refused")
    assert words in answer.json()["detail"]


def test_a_body_that_is_too_large_is_a_problem_even_where_nobody_reads_it(world: World, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    key = key_for(world.tenant, "deliveries:write")[1]
    body = {"x": "x" * 2_000}
    answer = call("post", world.path("/integrations/{public_id}/pause"), body, key=key, **{"Idempotency-Key": "a"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert "1000 bytes" in answer.json()["detail"]


def test_tests_of_one_tenant_wait_for_one_another(receiver: Receiver, settings: Any) -> None:
    """Each holds a thread of the web server until the destination answers."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc], "PUSH_WAITING": 2}
    world, other = (World(name, receiver.url) for name in ("contoso", "umbrella"))
    path, older = world.path("/integrations/{public_id}/test"), f"/api/connections/{world.integration.public_id}/test"
    key = key_for(world.tenant, "deliveries:write", "read")[1]
    theirs = key_for(other.tenant, "deliveries:write")[1]
    with place_to_try(world.tenant.pk):
        answer = call("post", path, key=key)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_trials")
        assert answer["Retry-After"] == "5"
        assert call("post", older, key=key).json()["message"].startswith("Not tried.")
        assert not receiver.requests
        assert call("post", other.path("/integrations/{public_id}/test"), key=theirs).status_code == 200
        with place_to_try("somebody"):
            assert call("post", other.path("/integrations/{public_id}/test"), key=theirs).status_code == 429
    assert call("post", path, key=key).status_code == 200


def test_a_write_with_a_session_needs_its_csrf_token_and_says_how(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = person(world.tenant, "operator").cookies
    answer = call("post", world.path("/integrations/{public_id}/pause"), client=client)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "X-CSRFToken" in answer.json()["detail"]


def test_the_audit_trail_says_that_it_came_by_the_api(world: World) -> None:
    AuditEntry.objects.all().delete()
    answer = call("post", f"/integrations/{world.integration.public_id}/pause", client=person(world.tenant, "operator"))
    assert answer.status_code == 200
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.source) == ("paused", "api")


def test_figures_are_those_of_the_callers_tenants(world: World, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    there = World("contoso", receiver.url)
    drain(there.integration.pk)
    mine = call("get", "/statistics?range=1h", client=person(there.tenant, "viewer")).json()
    assert (mine["total"]["delivered"], mine["total"]["success_rate"], len(mine["series"])) == (1, 1.0, 60)
    theirs = call("get", "/statistics?range=1h", client=person(world.tenant, "viewer")).json()
    assert (theirs["total"]["delivered"], theirs["total"]["success_rate"]) == (0, None)


def _found(client: Client, address: str) -> tuple[list[int], int]:
    """Read a list to its end; return the ids and how many pages it took."""
    ids, pages = [], 0
    while address:
        page = call("get", address.replace("http://testserver", ""), client=client).json()
        assert len(page["data"]) == 2 or page["next"] is None or page["looked_at"] > 0
        ids += [each["id"] for each in page["data"]]
        address, pages = page["next"] or "", pages + 1
    return ids, pages


SEARCHED = (
    "/audit?actor=nobody",
    "/events?event_type=x",
    "/inbound?key=x",
    "/pulls?status=failed",
    "/pushes?status=FAILED",
)


@pytest.mark.parametrize("address", SEARCHED)
def test_a_list_in_which_nothing_is_found_is_read_in_bounded_stretches(
    world: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "STRETCHES", (2, 3))
    assert world.push_id
    AuditEntry.objects.bulk_create(AuditEntry(action="x", tenant_key=str(world.tenant.pk)) for _ in range(20))
    for number in range(20):
        make_item(world.tenant, reference_id=f"RMA-{number}")
    rows = [(WebhookEvent, world.inbound), (SyncState, world.pull)]
    for model, row in rows:
        fields = {field.attname: getattr(row, field.attname) for field in model._meta.fields if not field.primary_key}
        for number in range(20):
            name = "resource_type" if model is SyncState else "idempotency_key"
            model._default_manager.create(**{**fields, name: f"number {number}"})
    client = person(world.tenant, "manager")
    first = call("get", address, client=client).json()
    assert (first["data"], first["looked_at"]) == ([], 5) and first["next"]
    ids, pages = _found(client, address)
    assert ids == [] and pages > 3


def test_what_is_rare_is_found_behind_the_stretches_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "STRETCHES", (2, 3))
    entries = [AuditEntry(action="rare" if n % 7 == 0 else "x", tenant_key=str(world.tenant.pk)) for n in range(30)]
    for entry in entries:
        entry.save()
    client = person(world.tenant, "manager")
    rare = [entry.pk for entry in reversed(entries) if entry.action == "rare"]
    assert _found(client, "/audit?action=rare&limit=2")[0] == rare
    old = AuditEntry.objects.filter(pk__lte=rare[-1])
    old.update(created_at=clock.now() - timedelta(days=40))
    until = (clock.now() - timedelta(days=30)).isoformat().replace("+", "%2B")
    found, pages = _found(client, f"/audit?action=rare&until={until}")
    assert found == rare[-1:] and pages <= 3, "what came since is not looked at"
    everything = call("get", "/audit?limit=200", client=client).json()
    assert everything["next"] is None and len(everything["data"]) >= 30, "an index has them"
