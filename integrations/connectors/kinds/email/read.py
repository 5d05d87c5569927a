"""What a stranger's mail says, as plain data, whatever bytes it is made of.

In: a `RawMail`. Out: a `Mail`. Never raises: what cannot be read is empty. Everything in a mail is the sender's claim,
``From`` included; nothing of it is HTML, a path, or longer than it may be.
Source: RFC 5322, RFC 2045 to 2047; the limits are ours.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser
from typing import NamedTuple

from integrations.errors import printable
from integrations.transport.imap_client import RawMail

MAX_PARTS = 100
MAX_BOXES = 20  # parts that hold parts; a mail with more, or with a longer header of this kind, gives its headers alone
MAX_CONTENT_HEADER = 2000  # bytes
MAX_LINE = 1000  # characters of one header
MAX_TEXT = 100_000
MAX_ADDRESSES = 100
# Encodings that text comes in; others of Python's (idna, unicode_escape, …) are slow or are no text.
_CHARSETS = ("utf", "ascii", "iso8859", "iso2022", "cp", "latin", "koi8", "gb", "big5", "euc", "shift_jis", "hz", "mac")
_BOX = re.compile(rb"multipart/|message/", re.IGNORECASE)
_CONTENT_HEADER = re.compile(rb"^content-[a-z-]{1,30}[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE)


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
    message, pieces = _taken_apart(raw.content)
    senders = _addresses(message, "from")
    automatic = _header(message, "auto-submitted").lower()
    return Mail(
        uid=raw.uid,
        message_id=_header(message, "message-id"),
        sender=next(iter(senders), ""),
        recipients=tuple(_addresses(message, "to", "cc"))[:MAX_ADDRESSES],
        subject=_header(message, "subject"),
        sent_at=_date(message),
        text=_text([piece for piece in pieces if not piece.is_attachment])[:MAX_TEXT],
        attachments=tuple(
            Attachment(piece.name, piece.content_type, piece.content) for piece in pieces if piece.is_attachment
        ),
        is_automatic=automatic not in ("", "no"),
        is_cut=raw.is_cut,
    )


class _Piece(NamedTuple):
    """One part that holds something."""

    content_type: str
    charset: str
    name: str
    is_attachment: bool
    content: bytes


def _taken_apart(content: bytes) -> tuple[Message, list[_Piece]]:
    is_costly = _is_costly(content)
    try:
        message = BytesParser(policy=compat32).parsebytes(content, headersonly=is_costly)
        return message, [] if is_costly else [_piece(part) for part in _parts(message)]
    except Exception:  # whatever else strangers find
        return Message(), []


def _is_costly(content: bytes) -> bool:
    """Tell whether somebody built a mail that the parser would need minutes for.

    It looks for the end of every box around a line, at every line; and the time for the parameters of a Content-Type
    grows with the square of their length.
    """
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return len(_BOX.findall(content)) > MAX_BOXES or any(
        len(found) > MAX_CONTENT_HEADER for found in _CONTENT_HEADER.findall(lines)
    )


def _parts(message: Message) -> Iterator[Message]:
    """Yield the parts that hold something; an attached mail is one of them, and not looked into."""
    waiting, seen = [message], 0
    while waiting and seen < MAX_PARTS:
        part = waiting.pop()
        seen += 1
        # Asked for a text, the standard library decodes it by the charset that the mail names.
        below = part.get_payload() if part.is_multipart() else None
        if part.get_content_maintype() == "multipart" and isinstance(below, list):
            waiting.extend(item for item in reversed(below) if isinstance(item, Message))
        else:
            yield part


def _piece(part: Message) -> _Piece:
    content_type = printable(part.get_content_type())[:100]
    charset, name, disposition = "", "", ""
    with suppress(Exception):
        charset = part.get_content_charset() or ""
    with suppress(Exception):
        name = _decoded(part.get_filename() or "").replace("\\", "/").rpartition("/")[2].strip(". ")[:100]
    with suppress(Exception):
        disposition = part.get_content_disposition() or ""
    is_text = content_type in ("text/plain", "text/html")
    # Without this header the standard library leaves the charset alone.
    del part["content-type"]
    return _Piece(content_type, charset, name, not is_text or disposition == "attachment" or bool(name), _content(part))


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


def _text(pieces: Sequence[_Piece]) -> str:
    piece = next((piece for piece in pieces if piece.content_type == "text/plain"), next(iter(pieces), None))
    if piece is None:
        return ""
    text = _of_charset(piece.content, piece.charset)
    if piece.content_type == "text/html":
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
