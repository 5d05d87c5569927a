"""The periodic look at all lanes, and what tidies up after them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.audit.retention import purge_log
from integrations.credentials.encryption import EncryptionService
from integrations.delivery import hints, operator_actions
from integrations.delivery.schedule import ensure_schedule
from integrations.delivery.sweep import sweep
from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.outbox.retention import purge
from integrations.tests.factories import make_integration, make_item, make_tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.usefixtures("broker")]


def due(**lane: Any) -> TenantIntegration:
    tenant = make_tenant(f"tenant {timezone.now().timestamp()}")
    integration = make_integration(tenant)
    make_item(tenant)
    Lane.objects.filter(pk=integration.pk).update(**lane)
    return integration


LATER, EARLIER = timezone.now() + timedelta(hours=1), timezone.now() - timedelta(hours=1)


@pytest.mark.parametrize(
    ("lane", "count"),
    [
        pytest.param({}, 1, id="never tried"),
        pytest.param({"lease_token": "dead", "lease_expires_at": EARLIER}, 1, id="its worker died"),
        pytest.param({"lease_token": "alive", "lease_expires_at": LATER}, 0, id="somebody is at it"),
        pytest.param({"paused_until": LATER}, 0, id="paused"),
        pytest.param({"paused_until": EARLIER}, 1, id="pause over"),
    ],
)
def test_which_lanes_are_woken(lane: dict[str, Any], count: int) -> None:
    due(**lane)
    assert sweep() == {"due": count, "woken": count}


def test_what_waits_for_its_retry_is_not_due() -> None:
    due()
    IntegrationSync.objects.update(next_attempt_at=LATER)
    assert sweep()["due"] == 0


def test_a_disabled_lane_waits_for_a_person_and_an_inactive_one_is_cancelled() -> None:
    disabled, inactive = due(), due()
    TenantIntegration.objects.filter(pk=disabled.pk).update(is_enabled=False)
    TenantIntegration.objects.filter(pk=inactive.pk).update(is_active=False)
    assert sweep()["due"] == 1
    operator_actions.re_enable(disabled, actor="alice")
    assert sweep()["due"] == 1  # the other one's hint is under way


def test_a_lane_is_asked_for_once_until_its_hint_is_old() -> None:
    due(), due()
    assert sweep() == {"due": 2, "woken": 2}
    assert sweep() == {"due": 0, "woken": 0}
    Lane.objects.update(hinted_at=timezone.now() - timedelta(seconds=61))
    assert sweep() == {"due": 2, "woken": 2}


def test_a_mark_whose_hint_could_not_be_sent_is_taken_back(monkeypatch: Any) -> None:
    due(), due()
    monkeypatch.setattr(hints, "_rest_until", float("inf"))
    sweep()
    assert Lane.objects.filter(hinted_at=None).count() == 2


def test_an_integration_without_a_lane_gets_one() -> None:
    integration = due()
    Lane.objects.all().delete()
    assert sweep()["due"] == 1
    assert Lane.objects.get().pk == integration.pk


def test_a_broker_that_is_away_ends_the_sweep_and_loses_nothing(settings: Any, monkeypatch: Any) -> None:
    due(), due()
    monkeypatch.setattr(hints, "_rest_until", float("inf"))
    assert sweep() == {"due": 2, "woken": 0}
    assert IntegrationSync.objects.filter(status="pending").count() == 2


def test_the_schedule_is_made_once_and_an_operators_change_is_kept() -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    PeriodicTask.objects.all().delete()
    ensure_schedule()
    made = PeriodicTask.objects.count()
    task = PeriodicTask.objects.get(task="integrations.tasks.retry_failed_syncs")
    assert task.interval.every == 15
    task.interval, _ = IntervalSchedule.objects.get_or_create(every=90, period="seconds")
    task.enabled = False
    task.save()
    ensure_schedule()
    task.refresh_from_db()
    assert (task.interval.every, task.enabled, PeriodicTask.objects.count()) == (90, False, made)


def test_retention_forgets_only_what_is_settled_and_old(settings: Any) -> None:
    settings.INTEGRATIONS = {"RETENTION_BATCH": 2}
    tenant = make_tenant()
    make_integration(tenant)
    for _ in range(7):
        make_item(tenant)
    old, young = timezone.now() - timedelta(days=31), timezone.now()
    events = list(IntegrationEvent.objects.order_by("id"))
    IntegrationEvent.objects.update(occurred_at=old)
    IntegrationEvent.objects.filter(pk=events[-1].pk).update(occurred_at=young)
    IntegrationSync.objects.exclude(event=events[2]).update(status="synced", settled_at=old)
    assert purge() == {"events": 5, "syncs": 5}
    left = list(IntegrationEvent.objects.order_by("id"))
    assert left == [events[2], events[-1]]  # one is still owed, one is young


def test_log_entries_of_no_sync_are_forgotten_too() -> None:
    integration = make_integration(make_tenant())
    for action, age in (("test", 31), ("re-enable", 1)):
        entry = ExecutionLog.objects.create(integration=integration, action=action)
        ExecutionLog.objects.filter(pk=entry.pk).update(created_at=timezone.now() - timedelta(days=age))
    assert purge_log() == 1
    assert ExecutionLog.objects.get().action == "re-enable"


def test_the_sweep_asks_once_whatever_the_number_of_lanes() -> None:
    for _ in range(3):
        due(paused_until=LATER)
    with CaptureQueriesContext(connection) as queries:
        sweep()
    assert len([q for q in queries if "SAVEPOINT" not in q["sql"]]) == 2


def test_rotate_encryption_seals_again_with_the_newest_key(settings: Any, capsys: Any) -> None:
    old, new = "aa" * 32, "bb" * 32
    settings.ENCRYPTION_MASTER_KEY = f"old:{old}"
    integration = make_integration(make_tenant(), headers={"X-API-Key": "k"})
    settings.ENCRYPTION_MASTER_KEY = f"new:{new},old:{old}"
    call_command("rotate_encryption", "--dry-run")
    integration.refresh_from_db()
    assert EncryptionService.needs_reseal(integration.headers_encrypted)
    call_command("rotate_encryption")
    settings.ENCRYPTION_MASTER_KEY = f"new:{new}"
    integration.refresh_from_db()
    assert integration.headers == {"X-API-Key": "k"} and integration.webhook_url == "https://hooks.example.com/x"
    settings.ENCRYPTION_MASTER_KEY = "other:" + "cc" * 32
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("rotate_encryption")
    capsys.readouterr()
