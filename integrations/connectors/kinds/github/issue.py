"""An event as an issue: title, Markdown body, and a marker by which a second copy is recognised.

In: an event. Out: texts. Nothing in a payload can mention people (``@octocat``), refer to other issues (``#1``),
become a link or use HTML: GitHub notifies whoever is named. The marker is an HTML comment, so readers do not see it.
Source: https://docs.github.com/en/get-started/writing-on-github (mentions, references), limits of both texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from integrations.connectors.markup import cut, inert, markdown
from integrations.connectors.port import Envelope

MAX_TITLE, MAX_BODY = 256, 65536


def title(envelope: Envelope, text: str = "") -> str:
    """Return the title; `text` is such as ``{order.number}: {order.description}``."""
    text = inert(envelope.title(text))  # a title is no Markdown
    return text if len(text) <= MAX_TITLE else f"{text[: MAX_TITLE - 1]}…"


def body(envelope: Envelope, marker: str, fields: Sequence[str] = ()) -> str:
    """Return the body: description, lines, changes, link, and `marker`, which is never cut off."""
    summary = envelope.summary(fields)
    parts = [markdown(summary.description)] if summary.description else []
    parts.append("\n".join(f"- **{markdown(label)}:** {_line(value)}" for label, value in summary.lines))
    changes = summary.changes
    parts.append("\n".join(f"- **{markdown(label)}:** {_line(old)} → {_line(new)}" for label, old, new in changes))
    parts.append(f"<{summary.link}>" if summary.link else "")
    text = "\n\n".join(filter(None, parts))
    return f"{cut(text, MAX_BODY - len(marker) - 2)}\n\n{marker}"


def marker_of(idempotency_key: str) -> str:
    """Return the comment that ties an issue to the event it was made of."""
    return f"<!-- event {re.sub('[^A-Za-z0-9_.-]', '', idempotency_key)} -->"


def _line(text: str) -> str:
    return markdown(" ".join(text.split())) or "–"
