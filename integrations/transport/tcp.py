"""A guarded connection for what is not HTTP: SMTP, IMAP, SSH.

The rules for names and addresses are those of HTTP (guard/check.py): every address of a name is checked, the socket
goes to one of the very addresses that were checked, metadata never. Only the ports differ: each protocol names its own.

A `Conversation` has one deadline. smtplib, imaplib and paramiko know only timeouts of single reads, so a server that
says a byte now and then holds them for ever; here a watchdog shuts the connection down when the time is over, and
whatever waits on it wakes up. `hold` turns what is raised then, or for any other reason, into one error of the tree:

    IntegrationBlocked          the guard refuses the address; nothing was sent
    IntegrationTemporaryError   dns_failed, connect_failed, tls_failed, timeout, connection_reset, unexpected
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal, TypeVar

from integrations.errors import IntegrationBlocked, IntegrationError, IntegrationTemporaryError
from integrations.transport.connection import Resolve, open_socket, tls_context, tls_failure
from integrations.transport.guard.check import UrlRejected, check_endpoint
from integrations.transport.guard.policy import AddressPolicy


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for a mail server or for SSH; a repr shows none of them.

    Attributes:
        username: "" for a server that wants no login.
        private_key: OpenSSH or PEM text, for SSH; `passphrase` opens it.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that an answer might echo back at us."""
        sasl = f"\0{self.username}\0{self.password}" if self.password else ""  # as base64, what PLAIN sends
        return tuple(value for value in (self.password, sasl, self.private_key, self.passphrase) if value)


# tls: from the first byte. starttls: the protocol asks for it, and insists. plain: only where the operator allow-listed
# host:port. ssh: the protocol brings an encryption of its own.
Security = Literal["tls", "starttls", "plain", "ssh"]

T = TypeVar("T")


class Conversation:
    """An open connection to one checked host, which ends at its deadline; use it as a context manager.

    Attributes:
        host: as TLS and messages name it.
        sock: the socket that the protocol reads and writes.
        security: what was asked for.
        was_sent: set by the protocol when what we came to say may have arrived.
        on_end: called by `hold` with the error (None: it went well).
    """

    def __init__(
        self, sock: socket.socket, host: str, security: Security, deadline: float, tls: ssl.SSLContext
    ) -> None:
        self.host, self.security, self.sock = host, security, sock
        self._expired = self.was_sent = False
        self.on_end: Callable[[IntegrationError | None], Any] | None = None
        self._deadline = deadline
        self._tls = tls
        # A second handle of the same connection: TLS takes the first one away, whenever it begins.
        self._line = sock.dup()
        self._lock = threading.Lock()
        self._watchdog = threading.Timer(max(deadline - monotonic(), 0.0), self._expire)
        self._watchdog.daemon = True
        self._watchdog.start()

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, at least a millisecond."""
        return max(self._deadline - monotonic(), 0.001)

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed.

        The clock is asked, too: a read's own timeout ends at the same moment, may be first, and smtplib says no more of
        it than that the server has gone.
        """
        return self._expired or monotonic() >= self._deadline

    def start_tls(self) -> ssl.SSLSocket:
        """Encrypt the connection from here on; the certificate must fit the host's name.

        Raises:
            IntegrationTemporaryError: tls_failed, timeout.
        """
        failure = None
        try:
            self.sock.settimeout(self.remaining)
            self.sock = wrapped = self._tls.wrap_socket(self.sock, server_hostname=self.host)
        except OSError as error:
            failure = tls_failure(TimeoutError() if self.expired else error, self.host)
        if failure is not None:
            raise failure
        return wrapped

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None = None) -> ssl.SSLSocket:
        """`start_tls` under the name by which smtplib and imaplib call an SSLContext for their STARTTLS."""
        return self.start_tls()

    def failure(self, error: Exception) -> IntegrationError:
        """Return `error` in our own words; anything unforeseen is temporary."""
        if isinstance(error, IntegrationError):
            return error
        code = "connection_reset"
        if self.expired or isinstance(error, TimeoutError):
            problem, code = f"{self.host} did not finish in time", "timeout"
        elif isinstance(error, ssl.SSLError):
            problem, code = f"{self.host} broke the TLS connection", "tls_failed"
        elif isinstance(error, OSError | EOFError):
            problem = f"{self.host} closed the connection too early"
        else:
            problem, code = f"the conversation with {self.host} failed: {type(error).__name__}", "unexpected"
        return IntegrationTemporaryError(problem, code=code, was_sent=self.was_sent)

    def close(self) -> None:
        """Close the connection; harmless a second time."""
        self._watchdog.cancel()
        with self._lock:
            self._shut_down()
            self._line.close()
        self.sock.close()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        with contextlib.suppress(OSError):  # the other side was first
            self._line.shutdown(socket.SHUT_RDWR)


def open_conversation(
    host: str,
    port: int,
    *,
    ports: Collection[int],
    security: Security,
    policy: AddressPolicy,
    resolve: Resolve,
    ca_bundle: str,
    dns_timeout: float,
    connect_timeout: float,
    deadline: float,
) -> Conversation:
    """Return an open connection, encrypted already with the security ``tls``.

    Args:
        ports: the protocol's own ports; others are open above 1023.
        deadline: ``time.monotonic`` of the end of the whole conversation.
    """
    context = tls_context(ca_bundle)
    refusal = None
    try:
        target = check_endpoint(host, port, policy, ports=ports, needs_listing=security == "plain")
        sock = open_socket(
            target, policy, resolve=resolve, dns_timeout=dns_timeout, connect_timeout=connect_timeout, deadline=deadline
        )
    except UrlRejected as rejected:
        refusal = IntegrationBlocked(rejected.message, reason=rejected.reason)
    if refusal is not None:
        raise refusal
    try:
        sock.settimeout(max(deadline - monotonic(), 0.001))
        conversation = Conversation(sock, target.host, security, deadline, context)
    except BaseException:
        sock.close()
        raise
    if security == "tls":
        try:
            conversation.start_tls()
        except BaseException:
            conversation.close()
            raise
    return conversation


def hold(
    conversation: Conversation,
    talk: Callable[[], T],
    explain: Callable[[Exception], IntegrationError | None] = lambda error: None,
) -> T:
    """Return what `talk` returns, and close the conversation.

    Args:
        explain: what an exception of the protocol's library means; None: it only broke off.

    Raises:
        IntegrationError: and nothing else; without the frames below, whose locals hold credentials.
    """
    on_end = conversation.on_end or (lambda error: None)
    try:
        with conversation:
            answer = talk()
    except Exception as error:
        failure = explain(error) or conversation.failure(error)
    else:
        on_end(None)
        return answer
    on_end(failure)
    del talk, explain, on_end
    failure.__cause__ = failure.__context__ = None
    raise failure.with_traceback(None)
