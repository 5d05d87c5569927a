"""How many calls of the API wait for a test event or a check at once.

Each holds a thread of the web server until the destination answers, and one that hangs must not take all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integrations import conf

TOO_MANY = "A test or a check of this tenant is under way already, or too many of others; send it again in a moment."
_lock = threading.Lock()
_tried: set[Any] = set()


@contextmanager
def place_to_try(tenant_key: Any) -> Iterator[bool]:
    """Take one of this process's PUSH_WAITING places, one of a tenant; tell whether there was one."""
    with _lock:
        is_free = tenant_key not in _tried and len(_tried) < conf.PUSH_WAITING
        if is_free:
            _tried.add(tenant_key)
    try:
        yield is_free
    finally:
        if is_free:
            with _lock:
                _tried.discard(tenant_key)
