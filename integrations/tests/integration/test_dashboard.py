"""The connectors' dashboard and the health of connectors: states, breakers, rates, tenants."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from integrations.connections.health import refused_reason
from integrations.connectors.registry import ConnectorRegistry
from integrations.models import ExecutionLog, Lane, TenantIntegration
from integrations.services.status import overall, statuses
from integrations.tests.factories import make_tenant

from .admin_world import CANARIES, Side, make_side
from .admin_world import make_integration as canary_integration

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]
URL = "/dashboards/connectors/"


@pytest.fixture
def side(settings: Any) -> Side:
    settings.SECURE_SSL_REDIRECT = False
    return make_side("acme")


def break_down(integration: TenantIntegration, **more: Any) -> None:
    Lane.objects.filter(pk=integration.pk).update(
        consecutive_failures=6,
        times_opened=2,
        breaker=Lane.Breaker.OPEN,
        opened_at=timezone.now() - timedelta(minutes=5),
        paused_until=timezone.now() + timedelta(minutes=1),
        pause_reason="circuit breaker: 6 failures in a row",
        **more,
    )


CHANNEL = "Teams: the channel is gone; choose another one"


@pytest.mark.parametrize(
    ("columns", "lane", "fault", "auth", "to_do"),
    [
        pytest.param(
            {"is_enabled": False, "auth_failure_count": 3, "disabled_reason": refused_reason(3)},
            {},
            "credentials",
            "disabled",
            "enter the right ones, then re-enable it",
            id="credentials",
        ),
        pytest.param(
            {"is_enabled": False, "auth_failure_count": 3, "disabled_reason": refused_reason(3, CHANNEL)},
            {"attention": CHANNEL},
            "set-up",
            "unproven",
            "mend what it says, then re-enable it",
            id="set-up",
        ),
        pytest.param(
            {"auth_failure_count": 2},
            {"attention": CHANNEL, "pause_reason": f"{CHANNEL} (2 in a row)"},
            "set-up",
            "unproven",
            "mend what it says, then resume it",
            id="set-up, still trying",
        ),
        pytest.param(
            {"auth_failure_count": 2},
            {"attention": "3 events wait", "pause_reason": "the destination refused our credentials (2 in a row)"},
            "credentials",
            "refused",
            "enter the right ones, then resume it",
            id="credentials, still trying",
        ),
        pytest.param(
            {"is_enabled": False, "disabled_reason": "410 Gone"}, {}, "gone", "unproven", "enter another one", id="410"
        ),
        pytest.param({}, {"times_opened": 1}, "destination", "unproven", "asked again by itself", id="down"),
        pytest.param({}, {}, "", "unproven", "", id="nothing"),
    ],
)
def test_whose_fault_it_is_and_what_to_do(
    side: Side, columns: dict[str, Any], lane: dict[str, Any], fault: str, auth: str, to_do: str
) -> None:
    """What is wrong with the set-up stood there as credentials that were refused."""
    TenantIntegration.objects.filter(pk=side.integration.pk).update(**columns)
    Lane.objects.filter(pk=side.integration.pk).update(**lane)
    (found,) = statuses(TenantIntegration.objects.filter(pk=side.integration.pk))
    assert (found.fault, found.auth) == (fault, auth)
    assert to_do in found.what_to_do and ("at fault" in found.what_to_do) == (fault not in ("", "gone"))
    text = side.client.get(f"/console/integrations/{side.integration.public_id}/").content.decode()
    assert to_do in text and ("at fault" in text) == (fault not in ("", "gone"))
    assert ("the credentials were refused" in text) == (fault == "credentials")


def test_it_shows_nothing_of_another_tenant(side: Side) -> None:
    other = make_side("umbrella")
    text = other.client.get(URL, follow=True).content.decode()
    assert "umbrella hook" in text and "acme" not in text
    body = other.client.get("/api/connectors/health").json()
    assert [each["name"] for each in body["connectors"]] == ["umbrella hook"]


def test_the_address_leads_to_the_consoles_list(side: Side) -> None:
    """Its facts are tested there: console/test_integrations.py."""
    broken = canary_integration(side.tenant, "Broken")
    break_down(broken)
    assert side.client.get(URL)["Location"] == "/console/integrations/"
    failing = side.client.get(URL + "?show=failing", follow=True).content.decode()
    assert "Broken" in failing and "acme hook" not in failing
    assert side.client.get(URL + "?show=<script>")["Location"] == "/console/integrations/"
    whole = side.client.get(URL, follow=True).content.decode()
    assert "acme hook" in whole and not any(canary in whole for canary in CANARIES)


def test_it_is_for_staff_with_the_permission(side: Side) -> None:
    assert Client().get(URL).status_code == 302
    assert make_side("viewer", permissions=("tasks",)).client.get(URL, follow=True).status_code == 403


def test_the_public_health_says_one_word(side: Side) -> None:
    assert (Client().get("/api/connectors/health").status_code, Client().get("/api/connectors/health").json()) == (
        200,
        {"status": "ok"},
    )
    break_down(side.integration)
    answer = Client().get("/api/connectors/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded"})  # one tenant's trouble
    assert side.client.get("/api/connectors/health").status_code == 503  # for that tenant it is all there is
    other = canary_integration(make_tenant("Other"), "Other")
    break_down(other)
    answer = Client().get("/api/connectors/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "down"})
    canary_integration(make_tenant("Fine"), "Fine")
    assert Client().get("/api/connectors/health").json() == {"status": "degraded"}
    details = side.client.get("/api/connectors/health").json()["connectors"][0]
    assert (
        details["breaker"] == "open" and details["next_probe_at"] and details["id"] == str(side.integration.public_id)
    )
    assert "pk" not in details


@pytest.mark.parametrize("why", [None, "acme-hook was written for version 9 of the connector kit"])
def test_a_connector_that_cannot_be_used_hides_no_other(
    side: Side, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package is gone, or was written for another version."""
    TenantIntegration.unannounced.filter(pk=side.integration.pk).update(integration_type="acme-hook")
    monkeypatch.setattr(ConnectorRegistry, "_broken", {"acme-hook": why} if why else {})
    canary_integration(side.tenant, "Fine")
    answer = side.client.get("/api/connectors/health").json()
    assert {each["connector"]: each["family"] for each in answer["connectors"]}["acme-hook"] == "unknown"
    assert len(answer["connectors"]) == 2
    assert Client().get("/api/connectors/health").status_code in (200, 503)


def test_figures_cost_four_queries(side: Side, django_assert_num_queries: Any) -> None:
    for number in range(5):
        canary_integration(side.tenant, f"hook {number}")
    ExecutionLog.objects.bulk_create(
        ExecutionLog(integration=side.integration, action="deliver", attempt=1, duration_ms=10, error="" if n else "x")
        for n in range(9)
    )
    with django_assert_num_queries(4):
        found = statuses(TenantIntegration.objects.all())
    (mine,) = [status for status in found if status.name == "acme hook"]
    assert (mine.calls, mine.error_rate, mine.mean_ms) == (10, 0.2, 9)
    assert overall(found) == "ok"
