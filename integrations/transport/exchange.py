"""One request and its answer on an open connection, with one deadline for every byte in both directions.

The standard library's http.client (below urllib3's connections) speaks the HTTP. What it lacks is the deadline:
``socket.settimeout`` starts anew with every call, so a server that sends a byte every 0.3 s is never too slow
for it. Here every wait for bytes gets what is left of the total, and a flood of bytes that leads to no answer
is cut off. urllib3's own response object is left out: it costs more than the rest of a small request.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from time import monotonic
from typing import Any, NamedTuple

from .connection import Connection
from .response import Headers

MAX_OVERHEAD = 1 << 20  # bytes of heads and interim answers around the body
IDLE_SECONDS = 4.0  # servers that do not say close idle connections after 5 s (Node) or less
IDLE_CAP = 60.0
_KEEP_ALIVE = re.compile(r"\btimeout=([0-9]{1,4})", re.ASCII)


class BadAnswer(Exception):
    """What came back is no believable HTTP/1 answer; the text says why, in our own words."""


class Answer(NamedTuple):
    """`idle_seconds`: how long the connection may rest before it is used again; 0: close it."""

    status: int
    headers: Headers
    body: bytes
    body_cut: bool
    idle_seconds: float


class _Deadline(io.RawIOBase):
    """A socket's bytes until a point in time, and not more than `room` of them."""

    def __init__(self, raw: Any, sock: Any, deadline: float, room: int) -> None:
        self._raw, self._sock, self._deadline, self._room = raw, sock, deadline, room
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        remaining = self._deadline - monotonic()
        if remaining <= 0:
            raise TimeoutError
        if self._room <= 0:
            raise HTTPException("a flood of bytes")
        self._sock.settimeout(remaining)
        count: int | None = self._raw.readinto(buffer)
        self._room -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()  # counts down the users of the socket, so that it can be closed
        super().close()


class _Reader(io.BufferedReader):
    """Notices at the end whether bytes are left over, which would be taken for the next answer."""

    leftover = False

    def close(self) -> None:
        if not self.closed:
            self.raw.ended = True  # type: ignore[attr-defined]
            self.leftover = bool(self.peek(1))
        super().close()


class _TimedResponse(HTTPResponse):
    """http.client's response, reading through a `_Deadline`."""

    def __init__(self, sock: Any, *args: Any, deadline: float, room: int, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = self.reader = _Reader(_Deadline(raw, sock, deadline, room))


def exchange(
    connection: Connection,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    deadline: float,
    max_body: int,
) -> Answer:
    """Send one request and read its final answer.

    Once the status is known, nothing raises any more: a body that breaks later never turns a delivered webhook
    into a failure.

    Args:
        deadline: ``time.monotonic`` seconds.
        max_body: bytes, decompressed.

    Raises:
        BadAnswer, TimeoutError, OSError: before the status was known.
    """
    connection.response_class = partial(  # type: ignore[assignment]
        _TimedResponse, deadline=deadline, room=max_body * 2 + MAX_OVERHEAD
    )
    connection.sock.settimeout(max(deadline - monotonic(), 0.001))
    sent = True
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
    except (BrokenPipeError, ConnectionResetError):
        sent = False  # it stopped reading, and may have said why
    response: Any = None
    problem = ""
    try:
        response = HTTPConnection.getresponse(connection)  # not urllib3's wrapper around it
    except HTTPException as error:
        if isinstance(error, ConnectionError):
            raise ConnectionResetError from None
        problem = "did not answer in HTTP/1, or with a broken head"
    if response is None:
        raise BadAnswer(problem)
    lengths = set(response.msg.get_all("content-length", ()))
    if response.status < 200:
        problem = "sent an interim answer and nothing after it"
    elif len(lengths) > 1:
        problem = "sent two different lengths"
    if problem:
        response.close()
        raise BadAnswer(problem)
    found = Headers(response.msg.items())
    if response.msg.defects:  # a line that is no header: where the body ends is anybody's guess
        response.close()
        return Answer(response.status, found, b"", True, 0.0)
    content, cut = _read_body(response, max_body, found.get("content-encoding", "").strip().lower())
    is_clean = not (response.reader.leftover or (response.chunked and lengths))
    if cut or not sent or not is_clean or connection.sock is None:
        return Answer(response.status, found, content, cut, 0.0)
    return Answer(response.status, found, content, cut, _idle_seconds(found))


def _read_body(response: HTTPResponse, cap: int, encoding: str) -> tuple[bytes, bool]:
    """Return (decompressed body, whether it is not the whole one)."""
    parts: list[bytes] = []
    room = cap
    missing = response.length or 0  # http.client does not mind a body that is shorter than its length
    cut = True
    try:
        while room >= 0:
            part = response.read1(room + 1)
            missing -= len(part)
            if not part:
                cut = missing > 0
                break
            parts.append(part[:room] if len(part) > room else part)
            room -= len(part)
            if missing == 0 and not response.chunked and response.length is not None:
                cut = room < 0
                break
    except (HTTPException, OSError):  # TimeoutError is an OSError
        pass
    response.close()
    body = b"".join(parts)
    if encoding in ("gzip", "x-gzip", "deflate") and body:
        body, is_whole = _inflate(body, cap)
        cut = cut or not is_whole
    return body, cut


def _inflate(packed: bytes, cap: int) -> tuple[bytes, bool]:
    """Return at most `cap` inflated bytes and whether that is all. We asked for "identity"; some pack anyway."""
    for window in (47, -15):  # gzip or zlib by their headers; then deflate without a frame
        inflater = zlib.decompressobj(window)
        try:
            return inflater.decompress(packed, cap), inflater.eof
        except zlib.error:
            continue
    return b"", False


def _idle_seconds(headers: Headers) -> float:
    told = _KEEP_ALIVE.search(headers.get("keep-alive", ""))
    # A second less than promised: a request must not meet the close half-way.
    return min(float(told[1]) - 1.0, IDLE_CAP) if told else IDLE_SECONDS
