"""The guide's column names in queries: ``ERPPushLog.objects.filter(org_id=7, status="SUCCESS")``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def renamed(kwargs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the look-ups `kwargs` with the guide's names replaced by ours, look-up suffixes kept."""
    found = {}
    for key, value in kwargs.items():
        name, separator, rest = key.partition("__")
        found[names.get(name, name) + separator + rest] = value
    return found
