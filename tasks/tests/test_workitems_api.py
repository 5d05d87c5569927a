"""The example's work items under /api/v1/: the extension point of the library, used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from ninja import Router

from integrations.api.v1.extend import register_router
from integrations.api_keys.keys import scopes_for
from integrations.models import IntegrationEvent
from integrations.tests.api_world import World, call, key_for, person
from tasks.models import Customer, Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

PERMISSIONS = (
    "tasks.view_workitem",
    "tasks.view_note",
    "tasks.add_workitem",
    "tasks.change_workitem",
    "tasks.add_note",
)


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
def key(world: World) -> str:
    return key_for(world.tenant, "workitems:read", "workitems:write")[1]


def test_a_program_makes_reads_and_changes_work_items_and_events_say_who(world: World, key: str) -> None:
    customer = Customer.objects.create(tenant=world.tenant, name="John Doe")
    body = {"reference_id": "RMA-9", "priority": "urgent", "estimated_price": "150.00", "customer": customer.pk}
    made = call("post", "/workitems", body, key=key)
    assert made.status_code == 201, made.content
    path = made["Location"]
    assert call("get", path, key=key).json() == made.json()
    assert made.json()["customer"] == customer.pk and made.json()["status"] == "new"
    before = IntegrationEvent.objects.count()
    changed = call("patch", path, {"status": "completed"}, key=key, **{"If-Match": made["ETag"]})
    assert (changed.status_code, changed.json()["status"]) == (200, "completed")
    assert call("patch", path, {"status": "new"}, key=key, **{"If-Match": made["ETag"]}).status_code == 412
    world.integration.subscribe("workitem_created", "workitem_status_changed")
    call("patch", path, {"status": "waiting"}, key=key)
    event = IntegrationEvent.objects.order_by("-pk")[0]
    assert (event.event_type, event.actor) == ("workitem_status_changed", "API key key 0")
    assert IntegrationEvent.objects.count() == before + 1
    same = call("patch", path, {"status": "waiting"}, key=key)
    assert same.status_code == 200 and IntegrationEvent.objects.count() == before + 1
    found = call("get", "/workitems?status=waiting&reference_id=RMA-9", key=key).json()["data"]
    assert [each["id"] for each in found] == [made.json()["id"]]


def test_a_programs_note_says_whose_word_it_is(world: World, key: str) -> None:
    path = world.path("/workitems/{pk}/notes")
    written = call("post", path, {"text": " ✓ Slack received workitem_created (HTTP 200). "}, key=key)
    assert written.status_code == 201
    assert written.json()["text"] == "API key key 0: ✓ Slack received workitem_created (HTTP 200)."
    assert written.json()["author"] is None
    mine = call("post", path, {"text": "By hand"}, client=person(world.tenant, "viewer", *PERMISSIONS)).json()
    assert (mine["text"], bool(mine["author"])) == ("By hand", True)
    texts = [each["text"] for each in call("get", path, key=key).json()["data"]]
    assert texts == ["By hand", written.json()["text"], "note of acme"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"status": "done"}, {"status"}),
        ({"reference_id": ""}, {"reference_id"}),
        ({"reference_id": "\u202eRMA"}, {"reference_id"}),
        ({"final_price": "1.234"}, {"final_price"}),
        ({"due_date": "2026-11-30"}, {"due_date"}),
        ({"due_date": "9999-12-31T23:59:59-12:00"}, {"due_date"}),
        ({"customer": 999_999}, {"customer"}),
        ({"statsu": "new"}, {"statsu"}),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    world: World, key: str, body: dict[str, Any], fields: set[str]
) -> None:
    before = WorkItem.objects.filter(pk=world.item.pk).values().get()
    answer = call("patch", world.path("/workitems/{pk}"), body, key=key)
    assert (answer.status_code, answer.json()["fields"].keys()) == (422, fields), answer.content
    assert WorkItem.objects.filter(pk=world.item.pk).values().get() == before


def test_another_tenants_customer_is_as_one_that_is_not_there(world: World, key: str) -> None:
    theirs = Customer.objects.create(tenant=World("umbrella").tenant, name="Theirs")
    answers = [
        call("patch", world.path("/workitems/{pk}"), {"customer": pk}, key=key).content for pk in (theirs.pk, 999_999)
    ]
    assert answers[0] == answers[1] and json.loads(answers[0])["fields"] == {"customer": "there is none with this id"}


def test_permissions_of_django_say_who_may_do_it_and_who_may_give_it_to_a_key(world: World) -> None:
    reader = person(world.tenant, "manager", *PERMISSIONS[:2])
    assert call("get", "/workitems", client=reader).status_code == 200
    refused = call("post", "/workitems", {"reference_id": "x"}, client=reader)
    assert refused.status_code == 403 and "tasks.change_workitem" in refused.json()["detail"]
    user = User.objects.get(pk=reader.session["_auth_user_id"])
    offered = {scope.name for scope in scopes_for(user, world.tenant.pk)}
    assert "workitems:read" in offered and "workitems:write" not in offered


def test_a_note_longer_than_a_person_may_type_is_refused(world: World, key: str) -> None:
    answer = call("post", world.path("/workitems/{pk}/notes"), {"text": "x" * 10_001}, key=key)
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["text"])
    assert Note.objects.count() == 1


@pytest.mark.parametrize("text", ["   ", "\u200b", "\u202egpj"])
def test_a_programs_note_has_something_to_see_beside_its_name(world: World, key: str, text: str) -> None:
    answer = call("post", world.path("/workitems/{pk}/notes"), {"text": text}, key=key)
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["text"])
    assert Note.objects.count() == 1


def test_a_kept_answer_is_told_only_to_who_may_still_write(world: World) -> None:
    client, named = person(world.tenant, "operator", *PERMISSIONS), {"Idempotency-Key": "a"}
    path = world.path("/workitems/{pk}/notes")
    assert call("post", path, {"text": "Told."}, client=client, **named).status_code == 201
    assert call("post", path, {"text": "Told."}, client=client, **named)["Idempotent-Replayed"] == "true"
    User.objects.get(pk=client.session["_auth_user_id"]).user_permissions.clear()
    assert call("post", path, {"text": "Told."}, client=client, **named).status_code == 403


def test_whoever_comes_too_late_with_a_router_is_told_where_it_belongs() -> None:
    with pytest.raises(RuntimeError, match=r"integrations_api\.py"):
        register_router("/late", Router())
