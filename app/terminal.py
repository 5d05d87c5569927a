"""Write to any terminal: one that cannot print "…" gets a question mark, and nothing ends because of it."""

from __future__ import annotations

import contextlib
import io
import sys


def print_anywhere() -> None:
    """Replace what standard output and error cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, io.UnsupportedOperation):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
