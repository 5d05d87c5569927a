"""Weaviate, on its REST API (docs.weaviate.io/weaviate/api/rest); answers written by hand after its documentation."""

from __future__ import annotations

import json

import pytest

from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.template_samples import CANARY, PAYLOAD, WORKITEM, answer, envelope, ours, sample
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationNotConfigured,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Receiver

OBJECT_ID = "6a8e695c-6681-5dba-b067-c5f87edbef1a"  # of evt_1, for ever


def test_an_object_is_made(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(200, {"class": "Event", "id": OBJECT_ID, "properties": {}}))
    receipt = connect("weaviate", **sample("weaviate", receiver.netloc)).deliver(envelope())
    assert receipt.external_id == OBJECT_ID
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/v1/objects")
    assert ours(request.headers) == {"authorization": f"Bearer {CANARY}", "content-type": "application/json"}
    body = request.json
    assert json.loads(body["properties"].pop("payload")) == PAYLOAD
    assert body == {
        "class": "Event",
        "id": OBJECT_ID,
        "properties": {
            "event_id": "evt_1",
            "event_type": "workitem_created",
            "sequence": 5,
            "occurred_at": "2025-11-05T20:30:00Z",
            "title": "Workitem created: RMA-123",
            "text": f"{WORKITEM['description']}\n\nStatus: New\nPriority: Urgent\nDue date: 2025-11-08T20:30:00Z\n"
            "Customer: John Doe",
        },
    }


def test_a_repeated_delivery_finds_its_object(connect: Connect, receiver: Receiver) -> None:
    exists = {"error": [{"message": f"id '{OBJECT_ID}' already exists"}]}
    receiver.answer_with(answer(200, {"id": OBJECT_ID}), answer(422, exists))
    connector = connect("weaviate", **sample("weaviate", receiver.netloc))
    first, second = connector.deliver(envelope()), connector.deliver(envelope())
    assert (first.external_id, second.external_id, second.status) == (OBJECT_ID, OBJECT_ID, 422)
    assert receiver.requests[0].body == receiver.requests[1].body


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (422, "invalid object: no such prop with name 'x' found in class 'Event'", IntegrationPermanentError),
        (422, None, IntegrationPermanentError),
        (401, "anonymous access not enabled, please provide an auth scheme", IntegrationAuthError),
        (403, "forbidden", IntegrationAuthError),
        (500, "put object: shard is read-only", IntegrationTemporaryError),
    ],
)
def test_errors(connect: Connect, receiver: Receiver, status: int, message: str | None, kind: type[Exception]) -> None:
    receiver.answer_with(answer(status, {"error": [{"message": message}]} if message else {"code": status}))
    with pytest.raises(kind):
        connect("weaviate", **sample("weaviate", receiver.netloc)).deliver(envelope())


def test_without_a_key_no_header_is_sent(connect: Connect, receiver: Receiver) -> None:
    connect("weaviate", url=f"http://{receiver.netloc}/").deliver(envelope())
    (request,) = receiver.requests
    assert "authorization" not in request.headers and request.path == "/v1/objects"


def test_the_check_asks_whether_it_is_ready_and_who_it_is(connect: Connect, receiver: Receiver) -> None:
    connector = connect("weaviate", **sample("weaviate", receiver.netloc))
    receiver.answer_with(200, answer(200, {"hostname": "http://[::]:8080", "modules": {}, "version": "1.30.0"}))
    assert connector.health_check().message == "Weaviate 1.30.0 is ready."
    assert [request.path for request in receiver.requests] == ["/v1/.well-known/ready", "/v1/meta"]
    receiver.answer_with(503)
    assert not connector.health_check().success


def test_actions(connect: Connect, receiver: Receiver) -> None:
    connector = connect("weaviate", **sample("weaviate", receiver.netloc))
    found = {"class": "Event", "id": OBJECT_ID, "properties": {"title": "RMA-123"}}
    data = {"Get": {"Event": [{"title": "RMA-123"}]}}
    receiver.answer_with(answer(200, found), answer(200, {"data": data}))
    assert connector.call("get_object", id=OBJECT_ID) == found
    assert connector.call("graphql", query="{Get{Event{title}}}") == data
    assert receiver.requests[0].path == f"/v1/objects/Event/{OBJECT_ID}"
    assert receiver.requests[1].json == {"query": "{Get{Event{title}}}"}
    receiver.answer_with(answer(200, {"data": None, "errors": [{"message": "Syntax Error"}]}), 404)
    with pytest.raises(IntegrationPermanentError, match="refuses the GraphQL query"):
        connector.call("graphql", query="{")
    with pytest.raises(IntegrationPermanentError) as caught:
        connector.call("get_object", id=OBJECT_ID)
    assert caught.value.status == 404


def test_no_address_is_not_configured_and_a_private_one_needs_the_operator(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="url: missing") as caught:
        connect("weaviate", url="")
    assert isinstance(caught.value, IntegrationNotConfigured)
    with pytest.raises(ConfigurationError, match="url"):
        connect("weaviate", url="http://10.0.0.7:8080")


def test_a_usage_limit_is_no_rate_limit(connect: Connect, receiver: Receiver) -> None:
    body = {"errorCode": "USAGE_LIMIT_EXCEEDED", "limit": "objects", "value": 1000, "message": "…"}
    receiver.answer_with(answer(429, body))
    with pytest.raises(IntegrationPermanentError, match="raise them, or make room") as caught:
        connect("weaviate", **sample("weaviate", receiver.netloc)).deliver(envelope())
    assert (caught.value.fault, caught.value.code) == ("setup", "usage_limit")
