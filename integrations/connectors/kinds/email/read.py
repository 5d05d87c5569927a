"""What a stranger's mail says, as plain data, whatever bytes it is made of.

In: a `RawMail`. Out: a `Mail`. Never raises: what cannot be read is empty. Everything in a mail is the sender's claim,
``From`` included; nothing of it is HTML, a path, or longer than it may be. Bytes whose encoding nobody declared, in
headers too, are read as mail programs do: UTF-8 if it can be that, else what the mail's text is in, else Windows-1252.
Source: RFC 5322, RFC 2045 to 2047; the limits are ours.
"""

from __future__ import annotations

import base64
import codecs
import quopri
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser
from typing import NamedTuple

from integrations.errors import printable
from integrations.transport.mail.imap import RawMail

MAX_PARTS = 100
MAX_BOXES = 20  # parts that hold parts; a mail with more, or with a longer header of this kind, gives its headers alone
MAX_CONTENT_HEADER = 2000  # bytes
MAX_LINE = 1000  # characters of one header
MAX_TEXT = 100_000
MAX_ADDRESSES = 100
# Encodings that text comes in; others of Python's (idna, unicode_escape, …) are slow or are no text.
_CHARSETS = (
    *("utf", "ascii", "iso8859", "iso2022", "cp", "latin", "koi8", "gb", "big5", "euc", "shiftjis", "hz", "mac"),
    *("tis", "johab", "kz1048", "ptcp154"),
)
# What is declared, and what is meant by it (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
_DIRECTION = re.compile(r"^(iso-8859-[68])-[ie]$")  # Hebrew and Arabic, in which order their letters stand
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bq])\?([^?]{0,2000})\?=", re.IGNORECASE)
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
    text = _main(pieces)
    charset = text.charset if text else ""
    senders = _addresses(message, charset, "from")
    automatic = _header(message, "auto-submitted").lower()
    return Mail(
        uid=raw.uid,
        message_id=_header(message, "message-id"),
        sender=next(iter(senders), ""),
        recipients=tuple(_addresses(message, charset, "to", "cc"))[:MAX_ADDRESSES],
        subject=_header(message, "subject", charset),
        sent_at=_date(message),
        text=_text(text)[:MAX_TEXT],
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
        message = BytesParser(policy=_POLICY).parsebytes(content, headersonly=is_costly)
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


def _header(message: Message, name: str, charset: str = "") -> str:
    """Return one header, decoded, on one line."""
    return _decoded(_raw(message, name, charset))


def _raw(message: Message, name: str, charset: str = "") -> str:
    """Return one header as it stands there; `charset` is what its bytes may be in, if they are not UTF-8."""
    with suppress(Exception):
        value = next((value for key, value in message.raw_items() if key.lower() == name), "")
        return _unescaped(str(value), charset)[:MAX_LINE]
    return ""


def _unescaped(text: str, charset: str = "") -> str:
    """Return a header with its undeclared bytes read, which the parser keeps as half surrogates."""
    return text if text.isascii() else _undeclared(text.encode("utf-8", "surrogateescape"), charset)


class _Policy(Compat32):
    """Headers as text: by itself the standard library puts a replacement in the place of every undeclared byte."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return _unescaped(value)


_POLICY = _Policy()


def _decoded(text: str) -> str:
    """Return a header with its encoded words read (RFC 2047); one that is none stays as it is."""
    pieces: list[tuple[str, bytes, str]] = []  # plain text; or bytes and what they are in
    position = 0
    for word in _ENCODED_WORD.finditer(text):
        between, position = text[position : word.start()], word.end()
        charset, data = word[1].partition("*")[0].lower(), _bytes_of(word)
        is_joined = bool(pieces) and not pieces[-1][0] and not between.strip()  # spaces between two words are none
        if is_joined and pieces[-1][2] == charset:
            data = pieces.pop()[1] + data  # a letter may be cut in two
        elif between and not is_joined:
            pieces.append((between, b"", ""))
        pieces.append(("", data, charset))
    whole = "".join(plain or _of_charset(data, charset) for plain, data, charset in pieces) + text[position:]
    return " ".join(printable(whole).split())[:MAX_LINE]


def _bytes_of(word: re.Match[str]) -> bytes:
    coded = word[3].encode("ascii", "replace")
    if word[2] in "qQ":
        return quopri.decodestring(coded, header=True)
    try:
        return base64.b64decode(coded + b"=" * (-len(coded) % 4))
    except ValueError:
        return word[0].encode("utf-8", "replace")


def _of_charset(data: bytes, charset: str | None) -> str:
    codec = _codec(charset or "")
    if codec in ("", "ascii"):
        return _undeclared(data)
    try:
        return data.decode(codec, "replace")
    except (UnicodeError, LookupError):
        return _undeclared(data)


def _codec(charset: str) -> str:
    """Return the codec for what a mail declares, "" if it declares nothing that is known."""
    name = _DIRECTION.sub(r"\1", charset.strip().lower())
    for each in (name, name.removeprefix("x-")):
        with suppress(LookupError, ValueError, TypeError):
            found = codecs.lookup(each).name
            if found.replace("_", "").startswith(_CHARSETS) and found != "utf-7":
                return _MEANT.get(found, found)
    return ""


def _undeclared(data: bytes, charset: str = "") -> str:
    """Return bytes of which nobody says what they are in: UTF-8 if they can be, else `charset`, else Windows-1252."""
    with suppress(UnicodeError):
        # A mail that was cut may end within a letter; a single odd byte at the end proves nothing.
        found = codecs.getincrementaldecoder("utf-8")().decode(data)
        if not found.isascii() or data.isascii():
            return found
    for codec in (_codec(charset), "cp1252"):
        with suppress(UnicodeError, LookupError):
            if codec not in ("", "ascii", "utf-8"):
                return data.decode(codec)
    return data.decode("latin-1")


def _addresses(message: Message, charset: str, *names: str) -> list[str]:
    with suppress(Exception):
        found = getaddresses([_raw(message, name, charset) for name in names])
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


def _main(pieces: Sequence[_Piece]) -> _Piece | None:
    """Return the part that a person reads: plain text before HTML."""
    texts = [piece for piece in pieces if not piece.is_attachment]
    return next((piece for piece in texts if piece.content_type == "text/plain"), next(iter(texts), None))


def _text(piece: _Piece | None) -> str:
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
