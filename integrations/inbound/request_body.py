"""Read a request's body up to a cap, for so long, and no further: it comes from anybody.

What is longer than IN_MEMORY waits in a file until its sender has proven himself: strangers get none of our memory.
"""

from __future__ import annotations

import mmap
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.http import HttpRequest

CHUNK = 16_384
IN_MEMORY = 1_048_576  # bytes
READ_SECONDS = 10.0  # for all of the body; a sender that trickles would hold a thread of the web server for hours


class BodyRefused(Exception):
    """`status` is the answer: 400, 408, 411 or 413."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


def check_announced(request: HttpRequest, limit: int) -> None:
    """Look at what the request says of its length, and read nothing.

    Raises:
        BodyRefused: 413 it is longer than `limit` by its own word.
    """
    announced = request.META.get("CONTENT_LENGTH") or ""
    if announced.isdecimal() and int(announced[:19]) > limit:
        raise BodyRefused(413)


def read_body(request: HttpRequest, limit: int) -> bytes | mmap.mmap:
    """Return the bytes as they came, at most `limit` of them; many of them as the map of a file that is gone with it.

    Not ``request.body``: that has a limit of its own (DATA_UPLOAD_MAX_MEMORY_SIZE), and reads before it looks.

    Raises:
        BodyRefused: 413 it is longer, whatever it said; 411 it does not say how long it is, and this server cannot find
            the end by itself; 408 it took longer than READ_SECONDS; 400 it broke off, or its chunks are none.
    """
    if hasattr(request, "_body"):  # a middleware was here before
        if len(request.body) > limit:
            raise BodyRefused(413)
        return request.body
    check_announced(request, limit)
    environ: dict[str, Any] = getattr(request, "environ", {})
    stream: Any = request
    if not request.META.get("CONTENT_LENGTH") and request.headers.get("Transfer-Encoding"):
        # Django reads nothing of a body without a length; a server that decodes the chunks says so.
        if environ and not environ.get("wsgi.input_terminated"):
            raise BodyRefused(411)
        stream = environ.get("wsgi.input", request)
    deadline = time.monotonic() + READ_SECONDS
    length = 0
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        with _ended_after(READ_SECONDS, environ.get("gunicorn.socket")):
            try:
                while length <= limit and (chunk := stream.read(min(CHUNK, limit + 1 - length))):
                    length += len(chunk)
                    spool.write(chunk)
                    if time.monotonic() >= deadline:
                        break
            except Exception:  # OSError, Django's UnreadablePostError, or the server's own about chunks that are none
                raise BodyRefused(408 if time.monotonic() >= deadline else 400) from None
        if time.monotonic() >= deadline:
            raise BodyRefused(408)
        if length > limit:
            raise BodyRefused(413)
        spool.seek(0)
        if length <= IN_MEMORY:
            return spool.read()
        return mmap.mmap(spool.fileno(), length, access=mmap.ACCESS_READ)


@contextmanager
def _ended_after(seconds: float, connection: Any) -> Iterator[None]:
    """End what is read from the sender's socket after `seconds`, where the server shows it (gunicorn).

    One ``read`` of a server collects as many bytes as it was asked for, so a look at the clock between two of them, or
    a time limit for each piece, would let a byte every few seconds go on. The way back stays open for the answer.
    """
    if not isinstance(connection, socket.socket):
        yield
        return

    def end() -> None:
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(connection, socket.SHUT_RD)  # of TLS, its own would forget the encryption

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
