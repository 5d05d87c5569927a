"""How each kind calls us back: where its deliveries say what they are."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from integrations.connectors.base import BaseConnector
from integrations.connectors.kinds.github import GitHubConnector
from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.kinds.slack import SlackConnector
from integrations.connectors.kinds.webhook import INBOUND, WebhookConnector
from integrations.connectors.kinds.woocommerce import WooCommerceConnector
from integrations.connectors.port import Binding
from integrations.connectors.registry import manifests
from integrations.tests.case_files import load

VECTORS = {each["id"]: each for each in load("signature-vectors")["vectors"]}
URL = "https://hooks.example.com/x"


def bound(kind: type[BaseConnector], **settings: Any) -> BaseConnector:
    return kind(Binding.from_settings(kind.manifest, settings))


def parsed(connector: BaseConnector, vector: str) -> tuple[str, str, Any]:
    case = VECTORS[vector]
    found = connector.parse_webhook(case["headers"], case["body"].encode())
    return found.event_type, found.event_id, found.payload


@pytest.mark.parametrize("manifest", [each for each in manifests() if each.inbound], ids=lambda each: each.key)
def test_what_calls_back_has_a_secret_to_prove_it(manifest: Any) -> None:
    field = manifest.field(manifest.inbound.secret_field)
    assert field is not None and field.is_secret and not field.required, "off, unless somebody enters a secret"
    assert field.multiline, "two secrets, while one is changed"


@pytest.mark.parametrize(
    "kind", [WebhookConnector, N8nConnector, GitHubConnector, SlackConnector, WooCommerceConnector]
)
def test_it_is_off_without_a_secret(kind: type[BaseConnector]) -> None:
    assert kind.manifest.inbound is not None
    assert bound(kind).inbound_secrets() == ()
    field = kind.manifest.inbound.secret_field
    assert bound(kind, **{field: "new-7f3a91\nold-7f3a91\n"}).inbound_secrets() == ("new-7f3a91", "old-7f3a91")


def test_github() -> None:
    github = bound(GitHubConnector)
    delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert parsed(github, "G049") == ("push", delivery, json.loads(VECTORS["G049"]["body"]))
    assert parsed(github, "G051") == ("push", delivery, {"a": 1})


SLACK_EVENT = {"type": "event_callback", "event_id": "Ev08MFMKH6", "event": {"type": "app_mention", "text": "hello"}}


@pytest.mark.parametrize(
    ("body", "event_type", "event_id"),
    [
        (json.dumps(SLACK_EVENT).encode(), "app_mention", "Ev08MFMKH6"),
        (b'{"type": "url_verification", "challenge": "abc"}', "url_verification", ""),
        (urlencode({"payload": '{"type": "block_actions"}'}).encode(), "block_actions", ""),
        (urlencode({"command": "/status", "text": "RMA-7"}).encode(), "slash_command", ""),
        (b'{"type": 5}', "", ""),
        (b"[]", "", ""),
    ],
)
def test_slack(body: bytes, event_type: str, event_id: str) -> None:
    found = bound(SlackConnector).parse_webhook({}, body)
    assert (found.event_type, found.event_id) == (event_type, event_id)


@pytest.mark.parametrize("kind", [WebhookConnector, N8nConnector])
def test_a_tenant_chooses_how_it_is_signed(kind: type[BaseConnector]) -> None:
    assert bound(kind).inbound == INBOUND["hmac-sha256-hex"]
    for scheme, inbound in INBOUND.items():
        assert bound(kind, inbound_scheme=scheme).inbound == inbound
    chosen = bound(kind, inbound_scheme="hmac-sha256-hex", inbound_signature_header="X-Hook").inbound
    assert chosen is not None and chosen.signature_header == "X-Hook"
    ignored = bound(kind, inbound_scheme="github", inbound_signature_header="X-Hook").inbound
    assert ignored == INBOUND["github"]


@pytest.mark.parametrize(
    ("scheme", "headers", "body", "event_type", "event_id"),
    [
        ("standard-webhooks", {"Webhook-Id": "msg_1"}, {"event_type": "done"}, "done", "msg_1"),
        ("stripe", {}, {"id": "evt_1", "type": "charge.succeeded"}, "charge.succeeded", "evt_1"),
        (
            "shopify",
            {"X-Shopify-Webhook-Id": "b1", "X-Shopify-Topic": "orders/create"},
            {"id": 7},
            "orders/create",
            "b1",
        ),
        ("hmac-sha256-hex", {"webhook-id": "unsigned"}, {"event_type": "done", "id": 7}, "done", "7"),
        ("hmac-sha256-base64", {}, {"note": "hello"}, "", ""),
    ],
)
def test_where_a_delivery_says_what_it_is(
    scheme: str, headers: dict[str, str], body: dict[str, Any], event_type: str, event_id: str
) -> None:
    found = bound(WebhookConnector, inbound_scheme=scheme).parse_webhook(headers, json.dumps(body).encode())
    assert (found.event_type, found.event_id, found.payload) == (event_type, event_id, body)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"inbound_scheme": "md5"}, "inbound_scheme"),
        ({"inbound_signature_header": "X Sig:"}, "inbound_signature_header"),
        ({"webhook_secret": "not base64!", "inbound_scheme": "standard-webhooks"}, "webhook_secret"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, str], field: str) -> None:
    assert set(WebhookConnector.validate_config({"url": URL, **settings})) == {field}


def test_settings_that_are_fine() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    chosen = {"webhook_secret": secret, "inbound_scheme": "standard-webhooks"}
    for settings in (chosen, {"webhook_secret": "any text of that length"}):
        assert WebhookConnector.validate_config({"url": URL, **settings}) == {}
