"""Tell by mail: one mail to the managers of each tenant, one to operators. Through Django's own mail."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.mail import EmailMessage, get_connection

from integrations import conf
from integrations.errors import printable
from integrations.health.alert import SILENT
from integrations.tenancy.people import people
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import name_of

from .watch import Word, payload_of

logger = logging.getLogger("integrations.alerts")

TIMEOUT_SECONDS = 10.0  # for connecting to a mail server, and for each of its answers
LISTED = 50  # words in one mail


def mail(words: Iterable[Word]) -> int:
    """Send what `words` say to whom it concerns; return how many mails were sent. A failure is logged, never raised.

    Managers (``INTEGRATIONS_PEOPLE`` knows them) get what is about their tenant, unless ALERT_MAIL_MANAGERS is off.
    Operators (ALERT_MAIL_TO) get everything.
    """
    everything = list(words)
    by_tenant: dict[Any, list[Word]] = defaultdict(list)
    for word in everything:
        if word.integration is not None:
            by_tenant[word.integration.tenant].append(word)
    letters = [
        _letter(addresses, tenant_words, name_of(tenant))
        for tenant, tenant_words in by_tenant.items()
        if (addresses := _managers_of(tenant))
    ]
    if everything and conf.ALERT_MAIL_TO:
        letters.append(_letter(list(conf.ALERT_MAIL_TO), everything, "", with_tenants=True))
    return _send(letters)


def _managers_of(tenant: Any) -> list[str]:
    try:
        known = people() if conf.ALERT_MAIL_MANAGERS else None
        if known is None:
            return []
        managers = [member.user for member in known.members(tenant) if member.effective == Role.MANAGER]
        return sorted({address for user in managers if (address := getattr(user, user.get_email_field_name(), ""))})
    except Exception as error:  # a project's class
        logger.warning("alerts of tenant %s are mailed to no manager (%s)", tenant.pk, _name(error), exc_info=True)
        return []


def _letter(to: Sequence[str], words: Sequence[Word], tenant: str, *, with_tenants: bool = False) -> EmailMessage:
    first = words[0].title if len(words) == 1 else f"{words[0].title}, and {len(words) - 1} more"
    subject = printable(f"[{tenant}] {first}" if tenant else first)[:200]
    parts = [_paragraph(word, with_tenants) for word in words[:LISTED]]
    if len(words) > LISTED:
        parts.append(f"… and {len(words) - LISTED} more.")
    message = EmailMessage(subject, "\n\n".join(parts) + "\n")
    if len(to) == 1:
        message.to = [*to]
    else:
        message.bcc = [*to]  # nobody learns of the others
    return message


def _paragraph(word: Word, with_tenant: bool) -> str:
    of = f" ({name_of(word.integration.tenant)})" if with_tenant and word.integration is not None else ""
    address = payload_of(word)["alert"]["url"]
    lines = [f"{word.title}{of}", word.why, word.what_to_do if word.name != SILENT else "", address]
    return "\n".join(printable(line) for line in lines if line)


def _send(letters: list[EmailMessage]) -> int:
    """Send each by itself over one connection: whom the server refuses keeps nobody else from being told."""
    sent = 0
    if not letters:
        return sent
    try:
        with get_connection(timeout=TIMEOUT_SECONDS) as connection:
            for letter in letters:
                try:
                    sent += int(connection.send_messages([letter]) or 0)
                except Exception as error:  # whatever a mail server or a project's backend throws
                    logger.warning("an alert could not be mailed (%s); it is an event all the same", _name(error))
    except Exception as error:
        logger.warning("alerts could not be mailed (%s); they are events all the same", _name(error))
    return sent


def _name(error: Exception) -> str:
    """Return the kind of error alone: its words may quote an address, or what the server was told."""
    return type(error).__name__
