"""Replays and backfills: what they touch and what they leave, one batch at a time, whoever works on them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction
from django.utils import timezone

from integrations.acting import caused_by
from integrations.capture import trigger_handler
from integrations.database.times import after
from integrations.delivery.drain import drain
from integrations.jobs import actions, run
from integrations.jobs import chosen as sync_actions
from integrations.jobs import replay as replay_rows
from integrations.jobs.actions import CannotStart, preview_backfill, start_backfill, start_replay
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.replay import ReplayFilter
from integrations.jobs.run import request_jobs, run_job
from integrations.models import (
    AuditEntry,
    EventSubscription,
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Job,
    TenantIntegration,
)
from integrations.outbox.retention import purge
from integrations.tests.factories import make_integration, make_item, make_tenant, statuses
from integrations.tests.receiver import Receiver
from integrations.tests.services import Broker, wait_until
from tasks.models import Note, WorkItem
from tenants.models import Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

row_locks = pytest.mark.skipif(connection.vendor != "postgresql", reason="needs row locks")
ITEMS = BackfillFilter(model="tasks.workitem")
QUICK = {"actor": "ann", "pace": 1000}


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver, broker: Broker) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}


@pytest.fixture
def hook(receiver: Receiver) -> TenantIntegration:
    return make_integration(make_tenant(), receiver.url, name="Hook")


def rows_in(hook: TenantIntegration, *states: str, **values: Any) -> list[IntegrationSync]:
    """One row of `hook` in each of these states, each of an object of its own."""
    before = IntegrationSync.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    for _ in states:
        make_item(hook.tenant)
    rows = list(IntegrationSync.objects.filter(pk__gt=before, integration=hook).order_by("id"))
    for row, state in zip(rows, states, strict=True):
        ended = {} if state == "pending" else {"attempts": 3, "last_error": "HTTP 500", "settled_at": after(-60)}
        IntegrationSync.objects.filter(pk=row.pk).update(status=state, **{**ended, **values})
    return rows


def replay(hook: TenantIntegration, **said: Any) -> Job:
    return start_replay(hook.tenant_id, ReplayFilter(**said), **QUICK)


def backfill(hook: TenantIntegration, condition: str = "", **said: Any) -> Job:
    which = BackfillFilter(model="tasks.workitem", condition=condition)
    return start_backfill(hook, which, **{**QUICK, **said})


def finished(job: Job) -> Job:
    """Work on the job until it is over, as workers would; return it."""
    for _ in range(50):
        if Job.objects.get(pk=job.pk).state not in ("waiting", "running"):
            break
        Job.objects.filter(pk=job.pk).update(next_turn_at=after(-1))
        run_job(job.pk)
    job.refresh_from_db()
    return job


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    start = threading.Barrier(len(actions))

    def act(action: Callable[[], Any]) -> Any:
        try:
            start.wait(10)
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [each.result() for each in [pool.submit(act, action) for action in actions]]


# -- replay ---------------------------------------------------------------------------------------------------


def test_what_ended_is_sent_again_as_it_was_and_what_is_pending_is_left_alone(
    hook: TenantIntegration, receiver: Receiver
) -> None:
    rows = rows_in(hook, "failed", "synced", "cancelled", "pending")
    ids = [row.event.idempotency_key for row in rows]
    job = finished(replay(hook))
    assert (job.state, job.total, job.done, job.skipped, job.failed) == ("done", 4, 3, 1, 0)
    assert "pending are left alone" in job.messages[0]["text"]
    assert statuses() == ["pending"] * 4
    found = list(IntegrationSync.objects.order_by("id").values_list("generation", "attempts", "reason"))
    assert found == [(1, 0, f"replayed by ann (job {job.pk})")] * 3 + [(0, 0, "")]
    assert IntegrationSync.objects.exclude(retried_at=None).count() == 3
    drain(hook.pk)
    assert sorted(request.headers["webhook-id"] for request in receiver.requests) == sorted(ids)
    bodies = {request.headers["webhook-id"]: request.body.decode() for request in receiver.requests}
    assert bodies == {row.event.idempotency_key: row.event.body for row in rows}


def test_a_filter_chooses_and_another_tenants_rows_are_never_touched(hook: TenantIntegration) -> None:
    other = make_integration(make_tenant("Other"), name="Other hook")
    rows_in(other, "failed")
    mine = rows_in(hook, "failed", "synced", "failed", last_error="no such hook")
    rows_in(hook, "failed", last_error="busy")
    job = finished(replay(hook, status="failed", error="no such", since="1h"))
    assert (job.total, job.done, job.in_words.startswith("failed deliveries with “no such” in the error")) == (
        2,
        2,
        True,
    )
    assert set(IntegrationSync.objects.filter(status="pending")) == {mine[0], mine[2]}
    with pytest.raises(CannotStart, match="no such integration"):
        replay(hook, integration=other.public_id)


def test_chosen_rows_and_no_others(hook: TenantIntegration) -> None:
    rows = rows_in(hook, "failed", "failed", "synced", "failed")
    job = finished(replay(hook, ids=[rows[0].pk, rows[2].pk, 10**9], status="failed"))
    assert (job.total, job.done) == (1, 1)
    assert statuses() == ["pending", "failed", "synced", "failed"]


def test_what_a_condition_kept_out_is_sent_only_if_it_is_named(hook: TenantIntegration) -> None:
    rows_in(hook, "skipped", "failed")
    job = finished(replay(hook))
    assert (job.done, job.skipped, statuses()) == (1, 1, ["skipped", "pending"])
    assert "condition" in job.messages[0]["text"]
    assert (finished(replay(hook, status="skipped")).done, statuses()) == (1, ["pending", "pending"])


def test_what_is_recorded_after_the_start_is_not_part_of_it(hook: TenantIntegration) -> None:
    rows_in(hook, "synced")
    job = replay(hook)
    rows_in(hook, "failed")
    assert finished(job).done == 1
    assert statuses() == ["pending", "failed"]


def test_times_bound_the_walk_and_not_only_its_rows(hook: TenantIntegration) -> None:
    old, new = rows_in(hook, "failed"), rows_in(hook, "failed", "failed")
    IntegrationSync.objects.filter(pk=old[0].pk).update(created_at=after(-7 * 86400))
    late = replay(hook, since="24h")
    assert (late.first, late.last) == (old[0].pk, new[1].pk)
    early = replay(hook, until="24h")
    assert (early.first, early.last) == (0, old[0].pk)
    assert (finished(late).done, finished(early).done) == (2, 1)


def test_switched_off_integrations_get_nothing(hook: TenantIntegration) -> None:
    rows_in(hook, "failed")
    TenantIntegration.objects.filter(pk=hook.pk).update(is_active=False)
    job = finished(replay(hook))  # of the whole tenant: that one is left out
    assert (job.state, job.done, job.skipped) == ("done", 0, 1)
    alone = finished(replay(hook, integration=hook.public_id))
    assert (alone.state, alone.waits_for) == ("paused", "Hook is switched off: switch it on, then resume.")
    TenantIntegration.objects.filter(pk=hook.pk).update(is_active=True)
    assert actions.resume(alone, actor="bob")
    assert finished(alone).done == 1


def test_a_purge_that_looked_before_leaves_a_replayed_row(hook: TenantIntegration) -> None:
    rows_in(hook, "synced", "synced")
    IntegrationEvent.objects.update(occurred_at=after(-86400 * 400))
    IntegrationSync.objects.update(created_at=after(-86400 * 400))
    first = IntegrationSync.objects.order_by("id").values_list("pk", flat=True)[0]
    finished(replay(hook, ids=[first]))
    assert purge() == {"events": 1, "syncs": 1}
    assert IntegrationSync.objects.values_list("pk", flat=True).get() == first


def test_one_entry_in_the_audit_trail_for_one_job(hook: TenantIntegration) -> None:
    rows_in(hook, *["failed"] * 5)
    AuditEntry.objects.all().delete()
    job = finished(replay(hook, integration=hook.public_id))
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.object_name) == ("ann", "started", str(job))
    assert (entry.integration_key, entry.tenant_key) == (hook.pk, str(hook.tenant_id))
    assert entry.details["what"] == "deliveries of Hook"
    assert not ExecutionLog.objects.exists()
    cancelled = replay(hook)
    actions.cancel(cancelled, actor="bob")
    assert list(AuditEntry.objects.order_by("-id").values_list("actor", "action")[:2]) == [
        ("bob", "cancelled"),
        ("ann", "started"),
    ]


# -- backfill -------------------------------------------------------------------------------------------------


def test_one_integration_is_sent_the_present_state_whatever_it_subscribes_to(
    hook: TenantIntegration, receiver: Receiver
) -> None:
    items = [make_item(hook.tenant, reference_id=f"RMA-{n}") for n in range(3)]
    make_item(make_tenant("Other"))
    IntegrationEvent.objects.all().delete()
    EventSubscription.objects.all().delete()
    everybody = make_integration(hook.tenant, receiver.url, name="Hears everything")
    job = finished(backfill(hook))
    assert (job.state, job.total, job.done, job.skipped) == ("done", 3, 3, 0)
    assert job.in_words == "the present state of all work items to Hook"
    events = IntegrationEvent.objects.order_by("id")
    assert [(event.event_type, event.object_id) for event in events] == [
        ("workitem_snapshot", str(item.pk)) for item in items
    ]
    assert set(IntegrationSync.objects.values_list("integration_id", flat=True)) == {hook.pk} != {everybody.pk}
    assert {event.actor for event in events} == {f"ann, {job}"}
    body = json.loads(events[0].body)
    assert (body["event_type"], body["workitem"]["reference_id"]) == ("workitem_snapshot", "RMA-0")
    assert body["tenant"]["id"] == hook.tenant_id and "changes" not in body
    drain(hook.pk)
    assert statuses() == ["synced"] * 3
    assert not Note.objects.exists()  # an object that was only shown has nothing to tell


def test_only_what_meets_the_condition(hook: TenantIntegration) -> None:
    make_item(hook.tenant, priority="urgent")
    make_item(hook.tenant, priority="standard")
    IntegrationEvent.objects.all().delete()
    label = dict(WorkItem.Priority.choices)["urgent"]
    job = finished(backfill(hook, f"workitem.priority == '{label}'"))
    assert (job.done, job.skipped, IntegrationEvent.objects.count()) == (1, 1, 1)
    with pytest.raises(CannotStart, match="colour"):
        backfill(hook, "workitem.colour == 'red'")


def test_nobody_can_subscribe_to_snapshots_and_no_echo_is_made(hook: TenantIntegration) -> None:
    from integrations.connections import event_types

    assert "workitem_snapshot" not in dict(event_types.choices())
    assert "workitem_snapshot" in dict(event_types.recorded())
    item = make_item(hook.tenant)
    finished(backfill(hook))
    with caused_by(hook.pk):  # it answers the snapshot by calling back
        item.comments = "seen"
        item.save()
    assert IntegrationSync.objects.filter(event__event_type="workitem_updated").count() == 0


def test_a_preview_counts_and_shows_and_says_where_it_stopped(
    hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_in(hook, *["failed"] * 6, "pending")
    found = actions.preview_replay(hook.tenant_id, ReplayFilter())
    assert (found.count, found.left_alone, found.is_complete, len(found.sample)) == (7, 1, True, 5)
    shown = actions.preview_backfill(hook, ITEMS)
    assert (shown.count, shown.is_complete, len(shown.sample)) == (7, True, 5)
    assert (shown.looked_at, shown.sent, shown.has_own_payload) == (7, 7, False)
    monkeypatch.setattr(actions, "PREVIEW_ROWS", 3)
    monkeypatch.setattr(replay_rows, "PREVIEWED", (4, 2))
    assert not actions.preview_replay(hook.tenant_id, ReplayFilter()).is_complete
    assert (actions.preview_backfill(hook, ITEMS).count, shown.is_complete) == (4, True)


def test_a_backfill_of_a_table_that_is_not_here_is_refused(
    hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where each tenant has a schema of its own."""
    monkeypatch.setattr(WorkItem._meta, "db_table", "in_another_schema")
    for ask in (preview_backfill, partial(start_backfill, actor="alice")):
        with pytest.raises(CannotStart, match=r"^The rows of tasks.workitem cannot be read here \(\w+Error\); the log"):
            ask(hook, BackfillFilter(model="tasks.workitem"))
    assert not Job.objects.exists(), "and the transaction goes on"


def test_a_preview_shows_what_a_backfill_then_sends(hook: TenantIntegration, receiver: Receiver) -> None:
    """The payload of its own; what the condition leaves out; what no payload can be made of."""
    for text in ("sent", "sent", "left out", "failing"):
        make_item(hook.tenant, description=text, priority="low" if text == "left out" else "urgent")
    hook.subscriptions.filter(event_type="workitem_created").update(
        payload="workitem.description != 'failing' && {text: workitem.description, at: timestamp} || `1`"
    )
    which = BackfillFilter(model="tasks.workitem", condition="workitem.priority == 'Urgent'")
    shown = actions.preview_backfill(hook, which)
    assert (shown.looked_at, shown.sent, shown.left_out, shown.failing) == (4, 2, 1, 1)
    assert shown.has_own_payload
    assert [each.outcome for each in shown.sample] == ["sent", "sent", "left_out", "failing"]
    assert "it was Low" in shown.sample[2].left_out
    assert "it makes a number of this event, not an object" in shown.sample[3].problem

    IntegrationEvent.objects.all().delete()
    job = finished(start_backfill(hook, which, actor="ann"))
    drain(hook.pk)
    assert (job.done, job.skipped) == (shown.sent + shown.failing, shown.left_out)
    assert sorted(statuses()) == ["failed", "synced", "synced"]
    (failed,) = IntegrationSync.objects.filter(status="failed")
    assert shown.sample[3].problem in failed.last_error
    went_out = [json.loads(request.body) for request in receiver.requests]
    previewed = [json.loads(each.payload) for each in shown.sample if each.outcome == "sent"]
    assert all(each.pop("at") for each in previewed + went_out)
    assert previewed == went_out == [{"text": "sent"}, {"text": "sent"}]


def test_a_preview_asks_so_often_and_no_more_however_much_there_is(
    hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    rows_in(hook, *["failed"] * 20)
    monkeypatch.setattr(replay_rows, "PREVIEWED", (1, 1, 2))
    monkeypatch.setattr(actions, "PREVIEW_SECONDS", 600)
    with django_assert_max_num_queries(7):
        found = actions.preview_replay(hook.tenant_id, ReplayFilter(since="24h", until=timezone.now()))
    assert (found.count, found.is_complete) == (4, False)


def test_what_cannot_be_shown_is_counted_as_failed_and_passed_over(
    hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [make_item(hook.tenant, reference_id=f"RMA-{n}") for n in range(4)]
    IntegrationEvent.objects.all().delete()
    handler = next(each for each in trigger_handler.handlers() if each.model is WorkItem)
    happening = handler.happening

    def broken(event_type: str, row: Any, *args: Any, **more: Any) -> Any:
        if row.pk == items[1].pk:
            raise LookupError("this one")
        return happening(event_type, row, *args, **more)

    monkeypatch.setattr(handler, "happening", broken)
    shown = actions.preview_backfill(hook, ITEMS)
    assert (shown.failing, shown.sample[1].problem) == (1, "No snapshot can be taken of it; the log says why.")
    job = finished(backfill(hook))
    assert (job.state, job.done, job.failed) == ("done", 3, 1)
    assert job.messages[0]["text"].startswith(f"No snapshot could be taken of tasks.workitem {items[1].pk};")


def test_a_destination_that_does_not_keep_up_is_waited_for(
    hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_WAITING", 2)
    rows_in(hook, "pending", "pending")
    job = backfill(hook)
    assert run_job(job.pk) == "stopped"
    job.refresh_from_db()
    assert (job.state, job.lease_token, job.done) == ("running", "", 0)
    assert job.waits_for == "2 deliveries wait for Hook already; goes on once they are sent."
    drain(hook.pk)
    monkeypatch.undo()
    assert finished(job).state == "done"


@row_locks
def test_a_snapshot_never_has_an_older_state_than_an_earlier_event(hook: TenantIntegration) -> None:
    """Writers change the objects while they are shown: sorted by sequence, what each says only ever goes forward."""
    items = [make_item(hook.tenant, comments="0") for _ in range(5)]

    def write() -> None:
        for n in range(1, 25):
            for item in items:
                mine = WorkItem.objects.get(pk=item.pk)
                mine.comments = str(n)
                mine.save()

    def show() -> int:
        return sum(finished(backfill(hook)).done for _ in range(12))

    _, shown = at_once(write, show)
    assert shown == 60
    for item in items:
        events = IntegrationEvent.objects.filter(object_id=str(item.pk)).order_by("id")
        states = [int(json.loads(event.body)["workitem"]["comments"]) for event in events]
        assert states == sorted(states)
        assert states[-1] == 24


@row_locks
def test_an_object_that_is_being_changed_is_waited_for_and_keeps_no_other_locked(hook: TenantIntegration) -> None:
    first, second = make_item(hook.tenant, comments="old"), make_item(hook.tenant)
    job = backfill(hook)
    turn = run._take(job.pk)
    assert turn is not None
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        item = WorkItem.objects.get(pk=first.pk)
        item.comments = "new"
        item.save()  # and does not commit yet

        def one_batch() -> Any:
            try:
                return run._batch(turn)[0]
            finally:
                connections.close_all()

        step = pool.submit(one_batch).result(10)
        assert (step.done, step.waits_for) == (0, f"Somebody is just changing tasks.workitem {first.pk}.")
        list(WorkItem.objects.select_for_update(nowait=True).filter(pk=second.pk))
    assert run._batch(turn)[0].done == 2  # type: ignore[union-attr]
    of_first = IntegrationEvent.objects.filter(object_id=str(first.pk)).order_by("id")
    assert [event.event_type for event in of_first] == ["workitem_created", "workitem_updated", "workitem_snapshot"]
    assert json.loads(of_first[2].body)["workitem"]["comments"] == "new"


# -- who works on it, and when --------------------------------------------------------------------------------


def test_a_person_stops_it_within_one_batch_and_it_goes_on_where_it_was(hook: TenantIntegration) -> None:
    rows_in(hook, *["failed"] * 6)
    job = start_replay(hook.tenant_id, ReplayFilter(), actor="ann", pace=2)
    turn = run._take(job.pk)
    assert turn is not None and run._batch(turn)[0].done == 2  # type: ignore[union-attr]
    assert actions.pause(job, actor="bob")
    assert run._batch(turn)[0] is None
    assert run_job(job.pk) == "not due"
    assert (job.state, job.done, job.messages[-1]["text"]) == ("paused", 2, "Paused by bob.")
    assert 0 < Job.objects.get(pk=job.pk).rate <= 2  # the pace, not how quick one batch was
    assert not actions.pause(job, actor="bob")
    assert actions.resume(job, actor="bob") and job.state == "waiting"
    Job.objects.update(pace=1000)
    assert (finished(job).done, statuses()) == (6, ["pending"] * 6)
    assert not actions.cancel(job, actor="bob")
    second = start_replay(hook.tenant_id, ReplayFilter(), actor="ann", pace=2)
    turn = run._take(second.pk)
    assert turn is not None and actions.cancel(second, actor="bob")
    assert run._batch(turn)[0] is None and second.state == "cancelled" and second.ended_at is not None


def test_two_workers_do_one_job_once(hook: TenantIntegration) -> None:
    rows_in(hook, *["failed"] * 8)
    job = replay(hook)
    outcomes = at_once(*[lambda: run_job(job.pk)] * 3)
    assert sorted(outcomes) == ["done", "not due", "not due"]
    job.refresh_from_db()
    assert (job.done, set(IntegrationSync.objects.values_list("generation", flat=True))) == (8, {1})


def test_a_worker_that_was_given_up_writes_nothing(hook: TenantIntegration) -> None:
    rows_in(hook, *["failed"] * 3)
    job = replay(hook)
    slow = run._take(job.pk)
    assert slow is not None and run_job(job.pk) == "not due"
    Job.objects.update(lease_expires_at=after(-1))
    assert run_job(job.pk) == "done"
    assert run._batch(slow)[0] is None
    assert set(IntegrationSync.objects.values_list("generation", flat=True)) == {1}


def test_what_kills_its_worker_is_found_and_left_out(hook: TenantIntegration) -> None:
    make_item(hook.tenant)
    poison = make_item(hook.tenant)
    make_item(hook.tenant)
    job = backfill(hook)
    for deaths in range(6):
        turn = run._take(job.pk)
        assert turn is not None and (turn.limit == 1) == (deaths > 0)
        if deaths == 1:
            run._batch(turn)  # the first object is done with: the next one kills
        Job.objects.update(lease_expires_at=after(-1))
    assert turn is not None and not turn.passes_over
    Job.objects.update(deaths=4)
    assert finished(job).failed == 1
    assert str(poison.pk) in job.messages[0]["text"]
    assert (job.state, job.done) == ("done", 2)


def test_what_cannot_be_counted_is_done_uncounted(hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_in(hook, "failed", "failed")
    job = replay(hook)

    def count(job: Job, *, seconds: float) -> int:
        raise LookupError

    monkeypatch.setattr(replay_rows, "count", count)
    assert run_job(job.pk) == "done"
    job.refresh_from_db()
    assert (job.state, job.done) == ("done", 2)


def test_a_filter_that_is_not_understood_any_more_ends_its_job(hook: TenantIntegration) -> None:
    """Another version has stored it; no worker is asked for it for ever."""
    rows_in(hook, "failed")
    job = replay(hook)
    Job.objects.filter(pk=job.pk).update(filter={"colour": "green"})
    assert finished(job).state == "failed"
    assert job.last_error == "5 batches failed in a row, the last with ValidationError; the log says more."


def test_one_job_of_a_tenant_runs_and_tenants_take_turns(hook: TenantIntegration) -> None:
    other = make_integration(make_tenant("Other"), name="Other hook")
    for each in (hook, other):
        rows_in(each, "failed", "failed")
    first, second, theirs = replay(hook), replay(hook), replay(other)
    Job.objects.update(next_turn_at=after(-1))
    assert request_jobs() == {"due": 2, "asked": 2}
    turn = run._take(first.pk)
    assert turn is not None
    assert run_job(second.pk) == "not due"
    assert run_job(theirs.pk) == "done"
    assert actions.pause(first, actor="ann")
    assert run_job(second.pk) == "done"
    actions.resume(first, actor="ann")
    assert finished(first).state == "done"


def test_no_more_run_than_a_process_has_room_for(hook: TenantIntegration) -> None:
    jobs = []
    for n in range(run.AT_ONCE + 2):
        tenant = make_tenant(f"Tenant {n}")
        jobs.append(start_replay(tenant.pk, ReplayFilter(), **QUICK))
    Job.objects.update(next_turn_at=after(-1))
    assert request_jobs()["due"] == run.AT_ONCE
    for job in jobs[:3]:
        assert run._take(job.pk) is not None
    assert request_jobs()["due"] == run.AT_ONCE - 3


def test_a_deleted_integration_ends_its_job_and_a_deleted_tenant_takes_its_jobs(hook: TenantIntegration) -> None:
    make_item(hook.tenant)
    job = backfill(hook)
    tenant = hook.tenant
    hook.delete()
    assert finished(job).state == "cancelled"
    assert job.messages[-1]["text"] == "The integration was deleted."
    Tenant.objects.get(pk=tenant.pk).delete()
    assert not Job.objects.exists()


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from integrations.jobs import snapshots

    known = dict(snapshots._sources)
    yield
    snapshots._sources.update(known)


def test_a_model_that_is_not_captured_any_more_ends_its_job(hook: TenantIntegration, captured: None) -> None:
    from integrations.jobs.snapshots import forget_source

    make_item(hook.tenant)
    job = backfill(hook)
    forget_source("tasks.workitem")
    assert finished(job).state == "failed"
    assert "ValidationError" in job.last_error


def test_a_worker_does_it_by_itself(hook: TenantIntegration, receiver: Receiver, celery_worker: Any) -> None:
    rows_in(hook, *["failed"] * 30)
    celery_worker(pool="threads", args=["-Q", "deliveries,slow"], env={"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc})
    job = replay(hook)
    wait_until(lambda: Job.objects.get(pk=job.pk).state == "done", 30)
    wait_until(lambda: not IntegrationSync.objects.exclude(status="synced").exists(), 30)


def test_many_rows_chosen_in_the_admin_become_a_job_of_each_tenant(
    hook: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_actions, "AT_ONCE", 3)
    other = make_integration(make_tenant("Other"), name="Other hook")
    few = rows_in(other, "failed", "synced", "pending")
    assert sync_actions.retry(IntegrationSync.objects.filter(pk__in=[row.pk for row in few]), actor="ann").count == 2
    assert not Job.objects.exists()
    rows_in(hook, "failed", "cancelled", "synced", "pending")
    done = sync_actions.retry(IntegrationSync.objects.all(), actor="ann")
    jobs = list(Job.objects.order_by("id"))
    assert [job.tenant_id for job in jobs] == [other.tenant_id, hook.tenant_id]
    assert str(done) == (
        "7 deliveries handed to a job in the background. "
        f"{jobs[0]}: 3 chosen deliveries, of them failed or cancelled deliveries. "
        f"{jobs[1]}: 4 chosen deliveries, of them failed or cancelled deliveries."
    )
    assert finished(jobs[1]).done == 2
    assert statuses()[3:] == ["pending", "pending", "synced", "pending"]


def test_both_are_started_by_a_command(hook: TenantIntegration, capsys: pytest.CaptureFixture[str]) -> None:
    rows_in(hook, "failed", "failed", "pending")
    words = ["integration_replay", "--tenant", "acme-corp", "--status", "failed,pending", "--since", "1h"]
    call_command(*words, "--dry-run")
    assert capsys.readouterr().out == (
        "It would look at 3 deliveries, and leave 1 alone: failed or pending deliveries of the last hour.\n"
    )
    assert not Job.objects.exists()
    call_command(*words)
    call_command("integration_backfill", str(hook.public_id), "tasks.WorkItem", "--pace", "9", "--dry-run")
    call_command("integration_backfill", str(hook.public_id), "tasks.WorkItem", "--pace", "9")
    replayed, backfilled = Job.objects.order_by("id")
    lines = capsys.readouterr().out.splitlines()
    assert all('{"event_type":"workitem_snapshot",' in line for line in lines[3:6])
    assert [*lines[:3], *lines[6:]] == [
        f"{replayed} is started: {replayed.in_words}.",
        "It would look at 3 objects: the present state of all work items to Hook.",
        "Of the first 3, 3 would be sent; the condition leaves out 0, and of 0 no payload can be made.",
        f"{backfilled} is started: the present state of all work items to Hook.",
    ]
    assert (replayed.tenant_id, backfilled.pace) == (hook.tenant_id, 9)
    for wrong, said in (
        (["integration_replay", "--tenant", "nobody"], "no tenant 'nobody'"),
        (["integration_replay", "--tenant", "acme-corp", "--since", "x"], "--since: “x” is no time"),
        (["integration_replay", "--tenant", "acme-corp", "--pace", "0"], "A pace of 0"),
        (["integration_backfill", "x", "tasks.workitem"], "no integration 'x'"),
        (["integration_backfill", str(hook.public_id), "auth.user"], "“auth.user” cannot be backfilled; there are:"),
        (["integration_backfill", str(hook.public_id), "tasks.workitem", "--condition", "("], "Incomplete expression"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command(*wrong)
