"""Spans from the save over a worker to the request, read back from what a real worker has exported."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.wakeup import wake
from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, Lane, WebhookEvent
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import CeleryProcess, wait_until
from integrations.tests.unit.test_tracing import SAMPLED, SPAN, TRACE, span
from integrations.transport import signing

SECRET_PATH = "a-path-that-nobody-may-see"
SENDER = f"00-{0xABCDEF:032x}-{0x1234:016x}-01"


def spans(file: Path) -> list[dict[str, Any]]:
    """Return what was exported so far; a line that is just being written is left for the next look."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def whole(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was exported, once all five attempts are there with the slices around them; else []."""
    there = {ids(each) for each in found}
    attempts = [each for each in found if each["name"].startswith("deliver ")]
    around = [(ids(each)[0], int(each["parent_id"], 16)) for each in attempts]
    return found if len(attempts) == 5 and there.issuperset(around) else []


def ids(value: dict[str, Any]) -> tuple[int, int]:
    return int(value["context"]["trace_id"], 16), int(value["context"]["span_id"], 16)


def ids_of(traceparent: str) -> tuple[int, int]:
    _, trace_id, span_id, _ = traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16)


@pytest.mark.integration
@pytest.mark.django_db
def test_where_no_span_is_current_a_save_costs_what_it_did(settings: Any, receiver: Receiver) -> None:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    target = make_integration(make_tenant(), receiver.url, events=("workitem_created",))
    make_item(target.tenant)
    with CaptureQueriesContext(connection) as plain:
        make_item(target.tenant)
    with span(), CaptureQueriesContext(connection) as traced:
        make_item(target.tenant)
    assert len(plain) == len(traced)
    if connection.vendor == "postgresql":
        assert not any("traceparent" in query["sql"] for query in plain.captured_queries if "INSERT" in query["sql"])
    assert list(IntegrationEvent.objects.order_by("id").values_list("traceparent", flat=True)) == ["", "", SAMPLED]
    drain(target.pk)  # nobody collects spans here
    assert not any("traceparent" in request.headers for request in receiver.requests)
    assert not any("trace" in event.body for event in IntegrationEvent.objects.all())


@pytest.mark.integration
@pytest.mark.portable
@pytest.mark.django_db(transaction=True)
def test_a_real_workers_spans_are_linked_to_the_save_and_lead_to_the_request(
    celery_worker: Callable[..., CeleryProcess], receiver: Receiver, tmp_path: Path, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    file = tmp_path / "spans"
    env = {
        "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
        "INTEGRATIONS_RETRY_BASE_SECONDS": "600",
        "TRACE_FILE": str(file),
    }
    celery_worker(pool="threads", args=["-I", "integrations.tests.traced_process"], env=env)
    tenant = make_tenant()
    key = signing.generate_secret()
    target = make_integration(
        tenant, f"{receiver.url}/{SECRET_PATH}", events=("workitem_created", "workitem_status_changed")
    )
    caller = make_integration(
        tenant,
        name="Calls back",
        events=(),
        inbound_actions=["workitem-status"],
        config={"inbound_scheme": "standard-webhooks"},
        credentials={"webhook_secret": key},
    )

    def settled(status: str, attempts: int) -> Callable[[], bool]:
        row = IntegrationSync.objects.filter(integration=target, status=status, attempts=attempts)
        return row.exists

    # The first attempt fails, the second succeeds, a person replays it.
    receiver.answer_with(Answer(500))
    with span():
        item = make_item(tenant, reference_id="RMA-SECRET")
    wait_until(settled("pending", 1))
    IntegrationSync.objects.update(next_attempt_at=F("created_at"))
    Lane.objects.update(paused_until=None)
    wake(target.pk)
    wait_until(settled("synced", 2))
    operator_actions.replay([IntegrationSync.objects.get(integration=target).pk], actor="ann")
    wait_until(lambda: len(receiver.requests) == 3)

    # A save that is not sampled, and one that a webhook causes whose sender is traced.
    with span(flags=0):
        make_item(tenant, reference_id="RMA-2")
    wait_until(lambda: len(receiver.requests) == 4)
    body = json.dumps({"workitem": {"id": item.pk}, "status": "waiting"}).encode()
    now = int(time.time())
    headers = {
        "webhook-id": "call_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signing.sign("call_1", now, body, [key]),
        "traceparent": SENDER,
    }
    address = f"/webhooks/{caller.public_id}/workitem-status/"
    answer = Client().post(address, body, "application/json", headers=headers)
    assert answer.status_code == 200
    wait_until(lambda: len(receiver.requests) == 5)
    found = wait_until(lambda: whole(spans(file)))
    by_id = {ids(each): each for each in found}

    # Each request carries the context of its attempt's span, and each of these is in the span of its slice.
    attempts = [by_id[ids_of(request.headers["traceparent"])] for request in receiver.requests]
    assert [each["attributes"]["integrations.attempt"] for each in attempts] == [1, 2, 1, 1, 1]  # a replay counts anew
    assert [each["attributes"]["http.response.status_code"] for each in attempts] == [500, 200, 200, 200, 200]
    assert [each["status"]["status_code"] for each in attempts] == ["ERROR", *["UNSET"] * 4]
    for each, request in zip(attempts, receiver.requests, strict=True):
        parent = by_id[ids(each)[0], int(each["parent_id"], 16)]
        assert (parent["name"], parent["parent_id"]) == ("drain webhook", None)
        assert each["kind"] == "SpanKind.PRODUCER"
        assert each["attributes"]["messaging.message.id"] == request.id
        assert each["attributes"]["server.address"] == "127.0.0.1"

    # The links lead to the save, at every attempt, whether it was sampled or not.
    assert [[ids(link) for link in each["links"]] for each in attempts[:4]] == [[(TRACE, SPAN)]] * 4
    (processed,) = [each for each in found if each["name"] == "process webhook"]
    assert [ids(link) for link in attempts[4]["links"]] == [ids(processed)]
    assert [ids(link) for link in processed["links"]] == [ids_of(SENDER)]

    # Nothing of what was sent, and nothing secret, is told.
    exported = file.read_text()
    assert not any(word in exported for word in (SECRET_PATH, "RMA-SECRET", "whsec_", item.reference_id))
    # What was sent is kept with its traceparent, in full or as it differs from another's.
    log = ExecutionLog.objects.filter(integration=target, response_status=500).get()
    assert receiver.requests[0].headers["traceparent"] in json.dumps(log.exchanges)
    assert WebhookEvent.objects.get().headers["Traceparent"] == SENDER
