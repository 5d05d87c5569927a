"""How one attempt looks."""

from __future__ import annotations

from typing import Any

from integrations.pages.display import NOTHING, Badge


def attempt_badge(log: Any) -> Badge | str:
    """Return ✓ or ✗ with the HTTP status of an attempt; what people did has neither."""
    if log.action not in ("deliver", "test", "check"):
        return NOTHING
    if log.error:
        return Badge("bad", f"✗ {log.response_status or 'no answer'}")
    return Badge("ok", f"✓ {log.response_status or ''}")
