"""Guarded connections for what is not HTTP: which hosts and ports, which address, which name, and for how long."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from integrations.errors import IntegrationBlocked, IntegrationError, IntegrationTemporaryError
from integrations.tests.effort import waiting
from integrations.tests.scripted_server import ANY, HANG, ScriptedServer
from integrations.tests.services import wait_until
from integrations.tests.throwaway_ca import ThrowawayCA
from integrations.transport.guard import resolver
from integrations.transport.guard.check import check_endpoint
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.guard.rejected import UrlRejected
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.tcp import Conversation, hold

PORTS = frozenset({25, 465, 587})


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> ThrowawayCA:
    return ThrowawayCA(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("host", "port", "policy", "reason"),
    [
        ("", 25, {}, "host_missing"),
        ("[]", 25, {}, "host_missing"),
        ("mail.example.com", 0, {}, "port_invalid"),
        ("mail.example.com", 65536, {}, "port_invalid"),
        ("mail.example.com", 80, {}, "port_unusual"),
        ("mail.example.com", 22, {}, "port_unusual"),
        ("mail.example.com", 6379, {}, "port_unusual"),
        ("mail.example.com", 993, {}, "port_unusual"),
        ("mail\r\n.example.com", 25, {}, "host_invalid"),
        ("mail.example.com@evil.example", 25, {}, "host_invalid"),
        ("mailhost", 25, {}, "host_single_label"),
        ("localhost", 25, {}, "host_blocked_name"),
        ("mail.internal", 25, {}, "host_blocked_name"),
        ("0177.0.0.1", 25, {}, "host_noncanonical_ip"),
        ("2130706433", 25, {}, "host_noncanonical_ip"),
        ("10.0.0.9", 25, {}, "ip_blocked"),
        ("::1", 25, {}, "ip_blocked"),
        ("[::ffff:127.0.0.1]", 25, {}, "ip_blocked"),
        ("own.example.com.", 25, {"own_hosts": ("own.example.com",)}, "self_target"),
        ("169.254.169.254", 25, {"allowed_networks": ("169.254.0.0/16",)}, "ip_metadata"),
        ("169.254.169.254", 25, {"allowed_hosts": ("169.254.169.254:25",)}, "ip_metadata"),
        ("mailhost", 26, {"allowed_hosts": ("mailhost:25",)}, "host_single_label"),
    ],
)
def test_refused(host: str, port: int, policy: dict[str, Any], reason: str) -> None:
    with pytest.raises(UrlRejected) as caught:
        check_endpoint(host, port, AddressPolicy(**policy), ports=PORTS)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("host", "port", "policy", "name"),
    [
        ("Mail.Example.COM.", 465, {}, "mail.example.com"),
        ("münchen.example", 587, {}, "xn--mnchen-3ya.example"),
        ("mail.example.com", 2525, {}, "mail.example.com"),
        ("93.184.216.34", 25, {}, "93.184.216.34"),
        ("[2606:4700::1111]", 25, {}, "2606:4700::1111"),
        ("2606:4700:0::1111", 25, {}, "2606:4700::1111"),
        ("mailhost", 22, {"allowed_hosts": ("mailhost:22",)}, "mailhost"),
        ("10.0.0.9", 25, {"allowed_networks": ("10.0.0.0/8",)}, "10.0.0.9"),
    ],
)
def test_allowed(host: str, port: int, policy: dict[str, Any], name: str) -> None:
    target = check_endpoint(host, port, AddressPolicy(**policy), ports=PORTS)
    assert (target.host, target.port) == (name, port)


def client(server: ScriptedServer, name: str = "mail.example.com", **options: Any) -> GuardedClient:
    policy = AddressPolicy(allowed_hosts=(f"{name}:{server.port}",))
    return GuardedClient(policy, **{"resolve": lambda *asked: [server.host], **options})


def test_connects_to_the_address_that_was_checked_and_names_the_host(ca: ThrowawayCA) -> None:
    asked: list[tuple[str, int]] = []
    names: list[str] = []
    context = ca.server("mail.example.com")
    context.sni_callback = lambda sock, name, _: names.append(str(name))
    with ScriptedServer([b"hello", HANG], tls=context) as server:

        def resolve(host: str, port: int, seconds: float) -> list[str]:
            asked.append((host, port))
            return [server.host]

        guarded = client(server, resolve=resolve, ca_bundle=str(ca.bundle))
        with guarded.open_tcp("mail.example.com", server.port, ports=PORTS, security="tls") as conversation:
            assert conversation.sock.recv(5) == b"hello"
            assert isinstance(conversation.sock, ssl.SSLSocket)
            assert conversation.sock.selected_alpn_protocol() is None
    assert asked == [("mail.example.com", server.port)]
    assert names == ["mail.example.com"]


def test_https_and_mail_do_not_share_their_tls_settings(ca: ThrowawayCA) -> None:
    context = ca.server("mail.example.com")
    context.set_alpn_protocols(["http/1.1"])
    with ScriptedServer([ANY], [b"hello", HANG], tls=context) as server:
        guarded = client(server, ca_bundle=str(ca.bundle), timeout=2)
        with pytest.raises(IntegrationTemporaryError):
            guarded.request("GET", server.url(host="mail.example.com"))
        with guarded.open_tcp("mail.example.com", server.port, ports=PORTS, security="tls") as conversation:
            assert conversation.sock.selected_alpn_protocol() is None  # type: ignore[attr-defined]


def test_one_private_answer_refuses_all() -> None:
    guarded = GuardedClient(AddressPolicy(), resolve=lambda *asked: ["93.184.216.34", "169.254.169.254"])
    with pytest.raises(IntegrationBlocked) as caught:
        guarded.open_tcp("mail.example.com", 25, ports=PORTS, security="starttls")
    assert caught.value.reason == "ip_metadata"
    assert caught.value.__context__ is None


def test_the_watchdog_wakes_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer([HANG]) as server:
        with waiting() as waited:
            conversation = client(server).open_tcp(
                "mail.example.com", server.port, ports=PORTS, security="plain", timeout=0.3
            )
            conversation.sock.settimeout(None)  # as a library would that knows of no deadline
            with pytest.raises(IntegrationTemporaryError) as caught:
                hold(conversation, lambda: _read_all(conversation.sock))
        assert waited.seconds < 1.5
    assert (caught.value.code, caught.value.was_sent) == ("timeout", False)


def _read_all(sock: socket.socket) -> None:
    while sock.recv(100):
        pass
    raise EOFError


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer([b"hello"]) as server:
        before = set(threading.enumerate())
        files = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
        for _ in range(20):
            conversation = client(server).open_tcp("mail.example.com", server.port, ports=PORTS, security="plain")
            conversation.close()
            conversation.close()
            conversation._watchdog.join(5)
            assert not conversation._watchdog.is_alive()
        # The server's own may be new; what another test left may end or begin meanwhile.
        wait_until(lambda: len(set(threading.enumerate()) - before) <= 1, message="threads are left")
        if files:
            assert len(list(Path("/proc/self/fd").iterdir())) <= files + 2


def test_an_error_at_the_deadline_is_a_timeout_before_the_watchdog_has_noticed() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Conversation(ours, "mail.example.com", "plain", monotonic() + 60, ssl.create_default_context()) as it:
        error = smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        assert it.failure(error).code == "connection_reset"
        it._deadline = monotonic()  # the watchdog sleeps on
        assert it.failure(error).code == "timeout"


def test_a_failed_handshake_closes_the_connection(ca: ThrowawayCA) -> None:
    with ScriptedServer([ANY, HANG], tls=ca.server("other.example.com")) as server:
        guarded = client(server, ca_bundle=str(ca.bundle), timeout=30)
        with pytest.raises(IntegrationTemporaryError) as caught:
            guarded.open_tcp("mail.example.com", server.port, ports=PORTS, security="tls")
    assert (caught.value.code, caught.value.was_sent) == ("tls_failed", False)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(5)  # cancelled: it ends at once, and not after ten seconds
            assert not thread.is_alive()


def test_a_name_that_does_not_resolve_was_never_sent_anything() -> None:
    with pytest.raises(IntegrationTemporaryError) as caught:
        resolver.resolve("does-not-exist.invalid", 25, 5)
    assert (caught.value.code, caught.value.was_sent) == ("dns_failed", False)


def test_errors_keep_no_frame_below() -> None:
    def talk() -> None:
        secret = "canary"
        raise RuntimeError(secret)

    with ScriptedServer([HANG]) as server:
        conversation = client(server).open_tcp("mail.example.com", server.port, ports=PORTS, security="plain")
        with pytest.raises(IntegrationError) as caught:
            hold(conversation, talk)
    assert caught.value.code == "unexpected"
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert [frame.name for frame in caught.traceback][-1] == "hold"
