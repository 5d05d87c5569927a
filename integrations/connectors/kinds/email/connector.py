"""Mail through any server: a mail for every event (SMTP), and the new mail of a mailbox (IMAP).

    page = mailbox.fetch()  # the oldest mails, and where to go on
    page = mailbox.fetch(page.cursor)

A mail has a readable text, the payload's bytes as an attached JSON file, and a Message-ID made from the event's key,
the same at every attempt. Promised: nothing is sent without TLS, unless the operator opened that host and port; the
certificate must fit the host. A delivery is done when the server took the mail: whether it arrives, and in which
folder, nobody tells us. A mail whose answer got lost is sent again under the same Message-ID, by which many mailboxes,
but not all, drop the copy.

Whoever the server accepts gets the mail at once, in as many transactions of the session as it wants. Whom it refuses
for now is tried again, alone; who has the mail is kept with the row. Whom it refuses for good, or still refuses after
`PATIENCE` attempts since somebody had it, is named on the row and in the note. No such refusal speaks against the
server.
Errors: transport/smtp_replies.py, transport/smtp.py, transport/imap.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import EVENT, MAX_MESSAGE, ConfigurationError, IntegrationError, IntegrationTemporaryError
from integrations.transport import imap, smtp, smtp_replies
from integrations.transport.login import Login
from integrations.transport.recording import handing_over
from integrations.transport.tcp import Conversation

from .compose import compose, message_id
from .manifest import MANIFEST
from .read import Mail, read

PATIENCE = 6  # attempts, about eight minutes: longer than a greylisting server makes strangers wait
SINCE = "since"  # beside smtp.PROGRESS: the first attempt at which somebody had it and somebody had not
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
    faults = smtp_replies.FAULTS

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
        had_it = [address for address in recipients if address in envelope.progress.get(smtp.PROGRESS, ())]
        owed = [address for address in recipients if address not in had_it]
        # Since which attempt it is about single recipients: an outage before that costs nobody's patience.
        since = min(envelope.progress.get(SINCE, 1) if had_it else envelope.attempt, envelope.attempt)
        sent = smtp.Sent(())
        if owed:
            try:
                sent = self._send(owed, mail, is_rest=bool(had_it))
            except IntegrationError as error:
                failure: IntegrationError | None = error
            else:
                failure = self._unfinished(sent, is_late=envelope.attempt >= since + PATIENCE)
            if failure is not None:
                if failure.progress:
                    failure.progress = {smtp.PROGRESS: [*had_it, *failure.progress[smtp.PROGRESS]]}
                    if since > 1:
                        failure.progress[SINCE] = since
                failure.__context__ = None
                raise failure
        details = {"accepted": len(had_it) + len(sent.accepted), "refused": len(sent.refused)}
        return Receipt(
            excerpt=sent.reply,
            external_id=message_id(envelope.idempotency_key, settings["sender"]),
            details=details,
            remark=f"Not taken for {_named(sent.refused)}" if sent.refused else "",
        )

    def _send(self, owed: list[str], mail: bytes, *, is_rest: bool) -> smtp.Sent:
        sender = str(self.settings["sender"])
        envelope = [("MAIL FROM", sender), *(("RCPT TO", address) for address in owed)]
        with handing_over("smtp", self.base_url, mail, envelope) as handover:
            conversation = self._open("smtp", smtp.PORTS)
            sent = smtp.send(conversation, self._login, sender, owed, mail, is_rest=is_rest)
            refused = _("Refused for {address}: {said}")
            said = [refused.format(address=each.address, said=each.said) for each in sent.refused]
            handover.answer = " ".join(filter(None, (sent.reply, *said)))
        return sent

    def _unfinished(self, sent: smtp.Sent, *, is_late: bool) -> IntegrationError | None:
        """Return the error by which those who are refused for now are tried again; None: it is done."""
        for_now = [refusal for refusal in sent.refused if refusal.is_for_now]
        if not for_now or is_late:
            return None
        count = f"{len(for_now)} of {len(sent.accepted) + len(sent.refused)} recipients"
        return IntegrationTemporaryError(
            f"{self.host} took it for {len(sent.accepted)}; {count} are tried again: {_named(for_now)}",
            code="recipients",
            fault=EVENT,
            was_sent=False,
            progress={smtp.PROGRESS: list(sent.accepted)} if sent.accepted else {},
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
        return self.open_tcp(host, port, ports=ports, security=security, timeout=self.binding.timeout)

    @property
    def _login(self) -> Login:
        return Login(self.settings.get("username") or "", self.settings.get("password") or "")

    @property
    def _imap_login(self) -> Login:
        if not self.settings.get("imap_username"):
            return self._login
        return Login(self.settings["imap_username"], self.settings.get("imap_password") or "")


def _named(refusals: Iterable[smtp.Refusal]) -> str:
    return "; ".join(f"{refusal.address} ({refusal.said})" for refusal in refusals)[:MAX_MESSAGE]
