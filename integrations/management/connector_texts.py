"""The texts of connector types as Python that ``makemessages`` reads.

A manifest's words stand in Python and in YAML, and are translated when they are shown. ``makemessages`` finds only what
is marked, so they stand once more in a file that nothing imports; a test holds that it is up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest

TOP = '''"""Texts of connector types for ``makemessages``; nothing imports it. Made by ``manage.py connector texts``."""

from __future__ import annotations

from django.utils.translation import gettext_noop

# ruff: noqa: E501
# fmt: off
'''


def texts_of(manifest: Manifest) -> Iterator[str]:
    """Yield what people read of a manifest: what it is for, what it needs, and its fields."""
    yield manifest.description
    yield from manifest.needs
    for field in manifest.fields:
        yield field.title
        yield field.help
        yield field.hint


def written(kinds: Iterable[type[BaseConnector]]) -> str:
    """Return the file for these connector types: each text once, in a fixed order."""
    found = {text for kind in kinds for text in texts_of(kind.manifest) if text}
    return TOP + "".join(f"gettext_noop({_quoted(text)})\n" for text in sorted(found))


def _quoted(text: str) -> str:
    """Return `text` as ruff writes it."""
    quote = "'" if '"' in text and "'" not in text else '"'
    body = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{quote}{body.replace(quote, chr(92) + quote)}{quote}"
