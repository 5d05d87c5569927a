"""Gemini, on its wire format (ai.google.dev/api); answers written by hand after its documentation."""

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

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"


def error(status: int, name: str, *details: dict[str, Any]) -> Answer:
    return answer(status, {"error": {"code": status, "message": "…", "status": name, "details": list(details)}})


def quota(*quota_ids: str) -> dict[str, Any]:
    violations = [{"quotaId": quota_id, "quotaValue": "20"} for quota_id in quota_ids]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


HELP = {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "…", "url": "https://ai.google.dev"}]}
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


def retry(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP", "index": 0}]}


def test_generate(connect: Connect, receiver: Receiver) -> None:
    connector = connect("gemini", **sample("gemini", receiver.netloc))
    parts = {"text": "I think …", "thought": True}, {"text": "Hel"}, {"text": "lo!"}
    receiver.answer_with(default=answer(200, content(*parts)))
    assert connector.call("generate", prompt="Hi") == "Hello!"
    assert connector.call("generate", prompt="Hi", system="Be brief", max_tokens=9, model="gemini-2.5-pro") == "Hello!"
    first, second = receiver.requests
    assert (first.method, first.path) == ("POST", GENERATE)
    assert ours(first.headers) == {"x-goog-api-key": CANARY, "content-type": "application/json"}
    assert first.json == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert second.path == "/v1beta/models/gemini-2.5-pro:generateContent"
    assert second.json == {
        "systemInstruction": {"parts": [{"text": "Be brief"}]},
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"maxOutputTokens": 9},
    }


def test_the_other_actions(connect: Connect, receiver: Receiver) -> None:
    connector = connect("gemini", **sample("gemini", receiver.netloc))
    whole = content({"text": "Hello!"})
    receiver.answer_with(
        answer(200, whole),
        answer(200, {"embedding": {"values": [0.25, -1]}}),
        answer(200, {"models": [{"name": "models/a"}], "nextPageToken": "p/2"}),
        answer(200, {"models": [{"name": "models/b"}]}),
    )
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert connector.call("generate_content", contents=contents) == whole
    assert connector.call("embed", text="Hi") == [0.25, -1]
    assert connector.call("models") == ["models/a", "models/b"]
    assert [request.path for request in receiver.requests] == [
        GENERATE,
        "/v1beta/models/gemini-embedding-001:embedContent",
        "/v1beta/models?pageSize=1000",
        "/v1beta/models?pageSize=1000&pageToken=p%2F2",
    ]
    assert receiver.requests[0].json == {"contents": contents}
    assert receiver.requests[1].json == {"content": {"parts": [{"text": "Hi"}]}}


def test_a_model_stays_in_its_segment(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"embedding": {"values": [0.5]}}))
    connect("gemini", **sample("gemini", receiver.netloc)).call("embed", text="x", model="../../v1/files?key=1")
    assert receiver.requests[0].path == "/v1beta/models/..%2F..%2Fv1%2Ffiles%3Fkey%3D1:embedContent"


@pytest.mark.parametrize(
    ("reply", "kind", "says", "retry_after"),
    [
        (error(429, "RESOURCE_EXHAUSTED", quota(PER_MINUTE), HELP, retry("34s")), IntegrationRateLimited, "minute", 34),
        (error(429, "RESOURCE_EXHAUSTED", retry("0.25s")), IntegrationRateLimited, "minute", 0.25),
        (error(429, "RESOURCE_EXHAUSTED", retry("soon")), IntegrationRateLimited, "minute", None),
        (error(429, "RESOURCE_EXHAUSTED"), IntegrationRateLimited, "minute", None),
        (
            error(429, "RESOURCE_EXHAUSTED", HELP, quota(PER_MINUTE, PER_DAY), retry("38s")),
            IntegrationPermanentError,
            "quota of this day",
            None,
        ),
        (error(402, "RESOURCE_EXHAUSTED"), IntegrationPermanentError, "no credit left", None),
        (
            error(400, "INVALID_ARGUMENT", {"@type": "…/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}),
            IntegrationAuthError,
            "key is not valid",
            None,
        ),
        (error(400, "INVALID_ARGUMENT"), IntegrationPermanentError, "400", None),
        (error(403, "PERMISSION_DENIED"), IntegrationAuthError, "credentials", None),
        (error(404, "NOT_FOUND"), IntegrationPermanentError, "404", None),
        (error(503, "UNAVAILABLE"), IntegrationTemporaryError, "503", None),
        (answer(200, {"promptFeedback": {"blockReason": "SAFETY"}}), IntegrationPermanentError, "safety filters", None),
    ],
)
def test_errors(
    connect: Connect,
    receiver: Receiver,
    reply: Answer,
    kind: type[IntegrationError],
    says: str,
    retry_after: float | None,
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(kind, match=says) as caught:
        connect("gemini", **sample("gemini", receiver.netloc)).call("generate", prompt="x")
    assert type(caught.value) is kind and caught.value.retry_after == retry_after


def test_the_key_is_never_in_the_address(connect: Connect, receiver: Receiver) -> None:
    connector = connect("gemini", **sample("gemini", receiver.netloc))
    receiver.answer_with(default=answer(200, {"models": []}))
    assert connector.health_check().message == "The key works."
    connector.call("models")
    for request in receiver.requests:
        assert CANARY not in request.path
        assert [name for name, value in request.headers.items() if CANARY in value] == ["x-goog-api-key"]


# -- answers that are not whole -------------------------------------------------------------------------------


def candidate(finish: str | None, *texts: str) -> Answer:
    content = {"content": {"parts": [{"text": text} for text in texts]}} if texts else {}
    return answer(200, {"candidates": [{**content, **({"finishReason": finish} if finish else {})}]})


@pytest.mark.parametrize(
    ("reply", "reason", "partial"),
    [
        (candidate("SAFETY"), "SAFETY", None),
        (candidate("MAX_TOKENS"), "MAX_TOKENS", None),
        (candidate("MAX_TOKENS", "Half a ", "story"), "MAX_TOKENS", "Half a story"),
        (candidate("RECITATION", "Once"), "RECITATION", "Once"),
        (answer(200, {"candidates": []}), "no candidates", None),
        (answer(200, {}), "no candidates", None),
    ],
)
def test_an_answer_that_is_not_whole(
    connect: Connect, receiver: Receiver, reply: Answer, reason: str, partial: str | None
) -> None:
    receiver.answer_with(reply)
    with pytest.raises(IntegrationIncomplete) as caught:
        connect("gemini", **sample("gemini", receiver.netloc)).call("generate", prompt="x")
    assert (caught.value.reason, caught.value.partial) == (reason, partial) and reason in caught.value.message


@pytest.mark.parametrize("finish", ["STOP", None])
def test_an_answer_that_is_whole(connect: Connect, receiver: Receiver, finish: str | None) -> None:
    receiver.answer_with(candidate(finish, "All ", "of it"))
    assert connect("gemini", **sample("gemini", receiver.netloc)).call("generate", prompt="x") == "All of it"


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "models/gemini-2.5-flash"])
def test_both_spellings_of_a_model(connect: Connect, receiver: Receiver, model: str) -> None:
    receiver.answer_with(default=candidate("STOP", "x"))
    given = sample("gemini", receiver.netloc)
    connect("gemini", **given).call("generate", prompt="x", model=model)
    connect("gemini", **{**given, "model": model}).call("generate_content", contents=[])
    receiver.answer_with(answer(200, {"embedding": {"values": [1]}}))
    connect("gemini", **given).call("embed", text="x", model=model)
    names = [request.path for request in receiver.requests]
    assert names == [
        f"/v1beta/models/gemini-2.5-flash:{call}" for call in ("generateContent", "generateContent", "embedContent")
    ]
