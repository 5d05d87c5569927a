"""The rows that a filter chooses."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db.models.functions import Now

from integrations.database.times import after
from integrations.models import IntegrationSync
from integrations.outbox.filters import SyncFilter
from integrations.tests.factories import make_integration, make_item, make_tenant
from tasks.models import WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> dict[str, IntegrationSync]:
    """One row in each state, of two integrations of two tenants, and what is special about each."""
    acme, other = make_tenant(), make_tenant("Other")
    mine = make_integration(acme, name="Mine")
    theirs = make_integration(other, name="Theirs")
    states: dict[str, dict[str, Any]] = {
        "fresh": {},
        "retrying": {"first_failed_at": Now(), "attempts": 1, "response_status": 503, "last_error": "HTTP 503 (busy)"},
        "synced": {"status": "synced", "response_status": 204},
        "failed": {"status": "failed", "response_status": 404, "last_error": "HTTP 404 (no such 100%_hook)"},
        "silent": {"status": "failed", "last_error": "Timed out", "created_at": after(-7200)},
        "cancelled": {"status": "cancelled", "reason": "cancelled by ann"},
    }
    for number, values in enumerate(states.values()):
        item = make_item(acme, reference_id=f"RMA-{number}")
        IntegrationSync.objects.filter(event__object_id=str(item.pk)).update(**values)
    make_item(other)
    found = dict(zip([*states, "theirs"], IntegrationSync.objects.order_by("id"), strict=True))
    assert {row.integration_id for row in found.values()} == {mine.pk, theirs.pk}
    return found


def chosen(rows: dict[str, IntegrationSync], find: Any = None, **said: Any) -> set[str]:
    found = set(SyncFilter(**said).apply(IntegrationSync.objects.all(), find).values_list("pk", flat=True))
    return {name for name, row in rows.items() if row.pk in found}


def test_each_filter_finds_its_rows_and_no_others(rows: dict[str, IntegrationSync]) -> None:
    failed = rows["failed"]
    item = failed.event.object_id
    assert chosen(rows) == set(rows)
    assert chosen(rows, status="failed") == {"failed", "silent"}
    assert chosen(rows, status="retrying") == {"retrying"}
    assert chosen(rows, status="retrying,synced") == {"retrying", "synced"}
    assert chosen(rows, status="pending") == {"fresh", "retrying", "theirs"}
    assert chosen(rows, response_status="4xx") == {"failed"}
    assert chosen(rows, response_status="503,204") == {"retrying", "synced"}
    assert chosen(rows, response_status="none", status="failed") == {"silent"}
    assert chosen(rows, error="http") == {"retrying", "failed"}
    assert chosen(rows, error="100%_h") == {"failed"}
    assert chosen(rows, error="by ANN") == {"cancelled"}
    assert chosen(rows, event_type="workitem_created") == set(rows)
    assert chosen(rows, event_type="workitem_updated") == set()
    assert chosen(rows, object=item) == {"failed"}
    assert chosen(rows, object=f"tasks.WorkItem:{item}") == {"failed"}
    assert chosen(rows, object=f"tasks.customer:{item}") == set()
    assert chosen(rows, object=failed.event.idempotency_key) == {"failed"}
    assert chosen(rows, integration=failed.integration.public_id) == set(rows) - {"theirs"}
    assert chosen(rows, tenant="other") == {"theirs"} == chosen(rows, tenant=str(rows["theirs"].integration.tenant_id))
    assert chosen(rows, since="1h") == set(rows) - {"silent"}
    assert chosen(rows, until="1h") == {"silent"} == chosen(rows, since="3h", until="1h")
    assert chosen(rows, status="failed", response_status="4xx", error="hook", object=item, since="1h") == {"failed"}


def test_what_nobody_knows_finds_nothing(rows: dict[str, IntegrationSync]) -> None:
    for said in ({"tenant": "nobody"}, {"object": "RMA-3"}, {"integration": "7f1dd1a6-7f0e-4c3b-9d8e-2f5f6a7b8c9d"}):
        assert chosen(rows, **said) == set()


def test_words_find_the_objects_that_the_caller_knows(rows: dict[str, IntegrationSync]) -> None:
    def find(words: str) -> list[tuple[int, list[str]]]:
        pks = WorkItem.objects.filter(reference_id=words).values_list("pk", flat=True)
        return [(ContentType.objects.get_for_model(WorkItem).pk, [str(pk) for pk in pks])]

    assert chosen(rows, find, object="RMA-3") == {"failed"}


def test_it_is_said_with_the_name_of_its_integration(rows: dict[str, IntegrationSync]) -> None:
    public_id = rows["failed"].integration.public_id
    assert SyncFilter(status="failed", integration=public_id).in_words() == "failed deliveries of Mine"
