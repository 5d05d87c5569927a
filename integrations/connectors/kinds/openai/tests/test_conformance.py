"""OpenAI on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.port import Envelope
from integrations.connectors.registry import ConnectorRegistry
from integrations.testing import Answer, ConnectorConformance


class TestOpenAI(ConnectorConformance):
    connector = ConnectorRegistry.type_of("openai")
    config = {"base_url": "{server}", "api_key": "canary-key-7f3a91", "model": "gpt-5-mini"}
    success = Answer(200, b'{"choices": [{"message": {"content": "Hello."}}]}')

    def call(self, connector: Any, envelope: Envelope) -> Any:
        return connector.call("chat", prompt="Say hello.")
