"""Block Kit: a payload as a Slack message, ``{"text": …, "blocks": […]}``.

A heading, up to ten fields in two columns, and one line per change. ``text`` is what notifications and screen readers
show. Values are escaped and texts verbatim, so nothing in a payload can mention ``@channel`` or forge a link.
Never raises.
Source: https://docs.slack.dev/reference/block-kit/blocks/section-block (limits),
https://docs.slack.dev/messaging/formatting-message-text (escaping),
https://docs.slack.dev/reference/block-kit/composition-objects/text-object (verbatim);
the printed example of seeds/001 (S1-52).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from integrations.connectors.summary import Summary, filled, summarise

MAX_MESSAGE, MAX_TEXT, MAX_FIELD, MAX_FIELDS = 4000, 3000, 2000, 10
_DANGLING = re.compile(r"&[a-z]{0,3}$")


def message(
    payload: Mapping[str, Any],
    event_type: str,
    *,
    text: str = "",
    heading: str = "",
    fields: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the message for `payload`.

    Args:
        text: the notification, e.g. ``New WorkItem Created: {workitem.reference_id}``; empty: what happened to what.
        heading: the first block, Slack's mrkdwn; empty: the object's name and description.
        fields: lines ``Customer: workitem.customer.name``; none: all that is set, the first ten.
    """
    summary = summarise(payload, event_type, fields)
    blocks = [_section(filled(heading, payload, escaped) if heading else _heading(summary))]
    if summary.fields:
        shown = [_mrkdwn(f"*{escaped(label)}:*\n{escaped(value)}", MAX_FIELD) for label, value in summary.fields]
        blocks.append({"type": "section", "fields": shown[:MAX_FIELDS]})
    if summary.changes:
        blocks.append(_section("\n".join(_change(*change) for change in summary.changes)))
    said = filled(text, payload, escaped) if text else escaped(summary.title)
    return {"text": cut(said, MAX_MESSAGE), "blocks": blocks}


def escaped(text: str) -> str:
    """Return `text` so that Slack shows it as it is: these three characters, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Return `text` with at most `limit` characters, never with half an ``&amp;``; no block may be empty."""
    if len(text) <= limit:
        return text or " "
    return _DANGLING.sub("", text[: limit - 1]) + "…"


def _heading(summary: Summary) -> str:
    if not summary.name:
        return f"*{escaped(summary.event)}*"
    description = f" - {escaped(summary.description)}" if summary.description else ""
    return f"*{escaped(summary.name)}*{description}"


def _change(label: str, old: str, new: str) -> str:
    return f"*{escaped(label)}:* {escaped(old) or '–'} → {escaped(new) or '–'}"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text, MAX_TEXT)}


def _mrkdwn(text: str, limit: int) -> dict[str, Any]:
    # Verbatim: else Slack makes links and mentions of plain text, and ``#general`` or an address would be one.
    return {"type": "mrkdwn", "text": cut(text, limit), "verbatim": True}
