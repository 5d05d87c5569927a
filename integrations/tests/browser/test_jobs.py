"""A replay in a real Chromium: shown first, then paused, and on over a killed worker, without a reload."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from integrations.database_clock import after
from integrations.jobs.run import request_jobs
from integrations.models import IntegrationSync, Job
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.services import Broker, CeleryProcess, wait_until
from tasks.models import WorkItem
from tenants.models import Membership

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ROWS = 150


def test_an_operator_replays_what_failed_over_a_pause_and_a_killed_worker(
    server: str, browser_page: Any, broker: Broker, celery_worker: Callable[..., CeleryProcess]
) -> None:
    tenant = make_tenant()
    make_integration(tenant, "https://hooks.example.com/x", name="Production n8n workflow")
    WorkItem.objects.bulk_create(WorkItem(tenant=tenant, reference_id=f"RMA-{n}") for n in range(ROWS))
    IntegrationSync.objects.update(status="failed", last_error="HTTP 503", settled_at=after(-60))
    user = User.objects.create_user("olga", password="a long password")
    Membership.objects.create(tenant=tenant, user=user, role="operator")
    worker = celery_worker(pool="solo", args=["-Q", "slow"])  # nobody delivers: the rows stay pending
    page = browser_page

    page.goto(f"{server}/console/jobs/")
    page.fill("[name=username]", "olga")
    page.fill("[name=password]", "a long password")
    page.locator("main button").click()
    page.get_by_role("link", name="New job").click()
    page.fill("[name=pace]", "20")
    page.get_by_role("button", name="Preview").click()
    preview = page.locator("#preview")
    preview.get_by_text("Replays failed deliveries of the last 24 hours.").wait_for()
    assert preview.locator(".value").all_inner_texts() == [str(ROWS), "8 seconds"]
    assert preview.locator("tbody tr").count() == 5
    page.get_by_role("button", name="Start the replay").click()

    page.get_by_text("Running").wait_for()
    page.get_by_text(re.compile(r"^[1-9]\d* of 150 looked at")).wait_for()  # by itself
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("❚❚ Paused").wait_for()
    job = Job.objects.get()
    assert 0 < job.done < ROWS
    page.get_by_text("Paused by olga.").wait_for()

    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Running").wait_for()
    wait_until(lambda: Job.objects.get().done > job.done, 30)
    worker.kill9_group()
    Job.objects.update(lease_expires_at=after(-1), pace=1000)  # as if a minute had passed
    celery_worker(pool="solo", args=["-Q", "slow"])
    request_jobs()  # as beat does
    page.get_by_text("✓ Done").wait_for(timeout=30_000)
    assert page.get_by_role("progressbar", name="Progress").get_attribute("value") == "100"
    assert set(IntegrationSync.objects.values_list("status", "generation")) == {("pending", 1)}

    page.set_viewport_size({"width": 390, "height": 800})
    for address in ("jobs/", f"jobs/{job.pk}/", "jobs/new/"):
        page.goto(f"{server}/console/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
