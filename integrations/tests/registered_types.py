"""Event types that a test registers, and that the next one must not find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from integrations.connections import event_types


@contextmanager
def forgotten_afterwards() -> Iterator[None]:
    """Forget all of what is registered inside of the block when it ends."""
    before = dict(event_types._known)
    try:
        yield
    finally:
        event_types._known.clear()
        event_types._known.update(before)
