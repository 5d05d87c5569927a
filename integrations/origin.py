"""Who caused what happens now: an integration that called back, or nobody in particular.

An integration must not hear of its own doing, or a workflow that answers every change with a change never ends.

    with caused_by(integration.pk):
        item.save()  # its events are recorded for everybody else
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_origin: ContextVar[int | None] = ContextVar("origin", default=None)
_may_loop: ContextVar[bool] = ContextVar("may_loop", default=True)


@contextmanager
def caused_by(integration_id: int | None, *, may_loop: bool = True) -> Iterator[None]:
    """Name the integration on whose behalf the block writes.

    Args:
        may_loop: False for what does not answer an event of ours, such as a pull: it is not counted
            (outbox/loops.py), and a page may hold as much about one object as it likes.
    """
    tokens = _origin.set(integration_id), _may_loop.set(may_loop)
    try:
        yield
    finally:
        _origin.reset(tokens[0])
        _may_loop.reset(tokens[1])


def origin() -> int | None:
    """Return the key of the integration that causes what happens now; None: a person, or the application."""
    return _origin.get()


def may_loop() -> bool:
    """Tell whether what happens now may be the answer to an event of ours."""
    return _origin.get() is not None and _may_loop.get()
