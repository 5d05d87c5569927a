"""A connector bound to the loopback receiver, which answers as its provider does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import pytest

from integrations.auth.oauth2 import fingerprint
from integrations.auth.token import MemoryTokens, Token
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import checked
from integrations.connectors.port import Binding
from integrations.tests.receiver import Receiver
from integrations.transport.client import GuardedClient
from integrations.transport.policy import AddressPolicy

Kind = TypeVar("Kind", bound=BaseConnector)


class Connect(Protocol):
    def __call__(self, kind: type[Kind], *, session: str = "", attempts: int = 1, **settings: Any) -> Kind: ...


@pytest.fixture
def connect(receiver: Receiver, settings: Any) -> Iterator[Connect]:
    """Return ``connect(kind, **settings)``: checked as a form would, bound, and allowed to call the receiver.

    With `session` it has that access token already.
    """
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    clients: list[GuardedClient] = []

    def make(kind: type[Kind], *, session: str = "", attempts: int = 1, **given: Any) -> Kind:
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
