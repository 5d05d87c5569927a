"""How a receiver of webhooks signs what it calls back: as people chose for it."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connectors.base import BaseConnector
from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.port import Binding
from integrations.errors import ConfigurationError

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


# -- how long a secret is ----------------------------------------------------------------------------------

URL = "https://hooks.example.com/x"
LONG = "0123456789abcdef"
SHORT = LONG[:-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", [None, "hmac-sha256-hex", "hmac-sha256-base64"])
@pytest.mark.parametrize("secret", ["q", SHORT, f"{LONG}\nx", f"  {SHORT}  "])
def test_a_plain_hmac_needs_a_secret_that_nobody_guesses(kind: type[BaseConnector], scheme: Any, secret: str) -> None:
    config = {"url": URL, "webhook_secret": secret, **({"inbound_scheme": scheme} if scheme else {})}
    problems = kind.validate_config(config)
    assert list(problems) == ["webhook_secret"] and "at least 16 characters" in problems["webhook_secret"]
    assert secret not in problems["webhook_secret"]
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        kind.checked_config(config)
    assert kind.validate_config({**config, "webhook_secret": f"{LONG}\n{LONG}2"}) == {}
    assert list(kind.validate_config({**config, "inbound_scheme": "github"})) == ["webhook_secret"], "of every scheme"


def test_a_short_secret_that_is_stored_stays_until_it_is_changed() -> None:
    stored = {"url": URL, "webhook_secret": "x"}

    def wrong(**changes: str) -> list[str]:
        return list(WebhookConnector.validate_change({**stored, **changes}, stored))

    assert bound(WebhookConnector, secret="x").inbound_secrets() == ("x",), "its calls are taken as before"
    assert wrong(username="jane") == wrong(inbound_scheme="hmac-sha256-base64") == []
    assert wrong(webhook_secret=f"{LONG}\nx") == [], "the one that replaces it comes beside it first"
    assert wrong(webhook_secret="y") == wrong(webhook_secret="x\ny") == ["webhook_secret"]
    other = {**stored, "inbound_scheme": "github"}
    assert list(WebhookConnector.validate_change(stored, other)) == ["webhook_secret"], "it was not used so"


def test_a_name_of_a_secret_may_be_short(settings: Any) -> None:
    config = {"url": URL, "webhook_secret": "env:HOOK"}
    assert list(WebhookConnector.validate_config(config)) == ["webhook_secret"], "names are not looked up here"
    settings.INTEGRATIONS = {"SECRETS_ENV_PREFIX": "HOOKS_"}
    assert WebhookConnector.validate_config(config) == {}
