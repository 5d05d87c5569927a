"""What the connection may do to us, and where we may go.

For connectors that speak something else than HTTP: servers that hang up, say nothing, or talk nonsense. What such a
system does when all is well needs a real counterpart, which is the author's part.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Literal

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from integrations.errors import IntegrationBlocked, IntegrationTemporaryError
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http import guarded_client as client_module
from integrations.transport.response import Headers, Response

from .leaks import holds, leaks_of
from .receiver import Answer, Request
from .scripted_server import CLOSE, HANG, ScriptedServer
from .world import TIMEOUT, World

DEADLINE = 0.3  # seconds
ELSEWHERE = ("https://conformance.example.net/x", "https://10.0.0.1/x", "https://169.254.169.254/latest/meta-data/")
NONSENSE = b"\xff\xfe\0 garbage\r\n" * 40


class NetworkChecks(World):
    @pytest.mark.parametrize("then", ["drop", "reset"])
    def test_a_broken_connection_is_temporary(self, then: Literal["drop", "reset"]) -> None:
        self.answering(Answer(then=then))
        assert type(self.failure(self.bound())) is IntegrationTemporaryError
        assert len(self.work) <= self.requests_per_call, "it may have arrived: once more could be one too many"

    @pytest.mark.parametrize("how", ["silent", "dripping"])
    def test_the_deadline_holds(self, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
        self.answering(Answer(then="hang") if how == "silent" else Answer(500, b"x" * 400, drip=0.05))
        connector = self.bound(timeout=DEADLINE)
        started = time.monotonic()
        error = self.failure(connector)
        assert isinstance(error, IntegrationTemporaryError)
        assert time.monotonic() - started < DEADLINE * self.requests_per_call + 3

    def test_nobody_listens(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            place = f"127.0.0.1:{unused.getsockname()[1]}"
            texts = {name: value for name, value in self.settings().items() if isinstance(value, str)}
            changes = {name: value.replace(self.server.netloc, place) for name, value in texts.items()}
            client = client_module.GuardedClient(AddressPolicy(allowed_hosts=(place,)), timeout=TIMEOUT)
            error = self.failure(self.bound_unchecked(client, **changes))
        assert type(error) is IntegrationTemporaryError
        assert not self.server.requests

    def test_it_goes_nowhere_else(self) -> None:
        """Wherever an address field leads, what the manifest does not name is refused: no request, no look-up."""
        manifest = self.connector.manifest
        names = [field.name for field in manifest.fields if field.kind == "url"]
        blocked = []
        for name in names:
            for place in ELSEWHERE if manifest.allowed_hosts else ELSEWHERE[1:]:
                error = self.outcome(self.bound_unchecked(**{name: place}))
                assert error is None or isinstance(error, IntegrationBlocked), f"{name}={place}: {error!r}"
                blocked.append(error is not None)
        assert not names or any(blocked), "no address field matters: where does it send?"
        assert not self.lookups, "a name was looked up"

    def test_it_uses_the_client_and_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        client = _Recorder(self)
        connector = self.bound_unchecked(client)

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError("a connection that is not the client's: use self.http or self.client")

        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        self.call(connector, self.envelope())
        assert client.requests, "nothing was sent"


class SocketChecks(World):
    @pytest.mark.parametrize("script", [[CLOSE], [HANG], [NONSENSE, CLOSE]], ids=["hangs up", "is silent", "nonsense"])
    def test_a_strange_server_is_temporary(self, script: list[Any], caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        with ScriptedServer(script) as server:
            self.server_place = f"{server.host}:{server.port}"
            ours = {**django_settings.INTEGRATIONS, "ALLOWED_HOSTS": [self.server_place]}
            with override_settings(INTEGRATIONS=ours), closing(client_module.GuardedClient.from_conf()) as client:
                connector = self.bound(client, timeout=1.0)
                started = time.monotonic()
                error = self.failure(connector)
                assert time.monotonic() - started < 5, "the deadline was not kept"
            assert server.connections >= 1, "it never connected"
        assert type(error) is IntegrationTemporaryError, repr(error)
        assert not leaks_of(error, self.secrets, caller=self)
        assert error.__cause__ is None, "raise … from None: what caused it holds addresses and credentials"
        assert not holds(caplog.text, self.secrets), "a log line shows a secret"


class _Recorder:
    """A client without a network."""

    def __init__(self, world: World) -> None:
        self.policy = world.client.policy
        self.requests: list[Request] = []
        self._world = world

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        path = url.partition("://")[2].partition("/")[2]
        request = Request(
            method, f"/{path}", {name.lower(): value for name, value in headers.items()}, body, time.time(), 0
        )
        self.requests.append(request)
        answer = self._world.answer_to(request)
        return Response(answer.status, Headers(answer.headers.items()), answer.body)
