"""Masking: what must never be readable, and what must stay so."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from integrations.auth.scheme import BasicAuth
from integrations.tests.effort import computing
from integrations.transport.redaction import MASK, mask_known, mask_url, redact

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
    with computing() as computed:
        redact((piece * 65536)[:65536])
    assert computed.seconds < 5


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


# -- one secret, as anybody may spell it -----------------------------------------------------------------------------

HOSTILE = 'Zürich/key+<o\'ne>&"two"=?'  # of everything that some encoding changes
ASCII = "s3cr3t-Wx/7+yz==9Q"


def pieces(secret: str) -> list[str]:
    """Return parts of `secret` that a half-masked text would still show."""
    return [secret[:6], secret[-6:], secret[4:12]]


@pytest.mark.parametrize("secret", [ASCII, HOSTILE, "correct horse battery"])
@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda text: text, id="itself"),
        pytest.param(lambda text: quote(text, safe=""), id="URL"),
        pytest.param(lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")), id="URL, lower"),
        pytest.param(quote_plus, id="form"),
        pytest.param(lambda text: quote(text, safe="!~*'()"), id="encodeURIComponent"),
        pytest.param(lambda text: quote(text, safe=";,/?:@&=+$-_.!~*'()#"), id="encodeURI"),
        pytest.param(lambda text: quote(quote(text, safe=""), safe=""), id="URL in a URL"),
        pytest.param(json.dumps, id="JSON"),
        pytest.param(lambda text: json.dumps(text, ensure_ascii=False), id="JSON, UTF-8"),
        pytest.param(lambda text: json.dumps(text).replace("/", "\\/"), id="PHP's JSON"),
        pytest.param(lambda text: json.dumps({"echo": json.dumps({"a": text})}), id="JSON in JSON"),
        pytest.param(
            lambda text: json.dumps(text)
            .replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("'", "\\u0027"),
            id="Go's JSON",
        ),
        pytest.param(html.escape, id="HTML"),
        pytest.param(lambda text: html.escape(text).replace("&#x27;", "&#39;"), id="HTML, decimal"),
        pytest.param(lambda text: base64.b64encode(text.encode()).decode(), id="base64"),
        pytest.param(lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="), id="base64url"),
        pytest.param(lambda text: text.encode().hex(), id="hex"),
        pytest.param(lambda text: text.encode().hex().upper(), id="HEX"),
    ],
)  # fmt: skip
def test_every_usual_spelling_is_masked(spell: Any, secret: str) -> None:
    said = f"before {spell(secret)} after"
    found = mask_known(said, [secret])
    assert found.startswith("before ") and found.endswith(" after")
    assert MASK in found and spell(secret).strip('"') not in found
    assert not [piece for piece in pieces(secret) if spell(piece).strip('"') in found]


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user@example.com", "\0user"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_bare_base64_of_a_login_is_masked_whatever_the_user_is_called(user: str, encode: Any) -> None:
    said = encode(f"{user}:hunter2-Wx7\0".encode()).decode()
    for text in (said, said.replace("/", "\\/"), quote(said, safe=""), f'{{"got": "{said}"}}'):
        found = mask_known(text, ["hunter2-Wx7"])
        assert not [said[n : n + 4] for n in range(0, len(said) - 4, 4) if said[n : n + 4] in found], found


def test_a_login_without_its_user_name_is_a_secret_of_basic_auth_too() -> None:
    known = BasicAuth("joe", "abcd").secrets()
    assert mask_known(base64.b64encode(b"joe:abcd").decode().rstrip("="), known) == MASK


def test_one_line_of_a_secret_of_several_is_masked() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAo\n-----END PRIVATE KEY-----"
    assert "ADANB" not in mask_known("line 2 is MIIEvQIBADANBgkqhkiG9w0 indeed", [pem])


def test_words_beside_a_spelling_stay() -> None:
    said = "GET /orders/7 of shop-main failed: password incorrect for user joe"
    assert mask_known(said, [ASCII, HOSTILE]) == said


@pytest.mark.parametrize("header", ["Basic {}", "basic {}"])
def test_a_free_header_with_a_login_hides_what_it_encodes(header: str) -> None:
    from integrations.connectors.kinds.webhook import WebhookConnector
    from integrations.connectors.port import Binding

    encoded = base64.b64encode(b"joe:hunter2-Wx7").decode()
    connector = WebhookConnector(Binding("https://a.example", {"Authorization": header.format(encoded)}))
    found = mask_known(f"we got joe:hunter2-Wx7 and hunter2-Wx7 and {encoded}", connector.secrets)
    assert "hunter2" not in found and encoded not in found
