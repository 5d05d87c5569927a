"""Text that somebody typed, written so that a target which renders Markdown shows it as it was typed.

In: any text. Out: text in which nothing becomes a link, a mention, a reference, formatting or HTML. One rule for all of
them (GitHub, Discord, the cards of Teams), because what one does not render it shows as it is. Text that would not be
rendered stays the same: ``order_created``, ``a (b)``, ``5 < 6`` has its ``<`` escaped and no more.

Source: https://spec.commonmark.org/0.31.2/#backslash-escapes, https://github.github.com/gfm/#autolinks-extension-,
https://docs.discord.com/developers/reference#message-formatting,
https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features.
"""

from __future__ import annotations

import re

_INVISIBLE = "\u200b"  # zero-width space
# What a backslash takes the meaning from. An underscore inside a word has none.
_MARKUP = r"[\\`*\[\]<>~|]|(?<=\])\(|&(?=#?\w{1,32};)|(?<![^\W_])_|_(?![^\W_])"
# What a backslash does not help against, and a space in the right place does: mentions and references; addresses that
# become links by themselves (behind the slashes it would be part of the host, and browsers leave it out there);
# ``{{DATE(…)}}`` of Adaptive Cards.
_REFERENCE = r"[@#]|\b(?i:GH(?=-[0-9])|www(?=\.))|:(?=//)|\{(?=\{)"
_ANY = re.compile(f"(?P<markup>{_MARKUP})|{_REFERENCE}")
_ONLY_REFERENCES = re.compile(_REFERENCE)
_LISTS = re.compile(r"^([ \t]*(?:[0-9]{1,9}(?=[.)](?:[ \t]|$)))?)([-+=](?=[-+= \t]|$)|[.)](?=[ \t]|$))", re.MULTILINE)


def markdown(text: str, limit: int | None = None) -> str:
    """Return `text` as Markdown that shows it as it is.

    Args:
        limit: characters of what is returned; a longer one ends with an ellipsis, and never with half an escape.
    """
    shown = text if limit is None else text[: limit + 1]
    shown = _LISTS.sub(r"\1\\\2", _ANY.sub(_neutral, shown))
    return shown if limit is None else cut(shown, limit)


def inert(text: str) -> str:
    """Return `text` for a place that renders no Markdown, but finds links, mentions and references."""
    return _ONLY_REFERENCES.sub(rf"\g<0>{_INVISIBLE}", text)


def cut(text: str, limit: int) -> str:
    """Return Markdown with at most `limit` characters; no backslash is left at its end for what follows."""
    if len(text) <= limit:
        return text
    kept = text[: max(limit - 1, 0)]
    if (len(kept) - len(kept.rstrip("\\"))) % 2:
        kept = kept[:-1]
    return f"{kept}…" if limit > 0 else ""


def _neutral(found: re.Match[str]) -> str:
    return f"\\{found[0]}" if found["markup"] else f"{found[0]}{_INVISIBLE}"
