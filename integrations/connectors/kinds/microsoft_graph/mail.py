"""An event as a mail: subject, plain text, and the JSON that ``sendMail`` wants.

In: a payload; addresses and texts. Out: texts, a dict. Plain text, so that nothing in a payload is markup.
Source: https://learn.microsoft.com/graph/api/user-sendmail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.connectors.summary import filled, summarise

MAX_SUBJECT = 255
KEY_HEADER = "x-webhook-id"  # Graph takes only names that begin with x-


def subject(payload: Mapping[str, Any], event_type: str, pattern: str = "") -> str:
    text = " ".join((filled(pattern, payload) if pattern else summarise(payload, event_type).title).split())
    return (text or event_type or "Event")[:MAX_SUBJECT]


def text(payload: Mapping[str, Any], event_type: str, fields: Sequence[str] = ()) -> str:
    """Return description, fields and changes, one per line."""
    summary = summarise(payload, event_type, fields)
    changes = [f"{label}: {old or '–'} → {new or '–'}" for label, old, new in summary.changes]
    parts = [summary.description, "\n".join(f"{label}: {value}" for label, value in summary.fields), "\n".join(changes)]
    return "\n\n".join(filter(None, parts)) or summary.title


def message(
    to: Sequence[str], subject: str, *, html: str = "", text: str = "", save: bool = False, key: str = ""
) -> dict[str, Any]:
    """Return the body of a ``sendMail``; `key` goes into a header, by which a copy can be told."""
    body = {"contentType": "HTML", "content": html} if html else {"contentType": "Text", "content": text}
    mail: dict[str, Any] = {
        "subject": subject,
        "body": body,
        "toRecipients": [{"emailAddress": {"address": address}} for address in to],
    }
    if key:
        mail["internetMessageHeaders"] = [{"name": KEY_HEADER, "value": key}]
    return {"message": mail, "saveToSentItems": save}
