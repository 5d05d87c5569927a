"""What every connector made of a template must do, on each of ours."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connectors import registry
from integrations.connectors.kinds.rest import RestConnector
from integrations.connectors.port import Receipt
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

from .fixtures import Connect
from .template_samples import CANARY, SAMPLES, answer, envelope, sample

TEMPLATES = {each.manifest.key: each for each in registry.ConnectorRegistry.all() if issubclass(each, RestConnector)}
DELIVERING = sorted(key for key, each in TEMPLATES.items() if "deliver" in each.manifest.does)
CHECKING = sorted(key for key, each in TEMPLATES.items() if "check" in each.manifest.does)
GONE_404 = {"teams"}


def failure(connector: RestConnector) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        connector.deliver(envelope())
    return caught.value


def test_each_has_a_sample() -> None:
    assert set(TEMPLATES) == set(SAMPLES)
    assert DELIVERING == ["discord", "notion", "teams", "weaviate"]
    assert CHECKING == ["discord", "gemini", "notion", "openai", "weaviate"]


@pytest.mark.parametrize("key", DELIVERING)
def test_success(connect: Connect, receiver: Receiver, key: str) -> None:
    receipt = connect(key, **sample(key, receiver.netloc)).deliver(envelope())
    assert isinstance(receipt, Receipt) and receipt.status == 200
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/json" and isinstance(request.json, dict)


@pytest.mark.parametrize("key", DELIVERING)
@pytest.mark.parametrize("body", [b"", b"\xff\xfe\0garbage", b"[1]", b'"text"', b"null"])
def test_an_odd_answer_to_a_success_is_a_success(connect: Connect, receiver: Receiver, key: str, body: bytes) -> None:
    receiver.answer_with(Answer(201, body))
    assert connect(key, **sample(key, receiver.netloc)).deliver(envelope()).status == 201


@pytest.mark.parametrize("key", DELIVERING)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, IntegrationPermanentError),
        (401, IntegrationAuthError),
        (403, IntegrationAuthError),
        (404, IntegrationPermanentError),
        (408, IntegrationTemporaryError),
        (410, IntegrationGone),
        (422, IntegrationPermanentError),
        (429, IntegrationRateLimited),
        (500, IntegrationTemporaryError),
        (503, IntegrationTemporaryError),
    ],
)
def test_statuses(
    connect: Connect, receiver: Receiver, key: str, status: int, expected: type[IntegrationError]
) -> None:
    receiver.answer_with(default=status)
    if status == 404 and key in GONE_404:
        expected = IntegrationGone
    error = failure(connect(key, **sample(key, receiver.netloc)))
    assert type(error) is expected and error.status == status
    assert len(receiver.requests) == 1  # no retry loop inside


@pytest.mark.parametrize("key", DELIVERING)
def test_retry_after(connect: Connect, receiver: Receiver, key: str) -> None:
    receiver.answer_with(Answer(429, b"slow down", {"Retry-After": "120"}))
    assert failure(connect(key, **sample(key, receiver.netloc))).retry_after == 120


@pytest.mark.parametrize("key", DELIVERING)
@pytest.mark.parametrize("then", ["drop", "reset"])
def test_broken_connections(connect: Connect, receiver: Receiver, key: str, then: Any) -> None:
    receiver.answer_with(Answer(then=then))
    assert isinstance(failure(connect(key, **sample(key, receiver.netloc))), IntegrationTemporaryError)


@pytest.mark.parametrize("key", sorted(TEMPLATES))
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_secret_anywhere(connect: Connect, receiver: Receiver, caplog: Any, key: str, status: int) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(default=Answer(status, f'{{"message": "you sent {CANARY}", "id": "{CANARY}"}}'.encode()))
    connector = connect(key, **sample(key, receiver.netloc))
    seen: list[object] = [connector, connector.binding, connector.template, connector.health_check()]
    try:
        seen.append(connector.deliver(envelope()).excerpt)
    except IntegrationError as error:
        seen += [error, vars(error), error.args, error.__cause__, error.__context__]
    assert CANARY not in "".join(map(repr, seen)) + caplog.text
    assert all(CANARY not in request.path for request in receiver.requests) or key in ("discord", "teams")


@pytest.mark.parametrize("key", CHECKING)
def test_a_check_reads_and_says_what_is_wrong(connect: Connect, receiver: Receiver, key: str) -> None:
    connector = connect(key, **sample(key, receiver.netloc))
    receiver.answer_with(default=answer(200, {"name": "Acme bot", "version": "1.30.0"}))
    good = connector.health_check()
    assert good.success and good.message and {request.method for request in receiver.requests} == {"GET"}
    receiver.answer_with(default=401)
    bad = connector.health_check()
    assert not bad.success and bad.is_auth_failure and bad.status == 401


def test_a_kind_without_a_check_says_so(connect: Connect, receiver: Receiver) -> None:
    connector = connect("teams", **sample("teams", receiver.netloc))
    assert not connector.can_check
    assert connector.health_check().message == "Microsoft Teams has no connection check" and receiver.requests == []


@pytest.mark.parametrize("key", ["openai", "gemini"])
def test_what_takes_no_events_says_so(connect: Connect, receiver: Receiver, key: str) -> None:
    error = failure(connect(key, **sample(key, receiver.netloc)))
    assert isinstance(error, IntegrationPermanentError) and error.code == "no_events" and receiver.requests == []


@pytest.mark.parametrize("key", sorted(TEMPLATES))
def test_only_declared_names_are_called(connect: Connect, receiver: Receiver, key: str) -> None:
    connector = connect(key, **sample(key, receiver.netloc))
    with pytest.raises(ConfigurationError, match="unknown"):
        connector.call("__init__")
    for name in connector.template.actions:
        with pytest.raises(ConfigurationError, match="nonsense: unknown"):
            connector.call(name, nonsense=1)
    assert receiver.requests == []


@pytest.mark.parametrize("key", sorted(TEMPLATES))
def test_it_talks_to_its_provider_and_nobody_else(key: str) -> None:
    manifest = TEMPLATES[key].manifest
    assert manifest.docs_url.startswith("https://") and manifest.description
    assert manifest.allowed_hosts or key == "weaviate"  # which everybody hosts for himself
    name = "base_url" if manifest.field("base_url") else "url"
    problems = TEMPLATES[key].validate_config({**sample(key, "api.example.com"), name: "https://evil.example.com/"})
    assert (name in problems) == (key != "weaviate")
