"""Slack's wire formats: Block Kit, the incoming webhook, chat.postMessage, auth.test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.connectors.kinds.slack import SlackConnector
from integrations.connectors.kinds.slack.blocks import cut, escaped, message
from integrations.connectors.port import Envelope
from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.samples import CHANGES, PAYLOAD, answer, envelope, failure, wire
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver

HOOK = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
TOKEN = "xoxb-0123456789-canary7f3a91"
POSTED = {
    "ok": True,
    "channel": "C0123456789",
    "ts": "1503435956.000247",
    "message": {
        "text": "Workitem created: RMA-123",
        "bot_id": "B123ABC456",
        "type": "message",
        "subtype": "bot_message",
    },
}
AUTH_TEST = {
    "ok": True,
    "url": "https://acme.slack.com/",
    "team": "Acme Corp",
    "user": "outbox",
    "team_id": "T12345678",
    "user_id": "W12345678",
    "bot_id": "B0123456789",
}
# The message that an n8n node builds for the printed payload; verbatim makes no links of values.
AS_PRINTED = {
    "text": "New WorkItem Created: RMA-123",
    "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "verbatim": True, "text": "*RMA-123* - iPhone screen repair"}},
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "verbatim": True, "text": "*Status:*\nNew"},
                {"type": "mrkdwn", "verbatim": True, "text": "*Customer:*\nJohn Doe"},
            ],
        },
    ],
}
LIKE_THE_GUIDE = {
    "text": "New WorkItem Created: {workitem.reference_id}",
    "fields": ["Status: workitem.status", "Customer: workitem.customer.name"],
}


def of(payload: Any, event_type: str) -> Envelope:
    return Envelope(event_type, "evt_7", json.dumps(payload).encode())


def webhook(connect: Connect, receiver: Receiver, **more: Any) -> SlackConnector:
    return connect(SlackConnector, url=f"http://{receiver.netloc}{HOOK}", **more)


def bot(connect: Connect, receiver: Receiver, **more: Any) -> SlackConnector:
    base = f"http://{receiver.netloc}/api"
    return connect(SlackConnector, **{"token": TOKEN, "channel": "C0123456789", "base_url": base, **more})


# -- Block Kit ----------------------------------------------------------------------------------------------


def test_the_printed_example() -> None:
    assert message(of(PAYLOAD, "workitem_created"), **LIKE_THE_GUIDE) == AS_PRINTED


def test_all_that_is_set_at_most_ten_fields() -> None:
    made = message(of(PAYLOAD, "workitem_created"))
    assert made["text"] == "Workitem created: RMA-123"
    heading, fields = made["blocks"]
    assert heading["text"]["text"] == "*RMA-123* - iPhone screen repair"
    texts = [field["text"] for field in fields["fields"]]
    assert len(texts) == 10 and texts[0] == "*Status:*\nNew" and "*Owner:*\nJane Smith" in texts
    assert not any("Final price" in text for text in texts)  # it is null


def test_changes_are_shown_old_and_new() -> None:
    payload = {**PAYLOAD, "changes": {**CHANGES, "due_date": {"old": None, "new": "2025-11-09"}}}
    made = message(of(payload, "workitem_status_changed"), fields=["Status: workitem.status"])
    assert made["blocks"][-1]["text"]["text"] == "*Status:* New → In Progress\n*Due date:* – → 2025-11-09"


@pytest.mark.parametrize(
    ("payload", "event_type", "heading"),
    [
        ({"order": {"id": "A-7", "lines": [1, 2]}}, "order_push", "*A-7*"),
        ({"event_type": "test", "test": True, "tenant": {"name": "Acme"}}, "test", "*Test*"),
        ({"title": "Backup failed", "level": "high"}, "alert", "*Backup failed*"),
        ({}, "", "*Event*"),
    ],
)
def test_any_payload_makes_a_message(payload: Any, event_type: str, heading: str) -> None:
    made = message(of(payload, event_type))
    assert made["blocks"][0]["text"]["text"] == heading and made["text"]


def test_nothing_in_a_payload_can_mention_or_link() -> None:
    payload = {"workitem": {"name": "<!channel>", "description": "a & b <https://evil.example|click>", "by": "<@U1>"}}
    made = message(of(payload, "workitem_created"), heading="<https://ok.example|Open> {workitem.name}")
    assert made["blocks"][0]["text"]["text"] == "<https://ok.example|Open> &lt;!channel&gt;"  # ours is mrkdwn
    assert "<" not in made["text"] + json.dumps(made["blocks"][1:])
    texts = [made["blocks"][0]["text"], *made["blocks"][1]["fields"]]
    assert all(text["verbatim"] for text in texts)  # else "#general" and "evil.example" become links by themselves


def test_the_limits_of_block_kit() -> None:
    payload = {"workitem": {"name": "&" * 5000, **{f"f{number}": "<" * 5000 for number in range(30)}}}
    payload["changes"] = {f"f{number}": {"old": "x" * 900, "new": "y" * 900} for number in range(30)}  # type: ignore[assignment]
    made = message(of(payload, "workitem_updated"))
    heading, fields, changes = made["blocks"]
    assert len(made["text"]) <= 4000 and len(heading["text"]["text"]) <= 3000 and len(changes["text"]["text"]) <= 3000
    assert len(fields["fields"]) == 10 and all(len(field["text"]) <= 2000 for field in fields["fields"])


@pytest.mark.parametrize("size", [200, 1500, 5000])
@pytest.mark.parametrize("text", ["x", "<", "&"])
def test_all_blocks_together_fit(size: int, text: str) -> None:
    item = {"name": text * size, "description": text * size, **{f"f{number}": text * size for number in range(12)}}
    changes = {f"f{number}": {"old": text * size, "new": "y"} for number in range(12)}
    heading, fields, changed = message(of({"workitem": item, "changes": changes}, "workitem_updated"))["blocks"]
    texts = [heading["text"]["text"], changed["text"]["text"], *(field["text"] for field in fields["fields"])]
    assert sum(map(len, texts)) <= 12_000 and len(fields["fields"]) == 10
    assert all(len(each) >= 150 for each in texts)


def test_a_short_text_is_not_cut_for_a_long_one() -> None:
    item = {"name": "RMA-1", "note": "x" * 5000, **{f"f{number}": "short" for number in range(3)}}
    _, fields = message(of({"workitem": item}, "workitem_created"))["blocks"]
    assert [len(field["text"]) for field in fields["fields"]] == [1000 + len("*Note:*\n"), 11, 11, 11]


@pytest.mark.parametrize("limit", range(2, 12))
def test_a_cut_never_splits_an_escape(limit: int) -> None:
    text = cut(escaped("<&>" * 5), limit)
    assert len(text) <= limit and text.endswith("…")
    assert text[:-1].replace("&lt;", "").replace("&amp;", "").replace("&gt;", "") == ""


# -- the incoming webhook ---------------------------------------------------------------------------------


def test_a_webhook_gets_the_message(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, b"ok", {"Content-Type": "text/html"}))
    receipt = webhook(connect, receiver, **LIKE_THE_GUIDE).deliver(envelope())
    assert (receipt.status, receipt.excerpt, receipt.external_id) == (200, "ok", "")
    (request,) = receiver.requests
    assert wire(request) == ("POST", HOOK, AS_PRINTED)
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "word", "expected"),
    [
        (400, "invalid_payload", IntegrationPermanentError),
        (400, "too_many_attachments", IntegrationPermanentError),
        (403, "action_prohibited", IntegrationAuthError),
        (403, "posting_to_general_channel_denied", IntegrationAuthError),
        (403, "invalid_token", IntegrationAuthError),
        (404, "no_service", IntegrationAuthError),
        (404, "no_team", IntegrationAuthError),
        (404, "channel_not_found", IntegrationPermanentError),
        (410, "channel_is_archived", IntegrationGone),
        (500, "rollup_error", IntegrationTemporaryError),
        (503, "<html>busy</html>", IntegrationTemporaryError),
        (404, "<html>not found</html>", IntegrationPermanentError),
    ],
)
def test_what_a_webhook_refuses(
    connect: Connect, receiver: Receiver, status: int, word: str, expected: type[IntegrationError]
) -> None:
    receiver.answer_with(Answer(status, word.encode()))
    error = failure(webhook(connect, receiver).deliver, envelope())
    assert type(error) is expected and error.status == status
    assert len(receiver.requests) == 1


def test_a_webhook_asks_to_wait(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"ok": False, "error": "ratelimited"}, 429, retry_after="30"))
    error = failure(webhook(connect, receiver).deliver, envelope())
    assert type(error) is IntegrationRateLimited and error.retry_after == 30


def test_a_webhook_has_no_check(connect: Connect, receiver: Receiver) -> None:
    connector = webhook(connect, receiver)
    assert not connector.can_check
    result = connector.health_check()
    assert not result.success and result.message == "Slack has no connection check"
    assert receiver.requests == []


# -- chat.postMessage ----------------------------------------------------------------------------------------


def test_a_bot_posts_to_its_channel(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(POSTED))
    receipt = bot(connect, receiver, **LIKE_THE_GUIDE).deliver(envelope())
    assert (receipt.status, receipt.external_id, dict(receipt.details)) == (
        200,
        "1503435956.000247",
        {"channel": "C0123456789"},
    )
    (request,) = receiver.requests
    metadata = {"event_type": "workitem_created", "event_payload": {"webhook_id": "evt_7"}}
    body = {"channel": "C0123456789", **AS_PRINTED, "metadata": metadata}
    assert wire(request) == ("POST", "/api/chat.postMessage", body)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("invalid_auth not_authed token_revoked account_inactive missing_scope", IntegrationAuthError),
        ("ratelimited rate_limited", IntegrationRateLimited),
        ("channel_not_found msg_too_long invalid_blocks not_in_channel something_new", IntegrationPermanentError),
        ("is_archived", IntegrationGone),
        ("internal_error fatal_error service_unavailable request_timeout", IntegrationTemporaryError),
    ],
)
def test_a_success_that_is_none(
    connect: Connect, receiver: Receiver, words: str, expected: type[IntegrationError]
) -> None:
    connector = bot(connect, receiver)
    for word in words.split():
        receiver.answer_with(answer({"ok": False, "error": word}, retry_after="9"))
        error = failure(connector.deliver, envelope())
        assert type(error) is expected, word
        assert error.code == word and word in error.message and error.status == 200


def test_a_bot_asks_to_wait(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"ok": False, "error": "ratelimited"}, 429, retry_after="30"))
    error = failure(bot(connect, receiver).deliver, envelope())
    assert type(error) is IntegrationRateLimited and error.retry_after == 30


@pytest.mark.parametrize("body", [b"", b"ok", b"<html>login</html>", b"[]", b'{"ok": "yes"', b'{"fine": 1}'])
def test_an_answer_that_is_not_slacks(connect: Connect, receiver: Receiver, body: bytes) -> None:
    receiver.answer_with(Answer(200, body))
    error = failure(bot(connect, receiver).deliver, envelope())
    assert type(error) is IntegrationTemporaryError and error.code == "bad_answer"


@pytest.mark.parametrize("given", [{"token": ""}, {"channel": ""}])
def test_a_token_needs_a_channel(connect: Connect, receiver: Receiver, given: dict[str, str]) -> None:
    (missing,) = given
    settings = {"token": TOKEN, "channel": "C0123456789", **given}
    assert list(SlackConnector.validate_config(settings)) == [missing]
    error = failure(bot(connect, receiver, **given).deliver, envelope())
    assert isinstance(error, ConfigurationError) and list(error.problems) == [missing]
    assert receiver.requests == []


def test_check_says_who_and_where(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(AUTH_TEST))
    result = bot(connect, receiver).health_check()
    assert result.success and result.message == "Connected to the workspace Acme Corp as outbox."
    (request,) = receiver.requests
    assert wire(request) == ("POST", "/api/auth.test", {})
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


def test_what_check_repeats_of_an_answer_is_printable_and_masked(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({**AUTH_TEST, "team": "A\0cme", "user": TOKEN}))
    result = bot(connect, receiver).health_check()
    assert result.message == "Connected to the workspace A cme as ***."


def test_check_with_a_bad_token(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer({"ok": False, "error": "invalid_auth"}))
    result = bot(connect, receiver).health_check()
    assert not result.success and result.is_auth_failure


# -- secrets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 404, 500])
def test_the_webhooks_address_is_nowhere(connect: Connect, receiver: Receiver, caplog: Any, status: int) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(Answer(status, f"no hook at {HOOK}".encode()))
    connector = webhook(connect, receiver)
    seen: list[object] = [connector, connector.binding, connector.http]
    try:
        seen.append(connector.deliver(envelope()))
    except IntegrationError as error:
        seen += [error, vars(error), error.args, error.__cause__, error.__context__]
    assert "XXXX" not in "".join(map(repr, seen)) + caplog.text


@pytest.mark.parametrize("word", ["invalid_auth", TOKEN])
def test_the_token_is_nowhere(connect: Connect, receiver: Receiver, caplog: Any, word: str) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(answer({"ok": False, "error": word, "token": TOKEN}))
    connector = bot(connect, receiver)
    error = failure(connector.deliver, envelope())
    seen = [connector, connector.binding, connector.auth, connector.http, error, vars(error), error.args]
    assert "canary" not in "".join(map(repr, seen)) + caplog.text
