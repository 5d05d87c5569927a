"""HTTPClients that may talk to servers on loopback and whose pauses are noted instead of slept.

caller(receiver, …).get("/x")        a client with the receiver as its base address
caller.waits                         how long it would have waited, in seconds
frames_of(error)                     what an error reporter would show the locals of
"""

from __future__ import annotations

from types import FrameType
from typing import Any

import pytest

from integrations.errors import IntegrationError
from integrations.tests.receiver import Receiver
from integrations.tests.scripted_server import ScriptedServer
from integrations.tests.services import is_of_tests
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.http_client import HTTPClient


class Caller:
    """Makes HTTPClients; see the module."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._clients: list[GuardedClient] = []

    def __call__(self, *servers: Receiver | ScriptedServer, base: str | None = None, **options: Any) -> HTTPClient:
        """Return a client whose base address is the first of `servers`; it may talk to all of them."""
        places = tuple(map(_place, servers))
        guarded = GuardedClient(AddressPolicy(allowed_hosts=places), timeout=options.pop("patience", 5))
        self._clients.append(guarded)
        if base is None:
            base = f"{'https' if getattr(servers[0], 'tls', None) else 'http'}://{places[0]}"
        return HTTPClient(base, **{"client": guarded, "sleep": self.waits.append, **options})

    def close(self) -> None:
        for client in self._clients:
            client.close()


def _place(server: Receiver | ScriptedServer) -> str:
    return server.netloc if isinstance(server, Receiver) else f"{server.host}:{server.port}"


def failure(call: Any, *args: Any, **kwargs: Any) -> IntegrationError:
    """Return the IntegrationError of a call."""
    with pytest.raises(IntegrationError) as caught:
        call(*args, **kwargs)
    return caught.value


def frames_of(error: BaseException) -> list[FrameType]:
    """The frames of `error` and of whatever it came from, those of the tests left out."""
    found, todo, seen = [], [error], set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        todo += [one.__cause__, one.__context__]  # type: ignore[list-item]
        traceback = one.__traceback__
        while traceback is not None:
            if not is_of_tests(traceback.tb_frame.f_code.co_filename):
                found.append(traceback.tb_frame)
            traceback = traceback.tb_next
    return found
