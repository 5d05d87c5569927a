"""Weaviate on the conformance suite."""

from __future__ import annotations

from integrations.connectors.port import Envelope
from integrations.connectors.registry import ConnectorRegistry
from integrations.testing import Answer, ConnectorConformance, Request


class TestWeaviate(ConnectorConformance):
    """The object's id is made of the event's."""

    connector = ConnectorRegistry.type_of("weaviate")
    config = {"url": "{server}", "api_key": "canary-key-7f3a91"}
    success = Answer(200, b'{"id": "7", "version": "1.30.0"}')

    def key_of(self, request: Request, envelope: Envelope) -> str:
        return str(request.json["id"])
