"""The address guard: every case with its verdict AND its reason, and what no list of cases can hold."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from integrations.errors import IntegrationBlocked, IntegrationTemporaryError
from integrations.tests.case_files import load, params
from integrations.transport.guard import deny_lists
from integrations.transport.guard.check import (
    UrlRejected,
    cached_check,
    check_addresses,
    check_allowed,
    check_endpoint,
    check_url,
)
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.guard.rejected import MESSAGES
from integrations.transport.http.guarded_client import GuardedClient

FILE = load("ssrf-cases")
OPEN = AddressPolicy(allow_http=True)


def policy_of(case: dict[str, Any]) -> AddressPolicy:
    return AddressPolicy(**{**FILE["policy_base"], **case.get("policy", {})})


def is_about(*stages: str) -> Any:
    return lambda case: case["group"] != "header" and case["expect"]["stage"] in stages


@pytest.mark.parametrize("case", params("ssrf-cases", is_about("save")))
def test_case_at_save(case: dict[str, Any]) -> None:
    with pytest.raises(UrlRejected) as caught:
        check_url(case["url"], policy_of(case))
    assert caught.value.reason == case["expect"]["reason"]


@pytest.mark.parametrize("case", params("ssrf-cases", is_about("connect", "response")))
def test_case_passes_at_save(case: dict[str, Any]) -> None:
    target = check_url(case["url"], policy_of(case))
    for name in case.get("dns", {}):
        assert target.host == name  # ASCII, lower case, without trailing dot


class NoNetwork(Exception):
    """Raised instead of connecting."""


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that somebody tried to connect to; none is really connected."""
    seen: list[str] = []

    def connect(self: socket.socket, address: tuple[Any, ...]) -> None:
        seen.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return seen


@pytest.mark.parametrize("case", params("ssrf-cases", is_about("save", "connect", "response")))
def test_case_through_the_client(case: dict[str, Any], dialled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in case.get("env", {}).items():
        monkeypatch.setitem(os.environ, name, value)
    answers = case.get("dns", {})

    def resolve(host: str, port: int, timeout: float) -> list[str]:
        if case.get("dns_behaviour") == "hang":
            raise IntegrationTemporaryError("slow", code="dns_failed")
        return list(answers.get(host, []))

    client = GuardedClient(policy_of(case), resolve=resolve)
    verdict, reason = case["expect"]["verdict"], case["expect"]["reason"]
    with pytest.raises((IntegrationBlocked, IntegrationTemporaryError)) as caught:
        client.request("POST", case["url"], body=b"{}")
    error = caught.value
    if verdict in ("reject", "block"):
        assert isinstance(error, IntegrationBlocked)
        assert (error.code, error.reason) == ("ssrf_blocked", reason)
        assert dialled == []
    elif verdict == "retry":
        assert isinstance(error, IntegrationTemporaryError)
        assert error.code == reason
        assert dialled == []
    else:  # allow; what a redirect does is in test_http_client.py
        assert isinstance(error, IntegrationTemporaryError)
        assert error.code == "connect_failed"
        assert not set(dialled) & set(case.get("must_not_dial", []))
        expected = {case["must_dial"]} if "must_dial" in case else {a for found in answers.values() for a in found}
        assert set(dialled) == (expected or {"172.18.0.5"})
    path = case["url"].partition("//")[2].partition("/")[2] if isinstance(case["url"], str) else ""
    assert len(path) < 6 or path not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_lists_equal_the_shared_rules() -> None:
    rules = FILE["rules"]
    assert {str(n) for n in deny_lists.IPV4_DENIED} == {n for n, _ in rules["ipv4_deny"]}
    assert {str(n) for n in deny_lists.IPV6_DENIED} == {n for n, _ in rules["ipv6_deny_inside"]}
    assert str(deny_lists.IPV6_ALLOWED) == rules["ipv6_allow_only"]
    metadata = {str(n) for n in (*deny_lists.METADATA_IPV4, *deny_lists.METADATA_IPV6)}
    assert metadata == set(rules["always_denied_even_if_allowlisted"])
    assert set(rules["denied_names"]) == deny_lists.DENIED_NAMES
    assert set(deny_lists.DENIED_SUFFIXES) == {f".{suffix}" for suffix in rules["denied_suffixes"]}
    assert set(rules["bad_ports"]) == deny_lists.BAD_PORTS


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "url_type"),
        (b"https://example.com/", "url_type"),
        (5, "url_type"),
        ("http://127.0.0.1\\@example.com/", "url_backslash"),
        ("https://example.com/a\\b", "url_backslash"),
        ("https://exam\tple.com/", "url_control_char"),
        (" https://example.com/", "url_control_char"),
        ("https://example.com/\x85", "url_control_char"),
        ("https://example.com/\ud800", "url_control_char"),
        ("https:///x", "host_missing"),
        ("https://:443/", "host_missing"),
        ("https://@/", "userinfo"),
        ("https://[]/", "host_invalid"),
        ("https://[::1]x/", "host_invalid"),
        ("https://[127.0.0.1]/", "host_invalid"),
        ("https://::1/", "host_invalid"),
        ("https://[2606:4700::1]:/", "port_invalid"),
        ("https://./", "host_invalid"),
        ("https://foo.0x1/", "host_invalid"),
        ("https://0x/", "host_noncanonical_ip"),
        ("https://1.2.3.256/", "host_noncanonical_ip"),
        ("https://\u212aube.example/", "idna"),  # KELVIN SIGN: str.lower() makes it a k
        ("https://xn--a/", "idna"),
        ("https://xn--\u00fc.example/", "idna"),
        ("https://example.com:0/", "port_blocked"),
        ("https://example.com:81/", "port_blocked"),
        ("https://example.com:6379/", "port_blocked"),
        ("https://10.0.0.1:6379/", "port_blocked"),
        ("https://169.254.170.2/", "ip_metadata"),
        ("https://[::ffff:100.100.100.200]/", "ip_metadata"),
        ("https://169.254.1.1/", "ip_blocked"),
        ("https://[2001:db8::1]:8443/x", "ip_blocked"),
    ],
)
def test_more_refusals(url: object, reason: str) -> None:
    with pytest.raises(UrlRejected) as caught:
        check_url(url, OPEN)
    assert caught.value.reason == reason


def test_target_holds_what_is_sent() -> None:
    target = check_url("HTTPS://Hooks.Example.COM.:8443/a%2Fb/ü?q=a|b&c='x'", AddressPolicy())
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 8443)
    assert target.host_header == "hooks.example.com:8443"
    assert target.path_and_query == "/a%2Fb/%C3%BC?q=a%7Cb&c='x'"
    assert "a%2Fb" not in repr(target)
    assert check_url("https://example.com?x=1", OPEN).path_and_query == "/?x=1"
    assert check_url("https://example.com", OPEN).path_and_query == "/"
    assert check_url("http://example.com:00080/", OPEN).host_header == "example.com"
    literal = check_url("http://[2606:4700:4700:0::1111]/", OPEN)
    assert (literal.host, literal.host_header) == ("2606:4700:4700::1111", "[2606:4700:4700::1111]")


class TestPlainHttp:
    """Off by default; an operator's own target may use it, nothing else."""

    policy = AddressPolicy(allowed_hosts=("n8n:5678", "127.0.0.1:9999"), allowed_networks=("10.0.0.0/8",))

    def test_allow_listed_target_may(self) -> None:
        assert check_url("http://n8n:5678/x", self.policy).allow_listed
        assert check_url("http://127.0.0.1:9999/x", self.policy).allow_listed

    @pytest.mark.parametrize(
        "url",
        [
            "http://n8n:5679/x",
            "http://n8n.:80/",
            "http://10.0.0.1/",
            "http://example.com/",
            "http://user@n8n:5678/",
        ],
    )
    def test_others_may_not(self, url: str) -> None:
        with pytest.raises(UrlRejected) as caught:
            check_url(url, self.policy)
        assert caught.value.reason == "scheme_http_not_allowed"


class TestAllowList:
    def test_opens_name_port_and_private_address(self) -> None:
        policy = AddressPolicy(allowed_hosts=("REDIS.local:6379",))
        target = check_url("https://redis.LOCAL:6379/", policy)
        assert check_addresses(target, ["10.0.0.3", "::1"], policy) == ["10.0.0.3", "::1"]

    def test_never_opens_metadata(self) -> None:
        policy = AddressPolicy(
            allow_http=True,
            allowed_hosts=("169.254.169.254:80", "[fd00:ec2::254]:80"),
            allowed_networks=("169.254.0.0/16", "fd00::/8"),
        )
        for url in ("http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/"):
            with pytest.raises(UrlRejected) as caught:
                check_url(url, policy)
            assert caught.value.reason == "ip_metadata"

    def test_network_opens_addresses_but_not_names_or_ports(self) -> None:
        policy = AddressPolicy(allowed_networks=("172.18.0.0/16",))
        target = check_url("https://n8n.example.com/", policy)
        assert check_addresses(target, ["172.18.0.5"], policy) == ["172.18.0.5"]
        for url, reason in (
            ("https://n8n/", "host_single_label"),
            ("https://172.18.0.5:6379/", "port_blocked"),
        ):
            with pytest.raises(UrlRejected) as caught:
                check_url(url, policy)
            assert caught.value.reason == reason


class TestAddresses:
    target = check_url("https://hooks.example.com/x", OPEN)

    def test_mapped_answer_is_dialled_as_ipv4(self) -> None:
        assert check_addresses(self.target, ["::ffff:93.184.216.34"], OPEN) == ["93.184.216.34"]

    @pytest.mark.parametrize("answer", ["fe80::1%eth0", "fe80::1", "", "no address", "127.1", "2130706433"])
    def test_refused(self, answer: str) -> None:
        with pytest.raises(UrlRejected) as caught:
            check_addresses(self.target, ["93.184.216.34", answer], OPEN)
        assert caught.value.reason == "ip_blocked"
        assert "fe80" not in caught.value.message  # what our resolver sees is not the tenant's business


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ALLOWED_HOSTS", ["n8n"]),
        ("ALLOWED_HOSTS", ["n8n:http"]),
        ("ALLOWED_HOSTS", ["n8n:0"]),
        ("ALLOWED_HOSTS", ["n8n:99999"]),
        ("ALLOWED_HOSTS", ["http://n8n:5678"]),
        ("ALLOWED_HOSTS", [5678]),
        ("ALLOWED_HOSTS", "n8n:5678"),
        ("ALLOWED_NETWORKS", ["172.18.0.5/16"]),
        ("ALLOWED_NETWORKS", ["0.0.0.0/0"]),
        ("ALLOWED_NETWORKS", ["lan"]),
        ("OWN_HOSTS", ["*"]),
        ("OWN_HOSTS", [""]),
        ("OWN_HOSTS", ["https://app.example.com"]),
    ],
)
def test_bad_operator_entry_names_its_setting(settings: Any, setting: str, value: object) -> None:
    settings.INTEGRATIONS = {setting: value}
    with pytest.raises(ImproperlyConfigured, match=setting):
        AddressPolicy.from_conf()


def test_policy_follows_the_settings_and_is_a_key(settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOW_HTTP": True, "OWN_HOSTS": ["App.Ours.example"]}
    policy = AddressPolicy.from_conf()
    assert policy == AddressPolicy(allow_http=True, own_hosts=("App.Ours.example",))
    assert cached_check(policy) is cached_check(AddressPolicy.from_conf())
    check = cached_check(policy)
    assert check("https://example.com/x") is check("https://example.com/x")
    with pytest.raises(UrlRejected, match="this application itself"):
        check("https://app.ours.example/webhooks/")


def test_every_reason_of_the_cases_has_a_sentence() -> None:
    reasons = {case["expect"]["reason"] for case in FILE["cases"] if case["expect"]["stage"] == "save"}
    assert {r for r in reasons if r and not r.startswith("header")} <= set(MESSAGES)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://n8n:5678/webhook/x", "n8n:5678"),
        ("http://n8n:5678/webhook/x", "n8n:5678"),
        ("https://n8n/", "n8n:443"),
        ("http://n8n.example.com/", "n8n.example.com:80"),
        ("https://crm.internal/hook", "crm.internal:443"),
        ("http://localhost:8000/", "localhost:8000"),
        ("https://10.0.0.7:8443/", "10.0.0.7:8443"),
        ("https://[fd00::7]/", "[fd00::7]:443"),
        ("https://example.com:25/", "example.com:25"),
        # what nobody may open
        ("https://169.254.169.254/", ""),
        ("http://169.254.169.254:8080/", ""),
        ("https://169.254.169.254:25/", ""),
        ("https://metadata.google.internal/", ""),
        ("https://metadata/", ""),
        ("https://app.ours.example/", ""),
        ("http://app.ours.example/", ""),
        # nobody knows which host is meant, or the host is not what is wrong
        ("https://a:b@n8n:5678/", ""),
        ("http:///x", ""),
        ("ftp://n8n:21/", ""),
        (f"https://{'a' * 63}.{'b' * 63}.local:5678/", ""),
    ],
)
def test_a_refusal_says_how_an_operator_opens_the_place(url: str, place: str) -> None:
    policy = AddressPolicy(own_hosts=("app.ours.example",))
    with pytest.raises(UrlRejected) as caught:
        check_url(url, policy)
    said = f"An operator can open it: INTEGRATIONS_ALLOWED_HOSTS={place}."
    assert (caught.value.place, said in caught.value.message) == (place, bool(place))
    if place:
        assert check_url(url, AddressPolicy(own_hosts=policy.own_hosts, allowed_hosts=(place,))).allow_listed


def test_so_does_the_refusal_of_what_a_name_resolves_to_and_of_other_protocols() -> None:
    policy = AddressPolicy()
    target = check_url("https://crm.example.com:8443/", policy)
    with pytest.raises(UrlRejected, match=r"INTEGRATIONS_ALLOWED_HOSTS=crm\.example\.com:8443"):
        check_addresses(target, ["10.0.0.7"], policy)
    with pytest.raises(UrlRejected) as caught:
        check_addresses(target, ["169.254.169.254"], policy)
    assert caught.value.place == ""
    with pytest.raises(UrlRejected, match=r"INTEGRATIONS_ALLOWED_HOSTS=mail:25"):
        check_endpoint("mail", 25, policy, ports={25})
    with pytest.raises(UrlRejected, match=r"INTEGRATIONS_ALLOWED_HOSTS=mail\.example\.com:25"):
        check_endpoint("mail.example.com", 25, policy, ports={25}, needs_listing=True)
    with pytest.raises(IntegrationBlocked, match=r"INTEGRATIONS_ALLOWED_HOSTS=github\.example\.com:443"):
        check_allowed("https://github.example.com/", ["api.github.com"], policy)


PIECES = st.sampled_from(
    [
        *("http", "https", ":", "//", "/", "@", "#", "?", "%", "[", "]", ".", "-", "0x7f", "127", "::1", "1"),
        *(
            "localhost",
            "example.com",
            "xn--",
            "\u3002",
            "\uff11",
            "\u017f",
            "\u212a",
            "\x00",
            "\\",
            "::ffff:10.0.0.1",
        ),
        *("169.254.169.254", "2130706433", "8080", "00", "\u0660", "\u200d", "ß", "日本", "..", "::"),
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=9).map("".join), st.none(), st.integers()))
def test_never_anything_but_a_target_or_a_refusal(text: object) -> None:
    for url in (text, f"http://{text}", f"https://{text}/x"):
        try:
            target = check_url(url, OPEN)
        except UrlRejected as rejected:
            assert rejected.reason in MESSAGES
            continue
        assert target.host.isascii()
        assert target.path_and_query.isascii()
        assert target.path_and_query.startswith("/")
        assert not set(target.path_and_query + target.host_header) & set(" \r\n\t\0\\#")


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_accepted_literal_is_in_no_deny_list(ip: Any) -> None:
    shown = f"[{ip}]" if ip.version == 6 else str(ip)
    try:
        target = check_url(f"http://{shown}/", OPEN)
    except UrlRejected as rejected:
        assert rejected.reason in ("ip_blocked", "ip_metadata")
        return
    found = ip_address(target.host)
    found = found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
    denied = deny_lists.IPV4_DENIED if found.version == 4 else deny_lists.IPV6_DENIED
    assert not any(found in network for network in denied)
    assert found.version == 4 or found in deny_lists.IPV6_ALLOWED
