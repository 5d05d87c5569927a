"""Fixtures for tests of connectors, wherever they lie: the repository's conftest.py loads them.

connect         connect(kind, **settings): a connector bound to the loopback receiver
client_for      client_for(*ports): a client that may talk to the servers below
smtp_tls, smtp_starttls, smtp_plain, dovecot, sshd    mail and SSH servers on loopback, one of each per test session
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, overload

import pytest

from integrations.auth.oauth2 import fingerprint
from integrations.auth.token import MemoryTokens, Token
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import checked
from integrations.connectors.kinds.rest import RestConnector
from integrations.connectors.port import Binding
from integrations.connectors.registry import ConnectorRegistry
from integrations.tests.receiver import Receiver
from integrations.tests.throwaway_ca import ThrowawayCA
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .dovecot import Dovecot
from .smtp_server import SmtpServer
from .sshd import Sshd

Kind = TypeVar("Kind", bound=BaseConnector)
HOST = "mail.example.com"  # what the certificate says, and what resolves to loopback


class Connect(Protocol):
    @overload
    def __call__(self, kind: type[Kind], *, session: str = "", attempts: int = 1, **settings: Any) -> Kind: ...
    @overload
    def __call__(self, kind: str, **settings: Any) -> RestConnector: ...


@pytest.fixture
def connect(receiver: Receiver, settings: Any) -> Iterator[Connect]:
    """Return ``connect(kind, **settings)``: checked as a form would, bound, and allowed to call the receiver.

    One without code is called by its key, and is at the receiver unless `settings` say otherwise. With `session` it has
    that access token already.
    """
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    clients: list[GuardedClient] = []

    def make(kind: type[BaseConnector] | str, *, session: str = "", attempts: int = 1, **given: Any) -> Any:
        if isinstance(kind, str):
            kind = ConnectorRegistry.type_of(kind)
            if kind.manifest.field("base_url"):
                given.setdefault("base_url", f"http://{receiver.netloc}")
        clients.append(GuardedClient(AddressPolicy.from_conf(), timeout=5))
        clean = checked(kind.manifest, given)
        binding = Binding.from_settings(kind.manifest, clean, timeout=1, attempts=attempts, tokens=MemoryTokens())
        connector = kind(binding, clients[-1])
        if session and connector.oauth and binding.tokens:
            made_with = fingerprint(connector.oauth, connector.settings)
            with binding.tokens.exclusive() as tokens:
                tokens.save(Token(session, made_with=made_with))
        return connector

    yield make
    for client in clients:
        client.close()


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
