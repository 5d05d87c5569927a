"""One request and its answer on an open connection: what libcurl reports, in the words of this project.

libcurl speaks the HTTP and keeps the total deadline; here its answer is read (head, trailers left out, body unpacked up
to the cap) and its codes become ours. Once the status is known, nothing raises any more: a body that breaks later never
turns a delivered webhook into a failure.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

import pycurl

from integrations.errors import IntegrationTemporaryError
from integrations.transport.connection import tls_error
from integrations.transport.guard.check import Target
from integrations.transport.http.curl_handle import CurlHandle
from integrations.transport.response import Headers

_WEIRD = pycurl.E_FTP_WEIRD_SERVER_REPLY  # its name from before HTTP got it too
MAX_HEADERS = 100  # lines of one head
IDLE_SECONDS = 4.0  # servers that do not say close idle connections after 5 s (Node) or less
IDLE_CAP = 60.0
_KEEP_ALIVE = re.compile(r"\btimeout=([0-9]{1,4})", re.ASCII)
_VERSIONS = frozenset({b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2"})
_ENDS = (b"\r\n", b"\n")  # of a head

# Codes that pycurl has no name for.
_TOO_LARGE, _HTTP2_STREAM = 100, 92
# Connected, and then the bytes stopped: the request may have arrived.
_BROKE_OFF = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR, pycurl.E_HTTP2, _HTTP2_STREAM})
_UNFRAMED = frozenset({_WEIRD, pycurl.E_BAD_CONTENT_ENCODING})
_NO_HTTP = _UNFRAMED | {pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_WRITE_ERROR, _TOO_LARGE}


class BadAnswer(Exception):
    """What came back is no believable HTTP answer; the text says why, in our own words."""


class NotSent(Exception):
    """The kept connection was gone before a byte of the request left."""


class Answer(NamedTuple):
    """`idle_seconds`: how long the connection may rest before it is used again; 0: close it."""

    status: int
    headers: Headers
    body: bytes
    body_cut: bool
    idle_seconds: float


class _Head(NamedTuple):
    status: int
    fields: list[tuple[str, str]]
    is_whole: bool


def exchange(
    handle: CurlHandle,
    method: str,
    target: Target,
    headers: Sequence[str | bytes],
    body: bytes,
    *,
    deadline: float,
    max_body: int,
) -> Answer:
    """Send one request and read its final answer.

    Args:
        deadline: ``time.monotonic`` seconds.
        max_body: bytes, decompressed.

    Raises:
        NotSent: use another connection.
        IntegrationTemporaryError: tls_failed, timeout: the connection was never ready.
        BadAnswer, TimeoutError, OSError: before the status was known.
    """
    seconds = deadline - monotonic()
    code = handle.perform(method, target.path_and_query, headers, body, seconds=seconds, max_body=max_body)
    head = _final_head(handle.head)
    if head is None:
        raise _failure(handle, code, target)
    status, fields, is_whole = head
    found = Headers(fields)
    length, packing, framing, keep_alive = found.several(
        "content-length", "content-encoding", "transfer-encoding", "keep-alive"
    )
    if len(fields) > MAX_HEADERS or (not is_whole and handle.is_over):
        raise BadAnswer("sent a head without end")
    lengths = {each.strip() for each in (length or "").split(",")}
    if len(lengths) > 1 or (length is not None and not is_whole and "Content-Length" in handle.words):
        raise BadAnswer("sent two different lengths")
    if not is_whole:
        if code not in _UNFRAMED:
            raise _failure(handle, code, target)
        # A line that is no header, or no length: where the body ends is anybody's guess, but the status stands.
        return Answer(status, found, b"", True, 0.0)
    content, cut = b"".join(handle.body), bool(code)
    if packing and content:
        content, is_all = _unpacked(content, max_body, packing.lower())
        cut = cut or not is_all
    is_clean = not cut and handle.is_open and (length is None or framing is None)
    if not is_clean:
        return Answer(status, found, content, cut, 0.0)
    told = _KEEP_ALIVE.search(keep_alive or "")
    # A second less than promised: a request must not meet the close half-way.
    return Answer(status, found, content, cut, min(float(told[1]) - 1.0, IDLE_CAP) if told else IDLE_SECONDS)


def _final_head(lines: list[bytes]) -> _Head | None:
    """Return the last head of `lines` that is no interim one; what follows it are trailers."""
    start, status, end = 0, 0, 0
    while start < len(lines):
        version, _, rest = lines[start].partition(b" ")
        if version not in _VERSIONS:
            return None
        status = int(rest[:3])  # libcurl has read it already
        end = _end_of_head(lines, start)
        if status >= 200:
            break
        start = end + 1
    if status < 200:
        return None
    fields: list[tuple[str, str]] = []
    for text in b"".join(lines[start + 1 : end]).decode("latin-1").split("\n")[:-1]:
        name, colon, value = text.partition(":")
        if text[0] in " \t":  # the rest of the line above (obs-fold)
            if fields:
                name, value = fields.pop()
                fields.append((name, f"{value} {text.strip()}"))
        elif colon:
            fields.append((name.rstrip(), value.strip()))
    return _Head(status, fields, end < len(lines))


def _end_of_head(lines: list[bytes], start: int) -> int:
    """Return the index of the empty line, or how many lines there are."""
    if lines[-1] == b"\r\n" and lines.index(b"\r\n", start) == len(lines) - 1 and b"\n" not in lines:
        return len(lines) - 1
    return next((index for index in range(start, len(lines)) if lines[index] in _ENDS), len(lines))


def _failure(handle: CurlHandle, code: int, target: Target) -> Exception:
    """Return what it means that no final status came."""
    if handle.was_refused:
        # The kept connection is gone. If anything left on it, libcurl wanted to send it once more; we do not.
        return ConnectionResetError() if handle.was_sent else NotSent()
    if target.scheme == "https" and not handle.was_sent:
        return _tls_failure(handle, code, target.host)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return TimeoutError()
    if code in _NO_HTTP or (handle.head and code in (0, pycurl.E_GOT_NOTHING)):
        return BadAnswer("did not answer in HTTP, or with a broken head")
    if code in _BROKE_OFF:
        if "SSL_" in handle.words:
            return IntegrationTemporaryError(f"{target.host} broke the TLS connection", code="tls_failed")
        return ConnectionResetError()
    return RuntimeError()


def _tls_failure(handle: CurlHandle, code: int, host: str) -> IntegrationTemporaryError:
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return tls_error(host, "slow")
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return tls_error(host, "untrusted", _distrust(handle, host))
    return tls_error(host, "closed" if " failure: " in handle.words else "unknown")


def _distrust(handle: CurlHandle, host: str) -> str:
    """Return why a certificate is not trusted, by OpenSSL's X509_V_ERR_…."""
    if "subject name" in handle.words:  # the chain is fine
        return f"Hostname mismatch, certificate is not valid for {host!r}"
    result = handle.verify_result
    known = {
        9: "certificate is not yet valid",
        10: "certificate has expired",
        18: "self-signed certificate",
        19: "self-signed certificate in certificate chain",
        20: "unable to get local issuer certificate",
        21: "unable to verify the first certificate",
        23: "certificate revoked",
    }
    return known.get(result, f"verification failed ({result})")


def _unpacked(packed: bytes, cap: int, encoding: str) -> tuple[bytes, bool]:
    """Return at most `cap` unpacked bytes and whether that is all. We asked for "identity"; some pack anyway."""
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return packed, True
    for window in (47, -15):  # gzip or zlib by their headers; then deflate without a frame
        inflater = zlib.decompressobj(window)
        try:
            return inflater.decompress(packed, cap), inflater.eof
        except zlib.error:
            continue
    return b"", False
