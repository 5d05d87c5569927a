"""An event as a mail: subject, plain text, and the JSON that ``sendMail`` wants.

In: a payload; addresses and texts. Out: texts, a dict. Plain text, so that nothing in a payload is markup.
Source: https://learn.microsoft.com/graph/api/user-sendmail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAX_SUBJECT = 255
KEY_HEADER = "x-webhook-id"  # Graph takes only names that begin with x-


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
