"""Event types that a test registers, and that the next one must not find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integrations.connections import event_types


@contextmanager
def forgotten_afterwards() -> Iterator[None]:
    """Forget all of what is registered inside of the block when it ends."""
    registers: list[dict[Any, Any]] = [
        value
        for name, value in vars(event_types).items()
        if name.startswith("_") and not name.startswith("__") and type(value) is dict
    ]
    before = [dict(register) for register in registers]
    try:
        yield
    finally:
        for register, known in zip(registers, before, strict=True):
            register.clear()
            register.update(known)
