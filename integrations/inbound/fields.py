"""Read what an action was sent: the value, or an error that names the field and the fix. Never the value itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from integrations.database.stretches import MAX_KEY
from integrations.errors import IntegrationPermanentError

_DIGITS = re.compile(r"[0-9]{1,19}")


def wrong(field: str, fix: str) -> IntegrationPermanentError:
    """Return the error that ends an action: the same input will never be right."""
    return IntegrationPermanentError(f"{field}: {fix}", code="input")


def key_in(value: Any, field: str) -> int | None:
    """Return a row's key, None if there is none; n8n's expressions easily make a text of a number."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_KEY:
        raise wrong(field, "must be a whole number greater than 0")
    return value


def text_in(value: Any, field: str, longest: int) -> str:
    """Return a text of 1 to `longest` characters, None counting as "".

    Line breaks and tabs stay; other control characters and halves of characters go: no database, terminal or log is to
    stumble over what a stranger wrote.
    """
    if value is not None and not isinstance(value, str):
        raise wrong(field, "must be a text")
    found = "".join(filter(_is_readable, (value or "").replace("\r\n", "\n"))).strip()
    if not found:
        raise wrong(field, "is missing or empty")
    if len(found) > longest:
        raise wrong(field, f"is longer than {longest} characters")
    return found


def choice_in(value: Any, field: str, choices: Mapping[str, str]) -> str:
    """Return the stored value of a choice that is given by value or by label: events show the label."""
    by_word = {label: stored for stored, label in choices.items()} | {stored: stored for stored in choices}
    if not isinstance(value, str) or value not in by_word:
        raise wrong(field, f"must be one of {', '.join(choices)}")
    return by_word[value]


def _is_readable(char: str) -> bool:
    # Format characters (a joined emoji, a mark of direction) are not printable to Python, and belong to texts.
    return char in "\n\t" or not (char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff")
