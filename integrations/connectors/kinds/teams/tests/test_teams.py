"""Teams: an address that is the secret, and a card; answers as its documentation has them."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.template_samples import CANARY, WORKITEM, answer, envelope, sample
from integrations.errors import (
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver

FAILED = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error "


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(404, {"error": {"code": "WorkflowNotFound", "message": "…"}}), IntegrationGone),
        (Answer(200, FAILED + b"429"), IntegrationRateLimited),
        (Answer(200, FAILED + b"412"), IntegrationTemporaryError),
    ],
)
def test_errors(connect: Connect, receiver: Receiver, reply: Answer, kind: type[IntegrationError]) -> None:
    receiver.answer_with(reply)
    with pytest.raises(kind) as caught:
        connect("teams", **sample("teams", receiver.netloc)).deliver(envelope())
    assert type(caught.value) is kind and caught.value.retry_after is None


@pytest.mark.parametrize("reply", [Answer(202, b""), Answer(200, b"1")])
def test_it_posts_a_card(connect: Connect, receiver: Receiver, reply: Answer) -> None:
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
