"""The text of an API key: ``iok_<12 characters>_<43 characters>``.

The first part finds the row and may be shown; the second has 256 random bits, so that one round of SHA-256 is enough:
nobody can try them out, whatever they stole. Letters and digits alone, so that a double click takes all of it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

MARK = "iok"  # what scanners for secrets look for; transport/redaction.py masks it
_ALPHABET = string.ascii_letters + string.digits
_PREFIX, _SECRET = 12, 43
_SHAPE = re.compile(rf"{MARK}_[A-Za-z0-9]{{{_PREFIX}}}_[A-Za-z0-9]{{{_SECRET}}}", re.ASCII)
# What a text that is no key is taken for, so that it costs what a key costs; nobody's row has it.
NOBODY = "-" * _PREFIX


@dataclass(frozen=True, slots=True)
class Token:
    """A key as it is presented.

    Attributes:
        prefix: what finds the row.
        digest: what the row has instead of the key, in hex.
        text: the key itself.
    """

    prefix: str
    digest: str
    text: str = field(repr=False, default="")


def new_token() -> Token:
    """Return a new key: the only time that its text exists here."""
    prefix, rest = ("".join(secrets.choice(_ALPHABET) for _ in range(length)) for length in (_PREFIX, _SECRET))
    text = f"{MARK}_{prefix}_{rest}"
    return Token(prefix, _digest(text), text)


def read_token(text: str) -> Token:
    """Return what to look for: for a text that is no key, something that no row has."""
    is_key = _SHAPE.fullmatch(text) is not None
    return Token(text.split("_")[1] if is_key else NOBODY, _digest(text[:200]))


def is_same(digest: str, stored: str) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(digest.encode(), stored.encode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
