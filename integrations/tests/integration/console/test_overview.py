"""The overview and the page of the system: whose figures, what a newcomer reads, what runs, at a bounded price."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.console.access import CHOSEN
from integrations.database.times import after
from integrations.models import (
    IntegrationFigures,
    IntegrationSync,
    Lane,
    ProcessHeartbeat,
    TenantIntegration,
    TotalFigures,
)
from integrations.observability.backlog import Backlog, backlog
from integrations.statistics.models import MINUTE
from integrations.statistics.rolling import minute_now, roll_up
from integrations.tests.factories import make_integration, make_item, make_tenant
from tenants.models import Tenant

from .test_frame import person

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def operator() -> Client:
    return signed_in(User.objects.create_superuser("op"))


def text_of(client: Client, url: str = "/console/", **headers: Any) -> str:
    answer = client.get(url, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def delivered(tenant: Tenant, count: int, minutes_ago: int = 5, **more: int) -> None:
    integration = make_integration(tenant)
    IntegrationFigures.objects.create(
        integration=integration,
        resolution=MINUTE,
        start=minute_now() - minutes_ago,
        delivered=count,
        duration_3=count,
        age_2=count,
        **more,
    )
    Lane.objects.filter(pk=integration.pk).update(delivered_count=count)


def test_each_sees_the_figures_of_their_own_tenants() -> None:
    acme, bolt = make_tenant("Acme"), make_tenant("Bolt")
    delivered(acme, 1_234, retrying=11, given_up=2)
    delivered(bolt, 777)
    for is_summed_up in (False, True):
        ada, op = signed_in(User.objects.filter(username="ada").first() or person(acme)), operator()
        mine = text_of(ada)
        assert "1,234" in mine and "99.0 % of 1,247 attempts" in mine and "11 tried again, 2 given up" in mine
        assert "777" not in mine and "2,011" not in mine
        assert "2,011" in text_of(op)
        session = op.session
        session[CHOSEN] = str(bolt.pk)
        session.save()
        chosen = text_of(op)
        assert "777" in chosen and "1,234" not in chosen
        User.objects.filter(username="op").delete()
        if not is_summed_up:
            roll_up()


def test_a_range_and_the_same_as_a_table() -> None:
    tenant = make_tenant()
    delivered(tenant, 41, minutes_ago=3)
    delivered(tenant, 59, minutes_ago=200)
    client = signed_in(person(tenant))
    assert "41 of 41" not in text_of(client, "/console/?range=1h") and ">41<" in text_of(client, "/console/?range=1h")
    day = text_of(client)
    assert ">100<" in day and 'aria-current="true">24 h' in day and "As a table" not in day
    table = text_of(client, "/console/?range=24h&table=1")
    assert "<td>59</td><td>0</td>" in table
    assert ">100<" in text_of(client, "/console/?range=nonsense")


def test_htmx_gets_what_it_swaps_and_no_frame() -> None:
    tenant = make_tenant()
    delivered(tenant, 5)
    part = text_of(signed_in(person(tenant)), "/console/?range=7d", **{"HX-Request": "true"})
    assert part.lstrip().startswith('<div id="overview" hx-get="?range=7d"') and "<html" not in part


def test_a_newcomer_reads_what_to_do_first() -> None:
    tenant = make_tenant()
    client = signed_in(person(tenant))
    assert "Nothing is connected yet" in text_of(client)
    delivered(make_tenant("Other"), 5)
    assert "Nothing is connected yet" in text_of(client)
    make_integration(tenant)
    assert "Nothing was delivered yet" in text_of(client)


def test_what_waits_and_which_is_due_longest() -> None:
    tenant, other = make_tenant(), make_tenant("Other")
    for each in (tenant, other):
        delivered(each, 1)
    waits = make_integration(tenant, name="Slow Shop")
    make_item(tenant)
    IntegrationSync.objects.update(next_attempt_at=after(-600))
    Lane.objects.exclude(pk=waits.pk).update(paused_until=after(600))
    found = text_of(signed_in(person(tenant)))
    assert "oldest due for 10 min" in found and "Slow Shop" in found
    Lane.objects.update(paused_until=after(600))
    assert "nothing is due" in text_of(signed_in(User.objects.get(username="ada")))
    assert "Slow Shop" not in text_of(signed_in(person(other, name="eve")))


def test_a_lost_worker_is_told_to_operators_and_its_name_to_nobody_else() -> None:
    tenant = make_tenant()
    delivered(tenant, 1)
    for name, seconds in (("worker@web-2:1", 1), ("worker@web-2:2", 300)):
        ProcessHeartbeat.objects.create(
            name=name, kind="worker", host="web-2", pid=7, queues="deliveries,slow", beaten_at=after(-seconds)
        )
    op, ada = operator(), signed_in(person(tenant))
    assert "1 running, 1 lost: last seen 5 min ago" in text_of(op)
    page = text_of(op, "/console/system/")
    assert page.count("web-2") == 2 and ">lost</span>" in page and "Deliver what is due" in page
    mine = text_of(ada)
    assert "web-2" not in mine and "lost: last seen" not in mine and "Nothing is lost" in mine
    refused = ada.get("/console/system/")
    assert refused.status_code == 403 and b"web-2" not in refused.content


def test_the_pages_cost_a_few_queries_however_much_there_is() -> None:
    for name in ("Acme", "Bolt", "Cord"):
        tenant = make_tenant(name)
        for _ in range(3):
            delivered(tenant, 3)
        make_item(tenant)
    roll_up()
    client = operator()
    for url in ("/console/", "/console/system/"):
        client.get(url)
        with CaptureQueriesContext(
            connection,
        ) as found:
            client.get(url)
        assert len(found) <= 15, "\n".join(each["sql"][:150] for each in found.captured_queries)


def test_what_fails_comes_first_with_its_error_and_only_to_its_own_people() -> None:
    acme, bolt = make_tenant("Acme"), make_tenant("Bolt")
    for each in (acme, bolt):
        delivered(each, 3)
    ada = signed_in(person(acme))
    assert "No integration is failing" in text_of(ada)
    off, rests = make_integration(acme, name="Old ERP"), make_integration(acme, name="Busy Shop")
    TenantIntegration.unannounced.filter(pk=off.pk).update(is_enabled=False, disabled_reason="401 three times in a row")
    Lane.objects.filter(pk=rests.pk).update(paused_until=after(600), pause_reason="asked to wait")
    found = text_of(ada)
    assert "No integration is failing" not in found
    assert 0 < found.index("Old ERP") < found.index("401 three times in a row") < found.index("Busy Shop")
    theirs = text_of(signed_in(person(bolt, name="eve")))
    assert "Old ERP" not in theirs and "No integration is failing" in theirs
    assert "Acme" in text_of(operator())  # several tenants: each row says whose it is


def test_what_its_object_holds_back_is_not_overdue() -> None:
    tenant = make_tenant()
    target = make_integration(tenant, name="Shop")
    item = make_item(tenant)
    item.description = "changed"
    item.save()
    first, later = IntegrationSync.objects.order_by("pk")
    IntegrationSync.objects.filter(pk=first.pk).update(first_failed_at=after(-600), next_attempt_at=after(600))
    IntegrationSync.objects.filter(pk=later.pk).update(next_attempt_at=after(-600))
    assert backlog(10) == Backlog(2)
    IntegrationSync.objects.filter(pk=first.pk).update(next_attempt_at=after(-300))
    first.refresh_from_db(fields=["next_attempt_at"])
    found = backlog(1, [tenant.pk])
    assert (found.count, found.is_more, found.integration, found.name) == (1, True, target.public_id, "Shop")
    assert found.due_for is not None
    assert 299 < found.due_for < (timezone.now() - first.next_attempt_at).total_seconds() + 1
    assert backlog(10, []) == backlog(10, [make_tenant("Other").pk]) == Backlog(0)


def test_who_may_see_every_tenant_reads_what_is_summed_up_for_all() -> None:
    tenants = [make_tenant(name) for name in ("Acme", "Bolt")]
    for tenant in tenants:
        delivered(tenant, 20)
    roll_up()
    TotalFigures.objects.update(delivered=4_444)
    assert "4,444" in text_of(signed_in(person(*tenants)))
    make_tenant("Cord")
    mine = text_of(signed_in(User.objects.get(username="ada")))
    assert "4,444" not in mine and ">40<" in mine
