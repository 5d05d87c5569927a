"""A cache whose server is gone: every call fails, with a text that nobody may log."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.base import BaseCache


class BrokenCache(BaseCache):
    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("redis://:canary-5d1c@cache:6379 does not answer")

    set = get
