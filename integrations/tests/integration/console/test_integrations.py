"""The list of integrations: what needs somebody first, filters, pages, what it costs, whose it shows."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.models import IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.statistics.models import IntegrationFigures
from integrations.tests.factories import make_integration, make_item, make_tenant

from .people import operator_of_all, person

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]
URL = "/console/integrations/"
UNCONNECTED = {
    "base_url": "https://acme.salesforce.com", "grant": "authorization_code", "client_id": "id", "client_secret": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def names(html: str) -> list[str]:
    """The integrations that the page shows, from top to bottom."""
    return re.findall(r'<a class="title" href="/console/integrations/[0-9a-f-]+/">([^<]+)</a>', html)


def page(client: Client, query: str = "") -> str:
    answer = client.get(URL + query)
    assert answer.status_code == 200
    return answer.content.decode()


def lane(integration: TenantIntegration, **columns: Any) -> None:
    Lane.objects.filter(pk=integration.pk).update(**columns)


@pytest.fixture
def acme() -> Any:
    """A tenant with an integration in each kind of health."""
    tenant, now = make_tenant("Acme"), timezone.now()
    lane(make_integration(tenant, name="works"), last_success_at=now)
    broken = make_integration(tenant, name="broken")
    failing = {"failing_since": now - timedelta(hours=2), "failing_rows": 24, "last_failure_at": now}
    lane(broken, last_success_at=now - timedelta(days=1), last_error="hooks.example.com answered HTTP 400", **failing)
    rests = make_integration(tenant, name="rests", integration_type="n8n")
    lane(rests, paused_until=now + timedelta(minutes=9), pause_reason="the destination asked us to slow down")
    lane(make_integration(tenant, name="in part"), last_success_at=now, trouble="3 events wait for a retry")
    make_integration(tenant, name="switched off", is_active=False)
    make_integration(tenant, name="new")
    return tenant


def test_what_needs_somebody_comes_first_with_its_error_in_words(acme: Any) -> None:
    html = page(person("viewer", acme))
    assert names(html) == ["broken", "in part", "rests", "works", "new", "switched off"]
    said = ("✗ Failing", "HTTP 400", "⚠ Resting", "The destination asked us to slow down", "⚠ Works in part")
    counted = ("3 events wait for a retry", "✓ Working", "○ Ready", "– Off", "Failing 1", "Resting or paused 1")
    for words in (*said, *counted):
        assert words in html, words


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?health=failing", ["broken"]),
        ("?health=held", ["rests"]),
        ("?health=off", ["switched off"]),
        ("?type=n8n", ["rests"]),
        ("?q=IN+PA", ["in part"]),
        ("?q=n8n", ["rests"]),
        ("?sort=name", ["broken", "in part", "new", "rests", "switched off", "works"]),
        ("?sort=last", ["in part", "works", "broken", "new", "rests", "switched off"]),
        ("?health=failing&type=n8n", []),
        ("?q=nothing+like+it", []),
        ("?page=99", ["broken", "in part", "rests", "works", "new", "switched off"]),
        ("?health=<script>&sort=x&page=-1&type=%3Cx", []),
    ],
)
def test_it_narrows_and_sorts(acme: Any, query: str, shown: list[str]) -> None:
    html = page(person("viewer", acme), query)
    assert names(html) == shown or (not shown and "None of them" in html)
    assert "<script>" not in html


def test_it_shows_the_chosen_tenants_and_never_one_of_others(acme: Any) -> None:
    bolt, other = make_tenant("Bolt"), make_tenant("Other")
    make_integration(bolt, name="of Bolt")
    make_integration(other, name="secret of Other")
    assert names(page(person("viewer", bolt))) == ["of Bolt"]
    both = person("viewer", acme, bolt)
    html = page(both)
    assert len(names(html)) == 7 and "secret of Other" not in html and "Bolt" in html
    assert names(page(both, f"?tenant={bolt.pk}")) == ["of Bolt"]
    assert names(page(both, f"?tenant={other.pk}")) == []
    assert names(page(both, "?q=Other")) == []
    everybody = operator_of_all()
    assert len(names(page(everybody))) == 8
    assert names(page(everybody, f"?tenant={other.pk}")) == ["secret of Other"]
    assert names(page(everybody, "?q=other")) == ["secret of Other"]


def test_the_facts_of_the_connectors_dashboard_are_here(acme: Any) -> None:
    """Authentication, rate limit, error rate; breaker: since when, how many failures, next probe, reset."""
    down = make_integration(acme, name="down", rate_limit_per_minute=30)
    opened = timezone.now() - timedelta(minutes=5)
    until, why = timezone.now() + timedelta(minutes=1), "circuit breaker: 6 failures in a row"
    lane(down, times_opened=2, breaker="open", opened_at=opened, paused_until=until, pause_reason=why)
    lane(down, consecutive_failures=6)
    stopped = make_integration(acme, name="stopped")
    TenantIntegration.objects.filter(pk=stopped.pk).update(
        is_enabled=False, auth_failure_count=3, disabled_reason="refused three times"
    )
    minute = int(timezone.now().timestamp() // 60)
    IntegrationFigures.objects.create(integration=down, resolution=1, start=minute, delivered=1, retrying=2, given_up=1)
    html = page(person("operator", acme))
    for words in ("breaker open since", "6 failures in a row", "next probe", "30 a minute", "75 % failed",
                  "the credentials were refused 3 times in a row", "4 attempts in 24 hours, 3 failed"):  # fmt: skip
        assert words in html, words
    reset = f"/console/integrations/{down.public_id}/do/resume/"
    assert reset in html and reset not in page(person("viewer", acme))
    assert ">for 2\xa0hours</time>" in html  # of "broken": the state says for how long


def test_what_waits_for_consent_is_not_to_be_resumed(acme: Any) -> None:
    """Its events wait for a person at the provider: "Resumed, what is pending goes out now" would not be true."""
    waiting = make_integration(acme, name="no consent", integration_type="salesforce", credentials=UNCONNECTED)
    lane(waiting, attention="nobody has connected it", paused_until=timezone.now() + timedelta(minutes=9))
    html = page(person("operator", acme))
    assert "Not connected yet" in html and f"{waiting.public_id}/do/resume/" not in html


def test_what_waits_is_counted_within_bounds(acme: Any) -> None:
    works = TenantIntegration.objects.get(name="works")
    make_item(acme)
    event = IntegrationEvent.objects.get()
    IntegrationSync.objects.all().delete()
    copies = [
        IntegrationEvent(tenant=acme, event_type="x", content_type=event.content_type, object_id="1", body="{}",
                         occurred_at=event.occurred_at)
        for _ in range(1001)
    ]  # fmt: skip
    IntegrationEvent.objects.bulk_create(copies)
    made = IntegrationEvent.objects.exclude(pk=event.pk)
    IntegrationSync.objects.bulk_create(
        IntegrationSync(event=each, integration=works, object_key=f"1:{each.pk}") for each in made
    )
    assert "1000+" in page(person("viewer", acme))


def test_pages_and_queries_stay_the_same_however_many_there_are(acme: Any) -> None:
    client = operator_of_all()

    def more(tenants: int) -> int:
        """Make some more integrations, and return how many queries the page then takes."""
        for tenant in [make_tenant(f"T{tenants}{number}") for number in range(tenants)]:
            for number in range(12):
                make_integration(tenant, name=f"{tenant} {number:02}", integration_type="slack", signed=False)
        with CaptureQueriesContext(connection) as found:
            page(client)
        return len(found)

    assert more(1) == more(4) <= 15
    first = page(client, "?sort=name")
    second = page(client, "?sort=name&page=2")
    assert len(names(first)) == 50 and len(names(second)) == 16 and not set(names(first)) & set(names(second))
    assert "Page 2 of 2, 66 integrations" in second


def test_who_has_none_reads_what_one_is() -> None:
    html = page(person("viewer", make_tenant("Empty")))
    assert "There is no integration yet" in html
    assert Client().get(URL).status_code == 302
