"""Microsoft Teams on the conformance suite."""

from __future__ import annotations

from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IntegrationGone
from integrations.testing import Answer, ConnectorConformance


class TestTeams(ConnectorConformance):
    connector = ConnectorRegistry.type_of("teams")
    config = {"url": "{server}/workflows/canary-7f3a91-canary?sig=canary-signature"}
    success = Answer(202, b"")
    statuses = {404: IntegrationGone}  # the workflow was deleted
    exempt = {"a_copy_can_be_told": "it takes no idempotency key"}
