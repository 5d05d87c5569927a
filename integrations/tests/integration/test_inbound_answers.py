"""What providers read when they call back: as their own frameworks would answer them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache

from integrations.connectors.incoming import Answer, WebhookDTO
from integrations.connectors.registry import ConnectorRegistry
from integrations.models import WebhookEvent
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import SECRET, headers_of, make_connection, provider
from integrations.tests.integration.test_inbound_view import send
from integrations.tests.services import Broker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.integration, pytest.mark.portable]

FORM = "application/x-www-form-urlencoded"
COMMAND = urlencode({"command": "/status", "text": "RMA-7", "trigger_id": "1.2.3"}).encode()
MODAL = urlencode({"payload": json.dumps({"type": "view_submission", "view": {"id": "V1"}})}).encode()
EVENT = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}}).encode()


@pytest.fixture(autouse=True)
def _quiet(broker: Broker) -> None:
    cache.clear()


def make_slack() -> Any:
    return make_connection(make_tenant(), "slack", secret="", credentials={"signing_secret": SECRET})


@pytest.mark.parametrize(
    ("body", "content_type", "event_type"),
    [(COMMAND, FORM, "slash_command"), (MODAL, FORM, "view_submission"), (EVENT, "application/json", "app_mention")],
)
def test_slack_reads_nothing(body: bytes, content_type: str, event_type: str) -> None:
    """A text would be shown to whoever typed the command, and would keep the modal open."""
    slack = make_slack()
    for _ in ("received", "duplicate"):
        answer = send(slack, body, scheme="slack", content_type=content_type)
        assert (answer.status_code, answer.content) == (200, b"")
    (row,) = WebhookEvent.objects.all()
    assert (row.event_type, row.duplicates) == (event_type, 1)


def test_slack_tries_the_address() -> None:
    slack = make_slack()
    answer = send(slack, b'{"type": "url_verification", "challenge": "3eZb"}', scheme="slack")
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZb"})
    for signed in (None, {}):
        answer = send(slack, b"ssl_check=1&token=x", scheme="slack", content_type=FORM, signed=signed)
        assert (answer.status_code, answer.content) == (200, b"")
    assert not WebhookEvent.objects.exists()
    assert send(slack, COMMAND, scheme="slack", content_type=FORM, signed={}).status_code == 401


def test_every_kind_of_that_scheme() -> None:
    with provider("slack", sends_forms=True) as key:
        answer = send(make_connection(make_tenant(), key), COMMAND, scheme="slack", content_type=FORM)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_connector_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider("github", id_header="X-Id") as key:
        kind = ConnectorRegistry.type_of(key)
        monkeypatch.setattr(
            kind,
            "handshake",
            lambda self, dto: Answer({"pong": dto.payload["hook"]}) if "hook" in dto.payload else None,
            raising=False,
        )
        monkeypatch.setattr(kind, "answer", lambda self, status: Answer({"ok": True, "was": status}), raising=False)
        shop = make_connection(make_tenant(), key)
        assert send(shop, b'{"hook": 7}').json() == {"pong": 7}
        assert not WebhookEvent.objects.exists()
        assert [send(shop, X_Id="1").json() for _ in range(2)] == [
            {"ok": True, "was": "received"},
            {"ok": True, "was": "duplicate"},
        ]


def test_a_handshake_that_raises_costs_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, dto: WebhookDTO) -> None:
        raise KeyError("hook")

    with provider("github") as key:
        monkeypatch.setattr(ConnectorRegistry.type_of(key), "handshake", broken, raising=False)
        assert send(make_connection(make_tenant(), key)).status_code == 200
    assert WebhookEvent.objects.count() == 1


def test_others_are_told_as_before() -> None:
    with provider("github") as key:
        shop = make_connection(make_tenant(), key)
        assert [send(shop, signed=headers_of("github", b'{"id": 727}')).json()["status"] for _ in range(2)] == [
            "received",
            "duplicate",
        ]
