"""What an integration does here when it calls back: notes, statuses, its echo, loops, and what it may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.acting import caused_by, origin
from integrations.connectors.incoming import WebhookDTO
from integrations.errors import IntegrationPermanentError
from integrations.inbound.actions import forget_action, register_action, run_action
from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.tests.factories import events, make_integration, make_item, make_tenant
from tasks.models import Note, WorkItem
from tenants.models import Tenant

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]

OURS = ["workitem-note", "workitem-status"]
WHICH = 'workitem: say which work item: {"workitem": {"id": …}} or {"workitem": {"reference_id": …}}'


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def n8n(tenant: Tenant) -> TenantIntegration:
    return make_integration(tenant, name="n8n", inbound_actions=OURS, events=())


@pytest.fixture
def item(tenant: Tenant) -> WorkItem:
    return make_item(tenant, reference_id="RMA-1")


def do(action: str, payload: Any, caller: TenantIntegration) -> None:
    run_action(action, WebhookDTO("", payload), caller)


def refusal(action: str, payload: Any, caller: TenantIntegration) -> str:
    with pytest.raises(IntegrationPermanentError) as caught:
        do(action, payload, caller)
    return caught.value.message


def notes() -> list[tuple[str, str]]:
    return list(Note.objects.order_by("id").values_list("work_item__reference_id", "text"))


def status_of(item: WorkItem) -> str:
    item.refresh_from_db()
    return item.status


# -- which work item ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "which",
    [
        {"workitem": {"id": "ID"}},
        {"workitem": {"id": "ID", "reference_id": "renamed meanwhile", "status": "In Progress", "customer": None}},
        {"workitem": {"reference_id": "RMA-1"}},
        {"workitem_id": "ID"},
        {"workitem_id": "ID", "workitem": {"id": "ID"}},
        {"reference_id": "RMA-1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [int, str])
def test_it_is_found_by_what_a_workflow_has(
    which: dict[str, Any], kind: type, item: WorkItem, n8n: TenantIntegration
) -> None:
    make_item(n8n.tenant, reference_id="RMA-2")
    marked = json.dumps({**which, "text": "Done"}).replace('"ID"', json.dumps(kind(item.pk)))
    do("workitem-note", json.loads(marked), n8n)
    assert notes() == [("RMA-1", "n8n: Done")]
    assert Note.objects.get().author is None and Note.objects.get().tenant_id == item.tenant_id


@pytest.mark.parametrize(
    ("which", "problem"),
    [
        ({}, WHICH),
        (
            {"workitem": None},
            WHICH,
        ),
        ({"workitem": 7}, 'workitem: must be an object: {"id": …} or {"reference_id": …}'),
        ({"workitem": {"id": "x"}}, "workitem.id: must be a whole number greater than 0"),
        ({"workitem_id": True}, "workitem_id: must be a whole number greater than 0"),
        ({"workitem_id": 1, "workitem": {"id": 2}}, "workitem_id: is another one than workitem.id; send one of them"),
        ({"workitem": {"id": 987654321}}, "workitem.id: there is no such work item"),
        ({"reference_id": "RMA-9"}, "reference_id: there is no such work item"),
        ({"reference_id": "rma-1"}, "reference_id: there is no such work item"),
        ({"reference_id": 5}, "reference_id: must be a text"),
        ({"reference_id": "R" * 51}, "reference_id: is longer than 50 characters"),
        (
            {"raw": [1, 2]},
            WHICH,
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("action", [("workitem-note", {"text": "x"}), ("workitem-status", {"status": "completed"})])
def test_a_wrong_one_is_named_with_the_fix(
    which: dict[str, Any], problem: str, action: tuple[str, dict[str, str]], item: WorkItem, n8n: TenantIntegration
) -> None:
    assert refusal(action[0], {**action[1], **which}, n8n) == problem
    assert notes() == [] and status_of(item) == "new"


def test_an_ambiguous_reference_is_an_error(item: WorkItem, n8n: TenantIntegration) -> None:
    make_item(n8n.tenant, reference_id="RMA-1")
    problem = refusal("workitem-note", {"reference_id": "RMA-1", "text": "x"}, n8n)
    assert problem == "reference_id: several work items have this reference; send workitem.id"
    assert notes() == []


def test_another_tenants_work_item_is_no_work_item(item: WorkItem, n8n: TenantIntegration) -> None:
    theirs = make_item(make_tenant("Other Corp"), reference_id="RMA-77")
    for action, payload in (("workitem-note", {"text": "x"}), ("workitem-status", {"status": "completed"})):
        for which in ({"id": theirs.pk}, {"reference_id": "RMA-77"}):
            nobody = {"id": 987654321} if "id" in which else {"reference_id": "RMA-78"}
            for hidden in (which, nobody):  # the answer does not tell one from the other
                found = refusal(action, {**payload, "workitem": hidden}, n8n)
                assert found == f"{'workitem.id' if 'id' in which else 'reference_id'}: there is no such work item"
    assert notes() == [] and status_of(theirs) == "new"
    theirs.reference_id = "RMA-1"
    theirs.save()
    do("workitem-note", {"reference_id": "RMA-1", "text": "ours"}, n8n)  # theirs does not make ours ambiguous
    assert Note.objects.get().work_item_id == item.pk


# -- notes and statuses ------------------------------------------------------------------------------------


def test_a_stranger_cannot_write_a_note_that_looks_like_ours(item: WorkItem, n8n: TenantIntegration) -> None:
    do("workitem-note", {"workitem_id": item.pk, "text": "✓ SAP received workitem_created (HTTP 200)."}, n8n)
    assert notes() == [("RMA-1", "n8n: ✓ SAP received workitem_created (HTTP 200).")]


@pytest.mark.parametrize(("text", "is_stored"), [("x" * 10_000, True), ("x" * 10_001, False), (" ", False), (5, False)])
def test_the_length_of_a_note(text: Any, is_stored: bool, item: WorkItem, n8n: TenantIntegration) -> None:
    if is_stored:
        do("workitem-note", {"workitem_id": item.pk, "text": text}, n8n)
    else:
        assert refusal("workitem-note", {"workitem_id": item.pk, "text": text}, n8n).startswith("text: ")
    assert len(notes()) == is_stored


@pytest.mark.parametrize("status", ["in_progress", "In Progress"], ids=["value", "label"])
def test_a_status_is_changed_and_everybody_else_hears_of_it(
    status: str, item: WorkItem, n8n: TenantIntegration
) -> None:
    n8n.subscribe("workitem_status_changed", "workitem_updated")
    other = make_integration(n8n.tenant, name="other", events=("workitem_status_changed",))
    do("workitem-status", {"workitem": {"id": item.pk}, "status": status, "note": "Begun"}, n8n)
    assert status_of(item) == "in_progress" and notes() == [("RMA-1", "n8n: status New → In Progress. Begun")]
    (event,) = IntegrationEvent.objects.all()
    assert (event.event_type, event.origin_id) == ("workitem_status_changed", n8n.pk)
    assert json.loads(event.body)["changes"] == {"status": {"old": "New", "new": "In Progress"}}
    assert [sync.integration_id for sync in event.syncs.all()] == [other.pk]


def test_alone_it_hears_nothing_of_what_it_did(item: WorkItem, n8n: TenantIntegration) -> None:
    n8n.subscribe("workitem_status_changed", "workitem_updated")
    do("workitem-status", {"workitem": {"id": item.pk}, "status": "completed"}, n8n)
    assert status_of(item) == "completed" and events() == []
    item.status = WorkItem.Status.NEW  # of a person's change it hears
    item.save()
    assert events() == [("workitem_status_changed", str(item.pk))]
    assert IntegrationEvent.objects.get().origin_id is None


def test_the_status_that_it_has_already_is_no_event(item: WorkItem, n8n: TenantIntegration) -> None:
    make_integration(n8n.tenant, name="other")
    do("workitem-status", {"workitem": {"id": item.pk}, "status": "new", "expected_status": "waiting"}, n8n)
    assert status_of(item) == "new" and events() == []


def test_only_the_status_is_written(item: WorkItem, n8n: TenantIntegration) -> None:
    make_integration(n8n.tenant, name="other")
    do("workitem-status", {"workitem": {"id": item.pk, "description": "hers"}, "status": "waiting"}, n8n)
    item.refresh_from_db()
    assert (item.status, item.description) == ("waiting", "")


@pytest.mark.parametrize("expected", ["new", "New"])
def test_as_expected(expected: str, item: WorkItem, n8n: TenantIntegration) -> None:
    do("workitem-status", {"workitem_id": item.pk, "status": "waiting", "expected_status": expected}, n8n)
    assert status_of(item) == "waiting"


def test_a_status_that_somebody_changed_meanwhile_is_left_alone(item: WorkItem, n8n: TenantIntegration) -> None:
    body = {"workitem_id": item.pk, "status": "waiting", "expected_status": "in_progress", "note": "x"}
    assert refusal("workitem-status", body, n8n) == (
        "expected_status: the work item is New meanwhile, not In Progress; nothing was changed"
    )
    assert status_of(item) == "new" and notes() == []


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, "status: must be one of new, in_progress, waiting, completed, cancelled"),
        ({"status": "done"}, "status: must be one of new, in_progress, waiting, completed, cancelled"),
        ({"status": {"new": 1}}, "status: must be one of new, in_progress, waiting, completed, cancelled"),
        ({"status": "waiting", "expected_status": "x"}, "expected_status: must be one of new, in_progress, waiting, "),
        ({"status": "waiting", "note": ["x"]}, "note: must be a text"),
        ({"status": "waiting", "note": "x" * 10_001}, "note: is longer than 10000 characters"),
    ],
    ids=str,
)
def test_a_wrong_status_is_named_with_the_fix(
    more: dict[str, Any], problem: str, item: WorkItem, n8n: TenantIntegration
) -> None:
    assert refusal("workitem-status", {"workitem_id": item.pk, **more}, n8n).startswith(problem)
    assert status_of(item) == "new" and notes() == []


# -- who may, and what is undone ---------------------------------------------------------------------------


def test_nothing_is_allowed_by_itself(item: WorkItem) -> None:
    new = make_integration(item.tenant, name="new", events=())
    assert new.inbound_actions == []
    for action in OURS:
        assert "may not do" in refusal(action, {"workitem_id": item.pk, "text": "x", "status": "waiting"}, new)
    new.inbound_actions = ["workitem-note"]
    assert "may not do" in refusal("workitem-status", {"workitem_id": item.pk, "status": "waiting"}, new)
    do("workitem-note", {"workitem_id": item.pk, "text": "x"}, new)
    assert status_of(item) == "new" and len(notes()) == 1


def test_the_effect_goes_with_the_callers_transaction(item: WorkItem, n8n: TenantIntegration) -> None:
    make_integration(n8n.tenant, name="other")
    body = {"workitem_id": item.pk, "status": "waiting", "note": "x"}
    with pytest.raises(DatabaseError), transaction.atomic():
        do("workitem-status", body, n8n)
        assert WorkItem.objects.get().status == "waiting"
        raise DatabaseError("the mark was not written")
    assert status_of(item) == "new" and notes() == [] and events() == []
    with transaction.atomic():
        do("workitem-status", body, n8n)
    assert status_of(item) == "waiting" and len(notes()) == 1 and len(events()) == 1


def test_of_an_action_that_fails_nothing_remains_but_the_callers_own(item: WorkItem, n8n: TenantIntegration) -> None:
    make_integration(n8n.tenant, name="other")

    def half(dto: WebhookDTO, caller: Any) -> None:
        item.status = WorkItem.Status.WAITING
        item.save()
        raise IntegrationPermanentError("text: is missing")

    register_action("test-half", "Half", half)
    n8n.inbound_actions = ["test-half"]
    try:
        with transaction.atomic():
            assert refusal("test-half", {}, n8n) == "text: is missing"
            n8n.disabled_reason = "the caller goes on writing"
            n8n.save(update_fields=["disabled_reason"])
    finally:
        forget_action("test-half")
    assert status_of(item) == "new" and events() == [] and origin() is None
    n8n.refresh_from_db()
    assert n8n.disabled_reason == "the caller goes on writing"


# -- echo and loops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["save", "update", "bulk_update", "bulk_create", "delete"])
def test_every_way_to_write_leaves_the_caller_out(write: str, item: WorkItem, n8n: TenantIntegration) -> None:
    n8n.subscribe("workitem_created", "workitem_status_changed", "workitem_deleted")
    make_integration(
        n8n.tenant, name="other", events=("workitem_created", "workitem_status_changed", "workitem_deleted")
    )
    item.status = WorkItem.Status.COMPLETED
    with caused_by(n8n.pk):
        if write == "save":
            item.save()
        elif write == "update":
            WorkItem.objects.filter(pk=item.pk).update(status=WorkItem.Status.COMPLETED)
        elif write == "bulk_update":
            WorkItem.objects.bulk_update([item], ["status"])
        elif write == "bulk_create":
            WorkItem.objects.bulk_create([WorkItem(tenant=item.tenant, reference_id="RMA-2")])
        else:
            item.delete()
    (event,) = IntegrationEvent.objects.all()
    assert event.origin_id == n8n.pk
    assert [sync.integration.name for sync in event.syncs.select_related("integration")] == ["other"]


@pytest.fixture
def small_cap(settings: Any) -> Iterator[int]:
    settings.INTEGRATIONS = {"INBOUND_CAUSED_PER_HOUR": 4}
    yield 4


def test_two_integrations_that_answer_each_other_end(small_cap: int, item: WorkItem, n8n: TenantIntegration) -> None:
    first, second = n8n, make_integration(n8n.tenant, name="second", inbound_actions=OURS, events=())
    for each in (first, second):
        each.subscribe("workitem_status_changed")
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()  # a person begins

    reason = ""
    turns = 0
    while not reason and turns < 50:
        caller, status = [(first, "waiting"), (second, "in_progress")][turns % 2]
        try:
            do("workitem-status", {"workitem_id": item.pk, "status": status}, caller)
        except IntegrationPermanentError as error:
            reason = error.message
            assert error.code == "loop"
        else:
            turns += 1
    assert turns == small_cap
    assert reason.startswith(f"Integrations caused 4 events of work item {item.pk} within an hour")
    assert "INTEGRATIONS_INBOUND_CAUSED_PER_HOUR" in reason
    assert status_of(item) == "in_progress", "the refused change is not made"

    for status in (WorkItem.Status.NEW, WorkItem.Status.COMPLETED) * 3:  # people go on as they like
        item.status = status
        item.save()
    assert IntegrationEvent.objects.count() == 1 + small_cap + 6

    other = make_item(n8n.tenant, reference_id="RMA-2")
    do("workitem-status", {"workitem_id": other.pk, "status": "waiting"}, first)  # each object has its own share
    IntegrationEvent.objects.update(occurred_at=timezone.now() - timedelta(minutes=61))
    do("workitem-status", {"workitem_id": item.pk, "status": "waiting"}, first)  # and each hour


def test_one_alone_may_change_as_often_as_it_likes(small_cap: int, item: WorkItem, n8n: TenantIntegration) -> None:
    n8n.subscribe("workitem_status_changed")
    for number in range(3 * small_cap):
        do("workitem-status", {"workitem_id": item.pk, "status": ["waiting", "in_progress"][number % 2]}, n8n)
    assert events() == []


def test_a_bulk_write_of_an_action_is_counted_per_object(small_cap: int, n8n: TenantIntegration) -> None:
    make_integration(n8n.tenant, name="other", events=("workitem_updated",))
    items = [make_item(n8n.tenant, reference_id=f"RMA-{number}") for number in range(small_cap + 2)]
    for text in ("a", "b", "c", "d"):
        with caused_by(n8n.pk):
            assert WorkItem.objects.update(description=text) == len(items)
    with pytest.raises(IntegrationPermanentError, match="caused 4 events"), transaction.atomic(), caused_by(n8n.pk):
        WorkItem.objects.update(description="e")
    assert IntegrationSync.objects.count() == 4 * len(items)


def test_a_persons_save_asks_nothing_more(item: WorkItem) -> None:
    make_integration(item.tenant, events=("workitem_status_changed",))

    def queries(status: str) -> int:
        item.status = status
        with CaptureQueriesContext(connection) as seen:
            item.save()
        return len([query for query in seen if "SAVEPOINT" not in query["sql"]])

    queries("waiting")  # content types are cached by now
    alone = queries("new")
    with caused_by(987654321):
        caused = queries("waiting")
    assert caused == alone + 1  # the count


# -- whatever comes ----------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "workitem",
        "workitem_id",
        "reference_id",
        "id",
        "text",
        "note",
        "status",
        "expected_status",
        "RMA-1",
        "waiting",
        "new",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=6,
)


@given(st.dictionaries(WORDS, VALUES, max_size=6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_is_done_or_refused_with_a_reason(
    item: WorkItem, n8n: TenantIntegration, payload: dict[str, Any]
) -> None:
    for action in OURS:
        try:
            with transaction.atomic():
                do(action, payload, n8n)
        except IntegrationPermanentError as error:
            assert ": " in error.message and error.code == "input"
    assert set(WorkItem.objects.values_list("status", flat=True)) <= set(WorkItem.Status.values)
