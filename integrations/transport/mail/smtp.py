"""SMTP: hand one mail to a server, and say exactly what became of it (RFC 5321, 3207, 4954).

In: an open conversation, a login, addresses and the bytes of the mail. Out: `Sent`. Errors:

    IntegrationAuthError        530, 534, 535, 538, or a login that the server does not offer
    IntegrationTemporaryError   a server that understands none of the ways to log in (500 to 504); 4xx; a 5xx before the
                                mail was named (it refuses us, not the mail); no STARTTLS
                                (tls_failed); broken connections. Once the mail is out and no answer came, it may have
                                arrived: the next attempt carries the same Message-ID
    IntegrationPermanentError   5xx to sender, recipients or mail; whose fault it is says smtp_replies.py

Recipients who are refused: see `send`. Nothing is ever sent over a connection that STARTTLS did not encrypt, whatever
the server or somebody in between says it cannot do.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from integrations import conf
from integrations.errors import (
    DESTINATION,
    EVENT,
    SETUP,
    IntegrationAuthError,
    IntegrationError,
    IntegrationTemporaryError,
    printable,
)
from integrations.transport.mail.smtp_replies import MAIL, RECIPIENT, SENDER, Reply, fault_of, is_quota, is_recipients
from integrations.transport.redaction import redact
from integrations.transport.tcp import Conversation, Login, hold

PORTS = frozenset({25, 465, 587})
AUTH_CODES = frozenset({530, 534, 535, 538})
NOT_UNDERSTOOD = frozenset({500, 501, 502, 503, 504})  # the command, not the password
MAX_HEARD = 1 << 20  # bytes that a server may say in one conversation
QUIT_SECONDS = 1.0
_HOST_NAME = re.compile(conf.HOST_NAME, re.ASCII)
PROGRESS = "taken"  # in an error's `progress`: who has the mail already


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recipient whom the server refused, and what it said, redacted."""

    address: str
    said: str
    is_for_now: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the mail for `accepted` and refused `refused`; `reply` is what it said, redacted."""

    accepted: tuple[str, ...]
    refused: tuple[Refusal, ...] = ()
    reply: str = ""


def send(
    conversation: Conversation,
    login: Login,
    sender: str,
    recipients: Sequence[str],
    mail: bytes,
    *,
    is_rest: bool = False,
) -> Sent:
    """Hand over `mail`, in as many transactions as the server wants for so many recipients.

    Whoever is accepted gets it at once. Whoever is refused is refused alone: `Sent` names them. If nobody is accepted,
    that is an error: temporary if one of the refusals is, else the set-up's fault. If it breaks off after some have got
    it, the error's `progress` says who.

    Args:
        is_rest: others have the mail already, so that refusals of all the rest say nothing of the set-up.
    """
    accepted: list[str] = []

    def talk() -> Sent:
        with contextlib.closing(_ready(conversation, login)) as smtp:
            sent = smtp.deliver(sender, recipients, mail, accepted, is_rest=is_rest)
            smtp.leave()
            return sent

    def explain(error: Exception) -> IntegrationError | None:
        failure = _explain(conversation, error) or conversation.failure(error)
        if accepted:
            failure.progress = {PROGRESS: list(accepted)}
        return failure

    return hold(conversation, talk, explain)


def check(conversation: Conversation, login: Login) -> None:
    """Connect, log in, and do nothing."""

    def talk() -> None:
        with contextlib.closing(_ready(conversation, login)) as smtp:
            smtp.expect(smtp.docmd("NOOP"), "NOOP")
            smtp.leave()

    hold(conversation, talk, partial(_explain, conversation))


def _ready(conversation: Conversation, login: Login) -> _Smtp:
    """Return a session that is greeted, encrypted and logged in."""
    smtp = _Smtp(conversation, login)
    try:
        smtp.expect(smtp.getreply(), "the connection", 220)
        smtp.greet()
        if conversation.security == "starttls":
            smtp.encrypt()
        if login.username:
            smtp.authenticate()
    except BaseException:
        smtp.close()
        raise
    return smtp


def _explain(conversation: Conversation, error: Exception) -> IntegrationError | None:
    if isinstance(error, smtplib.SMTPResponseException):  # smtplib's own judgement of an over-long line
        return _no_smtp(conversation, "something")
    return None


def _no_smtp(conversation: Conversation, step: str) -> IntegrationTemporaryError:
    message = f"{conversation.host} gave an answer to {step} that is not SMTP"
    return IntegrationTemporaryError(message, code="bad_response", was_sent=conversation.was_sent)


class _Smtp(smtplib.SMTP):
    """smtplib's client on a guarded connection, with bounds, UTF-8 logins and errors of ours."""

    def __init__(self, conversation: Conversation, login: Login) -> None:
        address = conversation.sock.getsockname()[0]
        # An address in brackets is always right (RFC 5321 §4.1.4), though some servers want a name.
        literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        super().__init__(local_hostname=our_name() or literal)
        self.sock: Any = conversation.sock
        self.file: Any = None
        self._room = MAX_HEARD
        self._last: tuple[int, bytes] = (0, b"")  # to the last recipient
        self._conversation, self._login = conversation, login

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = _Bounded(self.sock.makefile("rb"), self)
        return super().getreply()

    def heard(self, line: bytes) -> bytes:
        self._room -= len(line)
        if self._room < 0:
            raise ConnectionAbortedError("a flood of bytes")
        return line

    def greet(self) -> None:
        reply = self.ehlo()
        if reply[0] in NOT_UNDERSTOOD and self._conversation.security != "starttls":
            reply = self.helo()  # a server without extensions takes mail too
        self.expect(reply, "EHLO")

    def encrypt(self) -> None:
        if not self.has_extn("starttls"):
            raise self._no_tls("does not offer STARTTLS")
        try:
            self.starttls(context=self._conversation)  # type: ignore[call-overload]
            problem = ""
        except smtplib.SMTPResponseException:
            problem = "refused STARTTLS"
        if problem:
            raise self._no_tls(problem)
        self.greet()  # what was offered before the encryption may be anybody's words

    def authenticate(self) -> None:
        """Log in as the mail programs do: another way only where the server does not understand one.

        LOGIN goes without the user name in its first line, which some servers take and others answer with 501.
        """
        offered = self.esmtp_features.get("auth", "").upper().split()
        name, password = self._login.username.encode(), self._login.password.encode()
        plain = b64encode(b"\0%b\0%b" % (name, password)).decode()
        ways = (
            (f"PLAIN {plain}", [plain]),
            ("LOGIN", [b64encode(name).decode(), b64encode(password).decode()]),
            ("PLAIN", [plain]),
        )
        reply = None
        for command, answers in ways:
            if command.partition(" ")[0] in offered:
                reply = self.docmd("AUTH", command)
                while reply[0] == 334 and answers:
                    reply = self.docmd(answers.pop(0))
                if reply[0] not in NOT_UNDERSTOOD:
                    break
        if reply is None:
            host = self._conversation.host
            raise IntegrationAuthError(f"{host} offers no login with user name and password here", was_sent=False)
        self.expect(reply, "the login", 235, auth=True)

    def deliver(
        self, sender: str, recipients: Sequence[str], mail: bytes, accepted: list[str], *, is_rest: bool
    ) -> Sent:
        """Send `mail` to all of `recipients`; `accepted` grows with each transaction."""
        waiting, most, reply = list(recipients), len(recipients), (0, b"")
        refused: list[tuple[str, tuple[int, bytes]]] = []  # who, and the reply
        while waiting:
            begun = self.mail(sender, [f"size={len(mail)}"] if self.has_extn("size") else [])
            if begun[0] != 250:
                if not accepted:
                    raise self.refusal(begun, SENDER)
                refused += [(address, begun) for address in waiting]
                break
            taken, later = self._named(waiting, most, refused)
            if not taken:
                refused += [(address, self._last) for address in later]
                break
            answer = self._data(mail)
            if answer[0] == 250:
                reply = answer
                accepted += taken
                waiting = later
            elif Reply.of(answer).is_too_many and len(taken) > 1:  # said late
                most, waiting = len(taken) // 2, [*taken, *later]
            elif not accepted:
                raise self.refusal(answer, MAIL)
            else:
                refused += [(address, answer) for address in (*taken, *later)]
                break
        if not accepted and not (is_rest and all(is_recipients(Reply.of(said)) for _, said in refused)):
            raise self._nobody(refused, len(recipients))
        refusals = [
            Refusal(who, self.shown(said), Reply.of(said).is_for_now or is_quota(Reply.of(said)))
            for who, said in refused
        ]
        return Sent(tuple(accepted), tuple(refusals), self.shown(reply) if accepted else "")

    def _named(
        self, waiting: Sequence[str], most: int, refused: list[tuple[str, tuple[int, bytes]]]
    ) -> tuple[list[str], list[str]]:
        """Name the recipients of this transaction; return who was taken, and who is left for the next one."""
        taken: list[str] = []
        for place, address in enumerate(waiting):
            if len(taken) == most:
                return taken, list(waiting[place:])
            self._last = self.rcpt(address)
            if self._last[0] in (250, 251, 252):
                taken.append(address)
                continue
            reply = Reply.of(self._last)
            if reply.code == 421 or (taken and reply.is_too_many):
                return taken, list(waiting[place:])
            refused.append((address, self._last))
        return taken, []

    def _nobody(self, refused: Sequence[tuple[str, tuple[int, bytes]]], count: int) -> IntegrationError:
        """Return what it means that no recipient was accepted."""
        replies = [said for _, said in refused]
        for_now = [said for said in replies if Reply.of(said).is_for_now]
        chosen = next((said for said in replies if fault_of(Reply.of(said), RECIPIENT).kind != "event"), replies[0])
        said = chosen if is_quota(Reply.of(chosen)) or not for_now else for_now[0]
        error = self.refusal(said, f"{len(refused)} of {count} recipients")
        if for_now and all(is_recipients(Reply.of(said)) for said in for_now) and error.fault == DESTINATION:
            error.fault = EVENT  # nothing is said of the server
        elif not for_now and error.fault == EVENT:
            error.fault, error.message = SETUP, f"{error.message}: every recipient is refused; check Recipients"
        return error

    def _data(self, mail: bytes) -> tuple[int, bytes]:
        self._conversation.was_sent = True
        try:
            return self.data(mail)
        except smtplib.SMTPDataError as error:
            return (error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b"")

    def leave(self) -> None:
        """Say goodbye; what comes of it changes nothing any more."""
        with contextlib.suppress(OSError):
            self.sock.settimeout(QUIT_SECONDS)
            self.docmd("QUIT")

    def expect(self, reply: tuple[int, bytes], step: str, *codes: int, auth: bool = False) -> None:
        if reply[0] not in (codes or (250,)):
            raise self.refusal(reply, step, auth=auth)

    def refusal(self, reply: tuple[int, bytes], step: str, *, auth: bool = False) -> IntegrationError:
        """Return what a refusing reply to `step` means."""
        code, host = reply[0], self._conversation.host
        if not 400 <= code <= 599:
            return _no_smtp(self._conversation, step)
        read = Reply.of(reply)
        # A refused mail is not there: it may be sent again without fear of a copy.
        more: dict[str, Any] = {"code": f"smtp_{code}", "excerpt": self.shown(reply), "was_sent": False}
        message = f"{host} answered {read.numbers} to {step}"
        if auth and code in NOT_UNDERSTOOD:
            way = "it rejects every login method that it offers, without checking a password"
            return IntegrationTemporaryError(f"{message}: {way}", **more)
        if code in AUTH_CODES or (auth and code >= 500):
            return IntegrationAuthError(f"{message}; check user name and password", **more)
        if step in ("the connection", "EHLO"):
            return IntegrationTemporaryError(message, **more)
        return fault_of(read, RECIPIENT if step.endswith("recipients") else step).error(message, **more)

    def shown(self, reply: tuple[int, bytes]) -> str:
        text = printable(reply[1].decode("utf-8", "replace"))
        return f"{reply[0]} {redact(' '.join(text.split()), self._login.secrets)}"

    def _no_tls(self, problem: str) -> IntegrationTemporaryError:
        message = f"{self._conversation.host} {problem}; without TLS nothing is sent"
        return IntegrationTemporaryError(message, code="tls_failed", was_sent=False)


def our_name() -> str:
    """Return the name by which we greet a server, "" if we have none: the setting, or the host of PUBLIC_URL.

    A server that checks it refuses ``localhost`` and bare addresses.
    """
    name = str(conf.SMTP_EHLO_NAME or urlsplit(conf.PUBLIC_URL).hostname or "")
    return name if len(name) <= 253 and _HOST_NAME.fullmatch(name) else ""


class _Bounded:
    """A connection's lines, counted: smtplib would collect an endless reply until the memory ends."""

    def __init__(self, file: BinaryIO, smtp: _Smtp) -> None:
        self._file, self._smtp = file, smtp

    def readline(self, limit: int) -> bytes:
        line = self._smtp.heard(self._file.readline(limit))
        # The beginning of a line is no line: its sender is gone.
        return line if line.endswith(b"\n") or len(line) == limit else b""

    def close(self) -> None:
        self._file.close()
