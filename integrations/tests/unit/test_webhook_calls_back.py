"""How a receiver of webhooks signs what it calls back: as people chose for it."""

from __future__ import annotations

import pytest

from integrations.connectors.base import BaseConnector
from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.port import Binding

KINDS = [WebhookConnector, N8nConnector]


def bound(kind: type[WebhookConnector], scheme: str = "", secret: str = "") -> WebhookConnector:
    config = {"inbound_scheme": scheme} if scheme else {}
    credentials = {"webhook_secret": secret} if secret else {}
    return kind(Binding("https://hooks.example.com/x", credentials=credentials, config=config))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("chosen", "scheme"),
    [
        ("", "hmac-sha256-hex"),
        ("hmac-sha256-hex", "hmac-sha256-hex"),
        ("hmac-sha256-base64", "hmac-sha256-base64"),
        ("never-heard-of", "hmac-sha256-hex"),
    ],
)
def test_a_plain_hmac_has_its_id_in_the_signed_body(kind: type[WebhookConnector], chosen: str, scheme: str) -> None:
    connector = bound(kind, chosen)
    assert (connector.inbound.scheme, connector.inbound.signature_header) == (scheme, "X-Webhook-Signature")
    headers = {"X-Id": "from a header", "webhook-id": "from a header"}
    dto = connector.parse_webhook(headers, b'{"id": "evt_1-note", "event_type": "workitem_created", "text": "x"}')
    assert (dto.event_id, dto.event_type, dto.payload["text"]) == ("evt_1-note", "workitem_created", "x")


def test_standard_webhooks_sign_the_id_of_their_header() -> None:
    connector = bound(WebhookConnector, "standard-webhooks")
    assert (connector.inbound.scheme, connector.inbound.signature_header) == ("standard-webhooks", "")
    assert connector.parse_webhook({"Webhook-Id": "msg_1"}, b'{"id": "other"}').event_id == "msg_1"


@pytest.mark.parametrize("kind", KINDS)
def test_its_secret_is_its_own_and_several_are_possible(kind: type[WebhookConnector]) -> None:
    assert bound(kind).inbound_secrets() == ()
    assert bound(kind, secret="new\nold\n").inbound_secrets() == ("new", "old")
    signing = kind(Binding("https://hooks.example.com/x", signing_secrets=("whsec_AAECAw==",)))
    assert signing.inbound_secrets() == (), "what signs our events proves nothing about theirs"


@pytest.mark.parametrize("kind", KINDS)
def test_people_choose_so_it_may_do_only_what_is_ticked(kind: type[WebhookConnector]) -> None:
    assert kind.inbound is not BaseConnector.inbound
