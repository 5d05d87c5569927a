"""An event as an issue: title, Markdown body, and a marker by which a second copy is recognised.

In: a payload. Out: texts. Nothing in a payload can mention people (``@octocat``), refer to other issues (``#1``) or use
HTML: GitHub would notify whoever is named. The marker is an HTML comment, so readers do not see it.
Source: https://docs.github.com/en/get-started/writing-on-github (mentions, references), GitHub's limits on both texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.connectors.summary import filled, summarise

MAX_TITLE, MAX_BODY = 256, 65536
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()!|~&]")
_REFERENCES = re.compile(r"[@#]|\b(?i:GH)(?=-[0-9])|(?<=:)//")
_INVISIBLE = "\u200b"  # zero-width space: shown as nothing, and no reference any more


def title(payload: Mapping[str, Any], event_type: str, pattern: str = "") -> str:
    """Return the title; `pattern` is such as ``{workitem.reference_id}: {workitem.description}``."""
    text = filled(pattern, payload) if pattern else summarise(payload, event_type).title
    text = " ".join(text.split()) or event_type or "Event"
    return text if len(text) <= MAX_TITLE else f"{text[: MAX_TITLE - 1]}…"


def body(payload: Mapping[str, Any], event_type: str, marker: str, fields: Sequence[str] = ()) -> str:
    """Return the body: description, fields, changes, and `marker`, which is never cut off."""
    summary = summarise(payload, event_type, fields)
    parts = [quoted(summary.description)] if summary.description else []
    parts.append("\n".join(f"- **{quoted(label)}:** {_line(value)}" for label, value in summary.fields))
    changes = summary.changes
    parts.append("\n".join(f"- **{quoted(label)}:** {_line(old)} → {_line(new)}" for label, old, new in changes))
    text = "\n\n".join(filter(None, parts))
    return f"{text[: MAX_BODY - len(marker) - 2]}\n\n{marker}"


def marker_of(idempotency_key: str) -> str:
    """Return the comment that ties an issue to the event it was made of."""
    return f"<!-- event {re.sub('[^A-Za-z0-9_.-]', '', idempotency_key)} -->"


def quoted(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, and notifies nobody."""
    return _REFERENCES.sub(rf"\g<0>{_INVISIBLE}", _MARKDOWN.sub(r"\\\g<0>", text))


def _line(text: str) -> str:
    return quoted(" ".join(text.split())) or "–"
