"""Figures of deliveries: written when a slice is settled, summed up, read, forgotten."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.delivery import operator_actions
from integrations.delivery.deletion import delete_marked
from integrations.delivery.drain import drain
from integrations.delivery.send_now import send_now
from integrations.models import IntegrationFigures, IntegrationSync, RollUp, TenantFigures, TotalFigures
from integrations.retry_policy import push
from integrations.statistics.figures import COLUMNS, COUNTS, Figures, total
from integrations.statistics.models import DAY, HOUR, MINUTE
from integrations.statistics.reading import (
    DAY_LONG,
    EVERYBODY,
    HOUR_LONG,
    RANGES,
    WEEK_LONG,
    YEAR_LONG,
    Whose,
    series,
    sparklines,
    totals,
)
from integrations.statistics.retention import purge_figures
from integrations.statistics.rolling import GRACE, minute_now, roll_up
from integrations.tenancy.deletion import begin
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _settings(settings: Any, receiver: Receiver) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}


def counts(figures: Figures) -> tuple[int, ...]:
    return tuple(getattr(figures, name) for name in COUNTS)


def write(integration_id: int, start: int, **values: int) -> None:
    IntegrationFigures.objects.create(integration_id=integration_id, resolution=MINUTE, start=start, **values)


def at(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60 + 30, UTC)


# -- written ---------------------------------------------------------------------------------------------------


def test_a_slice_adds_to_its_integrations_minute(receiver: Receiver) -> None:
    target, other = (make_integration(make_tenant(name), receiver.url, max_attempts=2) for name in ("Acme", "Bert"))
    for _ in range(3):
        make_item(target.tenant)
    drain(target.pk)
    receiver.answer_with(503, 503)
    make_item(target.tenant)
    drain(target.pk)  # tried again later
    IntegrationSync.objects.filter(status="pending").update(next_attempt_at="2020-01-01T00:00:00Z")
    drain(target.pk)  # given up
    found = totals(Whose(integration=target.pk), HOUR_LONG)
    assert counts(found) == (3, 1, 1, 0)
    assert (sum(found.durations), sum(found.ages)) == (5, 3)
    assert found.age_ms >= 0
    assert counts(totals(Whose(integration=other.pk), HOUR_LONG)) == (0, 0, 0, 0)
    # Also of what is not summed up yet.
    assert counts(totals(EVERYBODY, HOUR_LONG)) == counts(totals(Whose((target.tenant_id,)), HOUR_LONG)) == (3, 1, 1, 0)
    assert counts(totals(Whose((other.tenant_id,)), HOUR_LONG)) == counts(totals(Whose(()), HOUR_LONG)) == (0,) * 4


def test_what_is_sent_while_somebody_waits_counts_too(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    assert send_now(target.pk, IntegrationSync.objects.get().pk, push()) == ""
    assert counts(totals(Whose(integration=target.pk), HOUR_LONG)) == (1, 0, 0, 0)


def test_what_people_and_switches_end_is_cancelled(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    for _ in range(3):
        make_item(target.tenant)
    operator_actions.cancel([IntegrationSync.objects.latest("pk").pk], actor="ann")
    target.is_active = False
    target.save()
    drain(target.pk)
    assert counts(totals(Whose(integration=target.pk), HOUR_LONG)) == (0, 0, 0, 3)


# -- summed up -------------------------------------------------------------------------------------------------


def test_whatever_is_summed_up_already_the_figures_are_the_same() -> None:
    """Minutes of two days in three integrations of two tenants; summed up to here and there, read in every range."""
    chance = random.Random(3)
    acme, bert = make_tenant("Acme"), make_tenant("Bert")
    of = {make_integration(acme).pk: acme, make_integration(acme).pk: acme, make_integration(bert).pk: bert}
    now = minute_now()
    written = []
    for minute in sorted(chance.sample(range(now - 2 * DAY, now + 1), 150)):
        for pk in of:
            values = {name: chance.randrange(5) for name in COLUMNS}
            write(pk, minute, **values)
            written.append((pk, minute, Figures.from_values(list(values.values()))))
    scopes = [
        (EVERYBODY, set(of)),
        *((Whose((one.pk,)), {pk for pk, tenant in of.items() if tenant == one}) for one in (acme, bert)),
        *((Whose(integration=pk), {pk}) for pk in of),
    ]

    def check() -> None:
        for whose, pks in scopes:
            for span in RANGES:
                wanted: dict[int, Figures] = {}
                for pk, minute, each in written:
                    if pk in pks:
                        start = minute // span.step * span.step
                        wanted[start] = wanted.get(start, Figures()) + each
                points = series(whose, span, now=at(now))
                starts = [int(point.at.timestamp() // 60) for point in points]
                assert len(points) == span.minutes // span.step
                found = [point.figures for point in points]
                assert found == [wanted.get(start, Figures()) for start in starts], (whose, span.name)
        sparks = sparklines(list(of))
        assert {pk: len(each) for pk, each in sparks.items()} == dict.fromkeys(of, 24)
        sums = {pk: total(figures) for pk, figures in sparklines(list(of), WEEK_LONG).items()}
        assert sums == {pk: totals(Whose(integration=pk), WEEK_LONG) for pk in of}

    check()
    done = roll_up()
    assert done["minutes"] > HOUR and done["hours"] >= 24 and done["days"] in (1, 2)
    check()
    assert roll_up()["days"] == 0
    for until in RollUp.objects.exclude(pk="tenants"):  # as if it had not come so far
        until.until -= 1
        until.save()
    IntegrationFigures.objects.filter(resolution=DAY).delete()
    RollUp.objects.filter(pk="days").update(until=0)
    RollUp.objects.filter(pk="hours").update(until=(now - DAY) // HOUR * HOUR)
    check()


def test_the_last_minutes_are_left_to_those_who_settle_in_them() -> None:
    target = make_integration(make_tenant())
    now = minute_now()
    write(target.pk, now - GRACE - 5, delivered=1)
    write(target.pk, now, delivered=1)
    roll_up()
    assert TotalFigures.objects.get(resolution=MINUTE).start == now - GRACE - 5
    assert TenantFigures.objects.get(resolution=MINUTE).delivered == 1
    assert totals(EVERYBODY, HOUR_LONG).delivered == 2


def test_a_point_says_how_many_a_minute() -> None:
    target = make_integration(make_tenant())
    now = minute_now() // 10 * 10 + 2
    write(target.pk, now - 10, delivered=30)
    write(target.pk, now, delivered=5)
    *_, before, last = series(Whose(integration=target.pk), DAY_LONG, now=at(now))
    assert (before.minutes, before.a_minute(before.figures.delivered)) == (10, 3.0)
    assert (last.minutes, last.a_minute(last.figures.delivered)) == (2.5, 2.0)


# -- gone ------------------------------------------------------------------------------------------------------


def test_a_deleted_integrations_figures_go_and_its_tenants_stay(receiver: Receiver) -> None:
    tenant = make_tenant()
    target, other = make_integration(tenant), make_integration(tenant)
    minute = minute_now() - 3 * HOUR
    for each in (target, other):
        write(each.pk, minute, delivered=4)
    roll_up()
    begin(type(target), [target.pk], using="default", in_background=False)
    delete_marked()
    assert set(IntegrationFigures.objects.values_list("integration_id", flat=True)) == {other.pk}
    assert totals(Whose((tenant.pk,)), WEEK_LONG).delivered == totals(EVERYBODY, WEEK_LONG).delivered == 8
    tenant.delete()
    assert not IntegrationFigures.objects.exists() and not TenantFigures.objects.exists()
    assert totals(EVERYBODY, WEEK_LONG).delivered == 8


def test_minutes_go_after_days_and_hours_after_weeks(settings: Any) -> None:
    target = make_integration(make_tenant())
    now = minute_now()
    for days in (401, 36, 3, 1):
        write(target.pk, now - days * DAY, delivered=1)
    RollUp.objects.create(name="tenants", until=now - 500 * DAY)
    assert purge_figures() == 0  # nothing is summed up
    roll_up()
    purge_figures()
    left = {
        (model.__name__, resolution): model.objects.filter(resolution=resolution).count()
        for model in (IntegrationFigures, TenantFigures, TotalFigures)
        for resolution in (MINUTE, HOUR, DAY)
    }
    days = IntegrationFigures.objects.filter(resolution=DAY, start__gte=now - 400 * DAY).count()
    for name in ("IntegrationFigures", "TenantFigures", "TotalFigures"):
        assert (left[name, MINUTE], left[name, HOUR]) == (1, 2)
        assert left[name, DAY] == days and days in (2, 3)
    assert totals(EVERYBODY, YEAR_LONG).delivered == 3
    assert purge_figures() == 0
    write(target.pk + 100, now, delivered=1)  # of an integration that was deleted meanwhile
    assert purge_figures() == 1
