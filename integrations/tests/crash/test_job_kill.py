"""kill -9 in the middle of a job: what a batch did and how far the job is are written together, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from integrations.database.times import after
from integrations.jobs.actions import pause, resume, start_backfill, start_replay
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.replay import ReplayFilter
from integrations.jobs.run import request_jobs, run_job
from integrations.models import IntegrationEvent, IntegrationSync, Job, TenantIntegration
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.services import PROJECT, Broker, CeleryProcess, database_url, wait_until
from tasks.models import WorkItem

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

ROWS = 120

# Works on the job; at its moment it says "here" and waits to be killed.
SCRIPT = """
import sys, django
django.setup()
from django.db import connection
from integrations.jobs import run

moment = sys.argv[2]
batches = 0

def here(execute, sql, params, many, context):
    global batches
    flat = sql.strip()
    is_cursor = flat.startswith("UPDATE") and "integrations_job" in flat and "cursor" in flat
    batches += is_cursor
    if is_cursor and batches == 2 and moment == "between effect and cursor":
        wait()
    done = execute(sql, params, many, context)
    if is_cursor and batches == 2 and moment == "between cursor and commit":
        wait()
    return done

def wait():
    print("here", flush=True)
    sys.stdin.readline()

if moment == "after the commit":
    batch = run._batch
    def one(turn):
        global batches
        found = batch(turn)
        batches += 1
        if batches == 2:
            wait()
        return found
    run._batch = one
else:
    connection.execute_wrappers.append(here)
run.run_job(int(sys.argv[1]))
"""


@pytest.fixture
def hook() -> TenantIntegration:
    return make_integration(make_tenant(), "https://hooks.example.com/x")


def make_rows(hook: TenantIntegration, kind: str) -> None:
    WorkItem.objects.bulk_create(WorkItem(tenant=hook.tenant, reference_id=f"RMA-{n}") for n in range(ROWS))
    if kind == "replay":
        IntegrationSync.objects.update(status="failed", settled_at=after(-60))
    else:
        IntegrationEvent.objects.all().delete()


def start(hook: TenantIntegration, kind: str, pace: int) -> Job:
    if kind == "replay":
        return start_replay(hook.tenant_id, ReplayFilter(), actor="ann", pace=pace)
    return start_backfill(hook, BackfillFilter(model="tasks.workitem"), actor="ann", pace=pace)


def assert_each_row_once(kind: str) -> None:
    job = Job.objects.get()
    assert (job.state, job.done, job.skipped, job.failed, job.total) == ("done", ROWS, 0, 0, ROWS)
    assert IntegrationSync.objects.filter(status="pending").count() == ROWS
    if kind == "replay":
        assert set(IntegrationSync.objects.values_list("generation", flat=True)) == {1}
    else:
        objects = IntegrationEvent.objects.values_list("object_id", flat=True)
        assert len(objects) == len(set(objects)) == ROWS


@pytest.mark.parametrize("kind", ["replay", "backfill"])
@pytest.mark.parametrize("moment", ["between effect and cursor", "between cursor and commit", "after the commit"])
def test_a_batch_is_done_once_whenever_its_worker_dies(hook: TenantIntegration, kind: str, moment: str) -> None:
    make_rows(hook, kind)
    job = start(hook, kind, pace=20)
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "app.settings", "DATABASE_URL": database_url()}
    words, pipe = [sys.executable, "-c", SCRIPT, str(job.pk), moment], subprocess.PIPE
    with subprocess.Popen(words, cwd=PROJECT, env=env, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        process.kill()
    job.refresh_from_db()
    assert (job.state, job.done) == ("running", 40 if moment == "after the commit" else 20)
    assert job.lease_token != "" and run_job(job.pk) == "not due"  # it could not tidy up
    Job.objects.update(lease_expires_at=after(-1), pace=1000)
    while run_job(job.pk) not in ("done", "not due"):
        pass
    assert_each_row_once(kind)


@pytest.mark.parametrize("kind", ["replay", "backfill"])
def test_a_job_goes_on_over_dead_workers_and_a_pause(
    hook: TenantIntegration, broker: Broker, celery_worker: Callable[..., CeleryProcess], kind: str
) -> None:
    make_rows(hook, kind)

    def worker() -> CeleryProcess:
        pool = "prefork" if connection.vendor == "postgresql" else "solo"
        return celery_worker(pool=pool, concurrency=1, args=["-Q", "slow"])  # nobody sends: the rows stay pending

    def done(least: int) -> Any:
        return wait_until(lambda: Job.objects.get().done >= least, 30)

    first = worker()
    job = start(hook, kind, pace=40)
    done(20)
    first.kill9_group()
    Job.objects.update(lease_expires_at=after(-1))
    second = worker()
    request_jobs()  # as beat does
    done(60)
    assert pause(job, actor="ann")
    at_pause = Job.objects.get().done
    second.kill9_group()
    assert Job.objects.get().done == at_pause < ROWS
    worker()
    assert resume(job, actor="ann")
    Job.objects.update(pace=1000)
    wait_until(lambda: request_jobs() and Job.objects.get().state == "done", 30, interval=0.1)
    assert_each_row_once(kind)
