"""Discord on the conformance suite."""

from __future__ import annotations

from integrations.connectors.registry import ConnectorRegistry
from integrations.testing import Answer, ConnectorConformance


class TestDiscord(ConnectorConformance):
    connector = ConnectorRegistry.type_of("discord")
    config = {"url": "{server}/api/webhooks/7/canary-7f3a91-canary"}
    success = Answer(200, b'{"id": "1", "name": "Outbox"}')
    exempt = {"a_copy_can_be_told": "it takes no idempotency key"}
