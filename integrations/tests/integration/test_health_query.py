"""The rule of health, asked by the database of all integrations at once, says what it says of each."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from integrations.database import clock
from integrations.health.query import NUMBER, numbered
from integrations.health.reading import facts_of, health_of
from integrations.health.rule import Case, Facts, case_of
from integrations.models import EventSubscription, Lane, SyncState, TenantIntegration
from integrations.tests.factories import make_integration, make_tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

HOW_MANY = 700
MINUTE, DAY, MOMENT = timedelta(minutes=1), timedelta(days=1), timedelta(microseconds=1)
# Delivered to, delivered to and tested by an event, exported to, read from, both; one that nobody installed.
TYPES = ("webhook", "webhook", "n8n", "slack", "SAP", "woocommerce", "openai", "email", "gone")


def test_the_database_sees_every_integration_as_the_rule_does() -> None:
    chance, now = random.Random(13), clock.now()
    tenant = make_tenant()
    rows = [_integration(tenant, number, chance, now) for number in range(HOW_MANY)]
    TenantIntegration.unannounced.bulk_create(rows)
    Lane.objects.filter(integration__in=rows).delete()
    Lane.objects.bulk_create(_lane(row, chance, now) for row in rows if chance.random() < 0.97)
    ticked = [
        EventSubscription(integration=row, event_type="workitem_created") for row in rows if chance.random() < 0.8
    ]
    EventSubscription.objects.bulk_create(ticked)
    pulls = [_pull(row, kind, chance, now) for row in rows for kind in ("orders", "products") if chance.random() < 0.2]
    SyncState.objects.bulk_create(pulls)
    for _ in range(3):  # nobody has agreed at the provider
        settings = {"base_url": "https://acme.salesforce.com", "grant": "authorization_code", "client_id": "id"}
        make_integration(tenant, integration_type="salesforce", credentials={**settings, "client_secret": ""})

    every = TenantIntegration.objects.order_by("pk")
    facts = facts_of(every)
    said = {pk: case_of(each, now) for pk, each in facts.items()}
    assert set(said.values()) == set(Case), "each case is there"
    with CaptureQueriesContext(connection) as queries:
        found = dict(numbered(every, lambda case: case.number, now).values_list("pk", NUMBER))
    assert len(queries) == 2, "who waits for a person's consent, and everything"
    wrong = [(found[pk], case, facts[pk]) for pk, case in said.items() if found[pk] != case.number]
    assert not wrong, wrong[:3]
    words = health_of(every, now)
    assert all((words[pk].state, words[pk].is_partial) == (case.state, case.is_partial) for pk, case in said.items())


def test_it_is_counted_and_filtered_by() -> None:
    tenant, now = make_tenant(), clock.now()
    for name, columns in (("a", {}), ("b", {"last_success_at": now}), ("c", {"last_success_at": now})):
        Lane.objects.filter(pk=make_integration(tenant, name=name).pk).update(**columns)
    every = numbered(TenantIntegration.objects.all(), lambda case: case.number, now)
    working = every.filter(**{NUMBER: Case.WORKING.number}, lane__delivered_count=F("lane__failed_count"))
    assert sorted(working.values_list("name", flat=True)) == ["b", "c"]
    assert every.filter(**{NUMBER: Case.NOTHING_DUE.number}).count() == 1


def test_without_rows_without_facts() -> None:
    assert not numbered(TenantIntegration.objects.none(), lambda case: case.number, clock.now()).exists()
    assert case_of(Facts(), clock.now()) == Case.NOTHING_DUE


def _integration(tenant: Any, number: int, chance: random.Random, now: datetime) -> TenantIntegration:
    return TenantIntegration(
        tenant=tenant,
        name=f"number {number}",
        integration_type=chance.choice(TYPES),
        is_active=chance.random() < 0.95,
        is_enabled=chance.random() < 0.95,
        is_connected=chance.random() < 0.5,
        last_test_at=chance.choice((None, now - 2 * DAY, now - MINUTE)),
        auth_failure_count=chance.choice((0, 0, 0, 1)),
    )


def _lane(row: TenantIntegration, chance: random.Random, now: datetime) -> Lane:
    begun = chance.choice((None, None, now - MINUTE, now - 2 * DAY))
    spans = (10 * MINUTE, 10 * MINUTE - MOMENT, DAY, DAY - MOMENT, MINUTE)  # what is just evidence, and just not
    failed = now - MINUTE if begun is None else begun + chance.choice(spans)
    rests = (None, None, now + MINUTE, now + MOMENT, now, now - MINUTE)
    rare = chance.random()
    return Lane(
        integration=row,
        deleting_since=now if rare < 0.03 else None,
        paused_since=now if 0.03 < rare < 0.06 else None,
        attention="the address moved for good" if 0.06 < rare < 0.1 else "",
        trouble=chance.choice(("", "", "", "3 events wait for a retry")),
        times_opened=chance.choice((0, 0, 0, 0, 1)),
        paused_until=chance.choice(rests),
        failing_since=begun,
        failing_rows=chance.choice((0, 1, 2, 3, 9, 10)) if begun else 0,
        failing_attempts=chance.choice((0, 0, 1, 2)) if begun else 0,
        last_failure_at=chance.choice((None, failed, failed, failed)),
        last_success_at=chance.choice((None, now - 3 * DAY, now - 3 * DAY)),
        gave_up_at=chance.choice((None, None, now - DAY, now - DAY + MOMENT)),
    )


def _pull(row: TenantIntegration, kind: str, chance: random.Random, now: datetime) -> SyncState:
    status = chance.choice((SyncState.Status.COMPLETED, SyncState.Status.IDLE, SyncState.Status.FAILED))
    return SyncState(
        connection=row, resource_type=kind, status=status, last_sync_at=chance.choice((None, now)), last_error="x"
    )
