"""Work on many rows, with real workers: a replay over a pause and a killed worker, a backfill beside people at work.

Of a tenant's jobs one runs at a time, so each person who may start one does so in a tenant of their own, side by side.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from integrations.database.times import after
from integrations.jobs.run import request_jobs
from integrations.models import IntegrationSync, Job
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.receiver import Receiver, Request
from integrations.tests.services import Broker, CeleryProcess, wait_until
from tasks.models import WorkItem
from tenants.models import Tenant

from .people import People, Person, on_each_screen

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]

ROWS = 120
OBJECTS = 40
MOST_CHANGES = 3000
ROLES = ("operator", "manager", "root")

Start = Callable[..., CeleryProcess]


def starts_a_replay(someone: Person) -> None:
    """Replay what failed, as the form offers it: see what that is, then start it."""
    someone.goes_to("Jobs")
    someone.clicks("New job")
    someone.fills("Pace", "5")  # slow enough to be stopped half-way
    someone.clicks("Preview")
    someone.sees("What it would do", "Replays failed deliveries of the last 24 hours.")
    assert someone.reads("#preview .grid").split("\n")[:2] == [str(ROWS), "deliveries"]
    someone.clicks("Start the replay")


@on_each_screen
def test_replays_go_on_over_a_pause_and_a_killed_worker(
    people: People, broker: Broker, celery_worker: Start, acme: Tenant
) -> None:
    tenants = [acme, Tenant.objects.get(name="Umbrella"), make_tenant("Initech")]
    for tenant in tenants:
        make_integration(tenant, name="Production n8n workflow")
        WorkItem.objects.bulk_create(WorkItem(tenant=tenant, reference_id=f"RMA-{n}") for n in range(ROWS))
    IntegrationSync.objects.update(status="failed", last_error="HTTP 503", settled_at=after(-60))
    worker = celery_worker(pool="threads", concurrency=4, args=["-Q", "slow"])  # nobody delivers: rows stay pending
    olga, mona, root = (people.join(role, tenant) for role, tenant in zip(ROLES, tenants, strict=True))
    vera = people.join("viewer", acme)

    for someone in (olga, mona, root):
        starts_a_replay(someone)
    for someone in (olga, mona, root):
        someone.sees("Running", re.compile(r"^[1-9]\d* of 120 looked at"))  # by itself
        someone.clicks("Pause")
        someone.sees("❚❚ Paused", f"Paused by {someone.name}.")
    paused = dict(Job.objects.values_list("pk", "done"))
    assert len(paused) == 3 and all(0 < done < ROWS for done in paused.values())

    # Whoever only looks sees the same, and which role it takes.
    vera.goes_to("Jobs")
    vera.is_told_why("operator", to="retry and replay deliveries")
    vera.is_not_offered("New job")
    vera.clicks("Replay")
    vera.sees("❚❚ Paused")
    vera.is_told_why("operator", to="retry and replay deliveries")
    vera.is_not_offered("Resume", "Cancel job")
    words = "retry and replay deliveries"
    vera.is_refused("jobs/new/", "operator", to=words, ask="Ask a manager of the tenant")  # Acme has none here
    vera.goes_to("Jobs")
    vera.clicks("Replay")

    for someone in (olga, mona, root):
        someone.clicks("Resume")
        someone.sees("Running")
    wait_until(lambda: all(job.done > paused[job.pk] for job in Job.objects.all()), 30)
    worker.kill9_group()
    done = dict(Job.objects.values_list("pk", "done"))
    assert all(number < ROWS for number in done.values()), "it was killed too late to prove anything"
    Job.objects.update(lease_expires_at=after(-1), pace=1000)  # as if a minute had passed
    celery_worker(pool="threads", concurrency=4, args=["-Q", "slow"])
    wait_until(are_over, 60, interval=0.5)
    for someone in (olga, mona, root, vera):
        someone.waits(5)
        someone.sees("✓ Done", "120 of 120 looked at")
        assert someone.window.get_by_role("progressbar", name="Progress").get_attribute("value") == "100"
    assert set(IntegrationSync.objects.values_list("status", "generation")) == {("pending", 1)}


def are_over() -> bool:
    """Ask workers for jobs that nobody works on, as beat does; tell whether there are none any more."""
    request_jobs()
    return not Job.objects.exclude(state="done").exists()


def starts_a_backfill(someone: Person, integration: str) -> None:
    someone.goes_to("Jobs")
    someone.clicks("New job")
    someone.clicks("Backfill", exact=True)
    someone.sees("Sends one integration the present state of all objects")
    someone.chooses("Integration", integration)
    someone.chooses("Objects", "Work items")
    someone.fills("Pace", "20")
    someone.clicks("Preview")
    someone.sees("What it would do")
    assert someone.reads("#preview .grid").split("\n")[:2] == [str(OBJECTS), "objects"]
    someone.clicks("Start the backfill")


def people_at_work(items: list[WorkItem], receiver: Receiver) -> int:
    """Change one object after the other until the jobs are over, each time something has arrived; return how often."""
    for number in range(MOST_CHANGES):
        if not Job.objects.exclude(state="done").exists():
            return number
        item = items[number * 7 % len(items)]
        item.comments = f"change {number}"
        item.save()
        receiver.wait_for(number + 1)
    raise AssertionError(f"the jobs are not over after {MOST_CHANGES} changes")


def by_object(requests: list[Request]) -> Iterator[tuple[int, list[Request]]]:
    """Yield (id of the object, what was told of it), in the order in which it came."""
    found: dict[int, list[Request]] = defaultdict(list)
    for request in requests:
        found[request.json["workitem"]["id"]].append(request)
    yield from found.items()


@on_each_screen
def test_backfills_beside_live_changes_end_in_the_present_state(
    people: People, broker: Broker, celery_worker: Start, receiver: Receiver, acme: Tenant
) -> None:
    umbrella = Tenant.objects.get(name="Umbrella")
    for tenant in (acme, umbrella):
        WorkItem.objects.bulk_create(WorkItem(tenant=tenant, reference_id=f"RMA-{n}") for n in range(OBJECTS))
        make_integration(tenant, receiver.url, name="Warehouse", events=("workitem_updated",))
    celery_worker(pool="threads", concurrency=8, env={"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc})
    mona, root = people.join("manager", acme), people.join("root", umbrella)
    olga = people.join("operator", acme)

    starts_a_backfill(mona, "Warehouse")
    starts_a_backfill(root, "Warehouse")
    items = list(WorkItem.objects.order_by("reference_id", "tenant"))
    changes = people_at_work(items, receiver)
    for someone in (mona, root):
        someone.sees("✓ Done", f"{OBJECTS} of {OBJECTS} looked at", "snapshots recorded")
    wait_until(lambda: not IntegrationSync.objects.exclude(status="synced").exists(), 60)
    requests = receiver.requests
    told = [request.headers["webhook-event"] for request in requests]
    first, last = told.index("workitem_snapshot"), len(told) - 1 - told[::-1].index("workitem_snapshot")
    assert "workitem_updated" in told[first:last], "nothing changed meanwhile, so this proves nothing"
    assert (told.count("workitem_snapshot"), told.count("workitem_updated")) == (2 * OBJECTS, changes)
    present = {item.pk: item.comments for item in WorkItem.objects.all()}
    ended = {}
    for pk, of_it in by_object(requests):
        sequences = [int(request.headers["webhook-sequence"]) for request in of_it]
        assert sequences == sorted(set(sequences)), f"work item {pk} was told of out of order"
        assert [request.headers["webhook-event"] for request in of_it].count("workitem_snapshot") == 1
        ended[pk] = of_it[-1].json["workitem"]["comments"]
    assert ended == present

    # An operator looks on, and reads why they may not start one.
    olga.goes_to("Jobs")
    olga.clicks("New job")
    olga.sees("A backfill takes the role manager")
    olga.is_not_offered("Backfill")
    words = "send the present state of all objects"
    olga.is_refused("jobs/new/?kind=backfill", "manager", to=words, ask="These people can give you another one: mona.")
    mona.clicks("See these deliveries")
    mona.sees("workitem_snapshot", "✓ Synced")
