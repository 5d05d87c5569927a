"""What strangers send is shown harmlessly: escaped, capped, without secrets, without characters that act."""

from __future__ import annotations

import pytest

from integrations.pages.received import MOST, shown_body, shown_headers, shown_json
from integrations.tenancy.harmless_text import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x00b", "a\\x00b"),
        ("a\u200bb", "a\\u200bb"),
        ("pay\u00adpal", "pay\\xadpal"),
        ("a\u3164b\uffa0\u115f\u2800", "a\\u3164b\\uffa0\\u115f\\u2800"),
        ("a\U000e0041\U000e0100\U000e0fff", "a\\U000e0041\\U000e0100\\U000e0fff"),
        ("a\ufe00\u034f\u180e\u2028\x85", "a\\ufe00\\u034f\\u180e\\u2028\\x85"),
        ("half \ud83d", "half \\ud83d"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("grüße 😀 שלום ❤\ufe0f ไทย", "grüße 😀 שלום ❤\ufe0f ไทย"),
    ],
)
def test_characters_that_act_are_spelled_out(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_a_body_that_is_no_text() -> None:
    html = shown_body(b"\xff\xfe<script>alert(1)</script>")
    assert "\\xff\\xfe&lt;script&gt;" in html and "<script>" not in html
    assert shown_body(b"") == shown_body(None) == "–"
    assert "hello" in shown_body(memoryview(b"hello")), "as PostgreSQL gives it"


def test_long_ones_are_cut_and_say_so() -> None:
    for html in (shown_body(b"a " * MOST), shown_json({"a": "b " * MOST})):
        assert len(html) < MOST + 500 and "Cut: the beginning of 131," in html


def test_secrets_are_hidden_by_name_shape_and_value() -> None:
    payload = {"token": "plain-one", "list": [{"client_secret": {"deep": "plain-two"}}], "text": "it is sesame-open"}
    html = shown_json(payload, ["sesame-open"])
    assert not [secret for secret in ("plain-one", "plain-two", "sesame-open") if secret in html]
    assert "it is ***" in html
    assert "sesame-open" not in shown_body(b"x=sesame-open", ["sesame-open"])


def test_a_secret_at_the_cut_leaves_no_half() -> None:
    body = b"a" * (MOST - 5) + b" sesame-open-forever"
    assert "sesa" not in shown_body(body, ["sesame-open-forever"])


def test_nesting_without_end() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert "too deeply" in shown_json(value)


def test_headers() -> None:
    headers = {
        "Content-Type": "application/json", "X-Hub-Signature-256": "sha256=0123456789abcdef", "X-Api-Key": "plain",
        "X-Signature-Token": "s3cret", "X-Hmac": "canary", "X-Sig": "canary", "Digest": "canary",
        "X-Other": "<b>" + "x" * 400, **{f"Z-{number}": "1" for number in range(70)},
    }  # fmt: skip
    html = shown_headers(headers)
    assert "application/json" in html and "*** (23 characters)" in html and "sha256=0" not in html
    assert "plain" not in html and "<b>" not in html and "x" * 301 not in html and "18 more" in html
    assert "s3cret" not in html and "canary" not in html
    assert shown_headers({}) == shown_headers(["x"]) == "–"
