"""Real counterparts for what is not HTTP: mail and SSH servers on loopback, one of each per test session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integrations.tests.throwaway_ca import ThrowawayCA
from integrations.transport.client import GuardedClient
from integrations.transport.policy import AddressPolicy

from .dovecot import Dovecot
from .smtp_server import SmtpServer
from .sshd import Sshd

HOST = "mail.example.com"  # what the certificate says, and what resolves to loopback


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> ThrowawayCA:
    return ThrowawayCA(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def client_for(ca: ThrowawayCA) -> Iterator[Callable[..., GuardedClient]]:
    """Return ``make(*ports, …)``: a client that may talk to these ports of `HOST`, which is on loopback."""
    made: list[GuardedClient] = []

    def make(*ports: int, host: str = HOST, **options: Any) -> GuardedClient:
        policy = AddressPolicy(allowed_hosts=tuple(f"{host}:{port}" for port in ports))
        options = {"ca_bundle": str(ca.bundle), "resolve": lambda *asked: ["127.0.0.1"], "timeout": 10.0, **options}
        made.append(GuardedClient(policy, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def _smtp(security: str, ca: ThrowawayCA) -> Iterator[SmtpServer]:
    with SmtpServer(security, None if security == "plain" else ca.server(HOST)) as server:
        yield server


@pytest.fixture(scope="session")
def _smtp_tls(ca: ThrowawayCA) -> Iterator[SmtpServer]:
    yield from _smtp("tls", ca)


@pytest.fixture(scope="session")
def _smtp_starttls(ca: ThrowawayCA) -> Iterator[SmtpServer]:
    yield from _smtp("starttls", ca)


@pytest.fixture(scope="session")
def _smtp_plain(ca: ThrowawayCA) -> Iterator[SmtpServer]:
    yield from _smtp("plain", ca)


@pytest.fixture
def smtp_tls(_smtp_tls: SmtpServer) -> SmtpServer:
    _smtp_tls.reset()
    return _smtp_tls


@pytest.fixture
def smtp_starttls(_smtp_starttls: SmtpServer) -> SmtpServer:
    _smtp_starttls.reset()
    return _smtp_starttls


@pytest.fixture
def smtp_plain(_smtp_plain: SmtpServer) -> SmtpServer:
    _smtp_plain.reset()
    return _smtp_plain


@pytest.fixture(scope="session")
def dovecot(ca: ThrowawayCA) -> Iterator[Dovecot]:
    with Dovecot(ca.server_file(HOST).read_bytes()) as server:
        yield server


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server
