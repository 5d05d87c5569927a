"""Weaviate for the whole installation (docs/weaviate.md)."""

from __future__ import annotations

from typing import Any

from integrations.configuration.models import WeaviateConfiguration

from .connected import ConnectedIntegration


class WeaviateIntegration(ConnectedIntegration[WeaviateConfiguration]):
    """Objects of one Weaviate."""

    name = "weaviate"

    def _get_config_model(self) -> type[WeaviateConfiguration]:
        return WeaviateConfiguration

    def get_object(self, object_id: str) -> dict[str, Any]:
        """Return one object of the configured collection, with its properties."""
        return self.call("get_object", id=object_id)

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """Return the data that a GraphQL query asks for."""
        return self.call("graphql", query=query, **({"variables": variables} if variables else {}))
