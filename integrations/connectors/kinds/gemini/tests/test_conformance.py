"""Gemini on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.port import Envelope
from integrations.connectors.registry import ConnectorRegistry
from integrations.testing import Answer, ConnectorConformance


class TestGemini(ConnectorConformance):
    connector = ConnectorRegistry.type_of("gemini")
    config = {"base_url": "{server}", "api_key": "canary-key-7f3a91", "model": "gemini-2.5-flash"}
    success = Answer(200, b'{"candidates": [{"content": {"parts": [{"text": "Hello."}]}}]}')
    exempt = {
        "strange_bodies": "somebody waits for the text: an answer without one is said at once, and not tried again"
    }
    repeated_page = Answer(body=b'{"models": [{"name": "models/a"}], "nextPageToken": "same"}')

    def call(self, connector: Any, envelope: Envelope) -> Any:
        return connector.call("generate", prompt="Say hello.")

    def read_all(self, connector: Any) -> Any:
        return connector.call("models")
