"""Pushes in the console: what was handed over and what the ERP said, of one's own tenant, without a secret."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations.credentials.encryption import EncryptionService
from integrations.erp.push import PushOrchestrator
from integrations.models import ERPConnection, ERPPushLog
from integrations.outbox.models import IntegrationEvent
from integrations.tests.factories import make_tenant
from tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db

CANARY = "canary-ab12cd"


@pytest.fixture
def tenants(settings: Any) -> tuple[Tenant, Tenant]:
    settings.SECURE_SSL_REDIRECT = False
    made = make_tenant("ours"), make_tenant("theirs")
    for tenant, mode in zip(made, ("success", "permanent"), strict=True):
        config = EncryptionService.encrypt_config({"mode": mode, "password": CANARY})
        ERPConnection.objects.create(org_id=tenant.pk, connector_type="MOCK", config_encrypted=config)
        PushOrchestrator().push_order(tenant.pk, {"id": f"{tenant.name} order", "text": "<script>"})
    return made


def viewer_of(*tenants: Tenant) -> Client:
    user = User.objects.create_user("-".join(tenant.name for tenant in tenants))
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user, role="viewer")
    client = Client()
    client.force_login(user)
    return client


def read(client: Client, *args: Any, **query: str) -> str:
    answer = client.get(reverse("console:push" if args else "console:pushes", args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_says_what_became_of_each(tenants: tuple[Tenant, Tenant]) -> None:
    text = read(viewer_of(*tenants))
    for words in ("ours order", "theirs order", "✓ Success", "✗ Failed", "does not want this order"):
        assert words in text, words
    assert CANARY not in text and "<script>&" not in text


def test_one_push_shows_the_order_and_the_answer(tenants: tuple[Tenant, Tenant]) -> None:
    push = ERPPushLog.objects.get(org_id=tenants[0].pk)
    text = read(viewer_of(tenants[0]), push.pk)
    assert push.idempotency_key in text and reverse("console:delivery", args=[push.pk]) in text
    assert "&lt;script&gt;" in text and "external_id" in text and "MOCK-" in text
    assert CANARY not in text
    failed = ERPPushLog.objects.get(org_id=tenants[1].pk)
    text = read(viewer_of(tenants[1]), failed.pk)
    assert "does not want this order" in text and "Given up" in text and CANARY not in text


def test_each_side_sees_its_own(tenants: tuple[Tenant, Tenant]) -> None:
    client = viewer_of(tenants[0])
    theirs = ERPPushLog.objects.get(org_id=tenants[1].pk)
    assert client.get(reverse("console:push", args=[theirs.pk])).status_code == 404
    for query in ({}, {"state": "FAILED"}, {"order": "theirs order"}, {"order": theirs.idempotency_key}):
        listed = read(client, **query)
        assert reverse("console:push", args=[theirs.pk]) not in listed


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "SUCCESS"}, 1),
        ({"state": "FAILED"}, 1),
        ({"state": "RETRYING"}, 0),
        ({"order": "ours order"}, 1),
        ({"order": "nothing"}, 0),
        ({"state": "no state"}, 2),
    ],
)
def test_filters(tenants: tuple[Tenant, Tenant], query: dict[str, str], count: int) -> None:
    assert read(viewer_of(*tenants), **query).count('class="title"') == count


def test_a_push_is_found_by_its_key(tenants: tuple[Tenant, Tenant]) -> None:
    key = ERPPushLog.objects.get(org_id=tenants[0].pk).idempotency_key
    assert read(viewer_of(*tenants), order=key).count('class="title"') == 1


def test_other_things_with_the_id_of_an_order_do_not_hide_its_pushes(tenants: tuple[Tenant, Tenant]) -> None:
    kind = ContentType.objects.get_for_model(Tenant)
    IntegrationEvent.objects.bulk_create(
        IntegrationEvent(
            tenant=tenant, event_type=event_type, content_type=kind, object_id="ours order", body="{}",
            occurred_at=timezone.now(), idempotency_key=f"{event_type}-{tenant.pk}-{number}",
        )
        for tenant, event_type in ((tenants[0], "workitem_updated"), (tenants[1], "order_push"))
        for number in range(250)
    )  # fmt: skip
    assert read(viewer_of(tenants[0]), order="ours order").count('class="title"') == 1


def test_the_list_costs_the_same_however_long_it_is(
    tenants: tuple[Tenant, Tenant], django_assert_max_num_queries: Any
) -> None:
    client = viewer_of(tenants[0])
    for number in range(10):
        PushOrchestrator().push_order(tenants[0].pk, {"id": number})
    with django_assert_max_num_queries(15):
        assert read(client).count('class="title"') == 11
