"""The page "ERP push log": the columns of ``erp_push_log``, and nobody else's rows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from integrations.admin.push.admin import COLUMNS
from integrations.credentials.encryption import EncryptionService
from integrations.erp.push import PushOrchestrator
from integrations.models import ERPConnection, ERPPushLog
from integrations.tests.integration.admin_world import Side, make_side, page, superuser, url

pytestmark = [pytest.mark.django_db]

CANARY = "canary-ab12cd"
NAMES = ("id", "org id", "draft order id", "connector type", "status", "request json", "response json", "error message",
         "idempotency key", "retry count", "latency ms", "created at")  # fmt: skip


@pytest.fixture
def sides(settings: Any) -> tuple[Side, Side]:
    settings.SECURE_SSL_REDIRECT = False
    sides = make_side("ours"), make_side("theirs")
    for side, mode in zip(sides, ("success", "permanent"), strict=True):
        config = EncryptionService.encrypt_config({"mode": mode, "password": CANARY})
        ERPConnection.objects.create(org_id=side.tenant.pk, connector_type="MOCK", config_encrypted=config)
        order = {"id": f"{side.tenant.name} order", "text": "<script>"}
        PushOrchestrator().push_order(side.tenant.pk, order)
    return sides


def test_the_columns_are_the_guides(sides: tuple[Side, Side]) -> None:
    html = page(superuser(), url("erppushlog"))
    found = re.findall(r'<th scope="col"[^>]*>.*?<span>([^<]+)</span>|<div class="text"><span>([^<]+)</span>', html)
    assert tuple(a or b for a, b in found if "checkbox" not in (a or b)) == ("ID", *map(str.capitalize, NAMES[1:]))
    assert len(COLUMNS) == len(NAMES)
    assert "✓ Success" in html and "✗ Failed" in html and "does not want this order" in html
    assert CANARY not in html and "<script>&" not in html


def test_each_side_sees_its_own(sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    html = page(ours.client, url("erppushlog"))
    assert "ours Corp order" in html and "theirs" not in html
    push = ERPPushLog.objects.get(org_id=theirs.tenant.pk)
    assert ours.client.get(url("erppushlog", "change", push.pk)).status_code == 302
    assert "theirs" not in page(ours.client, url("erppushlog") + "?status=FAILED")


def test_the_page_of_one_push(sides: tuple[Side, Side]) -> None:
    ours, _ = sides
    push = ERPPushLog.objects.get(org_id=ours.tenant.pk)
    html = page(ours.client, url("erppushlog", "change", push.pk))
    assert push.idempotency_key in html and url("integrationsync", "change", push.pk) in html
    assert "&quot;event_type&quot;: &quot;order_push&quot;" in html and "&lt;script&gt;" in html
    assert "external_id" in html and CANARY not in html
    assert 'name="_save"' not in html and ours.client.get(url("erppushlog", "add")).status_code == 403
    sync = page(ours.client, url("integrationsync", "change", push.pk))
    assert "MOCK-" in sync and CANARY not in sync


def test_filters_and_search(sides: tuple[Side, Side]) -> None:
    client = superuser()
    ours = ERPPushLog.objects.get(status="SUCCESS")
    for query, count in (
        ("?status=SUCCESS", 1),
        ("?status=FAILED", 1),
        ("?status=RETRYING", 0),
        (f"?q={ours.idempotency_key}", 1),
        (f"?tenant={ours.org_id}", 1),
        ("?q=ours+Corp+order", 1),
        ("?q=nothing", 0),
    ):
        response = client.get(url("erppushlog") + query)
        assert len(response.context["cl"].result_list) == count, query


def test_the_list_costs_the_same_however_long_it_is(
    sides: tuple[Side, Side], django_assert_max_num_queries: Any
) -> None:
    ours, _ = sides
    for n in range(10):
        PushOrchestrator().push_order(ours.tenant.pk, {"id": n})
    with django_assert_max_num_queries(12):
        page(ours.client, url("erppushlog"))
    # The number of an order is not the number of a push.
    assert "ERP push 3" in page(ours.client, url("integrationsync"))
    assert url("erppushlog", "change", 3) not in page(ours.client, url("integrationsync"))
