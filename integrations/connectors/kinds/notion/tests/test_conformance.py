"""Notion on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.registry import ConnectorRegistry
from integrations.testing import Answer, ConnectorConformance


class TestNotion(ConnectorConformance):
    connector = ConnectorRegistry.type_of("notion")
    config = {
        "base_url": "{server}",
        "token": "canary-token-7f3a91",
        "database_id": "59833787-2cf9-4fdf-8782-e53db20768a5",
    }
    success = Answer(200, b'{"id": "p-7", "url": "https://www.notion.so/p-7", "name": "Outbox"}')
    exempt = {"a_copy_can_be_told": "it takes no idempotency key"}
    repeated_page = Answer(body=b'{"results": [], "next_cursor": "same"}')

    def read_all(self, connector: Any) -> Any:
        return connector.call("query_database")
