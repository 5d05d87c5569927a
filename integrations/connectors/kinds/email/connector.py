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
Errors: transport/mail/smtp_replies.py, transport/mail/smtp.py, transport/mail/imap.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import LINES, SUBJECT, Field, Logo, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import EVENT, MAX_MESSAGE, ConfigurationError, IntegrationError, IntegrationTemporaryError
from integrations.transport.mail import imap, smtp, smtp_replies
from integrations.transport.recording import handing_over
from integrations.transport.tcp import Conversation, Login

from .compose import compose, message_id
from .read import Mail, read

PATIENCE = 6  # attempts, about eight minutes: longer than a greylisting server makes strangers wait
SINCE = "since"  # beside smtp.PROGRESS: the first attempt at which somebody had it and somebody had not
MAX_RECIPIENTS = 100  # what every server must take (RFC 5321 §4.5.3.1.8)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
ADDRESS = rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_ADDRESS_HINT = "must be an address such as jane@example.com, a domain with accents in its xn-- form"
_LINE = r"[^\x00-\x1f\x7f]*"
_LINE_HINT = "must be one line without control characters"
_SECURITY = ("tls", "starttls", "plain")
_SECURITY_HELP = (
    "tls: encrypted from the first byte. starttls: the server is asked to encrypt, and gets nothing if it will not. "
    "plain: only for a host and port that the operator has opened."
)

MANIFEST = Manifest(
    key="email",
    label="E-mail (SMTP, IMAP)",
    family="email",
    description="Sends a mail for every event, with the payload as JSON attached; reads new mail of a mailbox.",
    needs=("An SMTP server, and a mailbox with its password",),
    logo=Logo(path="M4 6h16v12H4zM4 7l8 6 8-6", colour="#0b7285"),
    docs_url="https://www.rfc-editor.org/rfc/rfc5321",
    does=("deliver", "check", "read"),
    fields=(
        Field(name="smtp_host", label="SMTP host", kind="host", required=True),
        Field(
            name="smtp_port",
            label="SMTP port",
            kind="integer",
            default=465,
            minimum=1,
            maximum=65535,
            help="465 with tls, 587 (or 25) with starttls.",
        ),
        Field(
            name="smtp_security",
            label="SMTP encryption",
            kind="choice",
            choices=_SECURITY,
            default="tls",
            help=_SECURITY_HELP,
        ),
        Field(
            name="username", label="User name", pattern=_LINE, hint=_LINE_HINT, help="Empty: the server wants no login."
        ),
        Field(name="password", kind="secret", help="Often one that is made for apps, not the account's own."),
        Field(
            name="sender",
            required=True,
            pattern=ADDRESS,
            hint=_ADDRESS_HINT,
            help="An address that this account may send from.",
        ),
        Field(name="sender_name", pattern=_LINE, hint=_LINE_HINT, advanced=True),
        Field(
            name="recipients",
            kind="lines",
            required=True,
            pattern=ADDRESS,
            hint=_ADDRESS_HINT,
            help="One address per line, at most 100. They see each other.",
        ),
        SUBJECT.model_copy(update={"pattern": _LINE, "hint": _LINE_HINT}),
        LINES,
        Field(name="imap_host", label="IMAP host", kind="host", help="Only to read mail.", advanced=True),
        Field(
            name="imap_port",
            label="IMAP port",
            kind="integer",
            default=993,
            minimum=1,
            maximum=65535,
            help="993 with tls, 143 with starttls.",
            advanced=True,
        ),
        Field(
            name="imap_security",
            label="IMAP encryption",
            kind="choice",
            choices=_SECURITY,
            default="tls",
            help=_SECURITY_HELP,
            advanced=True,
        ),
        Field(name="imap_mailbox", label="Mailbox", default="INBOX", pattern=_LINE, hint=_LINE_HINT, advanced=True),
        Field(
            name="imap_username",
            label="IMAP user name",
            pattern=_LINE,
            hint=_LINE_HINT,
            help="Empty: user name and password of SMTP.",
            advanced=True,
        ),
        Field(name="imap_password", label="IMAP password", kind="secret", advanced=True),
    ),
)


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
