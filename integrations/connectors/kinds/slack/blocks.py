"""Block Kit: a payload as a Slack message, ``{"text": …, "blocks": […]}``.

A heading, up to ten fields in two columns, and one line per change; all of it within what Slack takes of one message
(``msg_blocks_too_long``): the longest texts are cut first, so that no field vanishes. ``text`` is what notifications
and screen readers show. Values are escaped and texts verbatim, so nothing in a payload can mention ``@channel`` or
forge a link. Never raises.
Source: https://docs.slack.dev/reference/block-kit/blocks/section-block (limits),
https://docs.slack.dev/messaging/formatting-message-text (escaping),
https://docs.slack.dev/reference/block-kit/composition-objects/text-object (verbatim).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from integrations.connectors.port import Envelope
from integrations.connectors.summary import Summary
from integrations.connectors.texts import filled

MAX_MESSAGE, MAX_TEXT, MAX_FIELD, MAX_FIELDS = 4000, 3000, 2000, 10
MAX_BLOCKS = 12_000  # characters of all blocks together; Slack was seen to refuse more than some 13,200
_DANGLING = re.compile(r"&[a-z]{0,3}$")


def message(envelope: Envelope, *, text: str = "", heading: str = "", fields: Iterable[str] = ()) -> dict[str, Any]:
    """Return the message for an event.

    Args:
        text: the notification, ``New order: {order.number}``; empty: what happened to what.
        heading: the first block, Slack's mrkdwn; empty: the object's name and description.
        fields: lines ``Customer: order.customer.name``; none: all that is set, the first ten.
    """
    payload, summary = envelope.payload, envelope.summary(fields)
    top = filled(heading, payload, escaped) if heading else _heading(summary)
    shown = [f"*{escaped(label)}:*\n{escaped(value)}" for label, value in summary.lines[:MAX_FIELDS]]
    changes = "\n".join(
        f"*{escaped(label)}:* {escaped(old) or '–'} → {escaped(new) or '–'}" for label, old, new in summary.changes
    )
    limits = [MAX_TEXT, MAX_TEXT, *[MAX_FIELD] * len(shown)]
    most = _fair(
        [min(len(each), limit) for each, limit in zip((top, changes, *shown), limits, strict=True)], MAX_BLOCKS
    )
    top_limit, changes_limit, *field_limits = (min(limit, most) for limit in limits)
    blocks = [_section(top, top_limit)]
    if shown:
        fields_shown = [_mrkdwn(each, limit) for each, limit in zip(shown, field_limits, strict=True)]
        blocks.append({"type": "section", "fields": fields_shown})
    if changes:
        blocks.append(_section(changes, changes_limit))
    said = filled(text, payload, escaped) if text else escaped(summary.title)
    return {"text": cut(said, MAX_MESSAGE), "blocks": blocks}


def _fair(lengths: Sequence[int], budget: int) -> int:
    """Return how long each text may be so that all of them fit into `budget`: short ones stay whole."""
    left = budget
    for number, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - number)
        if length > share:
            return share
        left -= length
    return budget


def escaped(text: str) -> str:
    """Return `text` so that Slack shows it as it is: these three characters, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Return `text` with at most `limit` characters, never with half an ``&amp;``; no block may be empty."""
    if len(text) <= limit:
        return text or " "
    return _DANGLING.sub("", text[: limit - 1]) + "…"


def _heading(summary: Summary) -> str:
    name = f"*{escaped(summary.name or summary.title)}*"
    shown = f"<{escaped(summary.link)}|{name}>" if summary.link else name
    return f"{shown} - {escaped(summary.description)}" if summary.name and summary.description else shown


def _section(text: str, limit: int) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text, limit)}


def _mrkdwn(text: str, limit: int) -> dict[str, Any]:
    # Verbatim: else Slack makes links and mentions of plain text, and ``#general`` or an address would be one.
    return {"type": "mrkdwn", "text": cut(text, limit), "verbatim": True}
