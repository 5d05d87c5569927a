"""OpenAI and Gemini for the whole installation. Their keys travel in headers, never in an address.

A prompt costs money, so one whose answer may have been lost is not sent again.
"""

from __future__ import annotations

from typing import Any

from integrations.configuration.models import GeminiConfiguration, OpenAIConfiguration

from .connected import ConnectedIntegration


class OpenAIIntegration(ConnectedIntegration[OpenAIConfiguration]):
    """Prompts and embeddings; other actions of the connector through `call`."""

    name = "openai"

    def _get_config_model(self) -> type[OpenAIConfiguration]:
        return OpenAIConfiguration

    def chat(self, prompt: str, **options: Any) -> str:
        """Return the text that answers `prompt`; `options`: ``system``, ``model``, ``max_tokens``, ``temperature``."""
        return str(self.call("chat", prompt=prompt, **options))

    def embed(self, texts: str | list[str], **options: Any) -> list[list[float]]:
        """Return a vector for each text."""
        return self.call("embed", input=texts, **options)


class GeminiIntegration(ConnectedIntegration[GeminiConfiguration]):
    """Prompts and embeddings; other actions of the connector through `call`."""

    name = "gemini"

    def _get_config_model(self) -> type[GeminiConfiguration]:
        return GeminiConfiguration

    def generate(self, prompt: str, **options: Any) -> str:
        """Return the text that answers `prompt`; `options`: ``system``, ``model``, ``max_tokens``, ``temperature``."""
        return str(self.call("generate", prompt=prompt, **options))

    def embed(self, text: str, **options: Any) -> list[float]:
        """Return the vector of a text."""
        return self.call("embed", text=text, **options)
