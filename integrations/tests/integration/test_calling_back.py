"""From a signed call to a changed work item, through the view and the processing; what ends, ends on the stored row."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from integrations.inbound.process import process
from integrations.models import IntegrationEvent, TenantIntegration, WebhookEvent
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.transport import signing
from tasks.models import Note, WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

Sign = Callable[[str, bytes], dict[str, str]]


@pytest.fixture(autouse=True)
def _around(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()


def in_hex(name: str, body: bytes) -> dict[str, str]:
    return {"X-Webhook-Signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


def in_base64(name: str, body: bytes) -> dict[str, str]:
    raw = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    return {"X-Webhook-Signature": base64.b64encode(raw).decode()}


def as_standard(name: str, body: bytes) -> dict[str, str]:
    now = int(time.time())
    signature = signing.sign(name, now, body, [SECRET])
    return {"webhook-id": name, "webhook-timestamp": str(now), "webhook-signature": signature}


SCHEMES: dict[str, Sign] = {
    "": in_hex,
    "hmac-sha256-hex": in_hex,
    "hmac-sha256-base64": in_base64,
    "standard-webhooks": as_standard,
}


def make_caller(tenant: Any, name: str = "n8n", *, scheme: str = "", **values: Any) -> TenantIntegration:
    given: dict[str, Any] = {
        "integration_type": "n8n",
        "inbound_actions": ["workitem-note", "workitem-status"],
        "config": {"inbound_scheme": scheme} if scheme else {},
        "events": (),
        **values,
    }
    return make_integration(tenant, name=name, credentials={"webhook_secret": SECRET}, **given)


def call(caller: TenantIntegration, action: str, name: str, sign: Sign = in_hex, /, **body: Any) -> tuple[int, str]:
    """Call back under the id `name`; return the answer's status and word."""
    raw = json.dumps({"id": name, **body}).encode()
    address = f"/webhooks/{caller.public_id}/{action}/"
    response = Client().post(address, data=raw, content_type="application/json", headers=sign(name, raw))
    return response.status_code, response.json().get("status", "")


def work_off() -> None:
    for pk in WebhookEvent.objects.filter(status="received").order_by("id").values_list("pk", flat=True):
        process(WebhookEvent, pk)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["n8n", "webhook"])
def test_a_signed_call_is_done_once(scheme: str, kind: str) -> None:
    caller = make_caller(make_tenant(), scheme=scheme, integration_type=kind)
    item, sign = make_item(caller.tenant), SCHEMES[scheme]
    body = {"workitem": {"id": item.pk}, "status": "waiting", "note": "Parts ordered"}
    assert call(caller, "workitem-status", "evt_1-status", sign, **body) == (200, "received")
    assert call(caller, "workitem-status", "evt_1-status", sign, **body) == (200, "duplicate")
    work_off()
    assert call(caller, "workitem-status", "evt_1-status", sign, **body) == (200, "duplicate")
    work_off()
    item.refresh_from_db()
    assert item.status == "waiting" and Note.objects.get().text == "n8n: status New → Waiting. Parts ordered"
    row = WebhookEvent.objects.get()
    assert (row.status, row.action, row.duplicates, row.error) == ("processed", "workitem-status", 2, "")


def test_another_encoding_than_the_chosen_one_is_401() -> None:
    caller = make_caller(make_tenant(), scheme="hmac-sha256-base64")
    assert call(caller, "workitem-note", "x", in_hex, workitem_id=1, text="x")[0] == 401
    other = make_caller(make_tenant("Other"), scheme="standard-webhooks")
    assert call(other, "workitem-note", "x", in_base64, workitem_id=1, text="x")[0] == 401


def test_what_is_not_ticked_is_403_and_not_kept() -> None:
    caller = make_caller(make_tenant(), inbound_actions=["workitem-note"])
    assert call(caller, "workitem-status", "x", workitem_id=1, status="waiting")[0] == 403
    assert not WebhookEvent.objects.exists()


def test_what_is_wrong_with_the_input_stands_on_the_row() -> None:
    caller = make_caller(make_tenant())
    theirs = make_item(make_tenant("Other Corp"))
    assert call(caller, "workitem-status", "1", workitem={"id": theirs.pk}, status="completed") == (200, "received")
    assert call(caller, "workitem-status", "2", workitem={"id": theirs.pk}, status="done") == (200, "received")
    work_off()
    rows = list(WebhookEvent.objects.order_by("id"))
    assert [(row.status, row.next_attempt_at) for row in rows] == [("failed", None)] * 2
    assert rows[0].error.startswith("workitem.id: there is no such work item")
    assert rows[1].error.startswith("status: must be one of new, in_progress, waiting, completed, cancelled")
    theirs.refresh_from_db()
    assert theirs.status == "new" and not Note.objects.exists()


def test_two_that_answer_each_other_end_with_the_reason_on_the_row(settings: Any) -> None:
    settings.INTEGRATIONS = {"INBOUND_CAUSED_PER_HOUR": 3}
    tenant = make_tenant()
    wants = ("workitem_status_changed",)
    pair = [make_caller(tenant, "first", events=wants), make_caller(tenant, "second", events=wants)]
    item = make_item(tenant)
    item.status = WorkItem.Status.COMPLETED
    item.save()  # a person begins; both hear of it
    answers = itertools.cycle([(pair[0], "waiting"), (pair[1], "in_progress")])
    heard = IntegrationEvent.objects.count()
    for number, (caller, status) in enumerate(answers):
        if number > 20 or WebhookEvent.objects.filter(status="failed").exists():
            break
        call(caller, "workitem-status", f"turn-{number}", workitem={"id": item.pk}, status=status)
        work_off()
        told = IntegrationEvent.objects.order_by("-id")[0]
        if IntegrationEvent.objects.count() > heard:  # each change is told to the other one alone
            heard += 1
            assert told.origin_id == caller.pk
            assert [sync.integration_id for sync in told.syncs.all()] == [each.pk for each in pair if each != caller]
    rows = list(WebhookEvent.objects.order_by("id").values_list("status", "error", "next_attempt_at"))
    assert [status for status, _, _ in rows] == ["processed"] * 3 + ["failed"]
    assert rows[-1][1].startswith(f"Integrations caused 3 events of work item {item.pk} within an hour")
    assert rows[-1][2] is None, "not tried again: the loop is over"
