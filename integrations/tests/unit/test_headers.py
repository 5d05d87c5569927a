"""The tenant's own headers: what may be sent, and what the admin's form says about the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.tests.case_files import params
from integrations.transport.http.headers import HeaderRejected, check_headers, parse_headers_json

# B050 and B051 describe their input in words.
SPELLED_OUT = {
    "B050": json.dumps({"X": "y" * 9000}),
    "B051": json.dumps({f"X-{number}": "v" for number in range(10_000)}),
}
GOOD = {"B059", "B060"}


@pytest.mark.parametrize("case", params("ssrf-cases", lambda case: case["group"] == "header"))
def test_case(case: dict[str, Any]) -> None:
    if case["expect"]["verdict"] == "allow":
        assert check_headers(case["header"]) == case["header"]
        return
    with pytest.raises(HeaderRejected) as caught:
        check_headers(case["header"])
    assert caught.value.reason == case["expect"]["reason"]
    for value in case["header"].values():
        assert len(value) < 3 or value not in str(caught.value)


@pytest.mark.parametrize(
    "case",
    params("bad-inputs", lambda case: "B040" <= case["id"] < "B059" and case["area"] == "admin-form"),
)
def test_form_case_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(HeaderRejected) as caught:
        parse_headers_json(SPELLED_OUT.get(case["id"], case["input"]))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ["", "  \n", "null", "{}", " {} ", None])
def test_no_headers(text: str | None) -> None:
    assert parse_headers_json(text) == {}


def test_latin_1_is_kept() -> None:
    assert parse_headers_json('{"X": "café"}') == {"X": "café"}


@pytest.mark.parametrize(
    "name",
    [
        *("HOST", "te", "Trailer", "Upgrade", "Expect", "Keep-Alive", "Connection", "Transfer-Encoding"),
        *("Proxy-Connection", "webhook-timestamp", "Webhook-Anything", "Metadata", "Sec-Fetch-Mode"),
        *("X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds", "X-Google-Metadata-Request"),
        *("X-Forwarded-Host", "Forwarded", "X-HTTP-Method-Override", "Accept-Encoding"),
    ],
)
def test_forbidden(name: str) -> None:
    with pytest.raises(HeaderRejected, match=name) as caught:
        check_headers({name: "hush-hush"})
    assert caught.value.reason == "header_forbidden"
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["Content-Type", "User-Agent", "Cookie", "X-Hub-Signature", "X_A", "Sector"])
def test_allowed(name: str) -> None:
    assert check_headers({name: "v"}) == {name: "v"}


@pytest.mark.parametrize(
    "headers",
    [
        [("X", "v")],
        "X: v",
        None,
        {"X": "v", "x": "v"},
        {1: "v"},
        {"X": b"v"},
        {"X": None},
        {"X": "v\x00"},
        {"X": "v\x7f"},
        {"X": "v\x85"},
        {"X": "v "},
        {"X": "\u00a0v"},
        {"X": "v" * 4097},
        {"Ü": "v"},
        {"X:": "v"},
        {"X" * 300: "v"},
        {f"X-{number}": "v" for number in range(51)},
    ],
)
def test_invalid(headers: Any) -> None:
    with pytest.raises(HeaderRejected) as caught:
        check_headers(headers)
    assert caught.value.reason == "header_invalid"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"X":"hush"', '{"X": NaN}', '"X"', "true", '{"a":{"b":"1","b":"2"}}'])
def test_json_that_is_refused_in_our_own_words(text: str) -> None:
    with pytest.raises(HeaderRejected) as caught:
        parse_headers_json(text)
    assert "hush" not in str(caught.value)


@given(st.one_of(st.text(), st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(json.dumps)))
def test_never_anything_but_sendable_headers(text: str) -> None:
    try:
        headers = parse_headers_json(text)
    except HeaderRejected:
        return
    for name, value in headers.items():
        assert f"{name}: {value}".encode("latin-1").isascii() or value
        assert not set(name + value) & set("\r\n\0")
