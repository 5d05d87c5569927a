"""The pages of jobs: what they offer whom, what they show before anything is sent, and what they start."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.console.jobs.views import duration
from integrations.database.times import after
from integrations.jobs.actions import start_backfill, start_replay
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.models import MOST_PACE
from integrations.jobs.replay import ReplayFilter
from integrations.jobs.run import run_job
from integrations.models import AuditEntry, IntegrationSync, Job, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant
from tasks.models import WorkItem
from tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db

MANAGER, OPERATOR, VIEWER = "manager", "operator", "viewer"


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def hook() -> TenantIntegration:
    """An integration of Acme with three failed deliveries, one synced and one pending."""
    hook = make_integration(make_tenant(), name="Acme's hook")
    for state in ("failed", "failed", "failed", "synced", "pending"):
        item = make_item(hook.tenant)
        values = {"status": state, "response_status": 503, "last_error": "HTTP 503"} if state == "failed" else {}
        IntegrationSync.objects.filter(event__object_id=str(item.pk)).update(**{"status": state, **values})
    return hook


def browser(role: str, *tenants: Tenant) -> Client:
    user = User.objects.create_user(f"{role} {User.objects.count()}")
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def read(client: Client, address: str, status: int = 200, **more: Any) -> str:
    answer = client.get(address, **more)
    assert answer.status_code == status, answer.content.decode()[-3000:]
    return answer.content.decode()


def replay_of(hook: TenantIntegration) -> Job:
    return start_replay(hook.tenant_id, ReplayFilter(status="failed"), actor="ann")


def test_what_failed_is_shown_before_it_is_sent_again_and_then_started_as_shown(hook: TenantIntegration) -> None:
    client = browser(OPERATOR, hook.tenant)
    text = read(client, "/console/jobs/")
    assert "No jobs yet" in text and "/console/jobs/new/" in text
    assert 'value="failed" id="job_status_1" checked' in read(client, "/console/jobs/new/")
    text = read(client, f"/console/jobs/new/?show=1&kind=replay&integration={hook.public_id}&since=24h&pace=20")
    assert "Replays failed, cancelled or synced deliveries of Acme&#x27;s hook of the last 24 hours." in text
    assert '<span class="value">4</span>' in text and not Job.objects.exists()
    form = text.partition('class="start"')[2].partition("</form>")[0]
    kept: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="(\w+)" value="([^"]+)"', form):
        kept.setdefault(name, []).append(value)
    assert kept.keys() >= {"kind", "integration", "status", "since", "pace"} and kept["since"] != ["24h"]
    answer = client.post("/console/jobs/new/", kept)
    job = Job.objects.get()
    assert answer["Location"] == reverse("console:job", args=[job.pk])
    assert (job.pace, job.tenant_id, job.filter["status"]) == (20, hook.tenant_id, ["failed", "cancelled", "synced"])
    assert AuditEntry.objects.filter(action="started", object_key=str(job.pk)).count() == 1
    text = read(client, answer["Location"])
    assert f"{job}" in text and "Pause" in text and "Cancel job" in text


def test_a_preview_shows_a_few_of_them_and_says_what_is_left_alone(hook: TenantIntegration) -> None:
    client = browser(OPERATOR, hook.tenant)
    everything = read(client, "/console/jobs/new/?show=1&kind=replay&status=failed&pace=50&error=503")
    assert '<span class="value">3</span>' in everything and everything.count("HTTP 503") == 3
    first = IntegrationSync.objects.filter(status="failed").order_by("id")[0]
    assert str(WorkItem.objects.get(pk=first.event.object_id)) in everything
    nothing = read(client, "/console/jobs/new/?show=1&kind=replay&status=failed&pace=50&error=teapot")
    assert "Nothing is chosen by this filter: there are no failed deliveries with “teapot” in the error." in nothing
    assert "Start the replay" not in nothing


def test_mistakes_are_said_where_they_are_and_empty_no_field(hook: TenantIntegration) -> None:
    client = browser(OPERATOR, hook.tenant)
    wrong = "/console/jobs/new/?show=1&kind=replay&since=yesterday&response_status=777&error=teapot&pace=0"
    text = read(client, wrong, 400)
    for part in ('value="yesterday"', "is no time; write", 'value="777"', "is no HTTP status", 'value="teapot"'):
        assert part in text
    assert "greater than or equal to 1" in text and "Start the replay" not in text
    assert client.post("/console/jobs/new/", {"kind": "replay", "pace": MOST_PACE + 1}).status_code == 400
    assert not Job.objects.exists()


def test_the_list_of_deliveries_can_link_here_with_its_filter(hook: TenantIntegration) -> None:
    query = f"status=cancelled&response_status=5xx&error=gone&object=42&integration={hook.public_id}&page=3"
    text = read(browser(OPERATOR, hook.tenant), f"/console/jobs/new/?{query}")
    for part in ('value="5xx"', 'value="gone"', 'value="42"', f'value="{hook.public_id}" selected'):
        assert part in text
    assert 'value="cancelled" id="job_status_2" checked' in text and 'value="24h"' not in text.partition("<datalist")[0]


def test_an_object_is_found_by_its_words_and_stays_what_was_meant(hook: TenantIntegration) -> None:
    client = browser(OPERATOR, hook.tenant)
    item = make_item(hook.tenant, reference_id="RMA-777")
    IntegrationSync.objects.filter(event__object_id=str(item.pk)).update(status="failed")
    theirs = make_integration(make_tenant("Other"), name="Other hook")
    make_item(theirs.tenant, reference_id="RMA-777")
    shown = read(client, "/console/jobs/new/?show=1&kind=replay&pace=50&object=RMA-777")
    assert '<span class="value">1</span>' in shown and "RMA-777" in shown
    client.post("/console/jobs/new/", {"kind": "replay", "pace": "50", "object": "RMA-777"})
    job = Job.objects.get()
    WorkItem.objects.filter(pk=item.pk).update(reference_id="RMA-778")
    assert run_job(job.pk) == "done"
    job.refresh_from_db()
    assert (job.done, job.in_words.endswith("about RMA-777")) == (1, True)


def test_a_manager_backfills_and_an_operator_reads_why_not(hook: TenantIntegration) -> None:
    operator, manager = browser(OPERATOR, hook.tenant), browser(MANAGER, hook.tenant)
    assert "A backfill takes the role manager" in read(operator, "/console/jobs/new/")
    assert "manager" in read(operator, "/console/jobs/new/?kind=backfill", 403)
    data = {"kind": "backfill", "integration": str(hook.public_id), "model": "tasks.workitem", "pace": "10"}
    assert operator.post("/console/jobs/new/", data).status_code in (400, 403)
    assert not Job.objects.exists()
    shown = read(manager, "/console/jobs/new/?" + "&".join(f"{k}={v}" for k, v in {**data, "show": "1"}.items()))
    assert "Sends the present state of all work items to Acme&#x27;s hook." in shown
    assert '<span class="value">5</span>' in shown and "workitem_snapshot" in shown
    assert manager.post("/console/jobs/new/", data).status_code == 302
    assert Job.objects.get().kind == "backfill"
    wrong = manager.post("/console/jobs/new/", {**data, "condition": "workitem.colour == 'red'"})
    assert wrong.status_code == 400 and b"colour" in wrong.content
    TenantIntegration.objects.update(is_active=False)
    assert b"It is switched off" in manager.post("/console/jobs/new/", data).content


def test_a_backfill_is_tried_before_it_is_started(hook: TenantIntegration, django_assert_max_num_queries: Any) -> None:
    make_item(hook.tenant, description="left <out>", priority="low")
    make_item(hook.tenant, description="failing")
    payload = "workitem.description != 'failing' && {only: workitem.status} || `1`"
    hook.subscriptions.filter(event_type="workitem_created").update(payload=payload)
    manager = browser(MANAGER, hook.tenant)
    asked = {"kind": "backfill", "integration": str(hook.public_id), "model": "tasks.workitem", "pace": "10"}
    condition = "workitem.description != 'left <out>'"
    address = "/console/jobs/new/?" + urlencode({**asked, "condition": condition, "show": "1"})
    read(manager, address)  # what a process learns once
    with django_assert_max_num_queries(15):
        text = " ".join(read(manager, address).split())
    for part in ("The first 7 were tried:", "5 would be sent", "1 left out by the condition", "1 would fail"):
        assert part in text
    assert "it was left &lt;out&gt;" in text and "it makes a number of this event, not an object" in text
    assert text.count("&quot;only&quot;: ") == 3 and "workitem_snapshot" not in text
    assert not Job.objects.exists()


def test_buttons_are_for_who_may_press_them(hook: TenantIntegration) -> None:
    operator, viewer = browser(OPERATOR, hook.tenant), browser(VIEWER, hook.tenant)
    backfill = start_backfill(hook, BackfillFilter(model="tasks.workitem"), actor="ann")
    address = f"/console/jobs/{backfill.pk}/"
    text = read(viewer, address)
    assert "Pause" not in text and "Cancel job" not in text
    assert "New job" not in read(viewer, "/console/jobs/")
    assert viewer.get("/console/jobs/new/").status_code == 403
    for act in ("pause", "resume", "cancel"):
        assert viewer.post(f"{address}{act}/").status_code == 403
        assert viewer.get(f"{address}{act}/").status_code == 405
    assert operator.post(f"{address}pause/").status_code == 302
    assert "Resume" not in read(operator, address)  # of a backfill, that is a manager's
    assert operator.post(f"{address}resume/").status_code == 403
    assert operator.post(f"{address}cancel/").status_code == 302
    backfill.refresh_from_db()
    assert (backfill.state, [each["text"][:9] for each in backfill.messages]) == (
        "cancelled",
        ["Paused by", "Cancelled"],
    )
    operator.post(f"{address}cancel/")
    assert "Nothing was changed: this job is cancelled." in read(operator, address)


def test_another_tenants_jobs_do_not_exist(hook: TenantIntegration) -> None:
    other = make_integration(make_tenant("Other"), name="Other hook")
    theirs = replay_of(other)
    client = browser(MANAGER, hook.tenant)
    address = f"/console/jobs/{theirs.pk}/"
    assert "Other" not in read(client, "/console/jobs/")
    read(client, address, 404)
    for act in ("pause", "resume", "cancel"):
        assert client.post(f"{address}{act}/").status_code == 404
    for kind in ("replay", "backfill"):
        data = {"kind": kind, "integration": str(other.public_id), "model": "tasks.workitem", "pace": "10"}
        answer = client.post("/console/jobs/new/", data)
        assert answer.status_code == 400 and b"Other hook" not in answer.content
    data = {"kind": "replay", "tenant": str(other.tenant_id), "pace": "10"}
    assert client.post("/console/jobs/new/", data).status_code == 400
    assert not Job.objects.exclude(pk=theirs.pk).exists()
    theirs.refresh_from_db()
    assert theirs.state == "waiting"


def test_who_has_several_tenants_chooses_one_of_those_where_they_may(hook: TenantIntegration) -> None:
    other = make_integration(make_tenant("Other"), name="Other hook")
    client = browser(OPERATOR, hook.tenant, other.tenant)
    data = {"kind": "replay", "status": ["failed"], "pace": "10"}
    assert b"Choose a tenant or an integration" in client.post("/console/jobs/new/", data).content
    clash = client.post("/console/jobs/new/", {**data, "tenant": hook.tenant_id, "integration": other.public_id})
    assert b"belongs to another tenant" in clash.content
    assert client.post("/console/jobs/new/", {**data, "integration": other.public_id}).status_code == 302
    assert client.post("/console/jobs/new/", {**data, "tenant": hook.tenant_id}).status_code == 302
    assert list(Job.objects.order_by("id").values_list("tenant_id", flat=True)) == [other.tenant_id, hook.tenant_id]
    assert "Other" in read(client, "/console/jobs/")


def test_what_was_shown_of_one_tenant_is_not_started_for_another(hook: TenantIntegration) -> None:
    """Between the preview and the button, the person has looked at another tenant in another window."""
    other = make_tenant("Northwind")
    client, address = browser("operator", hook.tenant, other), reverse("console:job-new")
    client.post(reverse("console:tenant"), {"tenant": hook.tenant.pk})
    page = read(client, f"{address}?show=1&kind=replay&pace=5")
    kept = dict(re.findall(r'<input type="hidden" name="(?!csrf)([^"]+)" value="([^"]*)">', page))
    client.post(reverse("console:tenant"), {"tenant": other.pk})
    answer = client.post(address, kept)
    assert answer.status_code == 400 and "another tenant than the one you look at now" in answer.content.decode()
    assert not Job.objects.exists()
    client.post(reverse("console:tenant"), {"tenant": hook.tenant.pk})
    assert client.post(address, kept).status_code == 302 and Job.objects.get().tenant_id == hook.tenant_id


def test_progress_is_live_while_there_is_any(hook: TenantIntegration) -> None:
    client = browser(VIEWER, hook.tenant)
    job = replay_of(hook)
    running = {"state": "running", "total": 4000, "done": 1000, "skipped": 200, "rate": 40.0, "started_at": after(-30)}
    Job.objects.filter(pk=job.pk).update(**running)
    part = read(client, f"/console/jobs/{job.pk}/", headers={"HX-Request": "true"})
    assert part.lstrip().startswith('<div id="job" hx-get="') and "<html" not in part
    for words in ('value="30"', "1,200 of 4,000 looked at", "40 a second", "about 70 seconds left"):
        assert words in part
    rows = read(client, "/console/jobs/", headers={"HX-Request": "true"})
    assert 'hx-trigger="every 3s"' in rows and "1,200 of 4,000" in rows and "<html" not in rows
    Job.objects.filter(pk=job.pk).update(state="failed", last_error="5 batches failed", ended_at=after(0))
    over = read(client, f"/console/jobs/{job.pk}/")
    assert "hx-trigger" not in over and "5 batches failed" in over
    assert "hx-trigger" not in read(client, "/console/jobs/")
    waiting, behind = replay_of(hook), replay_of(hook)
    assert "for a worker" in read(client, f"/console/jobs/{waiting.pk}/")
    assert f'until <a href="/console/jobs/{waiting.pk}/">{waiting}</a>' in read(client, f"/console/jobs/{behind.pk}/")


def test_pages_ask_little_however_much_there_is(hook: TenantIntegration, django_assert_max_num_queries: Any) -> None:
    client = browser(MANAGER, hook.tenant)
    for _ in range(30):
        job = replay_of(hook)
    with django_assert_max_num_queries(15):
        text = read(client, "/console/jobs/")
    oldest = Job.objects.order_by("-id")[24].pk
    assert f"?before={oldest}" in text
    assert "Newer" in read(client, f"/console/jobs/?before={oldest}")
    for address in (f"/console/jobs/{job.pk}/", "/console/jobs/new/", "/console/jobs/?before=x"):
        with django_assert_max_num_queries(15):
            read(client, address)
    with django_assert_max_num_queries(25):  # it looks for deliveries
        read(client, "/console/jobs/new/?show=1&kind=replay&status=failed&pace=50&since=24h")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 second"), (70, "70 seconds"), (200, "3 minutes"), (7800, "2 h 10 min")]
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_one_job_too_many_is_refused_in_words(hook: TenantIntegration, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "JOBS_PER_TENANT": 1}
    failed = start_replay(hook.tenant_id, ReplayFilter(status="failed"), actor="ann")
    Job.objects.filter(pk=failed.pk).update(state="failed")
    client, body = browser(OPERATOR, hook.tenant), {"kind": "replay", "status": "failed", "pace": "5"}
    address = reverse("console:job-new")
    assert client.post(address, body).status_code == 302
    refused = client.post(address, body)
    assert refused.status_code == 400 and "Wait until one is, or cancel one." in refused.content.decode()
    answer = client.post(reverse("console:job-resume", args=[failed.pk]), follow=True)
    assert "Wait until one is, or cancel one." in answer.content.decode()
    assert Job.objects.exclude(state="failed").count() == 1
