"""What a webhook's bytes mean: strict JSON, forms where they are sent, nothing that a database refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.incoming import FORM, MAX_DEPTH, MAX_VALUES, ContentRefused, payload_of


def refused(body: bytes, content_type: str = "application/json", **more: Any) -> str:
    with pytest.raises(ContentRefused) as caught:
        payload_of(body, content_type, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
        (b"{}", {}),
        (b"[]", {"raw": []}),  # B197
        (b"7", {"raw": 7}),
        (b"null", {"raw": None}),
        (b"true", {"raw": True}),
        (b'"text"', {"raw": "text"}),
        (b"\xef\xbb\xbf{}", {}),
        (b" \r\n{}\n", {}),
        ('{"ö": "日本 😀"}'.encode(), {"ö": "日本 😀"}),
        (b'{"a": "\\u0000x"}', {"a": "\ufffdx"}),  # B201
        (b'{"\\u0000": 1, "b": ["\\ud800"]}', {"\ufffd": 1, "b": ["\ufffd"]}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"id": 820982911946154508}', {"id": 820982911946154508}),
    ],
)
def test_json(body: bytes, payload: Any) -> None:
    assert payload_of(body, "application/json; charset=utf-8") == payload_of(body) == payload


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),  # B195
        (b" \n", "empty"),
        (b"a=b", "not JSON"),  # B196
        (b'{"a":NaN}', "NaN is not JSON"),  # B199
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "too large"),
        (b"1" * 5000, "too long"),
        (b"\xff{}", "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": 1', "line 1, column 8"),
        (b"{'a': 1}", "not JSON"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper"),
        (b"<xml/>", "not JSON"),
    ],
)
def test_refused_json(body: bytes, words: str) -> None:
    assert words in refused(body)


def test_as_deep_as_allowed() -> None:
    assert "raw" in payload_of(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_as_many_values_as_allowed() -> None:
    inner = MAX_VALUES - 1  # the list itself counts
    assert len(payload_of(b"[%b]" % b",".join([b"7"] * inner))["raw"]) == inner
    for item in (b"7", b"[]", b'{"a":1}'):
        assert "more than 100000 values" in refused(b"[%b]" % b",".join([item] * MAX_VALUES))
    assert "more than" in refused(b"payload=[%b]" % b",".join([b"7"] * MAX_VALUES), FORM, sends_forms=True)
    assert payload_of(b'"%b"' % (b"," * 1_000_000)) == {"raw": "," * 1_000_000}


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    for body in (b'{"token": "canary-77", }', b"canary-77", b'{"a": canary-77}'):
        assert "canary" not in refused(body)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b"webhook_id=7", {"webhook_id": "7"}),
        (b"payload=%7B%22a%22%3A1%7D", {"a": 1}),
        (b"payload=%5B%5D", {"raw": []}),
        (b"a=1&a=2&b=", {"a": ["1", "2"], "b": ""}),
        (b"a=%00", {"a": "\ufffd"}),
        (b"a=%E2%82%AC", {"a": "€"}),
    ],
)
def test_forms(body: bytes, payload: Any) -> None:
    assert payload_of(body, f"{FORM}; charset=utf-8", sends_forms=True) == payload
    assert payload_of(body, "", sends_forms=True) == payload
    assert "not JSON" in refused(body, FORM)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"payload=%7B", "not JSON"),
        (b"payload=%7B%22a%22%3ANaN%7D", "NaN"),
        (b"a=%ff", "not UTF-8"),
        (b"a=\xff", "not UTF-8"),
        (b"&".join(b"a=1" for _ in range(1001)), "1000 fields"),
        (b"no form at all", "not JSON"),
    ],
)
def test_refused_forms(body: bytes, words: str) -> None:
    assert words in refused(body, FORM, sends_forms=True)


def test_json_of_a_provider_that_also_sends_forms() -> None:
    assert payload_of(b'{"a": "b=c"}', "application/json", sends_forms=True) == {"a": "b=c"}
    assert payload_of(b'{"a": "b=c"}', FORM, sends_forms=True) == {"a": "b=c"}  # the content type is wrong: it happens
    assert "not JSON" in refused(b"a=b", "application/vnd.acme+json", sends_forms=True)


@given(st.binary(max_size=300), st.text(max_size=30), st.booleans())
def test_never_anything_but_an_object_or_a_refusal(body: bytes, content_type: str, sends_forms: bool) -> None:
    try:
        payload = payload_of(body, content_type, sends_forms=sends_forms)
    except ContentRefused:
        return
    assert isinstance(payload, dict)
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text
    text.encode()
