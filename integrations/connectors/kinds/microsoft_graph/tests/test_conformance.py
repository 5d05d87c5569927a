"""Microsoft Graph on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.microsoft_graph import MicrosoftGraphConnector
from integrations.testing import Answer, ConnectorConformance


class TestMicrosoftGraph(ConnectorConformance):
    connector = MicrosoftGraphConnector
    config = {
        "base_url": "{server}",
        "login_url": "{server}",
        "tenant_id": "acme.example",
        "client_id": "app-7",
        "client_secret": "canary-secret-7f3a91",
        "sender": "repairs@acme.example",
        "to": ["ops@acme.example"],
    }
    success = Answer(202, b"")
