"""What every connector that POSTs the event as it is must do; others translate it, and have tests of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integrations.connectors import registry
from integrations.connectors.base import BaseConnector as Connector
from integrations.connectors.port import Binding, Envelope, Receipt
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.client import GuardedClient
from integrations.transport.policy import AddressPolicy

CANARY = "canary-7f3a91"
ENVELOPE = Envelope("workitem_created", "evt_1", b'{"event_type":"workitem_created"}', sequence=5, attempt=2)
TEMPORARY_404 = {"n8n"}  # its workflow is being edited


@pytest.fixture(params=[manifest.key for manifest in registry.manifests("webhook")])
def connector(request: Any, receiver: Receiver) -> Iterator[Connector]:
    client = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)), timeout=5)
    binding = Binding(
        url=f"{receiver.url}/{CANARY}?token={CANARY}",
        headers={"X-API-Key": CANARY},
        credentials={"username": "u", "password": CANARY},
        timeout=1,
    )
    yield registry.ConnectorRegistry.type_of(request.param)(binding, client)
    client.close()


def failure(connector: Connector) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        connector.deliver(ENVELOPE)
    return caught.value


def test_success(connector: Connector, receiver: Receiver) -> None:
    receipt = connector.deliver(ENVELOPE)
    assert isinstance(receipt, Receipt) and receipt.status == 200
    (request,) = receiver.requests
    assert request.body == ENVELOPE.body
    assert request.headers["webhook-id"] == "evt_1"


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
def test_statuses(connector: Connector, receiver: Receiver, status: int, expected: type[IntegrationError]) -> None:
    receiver.answer_with(default=status)
    if status == 404 and connector.name in TEMPORARY_404:
        expected = IntegrationTemporaryError
    error = failure(connector)
    assert type(error) is expected and error.status == status
    assert len(receiver.requests) == 1  # no retry loop inside


@pytest.mark.parametrize("value", ["120", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_retry_after(connector: Connector, receiver: Receiver, value: str) -> None:
    receiver.answer_with(Answer(429, headers={"Retry-After": value}))
    assert (failure(connector).retry_after or 0) >= 120


@pytest.mark.parametrize("then", ["drop", "reset", "hang"])
def test_broken_connections(connector: Connector, receiver: Receiver, then: Any) -> None:
    receiver.answer_with(Answer(then=then))
    assert isinstance(failure(connector), IntegrationTemporaryError)


def test_a_body_cut_after_success_is_a_success(connector: Connector, receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, then="cut"))
    assert connector.deliver(ENVELOPE).status == 200


def test_garbage_in_the_answer(connector: Connector, receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, body=b"\xff\xfe\0garbage"))
    assert connector.deliver(ENVELOPE).status == 200


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_no_secret_anywhere(connector: Connector, receiver: Receiver, caplog: Any, status: int) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(Answer(status, body=f"you sent {CANARY}".encode()))
    seen: list[object] = [connector.binding]
    try:
        seen.append(connector.deliver(ENVELOPE))
    except IntegrationError as error:
        seen += [error, vars(error), error.args, error.__cause__, error.__context__]
    assert CANARY not in "".join(map(repr, seen)) + caplog.text
