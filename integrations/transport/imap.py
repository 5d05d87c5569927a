"""IMAP: read what is new in a mailbox, by UID, and change nothing (RFC 3501, 4959, 5530).

In: an open conversation, a login, a mailbox and a cursor. Out: a `Page` of raw mails and the next cursor. The mailbox
is opened read-only (EXAMINE, BODY.PEEK): no mail is marked as seen.

A cursor is ``<uidvalidity>:<uid>``, "" for the beginning. If the server gave all mails new numbers (another
UIDVALIDITY), reading begins anew and `Page.restarted` says so; known mails are told by their Message-ID.

Errors: IntegrationAuthError; ConfigurationError ``imap_mailbox``; IntegrationTemporaryError (tls_failed, timeout,
connection_reset, bad_response, imap_refused).
"""

from __future__ import annotations

import contextlib
import imaplib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from integrations.errors import IntegrationError, IntegrationPermanentError, IntegrationTemporaryError

from . import imap_client
from .imap_client import ImapClient, RawMail
from .login import Login
from .tcp import Conversation, hold

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
            has_more, room = False, imap_client.MAX_PAGE_BYTES
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
