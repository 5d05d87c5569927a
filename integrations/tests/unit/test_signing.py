"""Standard Webhooks: the shared vectors byte for byte, and the independent package as a second opinion."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from integrations.errors import IntegrationNotConfigured
from integrations.tests.case_files import load, params
from integrations.transport.signing import SignatureInvalid, check_secret, generate_secret, is_key, sign, verify

VECTORS = load("signature-vectors")["vectors"]
NOW = 1763668800
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
V1A = next(vector for vector in VECTORS if vector["id"] == "G029")


def body_of(vector: dict[str, Any]) -> bytes:
    if "body_base64" in vector:
        return base64.b64decode(vector["body_base64"])
    return vector["body"].encode()


def signed(body: bytes = b"{}", *, at: int = NOW, secrets: tuple[str, ...] = (SECRET,)) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": sign("msg_1", at, body, secrets),
    }


def reason(headers: dict[str, str], body: bytes = b"{}", secrets: tuple[Any, ...] = (SECRET,)) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        verify(headers, body, secrets, now=NOW)
    return caught.value.reason


@pytest.mark.parametrize(
    "vector",
    params("signature-vectors", lambda v: v["scheme"].startswith("standard-webhooks"), key="vectors"),
)
def test_vector(vector: dict[str, Any]) -> None:
    def check() -> None:
        verify(vector["headers"], body_of(vector), [vector["secret"]], now=vector["now"])

    if vector["expect"] == "valid":
        check()
    else:
        with pytest.raises(SignatureInvalid) as caught:
            check()
        assert caught.value.reason == vector["reason"]
        assert vector["secret"] not in str(caught.value)


@pytest.mark.parametrize("vector", params("signature-vectors", lambda v: v["direction"] == "outbound", key="vectors"))
def test_outbound_vector_byte_for_byte(vector: dict[str, Any]) -> None:
    headers = vector["headers"]
    value = sign(headers["webhook-id"], int(headers["webhook-timestamp"]), body_of(vector), [vector["secret"]])
    assert value == headers["webhook-signature"]


def test_v1a_byte_for_byte() -> None:
    headers = V1A["headers"]
    value = sign(headers["webhook-id"], NOW, body_of(V1A), [V1A["private_key_for_tests"]])
    assert value == headers["webhook-signature"]
    verify(headers, body_of(V1A), [V1A["private_key_for_tests"]], now=NOW)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
def test_independent_package_agrees(text: str) -> None:
    at = int(datetime.now(UTC).timestamp())
    for secrets in ((SECRET,), (OTHER, SECRET), (SECRET, V1A["private_key_for_tests"])):
        headers = signed(text.encode(), at=at, secrets=secrets)
        theirs = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(at, UTC), text)
        assert theirs in headers["webhook-signature"].split(" ")
        verify({**headers, "webhook-signature": theirs}, text.encode(), [SECRET], now=at)


def test_independent_package_verifies_a_json_body() -> None:
    at = int(datetime.now(UTC).timestamp())
    headers = signed(b'{"a": 1}', at=at, secrets=(OTHER, SECRET))
    assert Webhook(SECRET).verify(b'{"a": 1}', headers) == {"a": 1}


def test_rotation_signs_with_both_in_the_given_order() -> None:
    both = signed(secrets=(OTHER, SECRET))["webhook-signature"].split(" ")
    assert both == [signed(secrets=(s,))["webhook-signature"] for s in (OTHER, SECRET)]


class TestVerify:
    def test_header_names_in_any_case(self) -> None:
        verify({name.title(): value for name, value in signed().items()}, b"{}", [OTHER, SECRET], now=NOW)

    @pytest.mark.parametrize(("offset", "word"), [(-300, ""), (300, ""), (-301, "too_old"), (301, "too_new")])
    def test_tolerance_is_symmetric(self, offset: int, word: str) -> None:
        headers = signed(at=NOW + offset)
        if word:
            assert reason(headers) == word
        else:
            verify(headers, b"{}", [SECRET], now=NOW)

    @pytest.mark.parametrize(
        "at", ["01763668800", "+1763668800", "１７６３６６８８００", "-5", "1e9", " 1763668800", "9" * 99]
    )
    def test_one_spelling_of_a_timestamp(self, at: str) -> None:
        assert reason({**signed(), "webhook-timestamp": at}) == "malformed"

    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_missing_or_empty(self, name: str) -> None:
        headers = signed()
        assert reason({**headers, name: ""}) == "missing_header"
        del headers[name]
        assert reason(headers) == "missing_header"

    @pytest.mark.parametrize("value", ["v1", "v1,@@", "v1,é", ",AAAA", "v1=AAAA", "v1 v1"])
    def test_malformed(self, value: str) -> None:
        assert reason({**signed(), "webhook-signature": value}) == "malformed"

    @pytest.mark.parametrize("value", ["v2,AAAA", "v1,AAAA", "v1, v2,AAAA", "v1a,AAAA", "v1,AAAA v1"])
    def test_mismatch(self, value: str) -> None:
        assert reason({**signed(), "webhook-signature": value}) == "mismatch"

    def test_good_one_among_junk(self) -> None:
        headers = signed()
        headers["webhook-signature"] = f"v1 v9,x v1,@@ {headers['webhook-signature']}"
        verify(headers, b"{}", [SECRET], now=NOW)

    @pytest.mark.parametrize("around", [" {}", "{} ", "{}\n", "\t{}\r\n"])
    def test_spaces_around_a_secret_do_not_count(self, around: str) -> None:
        """They come with what is pasted, and forms take them: a webhook's settings are checked with `is_key`."""
        secret = around.format(SECRET)
        assert is_key(secret)
        verify(signed(), b"{}", [secret], now=NOW)

    def test_other_spellings_of_the_same_bytes_are_refused(self) -> None:
        """The last letter before the padding has bits that mean nothing."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        good = signed()["webhook-signature"]
        twin = good[:-2] + letters[letters.index(good[-2]) ^ 1] + "="
        assert base64.b64decode(twin[3:]) == base64.b64decode(good[3:])
        assert reason({**signed(), "webhook-signature": twin}) == "mismatch"
        verify({**signed(), "webhook-signature": f"{twin} {good}"}, b"{}", [SECRET], now=NOW)

    @pytest.mark.parametrize(
        "secrets", [(), ("",), ("whsec_",), ("whsec_@@",), ("whpk_AAAA",), ("whsk_AAAA",), (None,)]
    )
    def test_no_usable_secret(self, secrets: tuple[Any, ...]) -> None:
        assert reason(signed(), secrets=secrets) == "no_secret"

    def test_v1_signature_never_passes_for_a_v1a_key(self) -> None:
        assert reason(signed(), secrets=(V1A["secret"],)) == "mismatch"

    @given(st.fixed_dictionaries({name: st.text() for name in signed()}), st.binary())
    def test_never_raises_anything_else(self, headers: dict[str, str], body: bytes) -> None:
        for change in (headers, {**signed(), "webhook-id": headers["webhook-id"] + "\ud800"}):
            with pytest.raises(SignatureInvalid):
                verify(change, body, [SECRET, V1A["secret"]], now=NOW)


@given(st.binary(), st.binary(min_size=1, max_size=80), st.integers(0, 2**40))
def test_round_trip(body: bytes, key: bytes, at: int) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    headers = signed(body, at=at, secrets=(secret,))
    verify(headers, body, [secret], now=at)
    with pytest.raises(SignatureInvalid):
        verify(headers, body + b" ", [secret], now=at)


@pytest.mark.parametrize("secrets", [[], ["whsec_"], ["whsec_hush!"], [V1A["secret"]]])
def test_sign_needs_a_key_that_signs(secrets: list[str]) -> None:
    with pytest.raises(IntegrationNotConfigured) as caught:
        sign("msg_1", NOW, b"", secrets)
    assert "hush" not in str(caught.value)


class TestSecrets:
    def test_generated(self) -> None:
        secret = generate_secret()
        assert check_secret(f" {secret}\n") == secret
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
        assert secret != generate_secret()

    @pytest.mark.parametrize("size", [24, 64])
    def test_sizes(self, size: int) -> None:
        check_secret("whsec_" + base64.b64encode(b"k" * size).decode())

    def test_private_key(self) -> None:
        check_secret(V1A["private_key_for_tests"])

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("", "begins with"),
            ("hush", "begins with"),
            (V1A["secret"], "begins with"),
            ("whsec_", "base64"),
            ("whsec_hush!hush", "base64"),
            ("whsec_" + base64.b64encode(b"k" * 23).decode(), "24 to 64"),
            ("whsec_" + base64.b64encode(b"k" * 65).decode(), "24 to 64"),
            ("whsk_hush", "ed25519"),
            ("whsk_" + base64.b64encode(b"k" * 64).decode(), "ed25519"),
        ],
    )
    def test_refused_without_repeating_it(self, text: str, word: str) -> None:
        with pytest.raises(ValueError, match=word) as caught:
            check_secret(text)
        assert "hush" not in str(caught.value)
