"""The exact request of each attempt is kept with its answer, and no secret is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from integrations.acting import acting_as
from integrations.audit.exchanges import Exchange, exchanges_of
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery.drain import drain
from integrations.middleware import ActingUser
from integrations.models import ExecutionLog, IntegrationEvent
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver, Request

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
CANARIES = ("canary-header-1c", "canary-key-2d", "canary-password-3e", "canary-path-4f", SECRET.removeprefix("whsec_"))


class Register(BaseConnector):
    """A system of this test's own, whose requests are not the event's bytes."""

    manifest = Manifest(key="register", label="Register", family="test", fields=(Field(name="base_url", kind="url"),))

    def deliver(self, envelope: Envelope) -> Receipt:
        return self.receipt(self.http.send("POST", "/entries", json={"title": envelope.payload["event_type"]}))


@pytest.fixture(autouse=True)
def _allow(settings: Any, receiver: Receiver) -> Iterator[None]:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    ConnectorRegistry.register("register", Register)
    yield
    ConnectorRegistry.unregister("register")


def told() -> list[tuple[ExecutionLog, list[Exchange]]]:
    found = []
    for log in ExecutionLog.objects.filter(action="deliver").select_related("sync__event").order_by("id"):
        assert log.sync is not None
        found.append((log, exchanges_of([log], log.sync)[log.pk]))
    return found


def as_sent(request: Request) -> dict[str, str]:
    """Return the headers that arrived, but the length, which libcurl adds."""
    return {name: value for name, value in request.headers.items() if name != "content-length"}


def test_each_request_of_a_webhook_is_kept_as_it_went_out(receiver: Receiver) -> None:
    """All but the first refer to it, and read the same."""
    target = make_integration(make_tenant(), receiver.url, headers={"X-Shop": CANARIES[0]})
    for number in range(3):
        make_item(target.tenant, reference_id=f"RMA-{number}")
    receiver.answer_with(default=Answer(202, b'{"queued": true}', {"X-Request-Id": "abc"}))
    drain(target.pk)
    found = told()
    assert len(found) == 3
    assert any(isinstance(log.exchanges[0], int) for log, _ in found)  # those that saw another second do not
    by_id = {request.id: request for request in receiver.requests}
    for log, (exchange,) in found:
        assert log.sync is not None
        request = by_id[log.sync.event.idempotency_key]
        expected = as_sent(request) | {"x-shop": "***"}
        assert {name.lower(): value for name, value in exchange.head} == expected
        assert exchange.body == request.body.decode() and exchange.is_event
        assert (exchange.method, exchange.status, exchange.answer) == ("POST", 202, '{"queued": true}')
        assert ("x-request-id", "abc") in exchange.answer_head
        assert exchange.url.startswith(f"http://{receiver.netloc}/") and receiver.url not in exchange.url


def test_what_is_no_event_body_is_kept_as_it_went_out(receiver: Receiver) -> None:
    config = {"base_url": f"http://{receiver.netloc}"}
    target = make_integration(make_tenant(), "", integration_type="register", config=config, signed=False)
    make_item(target.tenant)
    drain(target.pk)
    ((_, (exchange,)),) = told()
    (request,) = receiver.requests
    assert exchange.body == request.body.decode() and not exchange.is_event
    assert exchange.url == f"http://{receiver.netloc}{request.path}"


def test_a_payload_of_its_own_is_shown_as_it_went_out(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    target.subscriptions.update(payload="{title: workitem.reference_id}")
    make_item(target.tenant)
    drain(target.pk)
    ((_, (exchange,)),) = told()
    assert exchange.body == receiver.requests[0].body.decode() == '{"title":"RMA-1"}' and not exchange.is_event


def test_no_secret_is_kept_whatever_is_echoed(receiver: Receiver) -> None:
    def echo(request: Request) -> Answer:
        told = json.dumps({"path": request.path, "headers": request.headers}).encode()
        return Answer(500, told + b" " * 600, {"Server": request.headers["x-shop"], "X-Request-Id": request.path[-13:]})

    receiver.answer_with(echo)
    target = make_integration(
        make_tenant(),
        f"http://{receiver.netloc}/{CANARIES[3]}",
        headers={"X-Shop": CANARIES[0]},
        credentials={"api_key": CANARIES[1], "username": "u", "password": CANARIES[2]},
    )
    make_item(target.tenant)
    make_item(target.tenant, reference_id="RMA-2")
    drain(target.pk)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {ExecutionLog._meta.db_table}")
        stored = str(cursor.fetchall())
    assert "webhook-signature" in stored
    assert [canary for canary in CANARIES if canary in stored] == []


def test_a_failure_keeps_its_request(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    receiver.answer_with(Answer(then="drop"))
    drain(target.pk)
    ((log, (exchange,)),) = told()
    assert exchange.status is None and exchange.error == log.error and exchange.was_sent
    assert dict(exchange.head)["webhook-attempt"] == "1"


def test_what_never_left_says_so(receiver: Receiver, settings: Any) -> None:
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [], "RETRY_JITTER": 0.0}
    drain(target.pk)
    ((_, (exchange,)),) = told()
    assert not exchange.was_sent and exchange.head == [] and "INTEGRATIONS_ALLOWED_HOSTS" in exchange.error


def test_lines_from_before_have_none(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    drain(target.pk)
    ExecutionLog.objects.update(exchanges=None)
    ((_, exchanges),) = told()
    assert exchanges == []
    ExecutionLog.objects.update(exchanges=[9_999_999, "1", "v1,x"])  # what it refers to is purged
    ((_, exchanges),) = told()
    assert exchanges == []


def test_an_event_names_who_caused_it(receiver: Receiver) -> None:
    target = make_integration(make_tenant(), receiver.url)
    make_item(target.tenant)
    with acting_as("import of orders"):
        item = make_item(target.tenant, reference_id="RMA-2")

    def view(request: HttpRequest) -> HttpResponse:
        item.save()
        return HttpResponse()

    request = RequestFactory().post("/")
    for user in (AnonymousUser(), User(username="alice")):
        request.user = user
        item.description = f"changed by {type(user).__name__}"
        ActingUser(view)(request)
    actors = list(IntegrationEvent.objects.order_by("id").values_list("actor", flat=True))
    assert actors == ["", "import of orders", "", "alice"]
