"""Examples in the document: of what is sent and of what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict

INTEGRATION = "0197a3c2-5a4e-7c1e-9d52-6f0b8a1c2d3e"
WHEN = "2026-11-30T12:00:00Z"


def example(value: Mapping[str, Any], *, strict: bool = False) -> ConfigDict:
    """Return the ``model_config`` of a schema with this example.

    Args:
        strict: of a body: what it does not know it refuses.
    """
    extra: dict[str, Any] = {"examples": [dict(value)]}
    return ConfigDict(json_schema_extra=extra, extra="forbid") if strict else ConfigDict(json_schema_extra=extra)
