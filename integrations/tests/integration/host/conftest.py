"""Connections of both kinds: one of a host's own model, and one of ours.

host         the host's models, with their tables
gate         the provider of hostapp/gate.py, registered; its settings lead to `receiver`
make         make("host") or make("ours") returns a connection to the gate
heard        what the signals about connections said: (name, arguments)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from integrations import ConnectorRegistry
from integrations.models import AbstractConnection, TenantIntegration
from integrations.signals import connection_disabled, connection_status_changed
from integrations.tests.factories import make_tenant
from integrations.tests.hostapp.gate import Gate
from integrations.tests.hostapp.installed import host_models
from integrations.tests.receiver import Receiver

CANARY = "canary7f3a91c0ffee"
Make = Callable[[str], AbstractConnection]


@pytest.fixture(scope="module")
def host(django_db_setup: None, django_db_blocker: Any) -> Iterator[SimpleNamespace]:
    with django_db_blocker.unblock(), host_models() as models, django_db_blocker.block():
        yield models


@pytest.fixture
def gate(receiver: Receiver, settings: Any) -> Iterator[dict[str, dict[str, str]]]:
    ConnectorRegistry.register("gate", Gate)
    settings.INTEGRATIONS = {
        "ALLOWED_HOSTS": [receiver.netloc],
        "HTTP_BASE_SECONDS": 0.0,
        "RETRY_JITTER": 0.0,
        "CONNECTION_MODEL": "connectors.Connection",
        "WEBHOOK_EVENT_MODEL": "connectors.WebhookEvent",
    }
    yield {
        "config": {"base_url": f"http://{receiver.netloc}"},
        "credentials": {"token": CANARY, "pin": "pin-" + CANARY},
    }
    ConnectorRegistry.unregister("gate")


@pytest.fixture
def make(host: SimpleNamespace, gate: dict[str, Any]) -> Make:
    def of(kind: str) -> AbstractConnection:
        if kind == "ours":
            return TenantIntegration.objects.create(
                tenant=make_tenant(), name="Front gate", integration_type="gate", is_signed=False, **gate
            )
        company = host.Company.objects.create(name="Acme Corp")
        made = host.Connection(company=company, provider_family="building", provider_name="gate", config=gate["config"])
        made.credentials = gate["credentials"]
        made.save()
        return made

    return of


@pytest.fixture(params=["host", "ours"])
def connection(request: pytest.FixtureRequest, make: Make) -> AbstractConnection:
    """A connection whose last test passed: of each kind, one test after the other."""
    made = make(request.param)
    type(made)._base_manager.filter(pk=made.pk).update(is_connected=True)
    made.refresh_from_db()
    return made


@contextmanager
def listening() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Note what the two signals say while the block runs."""
    found: list[tuple[str, dict[str, Any]]] = []
    signals = {"changed": connection_status_changed, "disabled": connection_disabled}

    def listener(name: str) -> Callable[..., None]:
        def hear(sender: type, signal: Any, **arguments: Any) -> None:
            assert isinstance(arguments["connection"], sender)
            found.append((name, arguments))

        return hear

    receivers = {name: listener(name) for name in signals}
    for name, signal in signals.items():
        signal.connect(receivers[name])
    try:
        yield found
    finally:
        for name, signal in signals.items():
            signal.disconnect(receivers[name])


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    with listening() as found:
        yield found


def changed(connection: AbstractConnection, before: tuple[bool, bool], now: tuple[bool, bool]) -> tuple[str, Any]:
    """What connection_status_changed says, all of it: (is_connected, is_enabled) before and now."""
    return (
        "changed",
        {
            "connection": connection,
            "is_connected": now[0],
            "is_enabled": now[1],
            "previous_connected": before[0],
            "previous_enabled": before[1],
        },
    )
