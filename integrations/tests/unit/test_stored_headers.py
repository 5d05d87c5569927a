"""Which headers of a webhook are kept: a list of what may be, for every scheme."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.manifest import Inbound
from integrations.inbound.stored_headers import HARMLESS, OF_SCHEMES, kept_names, storable
from integrations.tests.inbound_world import PLAIN, headers_of

SCHEMES = [
    "standard-webhooks",
    "stripe",
    "github",
    "shopify",
    "woocommerce",
    "slack",
    "hmac-sha256-hex",
    "hmac-sha256-base64",
]
STRANGERS = (
    "X-Session-Id", "X-Ticket", "X-Jwt", "X-Client-Cert", "X-Forwarded-Client-Cert", "X-Amz-Security-Token",
    "Cf-Access-Jwt-Assertion", "X-Goog-Iap-Jwt-Assertion", "X-User", "X-Shopify-Access-Token", "X-Gitlab-Token",
    "Authorization", "Cookie", "X-Anything",
)  # fmt: skip


def inbound_of(scheme: str, **more: object) -> Inbound:
    header = {"signature_header": PLAIN} if scheme.startswith("hmac") else {}
    return Inbound(scheme=scheme, **header, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_proof_is_kept_and_what_nobody_named_is_not(scheme: str) -> None:
    given_headers = {**headers_of(scheme, b"{}", at=1), "User-Agent": "acme/1", **dict.fromkeys(STRANGERS, "lets in")}
    for keeps in (kept_names(inbound_of(scheme)), kept_names(None, scheme, PLAIN if "hmac" in scheme else "")):
        found = storable(given_headers, keeps=keeps)
        assert found == {**headers_of(scheme, b"{}", at=1), "User-Agent": "acme/1"}


def test_of_seeds_generic_scheme_the_header_says_whose_it_is() -> None:
    keeps = kept_names(None, "hmac-sha256", "X-WC-Webhook-Signature")
    assert "x-wc-webhook-topic" in keeps and "x-github-event" not in keeps
    assert {"x-acme-mac", "x-github-delivery", "x-shopify-topic"} <= kept_names(None, "hmac-sha256", "X-Acme-Mac")


def test_a_kind_says_what_else_is_kept_but_never_a_login() -> None:
    inbound = inbound_of(
        "github",
        id_header="X-Id",
        event_header="X-Event",
        keeps_headers=("X-Shop", "Authorization", "Cookie", "X-Api-Key"),
    )
    sent = dict.fromkeys(("X-Id", "X-Event", "X-Shop", "Authorization", "Cookie", "X-Api-Key"), "1")
    assert set(storable(sent, keeps=kept_names(inbound))) == {"X-Id", "X-Event", "X-Shop"}


def test_many_headers_of_no_use_push_out_none_that_is_kept() -> None:
    sent = {**{f"X-H{number}": "x" for number in range(500)}, "X-GitHub-Event": "push"}
    assert storable(sent, keeps=OF_SCHEMES["github"]) == {"X-GitHub-Event": "push"}


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=8))
def test_nothing_else_is_ever_kept(headers: dict[str, str]) -> None:
    keeps = kept_names(inbound_of("slack"))
    assert {name.lower() for name in storable(headers, keeps=keeps)} <= HARMLESS | keeps
