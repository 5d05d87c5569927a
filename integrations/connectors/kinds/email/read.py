"""What a stranger's mail says, as plain data, whatever bytes it is made of.

In: a `RawMail`. Out: a `Mail`. Never raises: what cannot be read is empty. Everything in a mail is the sender's claim,
``From`` included; nothing of it is HTML, a path, or longer than it may be.
Source: RFC 5322, RFC 2045 to 2047; the limits are ours.
"""

from __future__ import annotations

import codecs
import email
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser

from integrations.errors import printable
from integrations.transport.imap import RawMail

MAX_PARTS = 100
MAX_LINE = 1000  # characters of one header
MAX_TEXT = 100_000
MAX_ADDRESSES = 100
# Encodings that text comes in; others of Python's (idna, unicode_escape, …) are slow or are no text.
_CHARSETS = ("utf", "ascii", "iso8859", "iso2022", "cp", "latin", "koi8", "gb", "big5", "euc", "shift_jis", "hz", "mac")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail; `name` has no path in it and may be ""."""

    name: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail; its repr shows nothing that somebody wrote.

    Attributes:
        message_id: with its ``<>``; "" if there is none. By it a copy is told.
        sender, recipients: bare addresses.
        sent_at: aware; None if unreadable.
        text: the plain text, or what is left of the HTML.
        is_automatic: Auto-Submitted says that no person wrote it: it must not be answered.
        is_cut: the mail is longer than MAX_MAIL_BYTES, and this is its beginning.
    """

    uid: int
    message_id: str
    sender: str = field(repr=False)
    recipients: tuple[str, ...] = field(repr=False)
    subject: str = field(repr=False)
    sent_at: datetime | None
    text: str = field(repr=False)
    attachments: tuple[Attachment, ...] = field(repr=False)
    is_automatic: bool = False
    is_cut: bool = False


def read(raw: RawMail) -> Mail:
    """Return what `raw` says."""
    try:
        message = email.message_from_bytes(raw.content, policy=compat32)
        parts = list(_parts(message))
    except Exception:  # RecursionError of a thousand boxes in boxes, and whatever else strangers find
        message, parts = Message(), []
    senders = _addresses(message, "from")
    automatic = _header(message, "auto-submitted").lower()
    return Mail(
        uid=raw.uid,
        message_id=_header(message, "message-id"),
        sender=next(iter(senders), ""),
        recipients=tuple(_addresses(message, "to", "cc"))[:MAX_ADDRESSES],
        subject=_header(message, "subject"),
        sent_at=_date(message),
        text=_text(parts)[:MAX_TEXT],
        attachments=tuple(_attachment(part) for part in parts if _is_attachment(part)),
        is_automatic=automatic not in ("", "no"),
        is_cut=raw.is_cut,
    )


def _parts(message: Message) -> Iterator[Message]:
    """Yield the parts that hold something; an attached mail is one of them, and not looked into."""
    waiting, seen = [message], 0
    while waiting and seen < MAX_PARTS:
        part = waiting.pop()
        seen += 1
        below = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(below, list):
            waiting.extend(item for item in reversed(below) if isinstance(item, Message))
        else:
            yield part


def _header(message: Message, name: str) -> str:
    """Return one header, decoded, on one line."""
    return _decoded(_raw(message, name))


def _raw(message: Message, name: str) -> str:
    with suppress(Exception):
        return str(message.get(name, ""))[:MAX_LINE]
    return ""


def _decoded(text: str) -> str:
    with suppress(Exception):
        pieces = decode_header(text)
        text = "".join(_of_charset(piece, charset) if isinstance(piece, bytes) else piece for piece, charset in pieces)
    return " ".join(printable(text).split())[:MAX_LINE]


def _of_charset(data: bytes, charset: str | None) -> str:
    name = "utf-8"
    with suppress(LookupError, ValueError, TypeError):
        found = codecs.lookup(charset or "utf-8").name.replace("_", "")
        name = found if found.startswith(_CHARSETS) and found != "utf-7" else name
    try:
        return data.decode(name)
    except (UnicodeError, LookupError):
        return data.decode("utf-8", "replace")


def _addresses(message: Message, *names: str) -> list[str]:
    with suppress(Exception):
        found = getaddresses([_raw(message, name) for name in names])
        return [address for _, address in found if "@" in address and address.isprintable()]
    return []


def _date(message: Message) -> datetime | None:
    with suppress(Exception):
        found = parsedate_to_datetime(_raw(message, "date"))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return None


def _content(part: Message) -> bytes:
    with suppress(Exception):
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            return content
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], Message):  # an attached mail
            return inner[0].as_bytes()
    return b""


def _name(part: Message) -> str:
    with suppress(Exception):
        name = _decoded(part.get_filename() or "").replace("\\", "/").rpartition("/")[2].strip(". ")
        return name[:100]
    return ""


def _is_attachment(part: Message) -> bool:
    with suppress(Exception):
        is_text = part.get_content_type() in ("text/plain", "text/html")
        return not is_text or part.get_content_disposition() == "attachment" or bool(_name(part))
    return False


def _attachment(part: Message) -> Attachment:
    return Attachment(_name(part), printable(part.get_content_type())[:100], _content(part))


def _text(parts: Iterable[Message]) -> str:
    texts = [part for part in parts if not _is_attachment(part)]
    part = next((part for part in texts if part.get_content_type() == "text/plain"), next(iter(texts), None))
    if part is None:
        return ""
    charset = None
    with suppress(Exception):
        charset = part.get_content_charset()
    text = _of_charset(_content(part), charset)
    if part.get_content_type() == "text/html":
        text = _without_markup(text)
    return "\n".join(printable(line).rstrip() for line in text.splitlines()).strip()


def _without_markup(html: str) -> str:
    words = _Words()
    with suppress(Exception):
        words.feed(html)
    return "".join(words.found)


class _Words(HTMLParser):
    """The text between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        if tag in ("br", "p", "div", "tr", "li"):
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style") and self._hidden:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)
