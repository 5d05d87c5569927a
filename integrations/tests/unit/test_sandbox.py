"""Which sandboxes ``pytest -m sandbox`` asks, and what it says of the others."""

from __future__ import annotations

import pytest

from integrations.connectors.registry import ConnectorRegistry
from integrations.tests.sandbox.live import sandbox_of


def test_each_variable_that_is_missing_is_named() -> None:
    graph = ConnectorRegistry.type_of("microsoft_graph")
    given = {"SANDBOX_MICROSOFT_GRAPH_TENANT_ID": "contoso.com", "SANDBOX_MICROSOFT_GRAPH_CLIENT_SECRET": "s"}
    found = sandbox_of(graph, given)
    assert found.missing == ("SANDBOX_MICROSOFT_GRAPH_CLIENT_ID", "SANDBOX_MICROSOFT_GRAPH_SENDER")
    assert found.settings == {}


@pytest.mark.parametrize("key", sorted(kind.manifest.key for kind in ConnectorRegistry.all()))
def test_nobody_is_asked_by_accident(key: str) -> None:
    kind = ConnectorRegistry.type_of(key)
    if kind.manifest.fields:
        assert sandbox_of(kind, {"PATH": "/bin", "SANDBOX_OTHER_URL": "x"}).missing


@pytest.mark.parametrize("deliver", ["1", "0", ""])
def test_an_event_is_sent_only_if_it_is_meant(deliver: str) -> None:
    given = {"SANDBOX_WEBHOOK_URL": "https://hooks.example.com/x", "SANDBOX_WEBHOOK_DELIVER": deliver}
    found = sandbox_of(ConnectorRegistry.type_of("webhook"), given)
    assert found.settings == {"url": "https://hooks.example.com/x"} and found.may_deliver is (deliver == "1")
