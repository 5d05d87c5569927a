"""Texts that people type: shown as what they are, and refused where they could not be seen or would act.

Showing: whatever acts on the screen, or is not seen, is spelled out (`harmless`).
Taking: a name has something to see, and no text has characters that only control a terminal or turn others around
(`problem_of`; for all texts of a model checked_texts.py).
"""

from __future__ import annotations

from functools import lru_cache
from unicodedata import category

# Controls, format characters (joiners, marks of direction, tags), halves of characters, separators of lines.
_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# What Unicode draws as nothing in other categories (Default_Ignorable_Code_Point), and the empty Braille pattern.
# U+FE0F is left out: it says "as an emoji", and half of all emoji have it.
_INVISIBLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0E),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)


def harmless(text: str) -> str:
    """Return `text` with characters that nobody sees, or that rearrange others, spelled out: ``\\u202e``."""
    text = text.replace("\r\n", "\n")
    spelled = {ord(char): char.encode("unicode_escape").decode() for char in set(text) if _is_acting(char)}
    return text.translate(spelled) if spelled else text


@lru_cache(maxsize=1024)
def _is_acting(char: str) -> bool:
    if char in "\n\t":
        return False
    return category(char) in _ACTING or any(first <= ord(char) <= last for first, last in _INVISIBLE)


# -- taking --------------------------------------------------------------------------------------------------

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # "exe.txt" that is "txt.exe"
_OF_LINES = frozenset("\r\n\t")


def is_visible(text: str) -> bool:
    """Tell whether there is anything to see in `text`."""
    return any(not (char.isspace() or _is_acting(char) or category(char)[0] in "MZC") for char in text)


def problem_of(text: str, *, has_lines: bool = False) -> str:
    """Return what is wrong with a text that somebody typed, "" if nothing is; empty is not wrong here.

    Args:
        has_lines: line breaks and tabs belong to such a text.
    """
    for char in "" if text.isprintable() else text:
        if has_lines and char in _OF_LINES:
            continue
        if category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _TURNING:
            return f"must not contain control characters (U+{ord(char):04X}); type it anew"
    if text and not is_visible(text):
        return "has only blanks or invisible characters; type something that can be seen"
    return ""
