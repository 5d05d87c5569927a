"""Read system-wide configurations:

from integrations import config

config.get_singleton(GitHubConfiguration)     the row, or None; cached (cache.py)
config.get_github_config()                    the same
config.is_github_enabled()                    False if there is no row
"""

from __future__ import annotations

from typing import TypeVar

from django.db import models

from . import cache
from .models import (
    AbstractConfiguration,
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)

M = TypeVar("M", bound=models.Model)


def get_singleton(model: type[M]) -> M | None:
    """Return the one row of `model`, None if there is none. Changing what is returned changes nothing but itself.

    A model that does not inherit from AbstractConfiguration is read anew each time: nobody would tell this process, or
    another, that its row has changed.
    """
    return cache.get(model) if issubclass(model, AbstractConfiguration) else cache.read(model)


def is_enabled(model: type[models.Model]) -> bool:
    """Tell whether the one row of `model` is there and switched on."""
    found = get_singleton(model)
    return bool(getattr(found, "enabled", False))


def get_github_config() -> GitHubConfiguration | None:
    return get_singleton(GitHubConfiguration)


def is_github_enabled() -> bool:
    return is_enabled(GitHubConfiguration)


def get_weaviate_config() -> WeaviateConfiguration | None:
    return get_singleton(WeaviateConfiguration)


def is_weaviate_enabled() -> bool:
    return is_enabled(WeaviateConfiguration)


def get_graph_config() -> GraphConfiguration | None:
    return get_singleton(GraphConfiguration)


def is_graph_enabled() -> bool:
    return is_enabled(GraphConfiguration)


def get_openai_config() -> OpenAIConfiguration | None:
    return get_singleton(OpenAIConfiguration)


def is_openai_enabled() -> bool:
    return is_enabled(OpenAIConfiguration)


def get_gemini_config() -> GeminiConfiguration | None:
    return get_singleton(GeminiConfiguration)


def is_gemini_enabled() -> bool:
    return is_enabled(GeminiConfiguration)


forget = cache.forget
