"""The mock connector on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.mock import MockConnector
from integrations.testing import ConnectorConformance


class TestMock(ConnectorConformance):
    connector = MockConnector
    config = {"mode": "success", "password": "canary-password-7f3a91"}
    speaks_http = False
    exempt = {
        "the_manifest_is_complete": "no provider, so no documentation of one",
        "a_strange_server_is_temporary": "it opens no connection",
    }
