"""The rows that the benchmark inserts are those that a save records, and the workers deliver them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from django.utils import timezone

from app.bench import ours, rows
from app.bench.scenarios.saving import Statements, uncaptured_model
from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, Lane, TenantIntegration
from integrations.tasks import send_integration_webhook
from integrations.tests.receiver import Receiver
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

OWN = {
    "id",
    "event",
    "object_id",
    "object_key",
    "idempotency_key",
    "body",
    "created_at",
    "occurred_at",
    "next_attempt_at",
}


def _values(row: models.Model) -> dict[str, Any]:
    return {field.name: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in OWN}


def test_an_inserted_row_is_that_of_a_save(receiver: Receiver) -> None:
    integration = ours.add_integration("Bench", receiver.url)
    body = rows.template_body(integration)
    assert not IntegrationEvent.objects.exists() and not WorkItem.objects.exists()
    ours.save_item(integration.tenant, "saved")
    saved = IntegrationSync.objects.select_related("event").get()
    assert rows.add_due([integration], 3, body) == 3
    inserted = IntegrationSync.objects.select_related("event").exclude(pk=saved.pk).order_by("id")
    for row in inserted:
        assert _values(row) == _values(saved)
        assert _values(row.event) == _values(saved.event)
        item = WorkItem.objects.get(pk=row.event.object_id)
        assert f'"reference_id":"{item.reference_id}"' in row.event.body
        assert row.object_key == f"{row.event.content_type_id}:{item.pk}"
        assert row.next_attempt_at <= timezone.now()
    assert rows.add_due([integration], 2, body) == 2  # again: no key is used twice


def test_inserted_rows_are_sent_settled_logged_and_noted(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    integration = ours.add_integration("Bench", receiver.url)
    rows.add_due([integration], 5, rows.template_body(integration))
    assert not ours.settled([integration.pk])
    send_integration_webhook(integration.pk)
    assert ours.settled([integration.pk])
    assert len(receiver.requests) == ExecutionLog.objects.filter(action="deliver").count() == Note.objects.count() == 5


def test_a_crowd_has_lanes_and_history_and_nothing_due() -> None:
    crowd = rows.add_lanes(4)
    assert rows.add_settled(crowd, 3) == 12
    assert rows.add_settled(crowd, 1) == 4
    rows.analyze()
    assert Lane.objects.count() == TenantIntegration.objects.count() == 4
    assert set(IntegrationSync.objects.values_list("status", flat=True)) == {"synced"}
    assert ours.settled(list(Lane.objects.values_list("pk", flat=True)))


def test_rows_that_are_only_in_the_way_have_no_object() -> None:
    rows.add_lanes(2)
    integrations = list(TenantIntegration.objects.order_by("id"))
    assert rows.add_due(integrations, 4, '{"reference_id":"BENCHREF"}', with_items=False) == 8
    assert not WorkItem.objects.exists()
    assert IntegrationSync.objects.filter(integration=integrations[0], status="pending").count() == 4


def test_an_unknown_column_is_said() -> None:
    with pytest.raises(ValueError, match="Lane has no column colour"):
        rows.insert(Lane, {"colour": "'red'"}, rows.series(1))


def test_quotes_in_a_text_stay() -> None:
    assert [rows.literal(value) for value in (None, True, 3, "it's", ["a"])] == [
        "NULL",
        "TRUE",
        "3",
        "'it''s'",
        "'[\"a\"]'",
    ]


def test_the_uncaptured_model_saves_a_work_item_that_nobody_hears_of(receiver: Receiver) -> None:
    integration = ours.add_integration("Bench", receiver.url)
    counted = Statements()
    from django.db import connection

    with connection.execute_wrapper(counted):
        item = uncaptured_model()(tenant_id=integration.tenant_id, reference_id="quiet")
        item.save()
    assert counted.count == 1
    assert WorkItem.objects.get(pk=item.pk).reference_id == "quiet"
    assert not IntegrationEvent.objects.exists()
