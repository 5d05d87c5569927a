"""UN/EDIFACT, syntax version 3 (ISO 9735): segments in, the bytes of one interchange with one message out.

Only writing. Errors: ValueError for text that the character set cannot say (UNOA: capitals and a few signs; UNOB: small
letters too; UNOC: Latin-1); no error holds the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

Element = str | Sequence[str]  # a plain one, or its components

SERVICE_ADVICE = "UNA:+.? '"
CHARSETS = ("UNOA", "UNOB", "UNOC")
_RELEASED = re.compile(r"(['+:?])")
_LEVEL_A = r"A-Z0-9 .,\-()/=!\"%&*;<>'+:?"
_ALLOWED = {
    "UNOA": re.compile(rf"[{_LEVEL_A}]*"),
    "UNOB": re.compile(rf"[{_LEVEL_A}a-z]*"),
    "UNOC": re.compile(r"[ -~\xa0-\xff]*"),
}
# What Unicode takes for one letter or sign, and people write with others where it is not at hand.
_LETTERS = "ßẞæÆœŒøØłŁđĐðÐþÞħĦŧŦŋŊı€×÷"
_SPELT = "ss SS ae Ae oe Oe o O l L d D d D th Th h H t T n N i EUR x /"
_WRITTEN_OUT = {
    **dict(zip(_LETTERS, _SPELT.split(), strict=True)),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032`´", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033«»", '"'),
    "\u2044": "/",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What UNB and UNH say.

    Attributes:
        sender, recipient: identification, with its qualifier (``14``: GLN; empty: agreed between the two).
        reference: the interchange control reference, at most 14 characters; the same in UNB and UNZ.
        message_type: type, version, release, agency, e.g. ``("ORDERS", "D", "96A", "UN", "EAN008")``.
    """

    charset: str
    sender: tuple[str, str]
    recipient: tuple[str, str]
    reference: str
    prepared_at: datetime
    message_type: Sequence[str]
    is_test: bool = False


def segment(tag: str, *elements: Element) -> str:
    """Return one segment: text released, empty elements and components at the end left out."""
    parts = [tag]
    for element in elements:
        components = [element] if isinstance(element, str) else list(element)
        parts.append(":".join(_RELEASED.sub(r"?\1", component) for component in _trimmed(components)))
    return "+".join(_trimmed(parts)) + "'"


def interchange(envelope: Envelope, message: Sequence[str]) -> bytes:
    """Return the bytes of an interchange with the segments of one `message`, counted and enclosed."""
    number = "1"
    sent = envelope.prepared_at
    head = segment(
        "UNB",
        (envelope.charset, "3"),
        envelope.sender,
        envelope.recipient,
        (f"{sent:%y%m%d}", f"{sent:%H%M}"),
        envelope.reference,
        *[""] * 5,
        "1" if envelope.is_test else "",
    )
    body = [segment("UNH", number, envelope.message_type), *message]
    body.append(segment("UNT", str(len(body) + 1), number))  # itself included
    text = "".join([SERVICE_ADVICE, head, *body, segment("UNZ", "1", envelope.reference)])
    return text.encode("latin-1")


def said(text: str, charset: str) -> str:
    """Return `text` as `charset` can say it.

    Raises:
        ValueError: it cannot: for an identifier, another spelling would be another thing.
    """
    if not _ALLOWED[charset].fullmatch(text):
        raise ValueError(f"has characters that {charset} cannot encode")
    return text


def roughly(text: str, charset: str) -> str:
    """Return free text as near as `charset` can say it: ß as ss, no accents, a blank for a sign that it lacks."""
    text = text.upper() if charset == "UNOA" else text
    return "".join(_roughly(char, charset) for char in unicodedata.normalize("NFC", text))


def _roughly(char: str, charset: str) -> str:
    allowed = _ALLOWED[charset]
    if allowed.fullmatch(char):
        return char
    written = _WRITTEN_OUT.get(char) or unicodedata.normalize("NFKD", char)
    plain = "".join(_WRITTEN_OUT.get(part, part) for part in written if not unicodedata.combining(part))
    plain = plain.upper() if charset == "UNOA" else plain
    return plain if plain and allowed.fullmatch(plain) else " "


def _trimmed(parts: list[str]) -> list[str]:
    end = len(parts)
    while end and not parts[end - 1]:
        end -= 1
    return parts[:end]
