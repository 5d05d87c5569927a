"""Discord and Teams: an address that is the secret, and a message; answers as their documentation has them."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.errors import (
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver

from .conftest import CANARY, WORKITEM, Connect, answer, envelope, ours
from .samples import sample

FAILED = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error "


def test_discord_posts_a_line_that_pings_nobody(connect: Connect, receiver: Receiver) -> None:
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


def test_discord_takes_2000_characters(connect: Connect, receiver: Receiver) -> None:
    long = {"workitem": {"reference_id": "R" * 500, "description": "@everyone " * 900}}
    connect("discord", **sample("discord", receiver.netloc)).deliver(envelope(long))
    assert len(receiver.requests[0].json["content"]) < 2000 and "username" not in receiver.requests[0].json


def test_discord_is_checked_by_looking(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"id": "1234", "type": 1, "name": "Alerts", "channel_id": "1"}))
    result = connect("discord", **sample("discord", receiver.netloc)).health_check()
    assert result.success and result.message == "Posts as Alerts."
    assert [(request.method, request.path) for request in receiver.requests] == [
        ("GET", f"/api/webhooks/1234/{CANARY}")
    ]


@pytest.mark.parametrize(
    ("key", "reply", "kind", "retry_after"),
    [
        ("discord", answer(404, {"message": "Unknown Webhook", "code": 10015}), IntegrationGone, None),
        (
            "discord",
            answer(429, {"message": "You are being rate limited.", "retry_after": 0.37, "global": False}),
            IntegrationRateLimited,
            0.37,
        ),
        ("discord", answer(429, None, Retry_After="5"), IntegrationRateLimited, 5),
        ("teams", answer(404, {"error": {"code": "WorkflowNotFound", "message": "…"}}), IntegrationGone, None),
        (
            "teams",
            Answer(200, FAILED + b"429"),
            IntegrationRateLimited,
            None,
        ),
        (
            "teams",
            Answer(200, FAILED + b"412"),
            IntegrationTemporaryError,
            None,
        ),
    ],
)
def test_errors(
    connect: Connect,
    receiver: Receiver,
    key: str,
    reply: Answer,
    kind: type[IntegrationError],
    retry_after: float | None,
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(kind) as caught:
        connect(key, **sample(key, receiver.netloc)).deliver(envelope())
    assert type(caught.value) is kind and caught.value.retry_after == retry_after


@pytest.mark.parametrize("reply", [Answer(202, b""), Answer(200, b"1")])
def test_teams_posts_a_card(connect: Connect, receiver: Receiver, reply: Answer) -> None:
    receiver.answer_with(reply)
    assert connect("teams", **sample("teams", receiver.netloc)).deliver(envelope()).status == reply.status
    (request,) = receiver.requests
    assert request.path == f"/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig={CANARY}"
    facts = [("Status", "New"), ("Priority", "Urgent"), ("Due date", "2025-11-08T20:30:00Z"), ("Customer", "John Doe")]
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "weight": "Bolder", "size": "Medium", "wrap": True, "text": "Workitem created: RMA-123"},
        {"type": "TextBlock", "wrap": True, "text": WORKITEM["description"]},
        {"type": "FactSet", "facts": [{"title": title, "value": value} for title, value in facts]},
    ]
    assert request.json == {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": body,
                },
            }
        ],
    }


@pytest.mark.parametrize("char", ["\N{PILE OF POO}", "ä", "x", '"', "\x00\n"])
def test_a_card_for_teams_is_measured_as_it_is_sent(connect: Connect, receiver: Receiver, char: str) -> None:
    long = char * 30_000
    item = {"reference_id": long, "description": long, "status": long, "priority": long, "customer": {"name": long}}
    connect("teams", **sample("teams", receiver.netloc)).deliver(envelope({"workitem": item}))
    (request,) = receiver.requests
    assert 15_000 < len(request.body) <= 28_000


@pytest.mark.parametrize(("number", "fault"), [(413, "event"), (400, "event"), (404, "setup"), (403, "setup")])
def test_what_the_older_webhooks_of_teams_say_in_words(
    connect: Connect, receiver: Receiver, number: int, fault: str
) -> None:
    receiver.answer_with(Answer(200, FAILED + f"{number} with ContextId tcid=0".encode()))
    with pytest.raises(IntegrationPermanentError) as caught:
        connect("teams", **sample("teams", receiver.netloc)).deliver(envelope())
    assert caught.value.fault == fault  # none of them is tried again in vain
