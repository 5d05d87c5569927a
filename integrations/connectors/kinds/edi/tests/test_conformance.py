"""EDI on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.edi import EDIConnector
from integrations.testing import ConnectorConformance


class TestEDI(ConnectorConformance):
    connector = EDIConnector
    config = {
        "url": "{server}/edi/canary-path-7f3a91",
        "sender": "4012345000009",
        "recipient": "5412345000013",
        "username": "outbox",
        "password": "canary-password-7f3a91",
    }
