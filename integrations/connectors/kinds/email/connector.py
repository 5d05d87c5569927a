"""Mail through any server: a mail for every event (SMTP), and the new mail of a mailbox (IMAP) (S3-11).

    page = mailbox.fetch()              # the oldest mails, and where to go on
    page = mailbox.fetch(page.cursor)

A mail has a readable text, the payload's bytes as an attached JSON file, and a Message-ID made from the event's key,
the same at every attempt. Promised: nothing is sent without TLS, unless the operator opened that host and port; the
certificate must fit the host. A delivery is done when the server took the mail: whether it arrives, and in which
folder, nobody tells us. A mail whose answer got lost is sent again under the same Message-ID, by which many mailboxes,
but not all, drop the copy.

Recipients whom the server refuses for now hold the mail back for all, so that nobody gets it twice; after `PATIENCE`
attempts the others get it without them. Those whom it refuses for good are left out at once; the receipt counts them.
Errors: transport/smtp.py, transport/imap.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import ConfigurationError
from integrations.transport import imap, smtp
from integrations.transport.login import Login
from integrations.transport.tcp import Conversation

from .compose import compose, message_id
from .manifest import MANIFEST
from .read import Mail, read

PATIENCE = 6  # attempts, about eight minutes: longer than a greylisting server makes strangers wait
MAX_RECIPIENTS = 100  # what every server must take (RFC 5321 §4.5.3.1.8)


@dataclass(frozen=True, slots=True)
class MailPage:
    """New mails, oldest first; see `imap.Page`."""

    mails: tuple[Mail, ...]
    cursor: str
    has_more: bool = False
    restarted: bool = False


@register
class EmailConnector(BaseConnector):
    """One account of a mail server."""

    manifest = MANIFEST

    @property
    def base_url(self) -> str:
        host = str(self.settings.get("smtp_host") or "")
        shown = f"[{host}]" if ":" in host else host
        return f"smtp://{shown}:{self.settings['smtp_port']}" if host else ""

    def deliver(self, envelope: Envelope) -> Receipt:
        settings, recipients = self.settings, self._recipients()
        mail = compose(
            envelope,
            settings["sender"],
            recipients,
            sender_name=settings.get("sender_name") or "",
            subject=settings.get("subject") or "",
            fields=settings.get("fields") or (),
        )
        together = envelope.attempt <= PATIENCE
        sent = smtp.send(
            self._open("smtp", smtp.PORTS), self._login, settings["sender"], recipients, mail, together=together
        )
        details = {"accepted": sent.accepted, "refused": sent.refused}
        return Receipt(
            excerpt=sent.reply, external_id=message_id(envelope.idempotency_key, settings["sender"]), details=details
        )

    def check(self) -> str:
        self._recipients()
        smtp.check(self._open("smtp", smtp.PORTS), self._login)
        if not self.settings.get("imap_host"):
            return "The mail server answers and takes the login."
        imap.check(self._open("imap", imap.PORTS), self._imap_login, self.settings["imap_mailbox"])
        return "The mail server answers and takes the login, and the mailbox can be read."

    def fetch(self, cursor: str = "", limit: int = 50) -> MailPage:
        """Return at most `limit` mails after `cursor`; "" is the beginning. Marks nothing as seen."""
        self.validate_required_fields(self.settings, ("imap_host",))
        page = imap.fetch(
            self._open("imap", imap.PORTS), self._imap_login, self.settings["imap_mailbox"], cursor, limit
        )
        return MailPage(tuple(map(read, page.mails)), page.cursor, page.has_more, page.restarted)

    def _recipients(self) -> list[str]:
        self.validate_required_fields(self.settings, ("smtp_host", "sender", "recipients"))
        recipients = list(dict.fromkeys(self.settings["recipients"]))
        if len(recipients) > MAX_RECIPIENTS:
            raise ConfigurationError({"recipients": f"at most {MAX_RECIPIENTS}; use a mailing list for more"})
        return recipients

    def _open(self, protocol: str, ports: frozenset[int]) -> Conversation:
        host, port, security = (self.settings[f"{protocol}_{name}"] for name in ("host", "port", "security"))
        return self.client.open_tcp(host, port, ports=ports, security=security, timeout=self.binding.timeout)

    @property
    def _login(self) -> Login:
        return Login(self.settings.get("username") or "", self.settings.get("password") or "")

    @property
    def _imap_login(self) -> Login:
        if not self.settings.get("imap_username"):
            return self._login
        return Login(self.settings["imap_username"], self.settings.get("imap_password") or "")
