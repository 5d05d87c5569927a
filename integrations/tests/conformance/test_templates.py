"""The connectors made of templates on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.port import Envelope
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import IntegrationGone
from integrations.testing import Answer, ConnectorConformance, Request

NO_KEY = "it takes no idempotency key"


class TestDiscord(ConnectorConformance):
    connector = ConnectorRegistry.type_of("discord")
    config = {"url": "{server}/api/webhooks/7/canary-7f3a91-canary"}
    success = Answer(200, b'{"id": "1", "name": "Outbox"}')
    exempt = {"a_copy_can_be_told": NO_KEY}


class TestTeams(ConnectorConformance):
    connector = ConnectorRegistry.type_of("teams")
    config = {"url": "{server}/workflows/canary-7f3a91-canary?sig=canary-signature"}
    success = Answer(202, b"")
    statuses = {404: IntegrationGone}  # the workflow was deleted
    exempt = {"a_copy_can_be_told": NO_KEY}


class TestNotion(ConnectorConformance):
    connector = ConnectorRegistry.type_of("notion")
    config = {
        "base_url": "{server}",
        "token": "canary-token-7f3a91",
        "database_id": "59833787-2cf9-4fdf-8782-e53db20768a5",
    }
    success = Answer(200, b'{"id": "p-7", "url": "https://www.notion.so/p-7", "name": "Outbox"}')
    exempt = {"a_copy_can_be_told": NO_KEY}
    repeated_page = Answer(body=b'{"results": [], "next_cursor": "same"}')

    def read_all(self, connector: Any) -> Any:
        return connector.call("query_database")


class TestWeaviate(ConnectorConformance):
    """The object's id is made of the event's."""

    connector = ConnectorRegistry.type_of("weaviate")
    config = {"url": "{server}", "api_key": "canary-key-7f3a91"}
    success = Answer(200, b'{"id": "7", "version": "1.30.0"}')

    def key_of(self, request: Request, envelope: Envelope) -> str:
        return str(request.json["id"])


class TestOpenAI(ConnectorConformance):
    connector = ConnectorRegistry.type_of("openai")
    config = {"base_url": "{server}", "api_key": "canary-key-7f3a91", "model": "gpt-5-mini"}
    success = Answer(200, b'{"choices": [{"message": {"content": "Hello."}}]}')

    def call(self, connector: Any, envelope: Envelope) -> Any:
        return connector.call("chat", prompt="Say hello.")


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
