"""Read a request's body up to a cap, and no further: it comes from anybody."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, UnreadablePostError

CHUNK = 65_536


class BodyRefused(Exception):
    """`status` is the answer: 400, 411 or 413."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


def read_body(request: HttpRequest, limit: int) -> bytes:
    """Return the bytes as they came, at most `limit` of them.

    Not ``request.body``: that has a limit of its own (DATA_UPLOAD_MAX_MEMORY_SIZE), and reads before it looks.

    Raises:
        BodyRefused: 413 it is longer, whatever it said; 411 it does not say how long it is, and this server cannot find
            the end by itself; 400 it broke off.
    """
    if hasattr(request, "_body"):  # a middleware was here before
        if len(request.body) > limit:
            raise BodyRefused(413)
        return request.body
    announced = request.META.get("CONTENT_LENGTH") or ""
    if announced.isdecimal() and int(announced[:19]) > limit:
        raise BodyRefused(413)
    stream: Any = request
    if not announced and request.headers.get("Transfer-Encoding"):
        # Django reads nothing of a body without a length; a server that decodes the chunks says so.
        environ: dict[str, Any] = getattr(request, "environ", {})
        if environ and not environ.get("wsgi.input_terminated"):
            raise BodyRefused(411)
        stream = environ.get("wsgi.input", request)
    body = bytearray()
    try:
        while len(body) <= limit and (chunk := stream.read(min(CHUNK, limit + 1 - len(body)))):
            body += chunk
    except (OSError, UnreadablePostError):
        raise BodyRefused(400) from None
    if len(body) > limit:
        raise BodyRefused(413)
    return bytes(body)
