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


@contextmanager
def caused_by(integration_id: int | None) -> Iterator[None]:
    """Name the integration on whose behalf the block writes."""
    token = _origin.set(integration_id)
    try:
        yield
    finally:
        _origin.reset(token)


def origin() -> int | None:
    """Return the key of the integration that causes what happens now; None: a person, or the application."""
    return _origin.get()
