"""Providers' own sandboxes, asked for real: ``pytest -m sandbox`` (docs/write-your-own-connector.md).

Each kind whose variables are set; of the others the summary says which are missing (live.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.tests.samples import envelope
from integrations.management.connector_pages import is_ours
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .live import Sandbox, sandbox_of, variable

pytestmark = pytest.mark.sandbox
OF_THIS_MACHINE = {"mock", "dropzone_json_v1"}  # there is nobody to ask


def kinds() -> list[type[BaseConnector]]:
    found = [kind for kind in ConnectorRegistry.all() if is_ours(kind)]
    return [kind for kind in found if kind.manifest.key.lower() not in OF_THIS_MACHINE]


@pytest.fixture(params=kinds(), ids=lambda kind: kind.manifest.key)
def kind(request: pytest.FixtureRequest) -> type[BaseConnector]:
    found: type[BaseConnector] = request.param
    return found


@pytest.fixture
def sandbox(kind: type[BaseConnector]) -> Sandbox:
    found = sandbox_of(kind, os.environ)
    if found.missing:
        pytest.skip(f"{kind.manifest.label} is not asked: set {', '.join(found.missing)}")
    return found


@pytest.fixture
def connector(kind: type[BaseConnector], sandbox: Sandbox) -> Iterator[BaseConnector]:
    client = GuardedClient(AddressPolicy.from_conf(), timeout=30)
    with kind.bound_to(sandbox.settings, client, timeout=30) as bound:
        yield bound
    client.close()


def test_the_credentials_are_taken(connector: BaseConnector) -> None:
    if not connector.can_check:
        pytest.skip(f"{connector.manifest.label} has no call that proves credentials and changes nothing")
    result = connector.health_check()
    assert result.success, result.message


def test_an_event_is_taken(connector: BaseConnector, sandbox: Sandbox) -> None:
    name = variable(connector.manifest, "deliver")
    if "deliver" not in connector.manifest.does:
        pytest.skip(f"{connector.manifest.label} takes no events")
    if not sandbox.may_deliver:
        pytest.skip(f"{connector.manifest.label} gets no event: set {name}=1")
    receipt: Any = connector.deliver(envelope())
    assert isinstance(receipt, Receipt)
