"""The process's one HTTP client: its connections outlive slices, lanes and tasks."""

from __future__ import annotations

import atexit
import threading

from .client import GuardedClient
from .policy import AddressPolicy

_lock = threading.Lock()
_current: GuardedClient | None = None


def client() -> GuardedClient:
    """Return the client for today's address policy; a changed policy gets a new one."""
    global _current
    policy = AddressPolicy.from_conf()
    with _lock:
        if _current is None or _current.policy != policy:
            _forget()
            _current = GuardedClient.from_conf()
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
