"""An event as an issue: title, Markdown body, and a marker by which a second copy is recognised.

In: a payload. Out: texts. Nothing in a payload can mention people (``@octocat``), refer to other issues (``#1``),
become a link or use HTML: GitHub notifies whoever is named. The marker is an HTML comment, so readers do not see it.
Source: https://docs.github.com/en/get-started/writing-on-github (mentions, references), limits of both texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.connectors.markup import cut, inert, markdown
from integrations.connectors.summary import filled, summarise

MAX_TITLE, MAX_BODY = 256, 65536


def title(payload: Mapping[str, Any], event_type: str, pattern: str = "") -> str:
    """Return the title; `pattern` is such as ``{workitem.reference_id}: {workitem.description}``."""
    text = filled(pattern, payload) if pattern else summarise(payload, event_type).title
    text = inert(" ".join(text.split()) or event_type or "Event")  # a title is no Markdown
    return text if len(text) <= MAX_TITLE else f"{text[: MAX_TITLE - 1]}…"


def body(payload: Mapping[str, Any], event_type: str, marker: str, fields: Sequence[str] = ()) -> str:
    """Return the body: description, fields, changes, and `marker`, which is never cut off."""
    summary = summarise(payload, event_type, fields)
    parts = [markdown(summary.description)] if summary.description else []
    parts.append("\n".join(f"- **{markdown(label)}:** {_line(value)}" for label, value in summary.fields))
    changes = summary.changes
    parts.append("\n".join(f"- **{markdown(label)}:** {_line(old)} → {_line(new)}" for label, old, new in changes))
    text = "\n\n".join(filter(None, parts))
    return f"{cut(text, MAX_BODY - len(marker) - 2)}\n\n{marker}"


def marker_of(idempotency_key: str) -> str:
    """Return the comment that ties an issue to the event it was made of."""
    return f"<!-- event {re.sub('[^A-Za-z0-9_.-]', '', idempotency_key)} -->"


def _line(text: str) -> str:
    return markdown(" ".join(text.split())) or "–"
