"""One deadline for all requests of a block: a delivery that asks five times still ends in time.

A lane's lease and the worker's time limit allow for one deadline per delivery. Without this, a slow provider's token,
look-up and write would each take their own, another worker would take the lane meanwhile, and both would send.
In: seconds. The guarded client asks for what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_ends_at: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the requests of this block, in this thread, take `seconds` together; an outer block's end stays."""
    token = _ends_at.set(min(_ends_at.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


def ends_at() -> float:
    """Return the ``time.monotonic`` seconds at which the present block must have ended."""
    return _ends_at.get()
