"""OpenAI, on its wire format (platform.openai.com/docs); answers written by hand after its documentation."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.template_samples import CANARY, answer, ours, sample
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationIncomplete,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver

COMPLETION = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello!", "refusal": None}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
}


def error(code: str | None, kind: str, message: str = "…") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def test_chat(connect: Connect, receiver: Receiver) -> None:
    connector = connect("openai", **sample("openai", receiver.netloc), organization="org-1")
    receiver.answer_with(default=answer(200, COMPLETION))
    prompt = 'Say "hi" to ${secret.api_key}\n'
    assert connector.call("chat", prompt=prompt) == "Hello!"
    assert connector.call("chat", prompt="x", system="s", model="gpt-5", max_tokens=9, temperature=0.0) == "Hello!"
    first, second = receiver.requests
    assert (first.method, first.path) == ("POST", "/v1/chat/completions")
    assert ours(first.headers) == {
        "authorization": f"Bearer {CANARY}",
        "openai-organization": "org-1",
        "content-type": "application/json",
    }
    assert first.json == {
        "model": "gpt-5-mini",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": prompt},
        ],
    }
    assert second.json == {
        "model": "gpt-5",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}],
        "max_completion_tokens": 9,
        "temperature": 0.0,
    }


def test_the_other_actions(connect: Connect, receiver: Receiver) -> None:
    connector = connect("openai", **sample("openai", receiver.netloc))
    output = [
        {"type": "reasoning", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hel"}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "lo!"}]},
    ]
    receiver.answer_with(
        answer(200, COMPLETION),
        answer(200, {"id": "resp_1", "object": "response", "status": "completed", "output": output}),
        answer(200, {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1]}]}),
        answer(200, {"object": "list", "data": [{"id": "gpt-5-mini"}, {"id": "gpt-5"}]}),
    )
    messages = [{"role": "user", "content": "Hi"}]
    assert connector.call("complete", messages=messages) == COMPLETION
    assert connector.call("respond", input="Hi") == "Hello!"
    assert connector.call("embed", input=["Hi"]) == [[0.25, -1]]
    assert connector.call("models") == ["gpt-5-mini", "gpt-5"]
    assert [(request.method, request.path) for request in receiver.requests] == [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/models"),
    ]
    assert receiver.requests[0].json == {"model": "gpt-5-mini", "messages": messages}
    assert receiver.requests[1].json == {"model": "gpt-5-mini", "input": "Hi", "store": False}
    assert receiver.requests[2].json == {"model": "text-embedding-3-small", "input": ["Hi"]}


@pytest.mark.parametrize("code", ["insufficient_quota", "credit_balance_exhausted", "project_spend_limit_exceeded"])
def test_an_empty_account_is_no_rate_limit(connect: Connect, receiver: Receiver, code: str) -> None:
    receiver.answer_with(answer(429, error(code, "insufficient_quota", "You exceeded your current quota")))
    with pytest.raises(IntegrationPermanentError, match="no credit left") as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x")
    assert caught.value.code == "quota" and caught.value.status == 429


def test_a_rate_limit_is_one(connect: Connect, receiver: Receiver) -> None:
    limited = answer(429, error("rate_limit_exceeded", "tokens", "Rate limit reached"), Retry_After="20")
    receiver.answer_with(limited)
    with pytest.raises(IntegrationRateLimited) as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x")
    assert caught.value.retry_after == 20


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (answer(401, error("invalid_api_key", "invalid_request_error")), IntegrationAuthError, "credentials"),
        (answer(404, error("model_not_found", "invalid_request_error")), IntegrationPermanentError, "no such model"),
        (answer(400, error(None, "invalid_request_error")), IntegrationPermanentError, "400"),
        (answer(500, error(None, "server_error")), IntegrationTemporaryError, "500"),
        (Answer(200, b"<html>"), IntegrationTemporaryError, "no JSON"),
        (Answer(200, b'{"choices": [', then="cut"), IntegrationTemporaryError, "broke off"),
    ],
)
def test_errors(connect: Connect, receiver: Receiver, reply: Answer, kind: type[IntegrationError], says: str) -> None:
    receiver.answer_with(reply)
    with pytest.raises(kind, match=says) as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x")
    assert type(caught.value) is kind


def test_the_key_is_where_it_belongs(connect: Connect, receiver: Receiver) -> None:
    connector = connect("openai", **sample("openai", receiver.netloc))
    receiver.answer_with(answer(200, {"object": "list", "data": []}))
    assert connector.health_check().message == "The key works."
    (request,) = receiver.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert [name for name, value in request.headers.items() if CANARY in value] == ["authorization"]


# -- answers that are not whole -------------------------------------------------------------------------------


def chosen(content: Any, finish_reason: Any = "stop", **message: Any) -> Answer:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish_reason,
    }
    return answer(200, {"object": "chat.completion", "choices": [choice]})


@pytest.mark.parametrize(
    ("reply", "reason", "partial"),
    [
        (chosen(None, refusal="I cannot help with that."), "I cannot help with that.", None),
        (chosen("Once upon a", "length"), "length", "Once upon a"),
        (chosen("", "content_filter"), "content_filter", None),
        (chosen(None), "stop", None),
        (answer(200, {"object": "chat.completion", "choices": []}), "no choices", None),
        (answer(200, {"error": {"message": "upstream is down", "code": 502}}), "upstream is down", None),
    ],
    ids=["refusal", "length", "filter", "null", "no choices", "error"],
)
def test_a_chat_that_is_not_whole(
    connect: Connect, receiver: Receiver, reply: Answer, reason: str, partial: str | None
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(IntegrationIncomplete) as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x")
    error = caught.value
    assert (error.reason, error.partial, error.code) == (reason, partial, "incomplete") and reason in error.message
    assert len(receiver.requests) == 1


def test_a_chat_of_a_server_that_says_no_finish_reason(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"choices": [{"message": {"content": "Hello"}}]}))
    assert connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x") == "Hello"


def said(*content: Any, status: str | None = "completed", **more: Any) -> Answer:
    body = {"object": "response", "output": [{"type": "message", "content": list(content)}], **more}
    return answer(200, {**body, "status": status} if status else body)


TEXT, REFUSAL = {"type": "output_text", "text": "Half a"}, {"type": "refusal", "refusal": "I will not."}


@pytest.mark.parametrize(
    ("reply", "reason", "partial"),
    [
        (said(status="failed", error={"code": "server_error", "message": "it broke"}), "it broke", None),
        (said(TEXT, status="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter", "Half a"),
        (said(REFUSAL), "I will not.", None),
        (answer(200, {"object": "response", "status": "cancelled"}), "cancelled", None),
    ],
    ids=["failed", "incomplete", "refusal", "no output"],
)  # fmt: skip
def test_a_response_that_is_not_whole(
    connect: Connect, receiver: Receiver, reply: Answer, reason: str, partial: str | None
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(IntegrationIncomplete) as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("respond", input="x")
    assert (caught.value.reason, caught.value.partial) == (reason, partial)


def test_a_response_that_is_whole(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(said(TEXT, error=None, incomplete_details=None), said(TEXT, status=None))
    connector = connect("openai", **sample("openai", receiver.netloc))
    assert [connector.call("respond", input="x") for _ in range(2)] == ["Half a"] * 2


@pytest.mark.parametrize(
    ("action", "given"), [("embed", {"input": "x"}), ("complete", {"messages": []}), ("models", {})]
)
def test_an_error_with_status_200(connect: Connect, receiver: Receiver, action: str, given: Any) -> None:
    receiver.answer_with(answer(200, {"error": {"message": "no such thing"}}))
    with pytest.raises(IntegrationIncomplete, match="no such thing"):
        connect("openai", **sample("openai", receiver.netloc)).call(action, **given)


@pytest.mark.parametrize("status", [403, 429])
def test_an_account_that_is_not_active_is_no_rate_limit(connect: Connect, receiver: Receiver, status: int) -> None:
    receiver.answer_with(answer(status, error("billing_not_active", "billing_not_active", "not active")))
    with pytest.raises(IntegrationPermanentError, match="not active") as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x")
    assert (caught.value.fault, caught.value.code) == ("setup", "billing") and len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("reply", "wait"),
    [
        (answer(500, error(None, "server_error"), Retry_After="7"), 7),
        (answer(529, error(None, "overloaded"), Retry_After="8"), 8),
        (answer(409, error(None, "conflict"), Retry_After="9"), 9),
        (answer(429, error("rate_limit_exceeded", "tokens"), Retry_After_Ms="6500"), 6.5),
        (answer(503, error(None, "busy"), Retry_After="3", Retry_After_Ms="1500"), 3),
    ],
)
def test_it_waits_as_openais_own_clients_do(connect: Connect, receiver: Receiver, reply: Answer, wait: float) -> None:
    receiver.answer_with(reply)
    with pytest.raises(IntegrationError) as caught:
        connect("openai", **sample("openai", receiver.netloc)).call("chat", prompt="x")
    assert caught.value.retry_after == wait
