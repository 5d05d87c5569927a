"""Discord: an address that is the secret, and a message; answers as its documentation has them."""

from __future__ import annotations

import pytest

from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.template_samples import CANARY, WORKITEM, answer, envelope, ours, sample
from integrations.errors import (
    IntegrationError,
    IntegrationGone,
    IntegrationRateLimited,
)
from integrations.tests.receiver import Answer, Receiver


def test_posts_a_line_that_pings_nobody(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"id": "1420070400000000000", "type": 0, "channel_id": "1"}))
    receipt = connect("discord", **sample("discord", receiver.netloc), username="Outbox").deliver(envelope())
    assert receipt.external_id == "1420070400000000000"
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", f"/api/webhooks/1234/{CANARY}?wait=true")
    assert ours(request.headers) == {"content-type": "application/json"}
    assert request.json == {
        "content": f"**Workitem created: RMA-123**\n{WORKITEM['description']}\n\nStatus: New\nPriority: Urgent\n"
        "Due date: 2025-11-08T20:30:00Z\nCustomer: John Doe\n",
        "username": "Outbox",
        "allowed_mentions": {"parse": []},
    }


def test_takes_2000_characters(connect: Connect, receiver: Receiver) -> None:
    long = {"workitem": {"reference_id": "R" * 500, "description": "@everyone " * 900}}
    connect("discord", **sample("discord", receiver.netloc)).deliver(envelope(long))
    assert len(receiver.requests[0].json["content"]) < 2000 and "username" not in receiver.requests[0].json


def test_is_checked_by_looking(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"id": "1234", "type": 1, "name": "Alerts", "channel_id": "1"}))
    result = connect("discord", **sample("discord", receiver.netloc)).health_check()
    assert result.success and result.message == "Posts as Alerts."
    assert [(request.method, request.path) for request in receiver.requests] == [
        ("GET", f"/api/webhooks/1234/{CANARY}")
    ]


@pytest.mark.parametrize(
    ("reply", "kind", "retry_after"),
    [
        (answer(404, {"message": "Unknown Webhook", "code": 10015}), IntegrationGone, None),
        (
            answer(429, {"message": "You are being rate limited.", "retry_after": 0.37, "global": False}),
            IntegrationRateLimited,
            0.37,
        ),
        (answer(429, None, Retry_After="5"), IntegrationRateLimited, 5),
    ],
)
def test_errors(
    connect: Connect, receiver: Receiver, reply: Answer, kind: type[IntegrationError], retry_after: float | None
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(kind) as caught:
        connect("discord", **sample("discord", receiver.netloc)).deliver(envelope())
    assert type(caught.value) is kind and caught.value.retry_after == retry_after
