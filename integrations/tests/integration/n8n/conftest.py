"""One n8n for all tests of this folder, with every workflow: to start one takes most of the time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from pytest_django.live_server_helper import LiveServer

from integrations.tests.factories import SECRET
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.signing import generate_secret

from .providers import Providers
from .server import N8n
from .workflows import ACTIVE, BACK_SECRET, FILES, INACTIVE, TO_IMPORT, filled_in, workflow


@pytest.fixture(scope="package")
def n8n_command() -> Path:
    """n8n's executable, or the test is skipped, never failed: this lane is optional, REQUIRE_SERVICES or not."""
    home = os.environ.get("N8N_HOME", "")
    command = Path(home) / "node_modules" / ".bin" / "n8n"
    if not home or not command.exists():
        pytest.skip(f"no n8n at {command}" if home else "set N8N_HOME to a folder with n8n (docs/N8N_WEBHOOK_SETUP.md)")
    return command.absolute()


@pytest.fixture(scope="package")
def address(n8n_command: Path) -> Iterator[str]:
    """Where our web server listens, over plain HTTP."""
    with override_settings(SECURE_SSL_REDIRECT=False, ALLOWED_HOSTS=["127.0.0.1"]):
        # Not pytest-django's live_server: that one is made once, before these settings.
        server = LiveServer("127.0.0.1")
        yield server.url
        server.stop()


@pytest.fixture(scope="package")
def all_providers(n8n_command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with Providers(tmp_path_factory.mktemp("providers")).running() as running:
        yield running


@pytest.fixture(scope="package")
def n8n(
    n8n_command: Path, address: str, all_providers: Providers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[N8n]:
    """A running n8n with the workflows of this folder and those of docs/n8n/."""
    env = {
        "NODE_FUNCTION_ALLOW_BUILTIN": "crypto",
        "OUTBOX_SIGNING_SECRET": f"{generate_secret()} {SECRET}",  # several integrations
        "OUTBOX_CALLBACK_SECRET": BACK_SECRET,
        **all_providers.env,
    }
    server = N8n(n8n_command, tmp_path_factory.mktemp("n8n"), env)
    documented = [filled_in(name, address) for name in TO_IMPORT]
    server.install(FILES / "credentials.json", [*(workflow(name) for name in (*ACTIVE, *INACTIVE)), *documented])
    server.activate(*(workflow(name)["id"] for name in ACTIVE), *(each["id"] for each in documented))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def providers(all_providers: Providers) -> Providers:
    """Slack and Notion, as if nobody had asked them anything yet."""
    all_providers.asked.clear()
    all_providers.failures.clear()
    return all_providers


@pytest.fixture
def client(n8n: N8n) -> Iterator[GuardedClient]:
    client = GuardedClient(AddressPolicy(allowed_hosts=(n8n.netloc,)), connect_timeout=2, timeout=10)
    yield client
    client.close()
