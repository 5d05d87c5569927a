"""What is old enough to be forgotten is found, in whatever order a model's keys are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session

from integrations.database import clock
from integrations.database.retention import is_old, old_pages
from integrations.outbox.models import IntegrationEvent
from integrations.tests.factories import make_integration, make_item, make_tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _two_at_a_time(settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "RETENTION_BATCH": 2, "RETENTION_DAYS": 30}


def test_keys_that_do_not_ascend_are_looked_through() -> None:
    for key, days in (("a", 1), ("b", 1), ("c", 31), ("d", 1), ("e", 31), ("f", 31)):
        Session.objects.create(session_key=key, session_data="", expire_date=clock.now() - timedelta(days=days))
    assert list(old_pages(Session.objects.all(), is_old("expire_date"))) == [["c", "e"], ["f"]]
    assert list(old_pages(Session.objects.all(), is_old("expire_date", 40))) == []


def test_keys_that_ascend_are_read_to_the_first_page_without_an_old_row() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    for _ in range(6):
        make_item(tenant)
    keys = list(IntegrationEvent.objects.order_by("pk").values_list("pk", flat=True))
    old = clock.now() - timedelta(days=31)
    IntegrationEvent.objects.filter(pk__in=[*keys[:3], keys[5]]).update(occurred_at=old)
    assert list(old_pages(IntegrationEvent.objects.all(), is_old("occurred_at"))) == [keys[:2], [keys[2]]]
