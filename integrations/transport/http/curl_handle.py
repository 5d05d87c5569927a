"""One libcurl handle: it holds at most one connection, sends one request at a time, and never opens a socket itself.

libcurl does what is not our trade (HTTP/1.1, HTTP/2, TLS, keeping a connection); which address it talks to is ours
alone. It is given a connected socket (connection.py), and when it wants another one it gets none. Therefore

    - it looks up no name, and talks to no address but the one that was checked;
    - it repeats nothing: libcurl sends a request again when a kept connection dies unanswered, or when an HTTP/2 server
      refuses the stream, but always over a new connection, which it cannot have;
    - a kept handle holds no address for later: whoever needs a new connection resolves and checks again.

A handle is used by one thread at a time, not always the same one; ``perform`` runs without the GIL. After a fork the
child must not write to its parent's connections, not even the TLS goodbye that closing a handle sends: there they are
replaced by ``/dev/null``, and the handles are kept for good (`forsake`).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Sequence
from time import monotonic
from weakref import WeakSet

import certifi
import pycurl

from integrations.transport.guard.check import Target

MAX_HEAD = 1 << 18  # bytes of all heads, interim answers and trailers of one exchange
_KEPT_BODY = 1 << 16  # bytes; a larger one is not kept in memory while its connection rests

_CONSTANT: tuple[tuple[int, object], ...] = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.NOPROGRESS, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.FOLLOWLOCATION, 0),
    (pycurl.REDIR_PROTOCOLS, 0),
    # An empty text, not an option left alone: libcurl reads http_proxy, ALL_PROXY and their like otherwise.
    (pycurl.PROXY, ""),
    (pycurl.NOPROXY, "*"),
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    (pycurl.HTTP09_ALLOWED, 0),
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
    (pycurl.PATH_AS_IS, 1),
    (pycurl.HTTP_CONTENT_DECODING, 0),  # exchange.py does it, for what is capped is the body as it came
    (pycurl.SSL_VERIFYPEER, 1),
    (pycurl.SSL_VERIFYHOST, 2),
    (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),  # or later
    (pycurl.SSL_SESSIONID_CACHE, 0),  # every new connection proves its certificate again
    # Instead of every host, an address of nobody (RFC 5737): libcurl looks up no name, and knows no address to call.
    # Certificate, SNI and Host stay those of the URL.
    (pycurl.CONNECT_TO, ["::192.0.2.1:"]),
    (pycurl.MAXCONNECTS, 1),
    (pycurl.MAXAGE_CONN, 3600),  # the idle pool decides, and earlier
    (pycurl.TCP_NODELAY, 1),
)

_handles: WeakSet[CurlHandle] = WeakSet()
_forsaken: list[CurlHandle] = []


class CurlHandle:
    """See the module.

    Attributes:
        head: lines of all heads so far, and of the trailers, as they came.
        body: pieces of the body, as they came; together at most the cap of this exchange.
        is_over: the answer was larger than what we read.
        was_refused: libcurl wanted a socket and got none.
        born: ``time.monotonic`` of the connection.
        words: libcurl's own for the last failure, for `exchange` alone: they name addresses.
    """

    def __init__(self, ca_bundle: str) -> None:
        self.head: list[bytes] = []
        self.body: list[bytes] = []
        self.is_over = self.was_refused = False
        self.born = 0.0
        self.words = ""
        self._head_room = self._body_room = 0
        self._dialled: socket.socket | None = None
        self._fd = -1
        self._inode = 0
        self._shape: tuple[str, bool] | None = None
        self._path = ""
        self._poll = select.poll()
        self._curl = curl = pycurl.Curl()
        for option, value in _CONSTANT:
            curl.setopt(option, value)
        curl.setopt(pycurl.CAINFO, ca_bundle or certifi.where())
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        curl.setopt(pycurl.SOCKOPTFUNCTION, _already_connected)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_head)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        _handles.add(self)

    # -- connections ------------------------------------------------------------------------------------------

    def connect(self, target: Target, sock: socket.socket, timeout: float) -> None:
        """Let the next request go over `sock`, which is connected to a checked address of `target`.

        Args:
            timeout: seconds for the TLS handshake.
        """
        setopt = self._curl.setopt
        setopt(pycurl.URL, f"{target.scheme}://{target.host_header}/")
        setopt(pycurl.FRESH_CONNECT, 1)
        setopt(pycurl.CONNECTTIMEOUT_MS, max(int(timeout * 1000), 1))
        self._dialled = sock
        self.born = monotonic()

    def _open_socket(self, purpose: int, address: object) -> int:
        sock, self._dialled = self._dialled, None
        if sock is None:
            self.was_refused = True
            return pycurl.SOCKET_BAD
        self._inode = os.fstat(sock.fileno()).st_ino
        self._fd = sock.detach()
        return self._fd

    def fileno(self) -> int:
        """Return the connection's file descriptor, -1 without one."""
        return self._fd

    @property
    def is_quiet(self) -> bool:
        """Tell whether the connection is open and nothing has come since: neither its end nor an answer to nothing."""
        return self._fd >= 0 and not self._poll.poll(0)

    def disconnect(self) -> None:
        """End the connection, keep the handle: with it the trusted authorities, which cost 8 ms to read again."""
        self.head, self.body, self.words = [], [], ""
        self._curl.unsetopt(pycurl.HTTPHEADER)
        self._curl.setopt(pycurl.POSTFIELDS, b"")
        self._curl.setopt(pycurl.REQUEST_TARGET, "/")
        self._path = "/"
        self._shape = None  # POSTFIELDS made it a POST
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with contextlib.suppress(OSError), socket.fromfd(fd, socket.AF_INET, socket.SOCK_STREAM) as line:
            line.shutdown(socket.SHUT_RDWR)  # libcurl closes its end when it makes the next connection
        self._poll.unregister(fd)

    def close(self) -> None:
        """Give everything back; harmless a second time."""
        self._fd = -1  # first, for a fork meanwhile
        if self._dialled is not None:
            self._dialled.close()
            self._dialled = None
        self._curl.close()

    def forsake(self) -> None:
        """In a child process: take the parent's connection out of this handle's reach."""
        with contextlib.suppress(OSError):
            if self._fd >= 0 and os.fstat(self._fd).st_ino == self._inode:  # and not a later file of that number
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, self._fd, inheritable=False)
                os.close(null)

    # -- requests ----------------------------------------------------------------------------------------------

    def perform(
        self, method: str, path: str, headers: Sequence[str | bytes], body: bytes, *, seconds: float, max_body: int
    ) -> int:
        """Send one request and return libcurl's code, 0 for a whole answer.

        Args:
            headers: lines as libcurl takes them (headers.py).
            seconds: for everything from here on.
            max_body: bytes of the body as it comes.
        """
        setopt = self._curl.setopt
        if path != self._path:
            setopt(pycurl.REQUEST_TARGET, path)
            self._path = path
        has_body = bool(body) or method in ("POST", "PUT", "PATCH")
        if self._shape != (method, has_body):
            self._set_shape(method, has_body)
        setopt(pycurl.HTTPHEADER, headers)
        if has_body:
            setopt(pycurl.POSTFIELDS, body)
        setopt(pycurl.TIMEOUT_MS, max(int(seconds * 1000), 1))
        self.head, self.body = [], []
        self.is_over = self.was_refused = False
        self._head_room, self._body_room = MAX_HEAD, max_body
        is_new = self._dialled is not None
        code, self.words = 0, ""
        try:
            self._curl.perform()
        except pycurl.error as error:
            code, self.words = error.args[0], str(error.args[1])
        if len(body) > _KEPT_BODY:
            setopt(pycurl.POSTFIELDS, b"")
        if self._dialled is not None:  # it never came so far as to want it
            self._dialled.close()
            self._dialled = None
        elif is_new:
            setopt(pycurl.FRESH_CONNECT, 0)
            if self._fd >= 0:
                self._poll.register(self._fd, select.POLLIN | select.POLLPRI)
        if self._fd >= 0 and self._curl.getinfo(pycurl.ACTIVESOCKET) != self._fd:
            self._poll.unregister(self._fd)
            self._fd = -1
        return code

    @property
    def is_open(self) -> bool:
        """Tell whether libcurl kept the connection."""
        return self._fd >= 0

    @property
    def was_sent(self) -> bool:
        """Tell whether anything of the request left: the connection was there, TLS included."""
        return bool(self._curl.getinfo(pycurl.REQUEST_SIZE))

    @property
    def verify_result(self) -> int:
        """OpenSSL's word for what is wrong with the certificate (X509_V_ERR_…), 0 if it is another host's."""
        return int(self._curl.getinfo(pycurl.SSL_VERIFYRESULT))

    def _set_shape(self, method: str, has_body: bool) -> None:
        setopt, unsetopt = self._curl.setopt, self._curl.unsetopt
        self._shape = None
        unsetopt(pycurl.CUSTOMREQUEST)
        setopt(pycurl.NOBODY, 0)
        if has_body:
            setopt(pycurl.POST, 1)
        elif method == "HEAD":
            setopt(pycurl.NOBODY, 1)
        else:
            setopt(pycurl.HTTPGET, 1)
        if method not in ("POST", "GET", "HEAD") or (has_body and method != "POST"):
            setopt(pycurl.CUSTOMREQUEST, method)
        self._shape = (method, has_body)

    def _on_head(self, line: bytes) -> int | None:
        self._head_room -= len(line)
        if self._head_room < 0:
            self.is_over = True
            return -1
        if line.startswith(b"HTTP/1.1 101"):  # to a protocol that nobody asked for; libcurl would wait for an answer
            return -1
        self.head.append(line)
        return None

    def _on_body(self, part: bytes) -> int | None:
        room = self._body_room
        self._body_room = room - len(part)
        if self._body_room < 0:
            self.is_over = True
            self.body.append(part[:room])
            return -1
        self.body.append(part)
        return None


def _already_connected(fd: int, purpose: int) -> int:
    return pycurl.SOCKOPT_ALREADY_CONNECTED


def _forsake_all() -> None:
    handles = list(_handles)
    for handle in handles:
        handle.forsake()
    _forsaken.extend(handles)  # to the end of the process: freeing one would write to the connection


os.register_at_fork(after_in_child=_forsake_all)
