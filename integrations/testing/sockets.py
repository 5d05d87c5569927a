"""For connectors that speak something else than HTTP: servers that hang up, say nothing, or talk nonsense.

What the system does when all is well needs a real counterpart, which is the author's part.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from integrations.errors import IntegrationTemporaryError
from integrations.transport.client import GuardedClient

from .leaks import holds, leaks_of
from .scripted_server import CLOSE, HANG, ScriptedServer
from .world import World

NONSENSE = b"\xff\xfe\0 garbage\r\n" * 40


class SocketChecks(World):
    @pytest.mark.parametrize("script", [[CLOSE], [HANG], [NONSENSE, CLOSE]], ids=["hangs up", "is silent", "nonsense"])
    def test_a_strange_server_is_temporary(self, script: list[Any], caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        with ScriptedServer(script) as server:
            self.server_place = f"{server.host}:{server.port}"
            ours = {**django_settings.INTEGRATIONS, "ALLOWED_HOSTS": [self.server_place]}
            with override_settings(INTEGRATIONS=ours), closing(GuardedClient.from_conf()) as client:
                connector = self.bound(client, timeout=1.0)
                started = time.monotonic()
                error = self.failure(connector)
                assert time.monotonic() - started < 5, "the deadline was not kept"
            assert server.connections >= 1, "it never connected"
        assert type(error) is IntegrationTemporaryError, repr(error)
        assert not leaks_of(error, self.secrets, caller=self)
        assert error.__cause__ is None, "raise … from None: what caused it holds addresses and credentials"
        assert not holds(caplog.text, self.secrets), "a log line shows a secret"
