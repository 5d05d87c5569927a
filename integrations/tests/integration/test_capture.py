"""From a save to an event: what is recorded, when, and with which bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.apps import apps as django_apps
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext

from integrations.capture.writes import rows_updating
from integrations.connections.conditions import validate_condition
from integrations.models import IntegrationEvent, IntegrationSync
from integrations.signals.workitem import WorkItemTrigger, emit_workitem_event
from integrations.tests.factories import (
    events,
    make_integration,
    make_item,
    make_tenant,
    the_printed_item,
)
from tasks.models import Customer, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

PRINTED = {
    "event_type": "workitem_created",
    "timestamp": "2025-11-05T20:30:00Z",
    "tenant": {"id": 1, "name": "Acme Corp"},
    "workitem": {
        "id": 123,
        "reference_id": "RMA-123",
        "description": "iPhone screen repair",
        "status": "New",
        "type": "Chargeable Repair",
        "priority": "Standard",
        "created_date": "2025-11-05T20:30:00Z",
        "due_date": "2025-11-08T20:30:00Z",
        "customer": {"id": 45, "name": "John Doe", "email": "john@example.com"},
        "owner": {"id": 10, "name": "Jane Smith"},
        "technician": {"id": 12, "name": "Bob Tech"},
        "customer_asset": {"id": 67, "name": "iPhone 13 Pro"},
        "estimated_price": "150.00",
        "final_price": None,
        "dropoff_point": {"id": 5, "name": "Main Store"},
        "intake_method": "walk_in",
        "comments": "Customer reported cracked screen",
    },
}


def bodies() -> list[dict[str, Any]]:
    return [json.loads(event.body) for event in IntegrationEvent.objects.order_by("id")]


def test_the_printed_payload_byte_for_byte() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = the_printed_item(tenant)
    with time_machine.travel(datetime(2025, 11, 5, 20, 30, tzinfo=UTC), tick=False):
        item.save()
    event = IntegrationEvent.objects.get()
    expected = PRINTED | {"tenant": {"id": tenant.pk, "name": "Acme Corp"}}
    assert event.body == json.dumps(expected, ensure_ascii=False, separators=(",", ":"))


def test_a_status_change_says_what_it_was_and_is() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    item.status = WorkItem.Status.IN_PROGRESS
    item.save()
    assert events() == [("workitem_created", str(item.pk)), ("workitem_status_changed", str(item.pk))]
    created, changed = bodies()
    assert changed["changes"] == {"status": {"old": "New", "new": "In Progress"}}
    assert "changes" not in created


def test_a_save_that_changes_status_and_more_is_two_events() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant, final_price=None)
    item.status, item.final_price = WorkItem.Status.COMPLETED, Decimal("99.5")
    item.save()
    assert [kind for kind, _ in events()][1:] == ["workitem_status_changed", "workitem_updated"]
    assert bodies()[2]["changes"] == {
        "status": {"old": "New", "new": "Completed"},
        "final_price": {"old": None, "new": "99.50"},
    }


def test_a_save_that_changes_nothing_is_no_event() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    item.save()
    WorkItem.objects.filter(pk=item.pk).update(comments=F("comments"))
    assert len(events()) == 1


def test_a_relation_changed_shows_its_ids() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    customer = Customer.objects.create(tenant=tenant, name="Ann")
    item = make_item(tenant)
    item.customer = customer
    item.save()
    assert bodies()[1]["changes"] == {"customer": {"old": None, "new": customer.pk}}


def test_a_deleted_item_leaves_its_last_payload() -> None:
    tenant = make_tenant()
    make_integration(tenant, events=("workitem_deleted",))
    item = make_item(tenant, reference_id="RMA-9")
    pk = item.pk
    item.delete()
    assert events() == [("workitem_deleted", str(pk))]
    assert bodies()[0]["workitem"]["reference_id"] == "RMA-9"


def test_one_row_for_each_subscribed_active_integration_of_the_tenant() -> None:
    acme, other = make_tenant(), make_tenant("Other")
    wanted = {make_integration(acme, name=name).pk for name in ("n8n", "Slack")}
    make_integration(acme, name="off", is_active=False)
    make_integration(acme, name="deletions only", events=("workitem_deleted",))
    make_integration(other, name="somebody else's")
    make_item(acme)
    assert set(IntegrationSync.objects.values_list("integration_id", flat=True)) == wanted
    assert IntegrationEvent.objects.count() == 1  # the bytes are stored once


def test_a_stopped_integration_still_collects_what_it_is_owed() -> None:
    tenant = make_tenant()
    make_integration(tenant, is_enabled=False)
    make_item(tenant)
    assert IntegrationSync.objects.get().status == "pending"


def test_a_condition_keeps_out_what_it_does_not_want() -> None:
    tenant = make_tenant()
    integration = make_integration(tenant, events=("workitem_created",))
    integration.subscriptions.update(condition="workitem.priority == 'Urgent'")
    make_item(tenant, priority="standard")
    urgent = make_item(tenant, priority="urgent")
    owed = IntegrationSync.objects.filter(status="pending")
    assert list(owed.values_list("event__object_id", flat=True)) == [str(urgent.pk)]


def test_nobody_subscribed_costs_one_query() -> None:
    tenant = make_tenant()
    item = make_item(tenant)
    item.comments = "changed"
    with CaptureQueriesContext(connection) as queries:
        item.save()
    assert len([q for q in queries if "SAVEPOINT" not in q["sql"]]) == 2  # the question and the save itself


# -- atomic with the business data ------------------------------------------------------------------


def test_b037_a_rollback_takes_the_event_with_it() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    with pytest.raises(RuntimeError), transaction.atomic():
        make_item(tenant)
        raise RuntimeError
    assert events() == []


def test_b038_only_what_is_committed_is_recorded() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    with transaction.atomic():
        kept = make_item(tenant)
        with pytest.raises(RuntimeError), transaction.atomic():
            make_item(tenant)
            raise RuntimeError
    assert events() == [("workitem_created", str(kept.pk))]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", ["save", "delete", "bulk_create", "update"])
def test_in_autocommit_a_failure_to_record_undoes_the_write(monkeypatch: Any, write: str) -> None:
    tenant = make_tenant()
    item = make_item(tenant, comments="before")
    make_integration(tenant)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the process died here")

    monkeypatch.setattr("integrations.capture.publishing.record", broken)
    writes = {
        "save": lambda: make_item(tenant, reference_id="lost"),
        "delete": lambda: item.delete(),
        "bulk_create": lambda: WorkItem.objects.bulk_create([WorkItem(tenant=tenant, reference_id="lost")]),
        "update": lambda: WorkItem.objects.filter(tenant=tenant).update(comments="after"),
    }
    with pytest.raises(RuntimeError):
        writes[write]()
    assert list(WorkItem.objects.values_list("reference_id", "comments")) == [("RMA-1", "before")]
    assert events() == []


# -- bulk writes ------------------------------------------------------------------------------------


def test_bulk_create_and_update_are_announced() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    items = WorkItem.objects.bulk_create([WorkItem(tenant=tenant, reference_id=f"RMA-{n}") for n in range(3)])
    assert [kind for kind, _ in events()] == ["workitem_created"] * 3
    assert WorkItem.objects.filter(reference_id="RMA-1").update(status="waiting") == 1
    assert events()[3:] == [("workitem_status_changed", str(items[1].pk))]
    assert bodies()[3]["changes"] == {"status": {"old": "New", "new": "Waiting"}}


def test_an_update_expression_is_reported_with_its_result() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant, comments="a")
    WorkItem.objects.update(comments=Concat("comments", Value("b")))
    assert bodies()[1]["changes"] == {"comments": {"old": "a", "new": "ab"}}


def test_bulk_update_is_announced() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    items = [make_item(tenant, reference_id=f"RMA-{n}") for n in range(2)]
    for item in items:
        item.comments = "moved"
    WorkItem.objects.bulk_update(items, ["comments"])
    assert [kind for kind, _ in events()][2:] == ["workitem_updated"] * 2


def test_a_bulk_update_over_tenants_tells_each_only_its_own() -> None:
    acme, other = make_tenant(), make_tenant("Other")
    make_integration(acme)
    make_item(acme), make_item(other)
    WorkItem.objects.update(comments="x")
    assert {body["tenant"]["name"] for body in bodies()} == {"Acme Corp"}


def test_bulk_create_that_cannot_tell_its_rows_is_refused() -> None:
    tenant = make_tenant()
    with pytest.raises(ValueError, match="cannot be announced"):
        WorkItem.objects.bulk_create([WorkItem(tenant=tenant)], ignore_conflicts=True)


def test_b039_events_can_be_emitted_for_rows_that_no_signal_showed() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    WorkItem.unannounced.filter(pk=item.pk).update(comments="silent")
    assert len(events()) == 1
    emit_workitem_event(WorkItem.objects.all(), "workitem_updated")
    assert bodies()[1]["workitem"]["comments"] == "silent"


@pytest.mark.django_db(transaction=True)
def test_a_row_that_turns_up_during_an_update_is_left_alone_or_announced() -> None:
    tenant = make_tenant()
    make_integration(tenant, events=("workitem_updated",))
    make_item(tenant, reference_id="early")

    def slip_in(sender: Any, queryset: Any, **_: Any) -> None:
        # As another transaction would that commits between our listing and our update.
        WorkItem.unannounced.create(tenant=tenant, reference_id="late")

    rows_updating.connect(slip_in, sender=WorkItem)
    try:
        assert WorkItem.objects.update(comments="seen") == 1
    finally:
        rows_updating.disconnect(slip_in, sender=WorkItem)
    assert WorkItem.objects.get(reference_id="late").comments == ""
    assert len(events()) == 1


def test_rows_of_tenants_that_nobody_watches_are_updated_in_the_same_call() -> None:
    acme, other = make_tenant(), make_tenant("Other")
    make_integration(acme)
    make_item(acme), make_item(other)
    assert WorkItem.objects.update(comments="x") == 2
    assert set(WorkItem.objects.values_list("comments", flat=True)) == {"x"}


def test_what_django_writes_by_itself_is_announced_too() -> None:
    tenant = make_tenant()
    make_integration(tenant, events=("workitem_updated",))
    customer = Customer.objects.create(tenant=tenant, name="Ann")
    item = make_item(tenant)
    customer.workitem_set.add(item)
    customer.delete()  # SET_NULL
    changes = [body["changes"]["customer"] for body in bodies()]
    assert [change["new"] is None for change in changes] == [False, True]


# -- odd ways to save -------------------------------------------------------------------------------


def test_a_receiver_that_saves_again_before_ours_costs_no_event() -> None:
    tenant = make_tenant()
    make_integration(tenant)

    def number(sender: Any, instance: Any, created: bool, **_: Any) -> None:
        if created:
            instance.reference_id = f"RMA-{instance.pk}"
            instance.save()

    ours = list(post_save.receivers)
    post_save.connect(number, sender=WorkItem)
    post_save.receivers = [post_save.receivers[-1], *ours]  # as if connected by an app before us
    post_save.sender_receivers_cache.clear()
    try:
        make_item(tenant, reference_id="")
    finally:
        post_save.disconnect(number, sender=WorkItem)
    assert "workitem_created" in [kind for kind, _ in events()]


def test_a_key_given_as_text_is_the_same_row() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    item.pk, item.comments = str(item.pk), "changed"
    item.save()
    assert [kind for kind, _ in events()] == ["workitem_created", "workitem_updated"]


def test_a_proxy_is_the_same_object() -> None:
    from integrations.capture import trigger_handler

    class UrgentItem(WorkItem):
        class Meta:
            proxy = True
            app_label = "tasks"

    before = trigger_handler._handlers[WorkItem]
    handler = WorkItemTrigger.connect()
    try:
        tenant = make_tenant()
        make_integration(tenant)
        item = UrgentItem.objects.create(tenant=tenant, reference_id="p")
        UrgentItem.objects.update(comments="x")
        item.delete()
        assert [kind for kind, _ in events()] == ["workitem_created", "workitem_updated", "workitem_deleted"]
    finally:
        # Django knows senders by their address in memory: the next class that lies there would be one of ours.
        for signal, _ in handler._writes.receivers:
            signal.disconnect(sender=UrgentItem, dispatch_uid="WorkItemTrigger")
        trigger_handler._handlers[WorkItem] = before
        django_apps.all_models["tasks"].pop("urgentitem")


def test_a_failure_that_the_caller_handles_leaves_their_transaction_alone() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)

    def refuse(sender: Any, instance: Any, **_: Any) -> None:
        if instance.status == "completed":
            raise ValueError("not yet")

    pre_save.connect(refuse, sender=WorkItem)
    try:
        with transaction.atomic():
            item.status = "completed"
            with pytest.raises(ValueError, match="not yet"):
                item.save()
            item.status = "cancelled"
            item.save()
    finally:
        pre_save.disconnect(refuse, sender=WorkItem)
    assert events()[-1][0] == "workitem_status_changed"


@pytest.mark.django_db(transaction=True)
def test_a_change_whose_event_failed_cannot_be_committed_by_handling_the_error(monkeypatch: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("integrations.capture.publishing.record", broken)
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic():
        with pytest.raises(RuntimeError):
            make_item(tenant)
        WorkItem.objects.count()
    assert WorkItem.objects.count() == 0


def test_a_row_never_moves_to_another_tenant() -> None:
    acme, other = make_tenant(), make_tenant("Other")
    fresh = make_item(acme)
    for item in (fresh, WorkItem.objects.get()):
        item.tenant = other
        with pytest.raises(ValueError, match="another tenant"):
            item.save()
    with pytest.raises(ValueError, match="another tenant"):
        WorkItem.objects.update(tenant=other)


# -- odd input ----------------------------------------------------------------------------------------


def test_b034_update_fields() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    item.comments, item.status = "seen", "completed"
    item.save(update_fields=["comments"])
    assert [kind for kind, _ in events()][1:] == ["workitem_updated"]
    assert bodies()[1]["workitem"]["status"] == "New"  # what is stored, not what the instance dreams of


def test_b036_loaddata_is_not_news() -> None:
    tenant = make_tenant()
    item = make_item(tenant)
    out = StringIO()
    call_command("dumpdata", "tasks.workitem", stdout=out)
    make_integration(tenant)
    from django.core import serializers

    for row in serializers.deserialize("json", out.getvalue()):
        row.save()
    assert WorkItem.objects.get().pk == item.pk
    assert events() == []


def test_b028_empty_relations_keep_their_keys() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant)
    item = bodies()[0]["workitem"]
    relations = ("customer", "owner", "technician", "customer_asset", "dropoff_point", "due_date", "final_price")
    assert {name: item[name] for name in relations} == dict.fromkeys(relations)


def test_b029_customer_deleted_in_the_same_transaction() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    customer = Customer.objects.create(tenant=tenant, name="Ann")
    item = make_item(tenant, customer=customer)
    with transaction.atomic():
        customer.delete()
        item.refresh_from_db()
        item.comments = "customer left"
        item.save()
    assert bodies()[-1]["workitem"]["customer"] is None


def test_b030_a_broken_payload_costs_neither_save_nor_event(monkeypatch: Any, caplog: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: 1 / 0)
    item = make_item(tenant)
    body = bodies()[0]
    assert body["workitem"] == {"id": item.pk}
    assert set(body) == {"event_type", "timestamp", "tenant", "workitem"}
    assert "minimal event" in caplog.text


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "a\0b", "\ud800", {"a\0": 1}, b"\xff", 10**5000, models.Value(1), object()],
    ids=lambda value: type(value).__name__,
)
def test_no_payload_value_can_fail_the_save(monkeypatch: Any, value: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {"id": obj.pk, "odd": value})
    make_item(tenant)
    assert "odd" in bodies()[0]["workitem"]


@pytest.mark.parametrize("text", ["x" * 33_000, "é漢🙂" * 11_000, "x" * 250_000])
def test_what_a_body_has_room_for_is_sent_whole(text: str) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant, description=text)
    assert bodies()[0]["workitem"]["description"] == text
    assert "truncated" not in bodies()[0]


def test_what_a_body_has_no_room_for_is_cut_and_named(caplog: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant, description="x" * 300_000, comments="short")
    item.description = "y" * 300_000
    item.save()
    created, updated = bodies()
    assert created["truncated"] == ["workitem.description"]
    assert updated["truncated"] == ["workitem.description", "changes.description.old", "changes.description.new"]
    assert created["workitem"]["comments"] == "short" and len(created["workitem"]["description"]) > 100_000
    assert all(len(event.body.encode()) <= 262_144 for event in IntegrationEvent.objects.all())
    assert "cut: workitem.description" in caplog.text


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("truncated", ["long"]),
        ("!truncated", ["short"]),
        ("truncated == `null`", ["short"]),
        ("contains(truncated, 'workitem.description')", ["long"]),
        ("length(truncated) > `1`", []),
        ("truncated && ends_with(workitem.description, 'end')", ["long"]),
    ],
)
def test_a_condition_may_ask_what_is_cut(condition: str, wanted: list[str]) -> None:
    tenant = make_tenant()
    integration = make_integration(tenant, events=())
    validate_condition(condition, "workitem_created")
    integration.subscribe("workitem_created", conditions={"workitem_created": condition})
    make_item(tenant, reference_id="short", description="short")
    make_item(tenant, reference_id="long", description="x" * 200_000 + "end", comments="x" * 90_000)
    owed = IntegrationSync.objects.filter(status="pending").order_by("id").values_list("event__body", flat=True)
    assert [json.loads(body)["workitem"]["reference_id"] for body in owed] == wanted


def test_a_condition_may_ask_whether_only_the_id_is_sent(monkeypatch: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant, events=()).subscribe("workitem_created", conditions={"workitem_created": "truncated"})
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {str(n) * 60: n for n in range(20_000)})
    item = make_item(tenant)
    assert bodies()[0]["workitem"] == {"id": item.pk} and bodies()[0]["truncated"] == ["workitem"]


def test_keys_of_a_payload_begin_no_line_of_the_log(monkeypatch: Any, caplog: Any) -> None:
    tenant, other = make_tenant(), make_tenant("Other")
    make_integration(tenant)
    customer = Customer.objects.create(tenant=other, name="Eve", email="eve@example.com")
    long = {"a\nERROR b": "x" * 300_000, "c\nERROR d": customer}
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {"id": obj.pk, **long})
    make_item(tenant)
    assert bodies()[0]["truncated"] == ["workitem.a\nERROR b"] and bodies()[0]["workitem"]["c\nERROR d"] is None
    assert "cut: workitem.a\\nERROR b" in caplog.text and "workitem.c\\nERROR d: the customer" in caplog.text


def test_long_lists_and_deep_ones_are_cut_and_named(monkeypatch: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    value = {"parts": ["x" * 30_000] * 20, "numbers": list(range(300_000)), "deep": deep}
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {"id": obj.pk, **value})
    make_item(tenant)
    names = bodies()[0]["truncated"]
    assert names[0] == "workitem.numbers" and names[1].startswith("workitem.deep[0][0]")
    assert "workitem.parts[0]" in names


def test_a_payload_that_cannot_be_cut_far_enough_is_replaced_by_a_minimal_one(monkeypatch: Any, settings: Any) -> None:
    settings.INTEGRATIONS = {"MAX_BODY_BYTES": 8192}
    tenant = make_tenant()
    make_integration(tenant)
    same: list[Any] = []
    for _ in range(30):
        same = [same, same]
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {"same": same})
    item = make_item(tenant)
    assert bodies()[0]["workitem"] == {"id": item.pk}
    assert bodies()[0]["truncated"] == ["workitem"]


def test_a_payload_may_hold_what_the_database_is_asked_for(monkeypatch: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    customer = Customer.objects.create(tenant=tenant, name="Ann")
    values = {
        "rows": Customer.objects.all(),
        "names": Customer.objects.values_list("name", flat=True),
        "words": (word for word in ("a", "b")),
        "manager": Customer.objects,
        "keys": {1: "a", "1": "b"},
    }
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: values)
    make_item(tenant)
    ann = {"id": customer.pk, "name": "Ann", "email": ""}
    assert bodies()[0]["workitem"] == {
        "rows": [ann], "names": ["Ann"], "words": ["a", "b"], "manager": [ann], "keys": {"1": "a", "1 (2)": "b"},
    }  # fmt: skip


def test_the_order_of_ids_is_the_order_of_changes() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    for status in ("in_progress", "waiting", "completed"):
        item.status = status
        item.save()
    changes = [body["changes"]["status"] for body in bodies()[1:]]
    assert [(change["old"], change["new"]) for change in changes] == [
        ("New", "In Progress"),
        ("In Progress", "Waiting"),
        ("Waiting", "Completed"),
    ]
