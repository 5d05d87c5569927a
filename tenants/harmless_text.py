"""Showing a stranger's text as what it is: whatever acts on the screen, or is not seen, is spelled out."""

from __future__ import annotations

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


def _is_acting(char: str) -> bool:
    if char in "\n\t":
        return False
    return category(char) in _ACTING or any(first <= ord(char) <= last for first, last in _INVISIBLE)
