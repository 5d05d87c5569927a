"""Spellings that providers have of their own: other names of headers, and of secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from integrations.connectors.incoming import WebhookDTO
from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.kinds.woocommerce import WooCommerceConnector
from integrations.connectors.port import Binding
from integrations.inbound.generic import guess
from integrations.inbound.receive import copy_id
from integrations.inbound.schemes import verify
from integrations.tests.inbound_world import OTHER_SECRET, SECRET, b64, digest, headers_of
from integrations.transport.signing import SignatureInvalid

NOW = 1763668800
BODY = b'{"id": 727}'
HEX = digest(BODY).hex()


def check(scheme: str, headers: Any, secret: str = SECRET, header: str = "", body: bytes = BODY) -> None:
    verify(scheme, headers, body, [secret], now=NOW, signature_header=header)


def reason(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        check(*args, **kwargs)
    return caught.value.reason


def webhook(scheme: str, **settings: Any) -> WebhookConnector:
    return WebhookConnector(Binding.from_settings(WebhookConnector.manifest, {"inbound_scheme": scheme, **settings}))


# -- Standard Webhooks, as Svix names its headers ---------------------------------------------------------


def svix(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("webhook-", "svix-"): value for name, value in headers.items()}


@pytest.fixture
def signed() -> dict[str, str]:
    """What the standard's own library makes."""
    signature = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": signature}


@pytest.mark.parametrize("scheme", ["standard-webhooks", "standard-webhooks-v1a"])
def test_svix_names_are_read_as_well(scheme: str, signed: dict[str, str]) -> None:
    check(scheme, svix(signed))
    check(scheme, {name.title(): value for name, value in svix(signed).items()})
    check(scheme, {**svix(signed), **signed})
    assert reason(scheme, svix(signed), OTHER_SECRET) == "mismatch"
    assert reason(scheme, svix(signed), body=BODY + b" ") == "mismatch"
    for name in svix(signed):
        assert reason(scheme, {**svix(signed), name: ""}) == "missing_header"
        assert reason(scheme, {**svix(signed), name: "x" * 9000}) == "malformed"


def test_two_families_are_not_mixed(signed: dict[str, str]) -> None:
    theirs = svix(signed)
    mixed = {
        "webhook-id": "msg_2",
        "svix-timestamp": theirs["svix-timestamp"],
        "svix-signature": theirs["svix-signature"],
    }
    assert reason("standard-webhooks", mixed) == "missing_header"


def test_the_header_says_whose_it_is(signed: dict[str, str]) -> None:
    check("hmac-sha256", svix(signed), header="svix-signature")


def test_the_id_is_the_one_that_is_signed(signed: dict[str, str]) -> None:
    """Else who has overheard a delivery could send it again under an id of his own."""
    headers = {**svix(signed), "webhook-id": "msg_forged"}
    check("standard-webhooks", headers)
    assert webhook("standard-webhooks").parse_webhook(headers, BODY).event_id == "msg_1"
    assert guess(WebhookDTO(""), headers).event_id == "msg_1"
    assert copy_id("standard-webhooks", "msg_1", headers, BODY) == "msg_1"
    assert copy_id("standard-webhooks", "msg_forged", headers, BODY) != "msg_forged"
    assert copy_id("github", "msg_1", headers, BODY) != "msg_1", "github does not sign it"


# -- Shopify ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["X-Shopify-", "Shopify-", "shopify-"])
def test_both_of_shopifys_families(prefix: str) -> None:
    headers = {
        f"{prefix}Hmac-Sha256": b64(digest(BODY)),
        f"{prefix}Topic": "orders/create",
        f"{prefix}Webhook-Id": "b-1",
    }
    check("shopify", headers)
    check("hmac-sha256", headers, header=f"{prefix}Hmac-Sha256")
    assert reason("shopify", headers, OTHER_SECRET) == "mismatch"
    found = webhook("shopify").parse_webhook(headers, BODY)
    assert (found.event_type, found.event_id) == ("orders/create", "b-1")
    found = guess(WebhookDTO(""), headers)
    assert (found.event_type, found.event_id) == ("orders/create", "b-1")


def test_a_named_header_is_the_only_one() -> None:
    headers = {"Shopify-Hmac-Sha256": b64(digest(BODY))}
    assert reason("shopify", headers, header="X-Other") == "missing_header"


# -- sha256=<hex> -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["X-Notion-Signature", "X-Hub-Signature-256", "X-Signature", "x-any"])
def test_a_prefixed_digest_under_any_header(header: str) -> None:
    headers = {header: f"sha256={HEX}"}
    check("hmac-sha256-prefixed", headers, header=header)
    check("hmac-sha256", headers, header=header)
    for value, word in ((HEX, "malformed"), (f"sha1={HEX}", "malformed"), (f"sha256={HEX.upper()}", "mismatch")):
        assert reason("hmac-sha256-prefixed", {header: value}, header=header) == word
    assert reason("hmac-sha256-prefixed", headers, OTHER_SECRET, header=header) == "mismatch"


def test_people_choose_it() -> None:
    chosen = webhook("hmac-sha256-prefixed", inbound_signature_header="X-Notion-Signature").inbound
    assert (chosen.scheme, chosen.signature_header) == ("hmac-sha256-prefixed", "X-Notion-Signature")
    body = json.dumps({"id": "e-1", "event_type": "page.created"}).encode()
    headers = {"X-Notion-Signature": f"sha256={digest(body).hex()}"}
    check(chosen.scheme, headers, header=chosen.signature_header, body=body)


# -- WooCommerce ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("a&b with 16 or more", "a&b with 16 or more"),
        ("a&amp;b with 16 or more", "a&b with 16 or more"),
        ("&#038;&#38;&#x26;&#60;&#062;", "&&&<>"),
        ("&amp;amp;", "&amp;"),
        ("&amp;lt;", "&lt;"),
        ("&nbsp;&copy;&#65;&apos;&amp", "&nbsp;&copy;&#65;&apos;&amp"),
        ("&AMP;", "&AMP;"),
    ],
)
def test_woocommerce_signs_with_the_decoded_secret(typed: str, key: str) -> None:
    """``wp_specialchars_decode($secret, ENT_QUOTES)``: these entities, once."""
    headers = {"X-WC-Webhook-Signature": b64(hmac.new(key.encode(), BODY, hashlib.sha256).digest())}
    check("woocommerce", headers, typed)
    check("hmac-sha256", headers, typed, header="X-WC-Webhook-Signature")
    if typed != key:
        raw = {"X-WC-Webhook-Signature": b64(hmac.new(typed.encode(), BODY, hashlib.sha256).digest())}
        assert reason("woocommerce", raw, typed) == "mismatch"
        check("shopify", {"X-Shopify-Hmac-Sha256": raw["X-WC-Webhook-Signature"]}, typed)
    assert WooCommerceConnector.manifest.inbound is not None


# -- Stripe -----------------------------------------------------------------------------------------------


def test_a_time_ahead_of_ours_is_refused_beyond_the_window() -> None:
    """Stripe's own library would take it; ours has one window for all schemes, both ways (docs/inbound.md)."""
    check("stripe", headers_of("stripe", BODY, at=NOW + 300))
    assert reason("stripe", headers_of("stripe", BODY, at=NOW + 301)) == "too_new"
