"""Settings with which each of our templates works; secrets are the canary."""

from __future__ import annotations

from typing import Any

from .conftest import CANARY

DATABASE = "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809"
SAMPLES: dict[str, dict[str, Any]] = {
    "notion": {"token": CANARY, "database_id": DATABASE, "status_property": "Status", "due_property": "Due"},
    "weaviate": {"url": "{address}", "api_key": CANARY},
    "openai": {"api_key": CANARY, "model": "gpt-5-mini"},
    "gemini": {"api_key": CANARY, "model": "gemini-2.5-flash"},
    "discord": {"url": f"{{address}}/api/webhooks/1234/{CANARY}"},
    "teams": {"url": f"{{address}}/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig={CANARY}"},
}


def sample(key: str, netloc: str) -> dict[str, Any]:
    """The settings of `key` for a receiver at `netloc`."""
    return {
        name: value.replace("{address}", f"http://{netloc}") if isinstance(value, str) else value
        for name, value in SAMPLES[key].items()
    }
