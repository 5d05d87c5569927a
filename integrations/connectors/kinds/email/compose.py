"""An event as a mail: subject, text for people, and the payload's very bytes as an attachment.

In: an envelope and addresses. Out: the bytes to send, 7-bit clean, so that no server has to change them.
Whatever a payload holds, it stays in its place: a subject is one line, so is every other header, and the text is plain,
so that nothing in it is markup. Source: RFC 5322, RFC 2045, RFC 3834 (Auto-Submitted).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from integrations.connectors.port import Envelope
from integrations.database import clock
from integrations.errors import printable

MAX_SUBJECT = 200
_POLICY = SMTP.clone(cte_type="7bit")
_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?", re.ASCII)


def compose(
    envelope: Envelope,
    sender: str,
    recipients: Sequence[str],
    *,
    sender_name: str = "",
    subject: str = "",
    fields: Sequence[str] = (),
) -> bytes:
    """Return the mail for `envelope`; `subject` is a text, `fields` are lines (texts.py)."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(one_line(sender_name), addr_spec=sender)
    mail["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    mail["Subject"] = (one_line(envelope.title(subject)) or "Event")[:MAX_SUBJECT]
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = message_id(envelope.idempotency_key, sender)
    mail["Auto-Submitted"] = "auto-generated"  # no holiday answers, please
    mail["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    mail["Webhook-Id"] = safe_key(envelope.idempotency_key)
    mail["Webhook-Event"] = one_line(envelope.event_type)[:100]
    mail["Webhook-Sequence"] = str(envelope.sequence)
    mail.set_content(_text(envelope, fields))
    mail.add_attachment(
        envelope.body, maintype="application", subtype="json", filename=f"{safe_key(envelope.idempotency_key)}.json"
    )
    return mail.as_bytes()


def message_id(key: str, sender: str) -> str:
    """Return the Message-ID: the same at every attempt, so that a mailbox can tell a copy."""
    return f"<{safe_key(key)}@{sender.rpartition('@')[2].lower()}>"


def safe_key(key: str) -> str:
    """Return `key`, or what stands for it where it could not be a Message-ID or a file's name."""
    return key if _KEY.fullmatch(key) else f"key_{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:40]}"


def one_line(text: str) -> str:
    return " ".join(printable(text).split())


def _text(envelope: Envelope, fields: Sequence[str]) -> str:
    summary = envelope.summary(fields)
    end = "This mail was made by a program. The attached file holds all of it, as JSON."
    text = "\n\n".join(filter(None, (summary.title, summary.text, summary.link, end)))
    return "\n".join(printable(line) for line in text.splitlines()) + "\n"
