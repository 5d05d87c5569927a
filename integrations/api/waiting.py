"""Limit how many calls of the API wait at once for a destination: for a test event, a check, or an ERP.

Each holds a thread of the web server until the destination answers, and one that hangs must not take all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from integrations import conf

TOO_MANY = "A test or a check of this tenant is under way already, or too many of others; send it again in a moment."
_lock = threading.Lock()
_trying: set[Any] = set()
_pushing: set[Any] = set()


def place_to_try(tenant_key: Any) -> AbstractContextManager[bool]:
    """Take one of this process's PUSH_WAITING places for trials, one of a tenant; tell whether there was one."""
    return _place(_trying, tenant_key)


def place_to_push() -> AbstractContextManager[bool]:
    """Take one of this process's PUSH_WAITING places for pushes; tell whether there was one."""
    return _place(_pushing, object())


@contextmanager
def _place(taken: set[Any], key: Any) -> Iterator[bool]:
    with _lock:
        is_free = key not in taken and len(taken) < conf.PUSH_WAITING
        if is_free:
            taken.add(key)
    try:
        yield is_free
    finally:
        if is_free:
            with _lock:
                taken.discard(key)
