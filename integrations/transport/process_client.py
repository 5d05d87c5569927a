"""The process's one HTTP client: its connections outlive slices, lanes and tasks."""

from __future__ import annotations

import atexit
import threading
from typing import Any

from integrations import conf

from .client import GuardedClient

_lock = threading.Lock()
_current: GuardedClient | None = None
_made_for: list[Any] = []  # the settings of its address policy


def client() -> GuardedClient:
    """Return the client for today's address policy; a changed policy gets a new one."""
    global _current, _made_for
    settings = [conf.ALLOW_HTTP, [*conf.ALLOWED_HOSTS], [*conf.ALLOWED_NETWORKS], [*conf.OWN_HOSTS]]
    with _lock:
        if _current is None or settings != _made_for:
            _forget()
            _current, _made_for = GuardedClient.from_conf(), settings
        return _current


def close_client() -> None:
    """Close the idle connections; the next `client()` starts afresh."""
    with _lock:
        _forget()


def _forget() -> None:
    global _current
    if _current is not None:
        _current.close()
    _current = None


atexit.register(close_client)
