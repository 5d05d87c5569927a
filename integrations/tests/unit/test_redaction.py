"""Masking: what must never be readable, and what must stay so."""

from __future__ import annotations

import base64
import json
from time import perf_counter
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from integrations.transport.redaction import mask_url, redact

SLACK = "https://hooks.slack.com/services/T0AAAAAAA/B0BBBBBBB/hushhushhush"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hushhush.hush",
        '{"authorization": "Basic aHVzaDpodXNo"}',
        "authorization=hushhush",
        "it said Bearer hushhush123 is expired",
        'curl -H "X-API-Key: hushhush"',
        f"POST {SLACK} failed",
        json.dumps({"url": SLACK}).replace("/", "\\/"),
        "https://discord.com/api/webhooks/1234/hushhush",
        "https://api.telegram.org/bot123:hushhush/sendMessage",
        "https://user:hushhush@example.com/x",
        "GET https://example.com/x?a=1&key=hushhush#f",
        "/path?sig=hushhush&x=hushhush",
        "password=hushhush next",
        'password = "hush hush hush"',
        "passwd: 'hush hush'",
        '{"api_key": "hush \\" hush"}',
        '{"client_secret":"hushhush","a":1}',
        '{"raw":"{\\"token\\":\\"hush hush\\"}"}',
        '{"db_password_2": "hushhush',  # cut off before the closing quote
        "access_token=>hushhush",
        "Set-Cookie: sid=hush; path=/hush",
        "key whsec_hushhushhushhushhushhushhushhush= used",
        "whsk_hushhush",
        "xoxb-hush-hush-hush",
        "ghp_hushhushhushhushhushhushhush",
        "github_pat_hushhushhushhush",
        "sk_live_hushhushhushhush",
        "eyJhushhush.eyJhushhush.hushhush",
        "-----BEGIN RSA PRIVATE KEY-----\nhushhush\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_shapes_of_secrets(text: str) -> None:
    assert "hush" not in redact(text)
    assert "aHVza" not in redact(text)


def test_aws_key_id() -> None:
    assert "AKIA" not in redact("key AKIAIOSFODNN7EXAMPLE here")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hooks.example.com answered 503 Service Unavailable",
        '{"error":"invalid_token","detail":"the workflow is inactive"}',
        "Basic authentication required",
        "https://example.com/orders/123",
        "Content-Type: application/json",
        "✓ Überweisung 日本",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert redact(text) == text


SECRETS = st.text(min_size=6, max_size=40).filter(lambda text: text.strip("* ") and "***" not in text)


@given(st.text(max_size=30), SECRETS, st.text(max_size=30))
def test_known_secret_is_gone_in_every_form(before: str, secret: str, after: str) -> None:
    raw = secret.encode()
    for form in (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    ):
        assume(form not in before + after)
        found = redact(f"{before} {form} {after}", [secret])
        assert form not in found or form in f"{before} *** {after}"


def test_short_and_empty_secrets_are_skipped() -> None:
    assert redact("a banana", ["a", "", "****"]) == "a banana"


@pytest.mark.parametrize(
    "piece",
    ["eyJaaaaa-", "password", "://a", "?a", "authorization ", "-----BEGIN ", "token ", '\\"', "sk_", "&a="],
)
def test_patterns_are_linear(piece: str) -> None:
    """A hostile answer of 64 kB costs milliseconds; quadratic patterns would take minutes."""
    started = perf_counter()
    redact((piece * 65536)[:65536])
    assert perf_counter() - started < 5


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (SLACK, "https://hooks.slack.com/•••"),
        ("HTTP://User:pw@n8n:5678/webhook/x?k=1#f", "http://n8n:5678/•••"),
        ("https://a@b@c.example", "https://c.example/•••"),
        ("https://[::1]:80/x", "https://[::1]:80/•••"),
        ("http://127.0.0.1\\@example.com/", "http://127.0.0.1/•••"),
        ("file:///etc/passwd", "•••"),
        ("whsec_hush", "•••"),
        ("", "•••"),
        (None, "•••"),
    ],
)
def test_mask_url(url: object, masked: str) -> None:
    assert mask_url(url) == masked


@given(st.text(), st.lists(st.text(max_size=8), max_size=3))
def test_never_raises(text: str, secrets: list[str]) -> None:
    redact(text, secrets)
    mask_url(text)
