"""IMAP: read what is new in a mailbox, by UID, and change nothing (RFC 3501, 4959, 5530).

In: an open conversation, a login, a mailbox and a cursor. Out: a `Page` of raw mails and the next cursor. The mailbox
is opened read-only (EXAMINE, BODY.PEEK): no mail is marked as seen.

A cursor is ``<uidvalidity>:<uid>``, "" for the beginning. If the server gave all mails new numbers (another
UIDVALIDITY), reading begins anew and `Page.restarted` says so; known mails are told by their Message-ID.

Errors: IntegrationAuthError; ConfigurationError ``imap_mailbox``; IntegrationTemporaryError (tls_failed, timeout,
connection_reset, bad_response, imap_refused).
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
    printable,
)
from integrations.transport.redaction import redact
from integrations.transport.tcp import Conversation, Login, hold

WINDOW = 2000  # UIDs asked for at a time: the answer's length is bounded, whatever the mailbox holds
MAX_LISTED = 50_000  # UIDs in one answer, where the server does not say UIDNEXT
MAX_WINDOWS = 100  # of empty UIDs in one call; the cursor moves on all the same
MAX_MAIL_BYTES = 1 << 20  # of one mail; a longer one is cut
MAX_PAGE_BYTES = 8 << 20
MAX_HEARD = 3 << 20  # bytes that a server may say beside the mails themselves

_SIZE = re.compile(rb"RFC822\.SIZE ([0-9]{1,10})")
_UID = re.compile(rb"\bUID ([0-9]{1,10})\b")
# RFC 5530: what is wrong is the password, or is not. Most servers have no code for what they say in words.
_REFUSED = re.compile(rb"\[(?:AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED|PRIVACYREQUIRED)\]", re.IGNORECASE)
_NOT_NOW = re.compile(
    rb"\[(?:UNAVAILABLE|SERVERBUG|INUSE|LIMIT|CONTACTADMIN|OVERQUOTA|THROTTLED)\]"
    rb"|too many|simultaneous|maximum (?:number|of)|connection limit|rate.?limit|limit (?:hit|reached)|exceeded|throttl"
    rb"|temporar|try again|later|unavailable|\bbusy\b|overload|server error|internal (?:server )?error"
    rb"|timed? ?out|not connected|shutting down|maintenance",
    re.IGNORECASE,
)
_NOT_UNDERSTOOD = "command error: BAD"  # imaplib's words


@dataclass(frozen=True, slots=True)
class RawMail:
    """One mail as it lies there; `size` is that of the whole, `content` at most MAX_MAIL_BYTES of it."""

    uid: int
    size: int
    content: bytes = field(repr=False)

    @property
    def is_cut(self) -> bool:
        return self.size > len(self.content)


class ImapClient(imaplib.IMAP4):
    """imaplib's client on a guarded connection, with bounds, quoting, and errors of ours."""

    def __init__(self, conversation: Conversation, login: Login) -> None:
        self._conversation, self._login = conversation, login
        self._room = {"lines": MAX_HEARD, "mails": MAX_PAGE_BYTES + 2 * MAX_MAIL_BYTES}
        super().__init__(conversation.host, 0)

    def _create_socket(self, timeout: float | None) -> Any:
        return self._conversation.sock

    def readline(self) -> bytes:
        line = super().readline()
        self._spend("lines", len(line))
        return line

    def read(self, size: int) -> bytes:
        self._spend("mails", size)  # before so much memory is taken
        return super().read(size)

    def _spend(self, what: str, size: int) -> None:
        self._room[what] -= size
        if self._room[what] < 0:
            raise ConnectionAbortedError("a flood of bytes")

    def encrypt(self) -> None:
        """STARTTLS; a server that says we are logged in already (PREAUTH) is refused: it may be anybody's greeting."""
        host = self._conversation.host
        if self.state != "NONAUTH" or "STARTTLS" not in self.capabilities:
            problem = f"{host} does not offer STARTTLS; without TLS nothing is sent"
            raise IntegrationTemporaryError(problem, code="tls_failed", was_sent=False)
        self.starttls(ssl_context=self._conversation)

    def log_in(self) -> None:
        """Log in: by SASL PLAIN in UTF-8 where it is offered, else by LOGIN."""
        login, refusal = self._login, ""
        if self.state == "AUTH":
            return
        is_plain = "AUTH=PLAIN" in self.capabilities
        if is_plain:
            refusal = self._refused(
                lambda: self.authenticate("PLAIN", lambda _: f"\0{login.username}\0{login.password}".encode())
            )
        if not is_plain or _NOT_UNDERSTOOD in refusal:
            if f"{login.username}{login.password}".isascii():
                refusal = self._refused(lambda: self.login(self._quote(login.username), login.password))
            else:
                refusal = refusal or "only takes user names and passwords of plain letters"
        if refusal:
            raise self._login_error(refusal)

    def _refused(self, log_in: Callable[[], Any]) -> str:
        """Log in, and return what the server says against it, "" if nothing."""
        try:
            log_in()
        except self.abort:
            raise
        except self.error as error:
            return str(error) or "refused"
        return ""

    def _login_error(self, refusal: str) -> IntegrationError:
        host = self._conversation.host
        if _NOT_UNDERSTOOD in refusal:
            problem = "does not understand the login, and looked at no password"
            return IntegrationTemporaryError(f"{host} {problem}", code="imap_refused", was_sent=False)
        if is_not_now(refusal.encode()):
            return self._not_now("takes no logins now", refusal)
        message = f"{host} refused the IMAP login; check user name and password"
        return IntegrationAuthError(message, excerpt=self._shown(refusal), was_sent=False)

    def _not_now(self, problem: str, said: str) -> IntegrationTemporaryError:
        message = f"{self._conversation.host} {problem}"
        return IntegrationTemporaryError(message, code="imap_refused", excerpt=self._shown(said), was_sent=False)

    def _shown(self, said: str) -> str:
        return redact(printable(said), self._login.secrets)

    def examine(self, mailbox: str) -> None:
        status, said = self.select(quoted(mailbox), readonly=True)
        if status == "OK":
            return
        words = b" ".join(line for line in said if isinstance(line, bytes))
        if is_not_now(words):
            raise self._not_now("does not open the mailbox now", words.decode("utf-8", "replace"))
        host = self._conversation.host
        raise ConfigurationError({"imap_mailbox": f"{host} does not open a mailbox of this name"})

    def number(self, name: str) -> int:
        """Return what EXAMINE said of the mailbox: UIDVALIDITY, UIDNEXT."""
        said = (self.untagged_responses.get(name) or [b""])[-1]
        if not isinstance(said, bytes) or not re.fullmatch(rb"[0-9]{1,10}", said):
            raise self._bad(f"did not say the mailbox's {name}")
        return int(said)

    def next_uid(self) -> int:
        """Return UIDNEXT, 0 where the server does not say it."""
        if self.untagged_responses.get("UIDNEXT"):
            return self.number("UIDNEXT")
        if self._count() > MAX_LISTED:
            return max(self._search("*", "*"), default=0) + 1  # the last one's number does as well
        return 0

    def uids(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (uid, read so far) after `start` and before `end`; uid 0 where a stretch of numbers is empty.

        Without an `end` all that is there is listed at once.
        """
        if not end:
            found = self._search(start + 1, "*") if self._count() else []
            yield from ((uid, uid) for uid in sorted(found) if uid > start)  # "9:*" is the last one even if that is 7
            return
        for _ in range(MAX_WINDOWS):
            if start >= end - 1:
                return
            stop = min(start + WINDOW, end - 1)
            found = sorted(uid for uid in self._search(start + 1, stop) if start < uid <= stop)
            for uid in found:
                yield uid, uid
            yield 0, stop
            start = stop

    def _count(self) -> int:
        said = (self.untagged_responses.get("EXISTS") or [b"1"])[-1]
        return int(said) if isinstance(said, bytes) and said.isdigit() else 1

    def _search(self, first: int | str, last: int | str) -> list[int]:
        status, data = self.uid("SEARCH", f"UID {first}:{last}")
        if status != "OK":
            raise self._bad("refused to list the mailbox")
        words = b" ".join(line for line in data if isinstance(line, bytes)).split()
        return [int(word) for word in words if word.isdigit() and len(word) <= 10]

    def mail(self, uid: int) -> RawMail | None:
        """Return mail `uid`; None if it was deleted meanwhile."""
        status, data = self.uid("FETCH", str(uid), f"(UID RFC822.SIZE BODY.PEEK[]<0.{MAX_MAIL_BYTES}>)")
        if status != "OK":
            raise self._bad("refused to give a mail")
        heads = b" ".join(part[0] if isinstance(part, tuple) else part or b"" for part in data)
        bodies = [part[1] for part in data if isinstance(part, tuple) and b"BODY[" in part[0].upper()]
        if not bodies or str(uid).encode() not in _UID.findall(heads):
            return None
        size = _SIZE.search(heads)
        return RawMail(uid, int(size[1]) if size else len(bodies[0]), bodies[0][:MAX_MAIL_BYTES])

    def _bad(self, problem: str) -> IntegrationTemporaryError:
        return IntegrationTemporaryError(f"{self._conversation.host} {problem}", code="bad_response", was_sent=False)


def is_not_now(said: bytes) -> bool:
    """Tell whether a refusal is about the server's day and not about what was asked: its code, else its words."""
    return _REFUSED.search(said) is None and _NOT_NOW.search(said) is not None


def quoted(mailbox: str) -> str:
    """Return a mailbox's name as IMAP writes it: modified UTF-7 (RFC 3501 §5.1.3), quoted."""
    text = re.sub(r"[^\x20-\x7e]+", _shifted, mailbox.replace("&", "&-"))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shifted(match: re.Match[str]) -> str:
    packed = base64.b64encode(match[0].encode("utf-16-be", "surrogatepass")).decode()
    return f"&{packed.rstrip('=').replace('/', ',')}-"


PORTS = frozenset({143, 993})
RESERVE = 0.3  # part of the time that must be left to ask for one more mail: a slow server gives shorter pages

_CURSOR = re.compile(r"([0-9]{1,10}):([0-9]{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """What is new since a cursor, oldest first.

    Attributes:
        cursor: what to ask with next; also when there was nothing.
        has_more: ask again at once.
        restarted: the mailbox was renumbered, and this is its beginning.
    """

    mails: tuple[RawMail, ...]
    cursor: str
    has_more: bool = False
    restarted: bool = False


def check(conversation: Conversation, login: Login, mailbox: str) -> None:
    """Log in and open the mailbox read-only."""

    def talk() -> None:
        with _ready(conversation, login, mailbox):
            pass

    hold(conversation, talk, partial(_explain, conversation))


def fetch(conversation: Conversation, login: Login, mailbox: str, cursor: str = "", limit: int = 50) -> Page:
    """Return at most `limit` mails after `cursor`."""
    known = _CURSOR.fullmatch(cursor)
    if cursor and known is None:
        conversation.close()
        raise IntegrationPermanentError("the cursor does not belong to this mailbox", code="cursor", was_sent=False)
    limit, patience = max(limit, 1), conversation.remaining * RESERVE

    def talk() -> Page:
        with _ready(conversation, login, mailbox) as imap:
            validity, end = imap.number("UIDVALIDITY"), imap.next_uid()
            restarted = known is not None and int(known[1]) != validity
            start = last = int(known[2]) if known is not None and not restarted else 0
            mails: list[RawMail] = []
            has_more, room = False, MAX_PAGE_BYTES
            for uid, seen_to in imap.uids(start, end):
                if len(mails) == limit or room <= 0 or (mails and conversation.remaining < patience):
                    has_more = True
                    break
                mail = imap.mail(uid) if uid else None
                if mail is not None:
                    mails.append(mail)
                    room -= len(mail.content)
                last = seen_to
            has_more = has_more or last < end - 1
            return Page(tuple(mails), f"{validity}:{last}", has_more, restarted)

    return hold(conversation, talk, partial(_explain, conversation))


@contextlib.contextmanager
def _ready(conversation: Conversation, login: Login, mailbox: str) -> Iterator[ImapClient]:
    """Give a session that is encrypted, logged in, and has the mailbox open."""
    imap = ImapClient(conversation, login)
    try:
        if conversation.security == "starttls":
            imap.encrypt()
        imap.log_in()
        imap.examine(mailbox)
        yield imap
    finally:
        with contextlib.suppress(OSError):
            imap.send(b"bye LOGOUT\r\n")  # without waiting: nothing was changed
        with contextlib.suppress(OSError):
            imap.shutdown()


def _explain(conversation: Conversation, error: Exception) -> IntegrationError | None:
    if isinstance(error, imaplib.IMAP4.abort):
        return conversation.failure(EOFError())
    if isinstance(error, imaplib.IMAP4.error) and not conversation.expired:
        message = f"{conversation.host} refused a command, or does not speak IMAP"
        return IntegrationTemporaryError(message, code="imap_refused", was_sent=False)
    return None
