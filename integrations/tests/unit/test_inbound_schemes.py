"""Providers' signatures: every shared vector, what a stranger may send instead, and that one byte decides."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from integrations.inbound.schemes import SCHEMES, verify
from integrations.tests import inbound_world
from integrations.tests.case_files import params
from integrations.tests.inbound_world import OTHER_SECRET as OTHER
from integrations.tests.inbound_world import PLAIN, SECRET, b64, digest
from integrations.tests.unit.test_signing import body_of
from integrations.transport.signing import SignatureInvalid

NOW = 1763668800
BODY = b'{"id":727}'


def headers_of(scheme: str, body: bytes = BODY, *, at: int | str = NOW) -> dict[str, str]:
    """What the provider would send at NOW."""
    return inbound_world.headers_of(scheme, body, at=at)


def header_of(scheme: str) -> str:
    return PLAIN if scheme.startswith("hmac") else ""


def check(scheme: str, headers: Any, body: bytes = BODY, secrets: Any = (SECRET,), header: str | None = None) -> None:
    name = header_of(scheme) if header is None else header
    verify(scheme, headers, body, secrets, now=NOW, signature_header=name)


def reason(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        check(*args, **kwargs)
    return caught.value.reason


every_scheme = pytest.mark.parametrize("scheme", sorted(SCHEMES))
timed = pytest.mark.parametrize("scheme", ["standard-webhooks", "stripe", "slack"])


@pytest.mark.parametrize("vector", params("signature-vectors", lambda v: v["direction"] == "inbound", key="vectors"))
def test_vector(vector: dict[str, Any]) -> None:
    scheme = vector.get("signature_method", vector["scheme"])

    def verified() -> None:
        secrets, body = [vector["secret"]], body_of(vector)
        verify(scheme, vector["headers"], body, secrets, now=vector["now"], signature_header=header_of(scheme))

    if vector["expect"] == "valid":
        verified()
    else:
        with pytest.raises(SignatureInvalid) as caught:
            verified()
        assert caught.value.reason == vector["reason"]
        assert not vector["secret"] or vector["secret"] not in str(caught.value)


@every_scheme
class TestEveryScheme:
    def test_a_request_as_the_provider_sends_it(self, scheme: str) -> None:
        check(scheme, headers_of(scheme))

    def test_header_names_in_any_case(self, scheme: str) -> None:
        for change in (str.upper, str.lower, str.title):
            check(scheme, {change(name): value for name, value in headers_of(scheme).items()})

    def test_rotation_old_and_new_secret(self, scheme: str) -> None:
        for secrets in ([OTHER, SECRET], [SECRET, OTHER], ["", None, SECRET], {SECRET}):
            check(scheme, headers_of(scheme), secrets=secrets)
        assert reason(scheme, headers_of(scheme), secrets=[OTHER]) == "mismatch"

    @pytest.mark.parametrize("secrets", [(), ("",), (None,), ("  ",), ("\n",), "", (b"bytes",)])
    def test_no_secret_never_verifies(self, scheme: str, secrets: Any) -> None:
        raw = hmac.new(b"", BODY, hashlib.sha256).digest()
        forged = {"github": f"sha256={raw.hex()}", "hmac-sha256-hex": raw.hex(), "hmac-sha256": raw.hex()}
        headers = {name: forged.get(scheme, value) for name, value in headers_of(scheme).items()}
        assert reason(scheme, headers, secrets=secrets) == "no_secret"

    def test_a_text_given_as_secrets_is_one_secret(self, scheme: str) -> None:
        check(scheme, headers_of(scheme), secrets=SECRET)

    def test_each_header_is_needed(self, scheme: str) -> None:
        headers = headers_of(scheme)
        for name in headers:
            assert reason(scheme, {n: v for n, v in headers.items() if n != name}) == "missing_header"
            assert reason(scheme, {**headers, name: ""}) == "missing_header"
            assert reason(scheme, {**headers, name: None}) == "missing_header"
            assert reason(scheme, {**headers, name: ["x"]}) == "missing_header"
        assert reason(scheme, {}) == "missing_header"

    def test_what_is_no_signature_is_malformed(self, scheme: str) -> None:
        headers = headers_of(scheme)
        name = list(headers)[-1]
        for value in ("é", "x" * 100_000, "\ud800", "=", "@@", ","):
            assert reason(scheme, {**headers, name: value}) == "malformed", value

    def test_bodies_are_bytes(self, scheme: str) -> None:
        for body in (b"", b"\xff\xfe\x00", "Zoë – 日本".encode(), b"\r\n"):
            check(scheme, headers_of(scheme, body), body)
            assert reason(scheme, headers_of(scheme, body), body + b"\n") == "mismatch"


@timed
class TestTimestamps:
    @pytest.mark.parametrize(("offset", "word"), [(-300, ""), (300, ""), (-301, "too_old"), (301, "too_new")])
    def test_window_is_symmetric(self, scheme: str, offset: int, word: str) -> None:
        headers = headers_of(scheme, at=NOW + offset)
        if word:
            assert reason(scheme, headers) == word
        else:
            check(scheme, headers)

    @pytest.mark.parametrize(
        "at",
        [
            "+1763668800",
            "-5",
            "01763668800",
            "1_763_668_800",
            "1763668800.0",
            "1e9",
            "１７６３６６８８００",
            " 1763668800",
            "1763668800 ",
            "0x69",
            "abc",
            "1763668800\n",
            "99999999999999999999",
        ],
    )
    def test_one_spelling(self, scheme: str, at: str) -> None:
        headers = headers_of("stripe" if scheme == "stripe" else "slack", at=at)
        if scheme == "standard-webhooks":
            headers = {**headers_of(scheme), "webhook-timestamp": at}
        assert reason(scheme, headers) == "malformed"


class TestStripe:
    GOOD = headers_of("stripe")["Stripe-Signature"].partition(",v1=")[2]

    @pytest.mark.parametrize(
        "value",
        [
            f"t={NOW},v1={'0' * 64},v1={GOOD}",
            f"t={NOW},v1={GOOD},v1={'0' * 64}",
            f"t={NOW},v0={'0' * 64},v1={GOOD}",
            f"v1={GOOD},t={NOW}",
            f"t={NOW},v1={GOOD},junk",
            f"t={NOW},v1=,v1={GOOD},v9=,",
        ],
    )
    def test_the_good_one_is_found(self, value: str) -> None:
        check("stripe", {"Stripe-Signature": value})

    @pytest.mark.parametrize(
        "value",
        [
            GOOD,
            f"v1={GOOD}",
            f"t={NOW}",
            f"t={NOW},v0={GOOD}",
            f"t={NOW},t={NOW},v1={GOOD}",
            f"t={NOW - 5},t={NOW},v1={GOOD}",
            f"t=,v1={GOOD}",
            f"t={NOW}, v1={GOOD}",
            f" t={NOW},v1={GOOD}",
            f"T={NOW},V1={GOOD}",
            f"t={NOW},v1={GOOD} ",
            f"t={NOW};v1={GOOD}",
            f"t={NOW},v1={GOOD[:-1]}é",
        ],
    )
    def test_malformed(self, value: str) -> None:
        assert reason("stripe", {"Stripe-Signature": value}) == "malformed"

    @pytest.mark.parametrize("signature", [GOOD.upper(), GOOD[:-1], GOOD + "00", GOOD[::-1]])
    def test_mismatch(self, signature: str) -> None:
        assert reason("stripe", {"Stripe-Signature": f"t={NOW},v1={signature}"}) == "mismatch"

    def test_the_window_is_asked_before_the_digest(self) -> None:
        assert reason("stripe", {"Stripe-Signature": f"t={NOW - 301},v1={self.GOOD}"}) == "too_old"


HEX = digest(BODY).hex()
BASE64 = b64(digest(BODY))


@pytest.mark.parametrize(
    ("scheme", "value", "word"),
    [
        ("github", HEX, "malformed"),
        ("github", f"sha256:{HEX}", "malformed"),
        ("github", f"SHA256={HEX}", "malformed"),
        ("github", f"sha256= {HEX}", "malformed"),
        ("github", f"sha256=sha256={HEX}", "malformed"),
        ("github", f"sha256={HEX},sha256={HEX}", "malformed"),
        ("github", "sha256=", "malformed"),
        ("github", f"sha256={HEX.upper()}", "mismatch"),
        ("github", f"sha256={HEX[:40]}", "mismatch"),
        ("github", f"sha256={BASE64}", "malformed"),
        ("shopify", BASE64.rstrip("="), "malformed"),
        ("shopify", BASE64 + "\n", "malformed"),
        ("shopify", f" {BASE64}", "malformed"),
        ("shopify", f"sha256={BASE64}", "malformed"),
        ("shopify", base64.urlsafe_b64encode(b"\xff" * 32).decode(), "malformed"),
        ("shopify", b64(digest(BODY)[:31]), "mismatch"),
        ("shopify", HEX, "mismatch"),
        ("slack", HEX, "malformed"),
        ("slack", f"v0={HEX}", "mismatch"),
        ("hmac-sha256-hex", f"sha256={HEX}", "malformed"),
        ("hmac-sha256-hex", BASE64, "malformed"),
        ("hmac-sha256-base64", HEX, "mismatch"),
    ],
)
def test_one_spelling_of_a_signature(scheme: str, value: str, word: str) -> None:
    headers = headers_of(scheme)
    assert reason(scheme, {**headers, list(headers)[-1]: value}) == word


def test_other_spellings_of_the_same_bytes_are_refused() -> None:
    """The last letter before the padding has bits that mean nothing."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = BASE64[:-2] + letters[letters.index(BASE64[-2]) ^ 1] + "="
    assert base64.b64decode(twin) == base64.b64decode(BASE64)
    assert reason("woocommerce", {"X-WC-Webhook-Signature": twin}) == "mismatch"


class TestTheMethodOfTheSourceDocument:
    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("X-WC-Webhook-Signature", BASE64),
            ("x-wc-webhook-signature", BASE64),
            ("X-Shopify-Hmac-Sha256", BASE64),
            ("X-Hub-Signature-256", f"sha256={HEX}"),
            ("X-Anything", HEX),
            ("X-Anything", BASE64),
        ],
    )
    def test_the_header_says_how_it_is_written(self, header: str, value: str) -> None:
        check("hmac-sha256", {header: value}, header=header)
        assert reason("hmac-sha256", {header: value}, BODY + b" ", header=header) == "mismatch"

    @pytest.mark.parametrize(
        ("header", "value", "word"),
        [
            ("X-WC-Webhook-Signature", HEX, "mismatch"),
            ("X-Hub-Signature-256", HEX, "malformed"),
            ("X-Anything", HEX.upper(), "mismatch"),
            ("X-Anything", HEX[:63], "malformed"),
            ("X-Anything", "", "missing_header"),
        ],
    )
    def test_and_no_other_way_will_do(self, header: str, value: str, word: str) -> None:
        assert reason("hmac-sha256", {header: value}, header=header) == word

    @pytest.mark.parametrize("scheme", ["stripe", "slack", "standard-webhooks"])
    def test_what_a_provider_signs_beside_the_body_is_asked_too(self, scheme: str) -> None:
        for at, word in ((NOW, ""), (NOW - 301, "too_old")):
            headers = headers_of(scheme, at=at)
            header = list(headers)[-1]
            if word:
                assert reason("hmac-sha256", headers, header=header) == word
            else:
                check("hmac-sha256", headers, header=header)

    def test_without_a_header_nothing_is_guessed(self) -> None:
        for scheme in ("hmac-sha256", "hmac-sha256-hex", "hmac-sha256-base64"):
            assert reason(scheme, {"X-WC-Webhook-Signature": BASE64, "": HEX}, header="") == "missing_header"


@pytest.mark.parametrize(
    "method", ["", "none", "hmac-sha1", "hmac-sha512", "HMAC-SHA256", "github ", None, 7, ["github"]]
)
def test_an_unknown_method_fails_closed(method: Any) -> None:
    assert reason(method, {**headers_of("github"), PLAIN: HEX}, header=PLAIN) == "unknown_method"


def test_a_header_of_the_same_scheme_under_another_name() -> None:
    check("github", {"X-Meta-Signature": f"sha256={HEX}"}, header="X-Meta-Signature")


@given(
    st.sampled_from(sorted(SCHEMES)),
    st.text(max_size=200),
    st.text(max_size=30),
    st.binary(max_size=200),
    st.text(max_size=40),
)
@example("hmac-sha256", "a" * 64, "", b"", "k")
def test_nothing_else_is_raised(scheme: str, text: str, tail: str, body: bytes, secret: str) -> None:
    good = headers_of(scheme, body)
    for name in good:
        for value in (text, good[name] + tail + "!", tail + "!" + good[name]):
            with pytest.raises(SignatureInvalid):
                check(scheme, {**good, name: value}, body, [secret, "whpk_x", "\ud800"])
    with pytest.raises(SignatureInvalid):
        check(scheme, {text: tail, tail: text}, body, [secret, SECRET])


@given(st.sampled_from(sorted(SCHEMES)), st.binary(min_size=1, max_size=100), st.data())
def test_no_flipped_bit_verifies(scheme: str, body: bytes, data: st.DataObject) -> None:
    headers = headers_of(scheme, body)
    check(scheme, headers, body)
    place = data.draw(st.integers(0, len(body) * 8 - 1))
    flipped = bytearray(body)
    flipped[place // 8] ^= 1 << place % 8
    assert reason(scheme, headers, bytes(flipped)) == "mismatch"
    assert reason(scheme, headers, body, [OTHER]) == "mismatch"


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_at_most_a_handful_of_secrets_is_tried(scheme: str) -> None:
    """Else one forged megabyte costs as many digests as somebody has pasted secrets."""
    others = [f"{OTHER[:-2]}{number}=" for number in range(9)]
    check(scheme, headers_of(scheme), secrets=[*others[:4], SECRET])
    with pytest.raises(SignatureInvalid):
        check(scheme, headers_of(scheme), secrets=[*others[:5], SECRET])
